/*
 * apart.h - for what changes the process that does it: limits, its user, its files.
 */
#ifndef APART_H
#define APART_H

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

/* The exit status of `part` in a process of its own. */
static inline int apart(int (*part)(void))
{
    int status = -1;
    pid_t child = fork();

    if (child == 0) {
        check_failures = 0;
        exit(part());
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/*
 * The same for what only the privileged may do: `part` runs as a user who may not, and is told whether he was root. The
 * process ends without looking for leaks, which it may not do either.
 */
static inline int apart_unprivileged(int (*part)(int was_root))
{
    enum { NOBODY_S_NUMBER = 65534 };
    struct rlimit none = { 0, 0 };
    int status = -1, was_root = getuid() == 0;
    pid_t child = fork();

    if (child == 0) {
        check_failures = 0;
        setrlimit(RLIMIT_RTPRIO, &none);
        setrlimit(RLIMIT_NICE, &none);
        _exit(was_root && setuid(NOBODY_S_NUMBER) != 0 ? 1 : part(was_root));
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#endif /* APART_H */
