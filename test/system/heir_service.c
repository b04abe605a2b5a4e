/*
 * A service that hands its connection to its successor, as doc/upgrade.md shows it; and, as `calls`, one who calls it.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <client.h>

#define SERVICE 0x41
#define CALLER 0x42

static s32 nothing(s8 *data, u32 len, u32 cmd)
{
    (void)data;
    (void)len;
    (void)cmd;
    return 0;
}

static s32 turned(s8 *data, u32 len, u32 cmd)
{
    u32 i;

    (void)cmd;
    for (i = 0; i < len; i++)
        data[i] = (s8)~data[i];
    return 0;
}

static void identify(struct client_param *param, u32 id, const s8 *name, srvcb called)
{
    memset(param, 0, sizeof(*param));
    param->cid = id;
    param->name = name;
    param->host = LOCAL_HOST_V4;
    param->port = LOCAL_PORT;
    param->req_scb = called;
    param->ack_scb = nothing;
}

static struct sockaddr_un at(const char *path)
{
    struct sockaddr_un address;

    memset(&address, 0, sizeof(address));
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    return address;
}

/* Says something to the socket that the variable names, if it does. */
static void tell(const char *variable, const char *text)
{
    const char *path = getenv(variable);
    struct sockaddr_un to = at(path ? path : "");
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    if (path && sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
        perror(variable);
    close(fd);
}

/* Where a successor is to come: a place that the one before us does not have. */
static int open_door(char *path, size_t size)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(path, size, "%s/heir_service.%d", getenv("MSF_RUN_DIR"), (int)getpid());
    address = at(path);
    return bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 1) == 0 ? fd : -1;
}

/* Our connection to the agent: that of who runs, where somebody does, else one of our own. */
static s32 come_in(void)
{
    struct client_param param;
    const char *from = getenv("MSF_UPGRADE_FROM");
    int channel = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = at(from ? from : "");
    s32 done;

    identify(&param, SERVICE, "PASSED", turned);
    if (from && connect(channel, (struct sockaddr *)&address, sizeof(address)) == 0)
        done = client_agent_take_over(&param, channel, 10000);
    else
        done = client_agent_init(&param);
    close(channel);
    return done;
}

static int serve(void)
{
    char path[100], offer[128];
    int door = open_door(path, sizeof(path));

    /* For the test of one that never comes so far. */
    if (getenv("MSF_UPGRADE_FROM") && access("hang", F_OK) == 0)
        pause();
    if (door < 0 || come_in() != 0) {
        perror("heir_service");
        return 1;
    }
    snprintf(offer, sizeof(offer), "MSF_UPGRADE_FROM=%s\n", path);
    tell("MSF_UPGRADE_ASK", offer);
    tell("NOTIFY_SOCKET", "READY=1\n");
    for (;;) {
        int channel = accept(door, NULL, NULL);
        int done = client_agent_hand_over(channel, 5000);

        close(channel);
        if (done == 0)
            break;
    }
    unlink(path);
    return 0;
}

/* One call after the other until our input ends; says how many there were, and how many were wrong. */
static int call(void)
{
    struct client_param param;
    struct pollfd input = { STDIN_FILENO, POLLIN, 0 };
    unsigned long calls = 0, wrong = 0;

    identify(&param, CALLER, "CALLER", nothing);
    if (client_agent_init(&param) != 0)
        return 1;
    while (poll(&input, 1, 0) == 0) {
        struct basic_pdu pdu;
        unsigned long sent = calls++, answer = 0;

        memset(&pdu, 0, sizeof(pdu));
        pdu.dstid = SERVICE;
        pdu.cmd = 0x31;
        pdu.timeout = 5000;
        pdu.payload = (s8 *)&sent;
        pdu.paylen = sizeof(sent);
        pdu.restload = (s8 *)&answer;
        pdu.restlen = sizeof(answer);
        if (client_agent_service(&pdu) != RPC_EXEC_SUCC || answer != ~(calls - 1))
            wrong++;
    }
    printf("%lu %lu\n", calls, wrong);
    return client_agent_deinit() == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "calls") == 0 ? call() : serve();
}
