/*
 * work.h - what every timer library of this benchmark does, and the clock around it.
 *
 * LIVE one-shot timers. `rearm` gives a random one a new random delay in one call, as every library here allows; `cancel`
 * stops it first. Both run inside a callback of the loop, with all timers armed for 1 to 60 s later. `fire` arms all
 * anew (a thousand for each millisecond, as libuv's million_timers does, or at random), lets them all become due and
 * then runs the loop until the last one has fired. `arm` is what that arming cost.
 *
 * A library supplies the six functions declared below. Prints one line "case nanoseconds": processor time per operation.
 */
#ifndef WORK_H
#define WORK_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int work_live = 1000000;
static long work_operations = 2000000, work_left;

/* Makes the timers; each calls work_fired. */
static void timers_make(int count);
static void timer_start(int at, unsigned ms);
static void timer_stop(int at);
/* Runs the loop until timers_leave was called from a callback. */
static void timers_run(void);
static void timers_leave(void);
/* Calls `job` from a callback of the loop, which is left afterwards. */
static void timers_inside(void (*job)(void));

static void work_fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static inline void work_fired(void)
{
    if (--work_left == 0)
        timers_leave();
}

static double work_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static uint64_t work_state = 0x9E3779B97F4A7C15u;

static inline uint64_t work_random(void)
{
    work_state ^= work_state << 13;
    work_state ^= work_state >> 7;
    work_state ^= work_state << 17;
    return work_state;
}

/* A random timer and a random delay of 1 to 60 s. */
static inline int work_pick(unsigned *ms)
{
    uint64_t random = work_random();

    *ms = 1000 + (unsigned)(random >> 40) % 59000;
    return (int)((random & 0xFFFFFFFF) * (uint64_t)work_live >> 32);
}

static void work_tell(const char *name, double began, long operations)
{
    printf("%s %.2f\n", name, (work_ns() - began) / (double)operations);
    fflush(stdout);
}

static void work_rearm(void)
{
    double began = work_ns();
    unsigned ms;

    for (long i = 0; i < work_operations; i++) {
        int at = work_pick(&ms);

        timer_start(at, ms);
    }
    work_tell("rearm", began, work_operations);
}

static void work_cancel(void)
{
    double began = work_ns();
    unsigned ms;

    for (long i = 0; i < work_operations; i++) {
        int at = work_pick(&ms);

        timer_stop(at);
        timer_start(at, ms);
    }
    work_tell("cancel", began, work_operations);
}

static void work_arm_by_the_thousand(void)
{
    for (int i = 0; i < work_live; i++)
        timer_start(i, 1 + (unsigned)i / 1000);
}

static void work_arm_at_random(void)
{
    for (int i = 0; i < work_live; i++)
        timer_start(i, 1 + (unsigned)(work_random() >> 40) % 1000);
}

static void work_fire(const char *arm, void (*arm_all)(void), const char *fire)
{
    struct timespec rest = { 0, 50000000 };
    struct timespec now, due;
    double began;

    work_left = work_live;
    began = work_ns();
    arm_all();
    work_tell(arm, began, work_live);
    clock_gettime(CLOCK_MONOTONIC, &due);
    due.tv_sec += 1 + work_live / 1000000;
    do {
        nanosleep(&rest, NULL);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < due.tv_sec || (now.tv_sec == due.tv_sec && now.tv_nsec < due.tv_nsec));
    began = work_ns();
    timers_run();
    work_tell(fire, began, work_live);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        work_live = atoi(argv[1]);
    if (argc > 2)
        work_operations = atol(argv[2]);
    if (work_live < 1 || work_operations < 1) {
        fprintf(stderr, "usage: %s [live timers] [operations]\n", argv[0]);
        return 2;
    }
    timers_make(work_live);
    for (int i = 0; i < work_live; i++) {
        unsigned ms;

        (void)work_pick(&ms);
        timer_start(i, ms);
    }
    timers_inside(work_rearm);
    timers_inside(work_cancel);
    for (int i = 0; i < work_live; i++)
        timer_stop(i);
    work_fire("arm", work_arm_by_the_thousand, "fire");
    work_fire("arm-random", work_arm_at_random, "fire-random");
    return 0;
}

#endif
