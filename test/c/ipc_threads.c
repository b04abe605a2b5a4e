/*
 * Many threads call at the same time over the one connection; every answer is the right one.
 */
#include "ipc_peer.h"

#define XOR 0x30
#define THREADS 16
#define CALLS 200

static void *caller(void *arg)
{
    u32 seed = (u32)(size_t)arg, round, i;
    size_t wrong = 0;

    for (round = 0; round < CALLS; round++) {
        unsigned char sent[3000], got[3000];
        u32 size;

        seed = seed * 1103515245u + 12345u;
        size = 1 + (seed >> 8) % sizeof(sent);
        for (i = 0; i < size; i++)
            sent[i] = (unsigned char)(seed >> (i % 24));
        memset(got, 0, sizeof(got));
        if (call(ID_B, XOR, sent, size, got, size, 10000) != RPC_EXEC_SUCC) {
            wrong++;
            continue;
        }
        for (i = 0; i < size && got[i] == (unsigned char)~sent[i]; i++)
            ;
        wrong += i != size;
    }
    return (void *)wrong;
}

int main(void)
{
    struct service service = { ID_B, invert };
    pid_t pid = peer(serve, &service);
    pthread_t threads[THREADS];
    size_t i;

    CHECK_EQ(log_in(ID_A, "CALLER", nothing, nothing), 0);
    for (i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, caller, (void *)(i + 1)), 0);
    for (i = 0; i < THREADS; i++) {
        void *wrong = NULL;

        pthread_join(threads[i], &wrong);
        CHECK_EQ((size_t)wrong, 0);
    }
    CHECK_EQ(client_agent_deinit(), 0);
    end_peer(pid);
    return check_verdict();
}
