/*
 * tick.c - what single passes of libmsf's loop cost while a million timers run: is there one that stops the loop?
 *
 * The timers are due at random within the next minute, and each starts anew when it has fired. Prints
 * processor microseconds of a pass: the median, the 99.9th percentile, the worst.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <msf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MAX_PASSES 1000000

static struct msf_event_timer **timers;
static uint64_t state = 0x9E3779B97F4A7C15u;

static void start(size_t at)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    if (msf_event_timer_start(timers[at], 1 + (state >> 40) % 60000, 0) != 0)
        perror("msf_event_timer_start");
}

static void again(void *args)
{
    start((size_t)args);
}

static double us(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int by_size(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;

    return (a > b) - (a < b);
}

int main(int argc, char **argv)
{
    size_t live = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000, passes = 0;
    double seconds = argc > 2 ? atof(argv[2]) : 5, end;
    double *cost = calloc(MAX_PASSES, sizeof *cost);
    struct msf_event_base *base = msf_event_base_new();

    timers = calloc(live, sizeof *timers);
    if (cost == NULL || base == NULL || timers == NULL)
        return 1;
    for (size_t i = 0; i < live; i++) {
        timers[i] = msf_event_timer_new(base, again, (void *)i);
        if (timers[i] == NULL)
            return 1;
        start(i);
    }
    msf_event_base_wait(base); /* files what was started last */
    end = us(CLOCK_MONOTONIC) + seconds * 1e6;
    while (us(CLOCK_MONOTONIC) < end && passes < MAX_PASSES) {
        double began = us(CLOCK_THREAD_CPUTIME_ID);

        if (msf_event_base_wait(base) != 0)
            return 1;
        cost[passes++] = us(CLOCK_THREAD_CPUTIME_ID) - began;
    }
    if (passes < 100)
        return 1;
    qsort(cost, passes, sizeof *cost, by_size);
    printf("p50 %.2f\np999 %.2f\nmax %.2f\n", cost[passes / 2], cost[passes - 1 - passes / 1000], cost[passes - 1]);
    return 0;
}
