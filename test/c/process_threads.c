/*
 * Several threads start programs at once: each gets what its own plan says, and nothing of another's.
 */
#include <pthread.h>
#include <sys/wait.h>

#include <msf_process.h>
#include <msf_sysinfo.h>

#include "check.h"

#define THREADS 4
#define ROUNDS 12

/* How many rounds went wrong. */
static void *start_programs(void *arg)
{
    long number = (long)arg, round, wrong = 0;

    for (round = 0; round < ROUNDS; round++) {
        char name[] = "sh", option[] = "-c", script[] = "echo $WORD; exit ${WORD%.*}", word[32], text[32] = "";
        s8 *argv[] = { name, option, script, NULL }, *envp[] = { word, NULL };
        struct msf_process_fd out = { -1, 1 };
        struct msf_process_plan plan = { .size = sizeof(plan), .path = "/bin/sh", .argv = argv, .envp = envp };
        s32 ends[2], status = -1;
        ssize_t got;
        pid_t pid;

        snprintf(word, sizeof(word), "WORD=%ld.%ld", number + 1, round);
        if (pipe(ends) != 0)
            return (void *)1;
        out.fd = ends[1];
        plan.fds = &out;
        plan.fd_count = 1;
        plan.flags = round % 3 == 0 ? MSF_SPAWN_DETACHED : 0;
        if (round % 4 == 1 && geteuid() == 0) { /* forked, where others borrow */
            plan.flags |= MSF_SPAWN_IDS;
            plan.uid = 4711;
            plan.gid = 4711;
        }
        pid = msf_process_spawn(&plan);
        close(ends[1]);
        /* Ends with the program: no other one has a copy of the pipe. */
        got = read(ends[0], text, sizeof(text) - 1);
        wrong += pid <= 0 || got <= 0 || strncmp(text, word + 5, strlen(word + 5)) != 0 || read(ends[0], text, 1) != 0;
        close(ends[0]);
        if ((plan.flags & MSF_SPAWN_DETACHED) == 0)
            wrong += msf_process_wait(pid, 20000, &status) != 0 || !WIFEXITED(status) || WEXITSTATUS(status) != number + 1;
    }
    return (void *)wrong;
}

int main(void)
{
    struct msf_process_usage before = { .size = sizeof(before) }, after = { .size = sizeof(after) };
    pthread_t threads[THREADS];
    void *wrong;
    long number;

    CHECK_EQ(msf_sysinfo_process(0, &before), 0);
    for (number = 0; number < THREADS; number++)
        CHECK_EQ(pthread_create(&threads[number], NULL, start_programs, (void *)number), 0);
    for (number = 0; number < THREADS; number++) {
        CHECK_EQ(pthread_join(threads[number], &wrong), 0);
        CHECK_EQ((long)wrong, 0);
    }
    CHECK_EQ(msf_sysinfo_process(0, &after), 0);
    CHECK_EQ(after.fds, before.fds);
    CHECK_FAILS(waitpid(-1, NULL, 0), ECHILD);
    return check_verdict();
}
