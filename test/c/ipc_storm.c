/* no qemu: qemu-user aborts when the child of a process with threads starts a thread */
/* flags: -fno-sanitize=address */
/* (gcc 12's ASAN leaves its allocator locked in the child when another thread is in it while the process forks.) */
/*
 * Threads that call without pause while the client ends and begins again, and while the process forks: every call has a
 * definite end, no answer is a wrong one, and nothing hangs.
 */
#include "ipc_peer.h"

#define THREADS 6
#define ROUNDS 30
#define ID_SELF 0x45

static volatile int stop;

struct tally {
    unsigned seed;
    long right, wrong, failed, odd;
};

static void *caller(void *arg)
{
    struct tally *tally = (struct tally *)arg;
    unsigned char sent[500], got[500];

    while (!stop) {
        u32 size = 1 + rand_r(&tally->seed) % sizeof(sent), i;
        u32 to = rand_r(&tally->seed) % 2 ? ID_B : ID_SELF;
        s32 code, why;

        memset(sent, (int)rand_r(&tally->seed), size);
        memset(got, 0, size);
        errno = 0;
        code = call(to, 0x30, sent, size, got, size, 1000);
        why = errno;
        for (i = 0; i < size && got[i] == (unsigned char)~sent[i]; i++)
            ;
        if (code == RPC_EXEC_SUCC)
            *(i == size ? &tally->right : &tally->wrong) += 1;
        else if (code == RPC_PEER_OFFLINE || (code == -1 && (why == ENOTCONN || why == ECANCELED || why == ECONNRESET)))
            tally->failed++;
        else
            tally->odd++;
    }
    return NULL;
}

static void fork_amid_it(void)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0) {
        CHECK_EQ(log_in((u32)(0x100 + getpid()), "CHILD", invert, nothing), 0);
        CHECK_EQ(call(ID_B, 0x30, NULL, 0, NULL, 4, 5000), RPC_EXEC_SUCC);
        CHECK_EQ(client_agent_deinit(), 0);
        _exit(check_verdict());
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
}

int main(void)
{
    struct service service = { ID_B, invert };
    pid_t pid = peer(serve, &service);
    struct tally tallies[THREADS];
    pthread_t threads[THREADS];
    long right = 0;
    int i;

    memset(tallies, 0, sizeof(tallies));
    for (i = 0; i < THREADS; i++) {
        tallies[i].seed = (unsigned)i + 1;
        CHECK_EQ(pthread_create(&threads[i], NULL, caller, &tallies[i]), 0);
    }
    for (i = 0; i < ROUNDS; i++) {
        CHECK_EQ(log_in(ID_SELF, "STORM", invert, nothing), 0);
        usleep(20 * 1000);
        if (i % 5 == 0)
            fork_amid_it();
        CHECK_EQ(client_agent_deinit(), 0);
    }
    stop = 1;
    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        right += tallies[i].right;
        CHECK_EQ(tallies[i].wrong, 0);
        CHECK_EQ(tallies[i].odd, 0);
    }
    CHECK(right > 100);
    end_peer(pid);
    return check_verdict();
}
