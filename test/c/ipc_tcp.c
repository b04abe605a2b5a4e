/*
 * Any host but loopback's address is reached by TCP; "localhost" is a name, and so it is one.
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "ipc_agent.h"

#define SIZE 300000

static void agent(void *arg)
{
    struct basic_head head;
    char *body = malloc(SIZE);
    int fd;

    ready(0);
    fd = accept(*(int *)arg, NULL, NULL);
    welcome(fd);
    for (;;) {
        receive(fd, &head, sizeof(head));
        if (head.cmd == RPC_LOGOUT)
            break;
        receive(fd, body, head.datalen);
        head = acknowledged(&head);
        head.datalen = SIZE;
        transmit(fd, &head, sizeof(head), 1);
        transmit(fd, body, SIZE, 1000);
    }
    free(body);
    _exit(0);
}

int main(void)
{
    struct sockaddr_in address;
    struct client_param param;
    socklen_t len = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0), status = -1;
    char port[16], *sent = malloc(SIZE), *got = malloc(SIZE);
    pid_t pid;

    memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_EQ(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_EQ(listen(listener, 8), 0);
    CHECK_EQ(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    snprintf(port, sizeof(port), "%d", ntohs(address.sin_port));
    pid = peer(agent, &listener);
    close(listener);

    memset(&param, 0, sizeof(param));
    param.cid = ID_A;
    param.name = "TCP";
    param.host = "localhost";
    param.port = port;
    param.req_scb = nothing;
    param.ack_scb = nothing;
    CHECK_EQ(client_agent_init(&param), 0);
    memset(sent, 's', SIZE);
    CHECK_EQ(call(ID_B, 0x30, sent, SIZE, got, SIZE, 10000), RPC_EXEC_SUCC);
    CHECK(memcmp(sent, got, SIZE) == 0);
    CHECK_EQ(client_agent_deinit(), 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
    free(sent);
    free(got);
    return check_verdict();
}
