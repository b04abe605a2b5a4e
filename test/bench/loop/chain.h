/*
 * chain.h - the work that every loop of this benchmark does, and the clock around it.
 *
 * PAIRS socket pairs stand in a ring. ACTIVE of them, evenly spread, get one byte; whoever has a byte reads it and, as
 * long as writes are left, writes one to the next pair in the ring. So one event is one read and one write of one
 * byte, ACTIVE descriptors are ready at any time, and a round ends when the last byte is read.
 *
 * A loop supplies loop_open (watch every reading end for good) and loop_run (run until chain_step has returned 1).
 * Prints wall and processor nanoseconds per event.
 */
#ifndef CHAIN_H
#define CHAIN_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int chain_pairs = 1000, chain_active = 100, chain_rounds = 5;
static long chain_writes = 100000, chain_left, chain_fired, chain_expected;
static int (*chain_fds)[2];

static void loop_open(void);
static void loop_run(void);

static void chain_fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

/* What an event is worth; 1 when it was the last one of its round. */
static inline int chain_step(int at)
{
    char byte;

    if (read(chain_fds[at][0], &byte, 1) != 1)
        chain_fail("read");
    if (chain_left > 0) {
        chain_left--;
        if (write(chain_fds[at + 1 == chain_pairs ? 0 : at + 1][1], &byte, 1) != 1)
            chain_fail("write");
    }
    return ++chain_fired == chain_expected;
}

static double chain_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void chain_round(void)
{
    chain_left = chain_writes;
    chain_fired = 0;
    chain_expected = chain_writes + chain_active;
    for (int i = 0; i < chain_active; i++)
        if (write(chain_fds[(long)i * chain_pairs / chain_active][1], "x", 1) != 1)
            chain_fail("write");
    loop_run();
}

int main(int argc, char **argv)
{
    struct rlimit files;
    double wall, cpu, events;

    for (int option; (option = getopt(argc, argv, "n:a:w:r:")) != -1;)
        switch (option) {
        case 'n': chain_pairs = atoi(optarg); break;
        case 'a': chain_active = atoi(optarg); break;
        case 'w': chain_writes = atol(optarg); break;
        case 'r': chain_rounds = atoi(optarg); break;
        default: return 2;
        }
    if (chain_pairs < 1 || chain_active < 1 || chain_active > chain_pairs || chain_rounds < 1 || chain_writes < 0) {
        fprintf(stderr, "usage: %s [-n pairs] [-a active, at most pairs] [-w writes] [-r rounds]\n", argv[0]);
        return 2;
    }
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max; /* two descriptors per pair; a lower hard limit fails at socketpair */
    setrlimit(RLIMIT_NOFILE, &files);
    chain_fds = calloc((size_t)chain_pairs, sizeof *chain_fds);
    if (chain_fds == NULL)
        chain_fail("calloc");
    for (int i = 0; i < chain_pairs; i++)
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, chain_fds[i]) != 0)
            chain_fail("socketpair");
    loop_open();
    chain_round(); /* warms caches, and lets lazy loops talk to the kernel */
    wall = chain_ns(CLOCK_MONOTONIC);
    cpu = chain_ns(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < chain_rounds; i++)
        chain_round();
    wall = chain_ns(CLOCK_MONOTONIC) - wall;
    cpu = chain_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    events = (double)chain_expected * chain_rounds;
    printf("%.2f %.2f\n", wall / events, cpu / events);
    return 0;
}

#endif
