/*
 * work.h - what all loggers here are asked for, in C and C++: PROGRAM FILE THREADS RECORDS burst|paced.
 *
 * "burst": every thread writes as fast as it can. "paced": 20 records, 2 ms pause, and so on. What counts is the time
 * between the call and its return; pauses do not. Prints {"ns": wall time per call, "cpu_ns": processor time of the
 * callers per call}.
 */
#ifndef WORK_H
#define WORK_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* To be defined by each: opens the log; writes one line of three arguments; closes it. */
static void log_open(const char *path);
static void log_line(unsigned peer, int bytes, const char *what);
static void log_close(void);

struct share {
    pthread_t thread;
    long records;
    int paced;
    double wall, cpu;
};

static pthread_barrier_t begin;

static double now(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void *write_share(void *arg)
{
    struct share *share = (struct share *)arg;
    struct timespec pause = { 0, 2000000 };
    long block = share->paced ? 20 : share->records, done, i;

    pthread_barrier_wait(&begin);
    for (done = 0; done < share->records; done += block) {
        double wall = now(CLOCK_MONOTONIC), cpu = now(CLOCK_THREAD_CPUTIME_ID);

        for (i = 0; i < block; i++) {
            log_line((unsigned)(done + i), (int)i * 7, "fragments");
        }
        share->wall += now(CLOCK_MONOTONIC) - wall;
        share->cpu += now(CLOCK_THREAD_CPUTIME_ID) - cpu;
        if (share->paced) {
            nanosleep(&pause, NULL);
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static struct share shares[64];
    double wall = 0, cpu = 0;
    int threads, i;
    long records;

    if (argc != 5 || (threads = atoi(argv[2])) < 1 || threads > 64) {
        fprintf(stderr, "usage: %s FILE THREADS RECORDS burst|paced\n", argv[0]);
        return 2;
    }
    records = atol(argv[3]) / threads / 20 * 20;
    log_open(argv[1]);
    pthread_barrier_init(&begin, NULL, (unsigned)threads);
    for (i = 0; i < threads; i++) {
        shares[i].records = records;
        shares[i].paced = strcmp(argv[4], "paced") == 0;
        if (pthread_create(&shares[i].thread, NULL, write_share, &shares[i]) != 0) {
            return 1;
        }
    }
    for (i = 0; i < threads; i++) {
        pthread_join(shares[i].thread, NULL);
        wall += shares[i].wall;
        cpu += shares[i].cpu;
    }
    log_close();
    records *= threads;
    printf("{\"ns\": %.1f, \"cpu_ns\": %.1f, \"records\": %ld}\n", wall / (double)records, cpu / (double)records, records);
    return 0;
}

#endif /* WORK_H */
