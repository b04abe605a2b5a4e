/*
 * The agent goes away: who waits is told, also for ever; libipc is back within 50 ms and logs in again. The agent here
 * is one of our own, so that it can misbehave: it also answers late, twice, in single bytes, and asks whether we live.
 */
/* alone: it has to be back within 50 ms */
#include "ipc_agent.h"

#define HANG 0x30   /* the agent closes the connection instead of answering */
#define BYTES 0x31  /* answered byte by byte, after an answer to a call nobody made, and then once more */
#define PROBE 0x32  /* answered after a keepalive probe was */
#define BACK 0x33   /* answered with the milliseconds it took us to come back */

/* Answers a request with a number of milliseconds. */
static void answer(int fd, const struct basic_head *request, long long number, size_t piece)
{
    struct {
        struct basic_head head;
        u32 number;
    } MSF_PACKED_MEMORY frame;

    frame.head = acknowledged(request);
    frame.head.datalen = sizeof(frame.number);
    frame.number = (u32)number;
    transmit(fd, &frame, sizeof(frame), piece);
}

/* Somebody wants four gigabytes: he is refused, the process lives. */
static void greedy(int fd)
{
    struct basic_head head;

    memset(&head, 0, sizeof(head));
    head.version = RPC_VERSION;
    head.magic = RPC_MAGIC;
    head.srcid = ID_B;
    head.dstid = ID_A;
    head.opcode = RPC_REQ;
    head.cmd = 0x26;
    head.seq = 78;
    head.restlen = 0xffffffff;
    head.timeout = 1000;
    transmit(fd, &head, sizeof(head), sizeof(head));
    receive(fd, &head, sizeof(head));
    if (head.opcode != RPC_ACK || head.seq != 78 || head.errcode != RPC_EXEC_FAIL || head.datalen != 0)
        _exit(7);
}

static void probe(int fd)
{
    struct basic_head head;

    memset(&head, 0, sizeof(head));
    head.version = RPC_VERSION;
    head.magic = RPC_MAGIC;
    head.srcid = RPC_MSG_SRV_ID;
    head.dstid = ID_A;
    head.opcode = RPC_KALIVE;
    head.seq = 77;
    transmit(fd, &head, sizeof(head), sizeof(head));
    receive(fd, &head, sizeof(head));
    if (head.opcode != RPC_ACK || head.cmd != 0 || head.seq != 77 || head.srcid != ID_A)
        _exit(6);
}

/* One connection: 0 when the client has logged out, 1 when it was asked to hang. */
static int connection(int fd, long long took)
{
    struct basic_head head;

    welcome(fd);
    for (;;) {
        receive(fd, &head, sizeof(head));
        switch (head.cmd) {
        case RPC_LOGOUT:
            return 0;
        case HANG:
            usleep(100 * 1000);
            return 1;
        case BYTES:
            head.seq += 1000;
            answer(fd, &head, 1, 60);
            head.seq -= 1000;
            answer(fd, &head, 2, 1);
            answer(fd, &head, 3, 60);
            break;
        case PROBE:
            probe(fd);
            greedy(fd);
            answer(fd, &head, 4, 60);
            break;
        default:
            answer(fd, &head, took, 60);
        }
    }
}

static void agent(void *arg)
{
    int listener = *(int *)arg, again = 1;
    long long closed = check_now();

    ready(0);
    while (again) {
        int fd = accept(listener, NULL, NULL);

        again = connection(fd, check_now() - closed);
        closed = check_now();
        close(fd);
    }
}

static void is_back(void)
{
    u32 number = 0;

    CHECK_WITHIN(2000, rpc->state == CLIENT_INITED);
    CHECK_EQ(call(ID_B, BACK, NULL, 0, &number, sizeof(number), 2000), RPC_EXEC_SUCC);
    CHECK(number <= 50);
}

static void who_waits_is_told(u32 timeout)
{
    long long start = check_now();

    CHECK_FAILS(call(ID_B, HANG, NULL, 0, NULL, 4, timeout), ECONNRESET);
    CHECK(check_now() - start >= 90);
    CHECK(check_now() - start < 1000);
    is_back();
}

int main(void)
{
    int listener = listening("own.sock"), status = -1;
    pid_t pid = peer(agent, &listener);
    u32 number = 0;

    close(listener);
    setenv("MSF_AGENT_SOCK", "own.sock", 1);
    CHECK_EQ(log_in(ID_A, "CALLER", nothing, nothing), 0);
    /* Long enough for the connection to count as a good one. */
    usleep(1100 * 1000);
    who_waits_is_told((u32)MSF_WAIT_FOREVER);
    usleep(1100 * 1000);
    who_waits_is_told(60000);
    CHECK_EQ(call(ID_B, BYTES, NULL, 0, &number, sizeof(number), 2000), RPC_EXEC_SUCC);
    CHECK_EQ(number, 2);
    CHECK_EQ(call(ID_B, PROBE, NULL, 0, &number, sizeof(number), 2000), RPC_EXEC_SUCC);
    CHECK_EQ(number, 4);
    CHECK_EQ(client_agent_deinit(), 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
    return check_verdict();
}
