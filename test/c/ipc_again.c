/*
 * init -> deinit -> init, many times: the id is free at once, and neither threads nor descriptors are left over.
 */
#include "ipc_peer.h"

static int entries(const char *folder)
{
    DIR *dir = opendir(folder);
    int count = 0;

    if (dir == NULL)
        return -1;
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static s32 on_request(s8 *data, u32 len, u32 cmd)
{
    (void)cmd;
    memset(data, 'A', len);
    return 0;
}

static void once(void)
{
    char got[4] = "";

    CHECK_EQ(log_in(ID_A, "AGAIN", on_request, nothing), 0);
    CHECK_EQ(rpc->stop_flag, 0);
    CHECK_FAILS(log_in(ID_A, "AGAIN", on_request, nothing), EALREADY);
    CHECK_EQ(call(ID_A, 0x30, NULL, 0, got, sizeof(got), 2000), RPC_EXEC_SUCC);
    CHECK_EQ(got[3], 'A');
    CHECK_EQ(client_agent_deinit(), 0);
    CHECK_FAILS(client_agent_deinit(), ENOTCONN);
    CHECK_FAILS(call(ID_A, 0x30, NULL, 0, got, sizeof(got), 2000), ENOTCONN);
}

/* A caller that waits when the client ends is told. */
static s32 sleepy(s8 *data, u32 len, u32 cmd)
{
    (void)data;
    (void)len;
    (void)cmd;
    usleep(200 * 1000);
    return 0;
}

static void *waits(void *arg)
{
    errno = 0;
    if (call(ID_A, 0x30, NULL, 0, NULL, 4, (u32)MSF_WAIT_FOREVER) == -1)
        *(int *)arg = errno;
    return NULL;
}

static void deinit_frees_who_waits(void)
{
    pthread_t thread;
    int why = 0;

    CHECK_EQ(log_in(ID_A, "AGAIN", sleepy, nothing), 0);
    CHECK_EQ(pthread_create(&thread, NULL, waits, &why), 0);
    usleep(50 * 1000);
    CHECK_EQ(client_agent_deinit(), 0);
    pthread_join(thread, NULL);
    CHECK_EQ(why, ECANCELED);
}

int main(void)
{
    int round, threads, fds;

    once();
    threads = entries("/proc/self/task");
    fds = entries("/proc/self/fd");
    for (round = 0; round < 20; round++)
        once();
    deinit_frees_who_waits();
    /* A joined thread may be in the list for a moment yet. */
    CHECK_WITHIN(2000, entries("/proc/self/task") <= threads);
    CHECK_EQ(entries("/proc/self/fd"), fds);
    return check_verdict();
}
