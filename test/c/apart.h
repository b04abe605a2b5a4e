/*
 * apart.h - for what changes the process that does it: limits, its user, its files.
 */
#ifndef APART_H
#define APART_H

#include <stdlib.h>
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

#endif /* APART_H */
