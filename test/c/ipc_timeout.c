/*
 * A timeout of 100 ms is one of 100 ms; the answer that comes later disturbs nobody.
 */
/* alone: 50 ms late is too late */
#include "ipc_peer.h"

#define SLOW 0x30
#define QUICK 0x31

static s32 on_request(s8 *data, u32 len, u32 cmd)
{
    if (cmd == SLOW)
        usleep(300 * 1000);
    memset(data, cmd == SLOW ? 'S' : 'Q', len);
    return 0;
}

static long long elapsed_us(const struct timespec *start)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - start->tv_sec) * 1000000LL + (now.tv_nsec - start->tv_nsec) / 1000;
}

static void it_takes_as_long_as_it_says(u32 ms)
{
    struct timespec start;
    char got[16];
    long long us;
    s32 code, why;

    memset(got, 'x', sizeof(got));
    clock_gettime(CLOCK_MONOTONIC, &start);
    errno = 0;
    code = call(ID_B, SLOW, NULL, 0, got, sizeof(got), ms);
    why = errno;
    us = elapsed_us(&start);
    CHECK_EQ(code, -2);
    CHECK_EQ(why, ETIMEDOUT);
    CHECK(us >= ms * 1000LL);
    CHECK(us < ms * 1000LL + 50000);
    /* The late answer finds no buffer any more; the next call gets its own. */
    usleep(320 * 1000 - (useconds_t)us);
    CHECK_EQ(got[0], 'x');
    CHECK_EQ(call(ID_B, QUICK, NULL, 0, got, sizeof(got), 2000), RPC_EXEC_SUCC);
    CHECK_EQ(got[0], 'Q');
    CHECK_EQ(got[15], 'Q');
}

int main(void)
{
    struct service service = { ID_B, on_request };
    pid_t pid = peer(serve, &service);
    char got[4];

    CHECK_EQ(log_in(ID_A, "CALLER", nothing, nothing), 0);
    it_takes_as_long_as_it_says(100);
    it_takes_as_long_as_it_says(1);
    it_takes_as_long_as_it_says(250);
    CHECK_EQ(call(ID_B, SLOW, NULL, 0, got, sizeof(got), 1000), RPC_EXEC_SUCC);
    CHECK_EQ(got[0], 'S');
    CHECK_EQ(client_agent_deinit(), 0);
    end_peer(pid);
    return check_verdict();
}
