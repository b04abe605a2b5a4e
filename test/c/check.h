/*
 * check.h - what the C test programs share: say what is wrong, where, and go on; the exit status is the verdict.
 */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int check_failures;

/* Says the expression when it is false. */
#define CHECK(expr)                                                                     \
    do {                                                                                \
        if (!(expr)) {                                                                  \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #expr);           \
            check_failures++;                                                           \
        }                                                                               \
    } while (0)

/* Says both numbers when they differ. */
#define CHECK_EQ(got, want)                                                             \
    do {                                                                                \
        long long check_got = (long long)(got), check_want = (long long)(want);         \
        if (check_got != check_want) {                                                  \
            fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #got,   \
                    check_got, check_want);                                             \
            check_failures++;                                                           \
        }                                                                               \
    } while (0)

/* The call fails with -1 and exactly this errno. */
#define CHECK_FAILS(call, wanted_errno)                                                 \
    do {                                                                                \
        errno = 0;                                                                      \
        long long check_code = (long long)(call);                                       \
        int check_errno = errno;                                                        \
        if (check_code != -1 || check_errno != (wanted_errno)) {                        \
            fprintf(stderr, "%s:%d: %s is %lld with errno %d (%s), not -1 with %s\n",    \
                    __FILE__, __LINE__, #call, check_code, check_errno,                 \
                    strerror(check_errno), #wanted_errno);                              \
            check_failures++;                                                           \
        }                                                                               \
    } while (0)

/* The call gives NULL and exactly this errno. */
#define CHECK_NULL(call, wanted_errno)                                                  \
    do {                                                                                \
        errno = 0;                                                                      \
        const void *check_pointer = (call);                                             \
        int check_errno = errno;                                                        \
        if (check_pointer != NULL || check_errno != (wanted_errno)) {                   \
            fprintf(stderr, "%s:%d: %s is %p with errno %d (%s), not NULL with %s\n",   \
                    __FILE__, __LINE__, #call, check_pointer, check_errno,              \
                    strerror(check_errno), #wanted_errno);                              \
            check_failures++;                                                           \
        }                                                                               \
    } while (0)

/* Waits until the expression is true, at most ms milliseconds. */
#define CHECK_WITHIN(ms, expr)                                                          \
    do {                                                                                \
        long long check_end = check_now() + (ms);                                       \
        while (!(expr) && check_now() < check_end)                                      \
            check_pause();                                                              \
        CHECK(expr);                                                                    \
    } while (0)

/* Milliseconds of a clock nobody sets. */
static inline long long check_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline void check_pause(void)
{
    struct timespec moment = { 0, 1000000 };

    nanosleep(&moment, NULL);
}

static inline int check_verdict(void)
{
    return check_failures ? 1 : 0;
}

#endif /* CHECK_H */
