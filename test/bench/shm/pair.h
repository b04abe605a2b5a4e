/*
 * pair.h - what the programs of this benchmark share: two processes, each on its own processor if so told, and the
 * median over batches of round trips (a batch in which the machine ran somebody else is one among many).
 */
#ifndef PAIR_H
#define PAIR_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCH 100
#define WARM 10         /* batches */

static inline uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Whether this is the first of the two. The second gets the second processor, and ends when it returns from main. */
static inline int two(int argc, char **argv, int at, pid_t *child)
{
    cpu_set_t set;
    int first;

    *child = fork();
    first = *child != 0;
    if (argc > at + 1) {
        CPU_ZERO(&set);
        CPU_SET(atoi(argv[at + !first]), &set);
        sched_setaffinity(0, sizeof(set), &set);
    }
    return first;
}

static inline int by_size(const void *a, const void *b)
{
    double one = *(const double *)a, other = *(const double *)b;

    return (one > other) - (one < other);
}

/* Nanoseconds one way (half a round trip): the median of the batches. */
static inline void report(double *batches, size_t count)
{
    qsort(batches, count, sizeof(*batches), by_size);
    printf("%.1f\n", batches[count / 2] / 2);
}

/* Runs `turn` (first: there and back; second: back and there) in batches and, in the first, reports. */
static inline void ping_pong(int first, size_t batches, void (*turn)(int first, uint64_t number, void *args), void *args)
{
    double *took = calloc(batches + WARM, sizeof(*took));
    uint64_t number = 0, began;

    for (size_t batch = 0; batch < batches + WARM; batch++) {
        began = now_ns();
        for (size_t each = 0; each < BATCH; each++)
            turn(first, number++, args);
        took[batch] = (double)(now_ns() - began) / BATCH;
    }
    if (first)
        report(took + WARM, batches);
    free(took);
}

#endif /* PAIR_H */
