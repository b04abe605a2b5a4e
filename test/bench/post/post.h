/*
 * post.h - the work of both programs of this benchmark, and the clock around it.
 *
 * pingpong: two threads with a loop each; a message goes from one to the other and back, COUNT times (as libuv's own
 * benchmark async1). stream: the main thread sends COUNT numbered messages to one loop, which sums them up; every one has
 * to arrive, in order. Prints wall and processor nanoseconds per round trip or message.
 *
 * A program supplies pingpong and stream, which return when everything has arrived, and calls got for every message of
 * the stream.
 */
#ifndef POST_H
#define POST_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static long post_count = 100000, post_got;

static void pingpong(void);
static void stream(void);

static void post_fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

/* 1 when it was the last one. */
static inline int got(long number)
{
    if (number != post_got) {
        fprintf(stderr, "message %ld came when %ld was due\n", number, post_got);
        exit(1);
    }
    return ++post_got == post_count;
}

static double post_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

int main(int argc, char **argv)
{
    double wall, cpu;

    if (argc != 3 || (post_count = atol(argv[2])) < 1) {
        fprintf(stderr, "usage: %s pingpong|stream COUNT\n", argv[0]);
        return 2;
    }
    wall = post_ns(CLOCK_MONOTONIC);
    cpu = post_ns(CLOCK_PROCESS_CPUTIME_ID);
    if (strcmp(argv[1], "pingpong") == 0)
        pingpong();
    else
        stream();
    printf("%.2f %.2f\n", (post_ns(CLOCK_MONOTONIC) - wall) / (double)post_count,
           (post_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu) / (double)post_count);
    return 0;
}

#endif
