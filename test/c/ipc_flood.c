/*
 * More requests than the queue holds, with answers larger than the socket takes, from an agent that does not read for a
 * while: everything waits for something, and yet every request is answered, in order, once the agent reads.
 */
#include "ipc_agent.h"

#define REQUESTS 3000
#define SIZE 20000

static s32 on_request(s8 *data, u32 len, u32 cmd)
{
    memset(data, (int)(cmd & 0x7f), len);
    return 0;
}

/* Returns the request that our client made meanwhile. */
static struct basic_head floods(int fd)
{
    struct basic_head *heads = calloc(REQUESTS, sizeof(*heads)), ack, asked;
    char *body = malloc(SIZE);
    u32 i;

    for (i = 0; i < REQUESTS; i++) {
        heads[i].version = RPC_VERSION;
        heads[i].magic = RPC_MAGIC;
        heads[i].srcid = ID_B;
        heads[i].dstid = ID_A;
        heads[i].opcode = RPC_REQ;
        heads[i].cmd = i;
        heads[i].seq = i;
        heads[i].restlen = SIZE;
        heads[i].timeout = 60000;
    }
    transmit(fd, heads, REQUESTS * sizeof(*heads), REQUESTS * sizeof(*heads));
    memset(&asked, 0, sizeof(asked));
    usleep(500 * 1000);
    for (i = 0; i < REQUESTS; i++) {
        receive(fd, &ack, sizeof(ack));
        if (ack.opcode == RPC_REQ) {
            asked = ack;
            receive(fd, &ack, sizeof(ack));
        }
        receive(fd, body, SIZE);
        if (ack.opcode != RPC_ACK || ack.seq != i || ack.datalen != SIZE || ack.errcode != 0)
            _exit(7);
        if (body[0] != (char)(i & 0x7f) || memcmp(body, body + 1, SIZE - 1) != 0)
            _exit(8);
    }
    free(heads);
    free(body);
    if (asked.opcode != RPC_REQ)
        receive(fd, &asked, sizeof(asked));
    return asked;
}

static void agent(void *arg)
{
    struct basic_head head;
    int fd;

    ready(0);
    fd = accept(*(int *)arg, NULL, NULL);
    welcome(fd);
    head = floods(fd);
    head = acknowledged(&head);
    transmit(fd, &head, sizeof(head), sizeof(head));
    receive(fd, &head, sizeof(head));
    _exit(head.cmd == RPC_LOGOUT ? 0 : 9);
}

int main(void)
{
    int listener = listening("own.sock"), status = -1;
    pid_t pid = peer(agent, &listener);

    close(listener);
    setenv("MSF_AGENT_SOCK", "own.sock", 1);
    CHECK_EQ(log_in(ID_A, "FLOODED", on_request, nothing), 0);
    CHECK_EQ(call(ID_B, 0x30, NULL, 0, NULL, 4, 30000), RPC_EXEC_SUCC);
    CHECK_EQ(client_agent_deinit(), 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
    return check_verdict();
}
