/*
 * must.h - for programs whose every step builds on the one before: the first thing that is not so ends them.
 */
#ifndef MUST_H
#define MUST_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define MUST(condition)                                                                          \
    do {                                                                                         \
        if (!(condition)) {                                                                      \
            fprintf(stderr, "%s:%d: not so: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno); \
            exit(1);                                                                             \
        }                                                                                        \
    } while (0)

#endif /* MUST_H */
