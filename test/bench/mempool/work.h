/*
 * work.h - what every allocator is made to do, and how long that takes it.
 *
 * A program has allocator_begin, thread_begin, thread_end, take, give, take_many and give_many, and then includes this file.
 * Usage:
 *   PROGRAM pair|batch|touch|cross THREADS BYTES MILLISECONDS
 * It prints nanoseconds per block (one taken and given back), the mean over the threads: of processor time, but for cross
 * of time on the wall.
 *
 *   pair    take one, give it back
 *   batch   take 1024, give 1024 back in the same order
 *   touch   as batch, and write the first word of each block between
 *   cross   one thread takes, another gives back, 32 at a time (2 threads for each pair of THREADS)
 */
#ifndef WORK_H
#define WORK_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH 1024
#define BULK 32
#define DEPTH 64 /* bulks between the two threads of a pair */

/* The compiler may not know what becomes of the pointer, nor that giving back undoes taking. */
#define OPAQUE(p) __asm__ volatile("" : "+r"(p) : : "memory")

struct lane {
    _Atomic size_t written;
    char apart[64];
    _Atomic size_t read;
    char apart_too[64];
    void *bulks[DEPTH][BULK];
};

static size_t bytes;
static double seconds;
static const char *kind;
static pthread_barrier_t start;

static double clock_of(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void pairs(long count)
{
    for (long i = 0; i < count; i++) {
        void *block = take(bytes);
        OPAQUE(block);
        give(block);
    }
}

static void batches(long count, int touch)
{
    static __thread void *blocks[BATCH];

    for (long i = 0; i < count; i += BATCH) {
        for (int j = 0; j < BATCH; j++) {
            blocks[j] = take(bytes);
            if (touch)
                *(volatile int *)blocks[j] = j;
        }
        for (int j = 0; j < BATCH; j++)
            give(blocks[j]);
    }
}

static void some(long count)
{
    if (strcmp(kind, "pair") == 0)
        pairs(count);
    else
        batches(count, strcmp(kind, "touch") == 0);
}

/* Nanoseconds per block. */
static void *alone(void *result)
{
    long done = 0;
    double from;

    thread_begin(bytes);
    some(1 << 16);
    pthread_barrier_wait(&start);
    /* This thread's own time: nobody waits for anybody here, and the machine may be busy with others. */
    from = clock_of(CLOCK_THREAD_CPUTIME_ID);
    do {
        some(1 << 16);
        done += 1 << 16;
    } while (clock_of(CLOCK_THREAD_CPUTIME_ID) - from < seconds);
    *(double *)result = (clock_of(CLOCK_THREAD_CPUTIME_ID) - from) / (double)done * 1e9;
    thread_end();
    return NULL;
}

static atomic_int ended;

static void *producer(void *arg)
{
    struct lane *lane = arg;

    thread_begin(bytes);
    pthread_barrier_wait(&start);
    for (size_t i = 0; !atomic_load_explicit(&ended, memory_order_relaxed); i++) {
        while (i - atomic_load_explicit(&lane->read, memory_order_acquire) == DEPTH)
            sched_yield();
        take_many(bytes, lane->bulks[i % DEPTH], BULK);
        for (int j = 0; j < BULK; j++)
            *(volatile size_t *)lane->bulks[i % DEPTH][j] = i;
        atomic_store_explicit(&lane->written, i + 1, memory_order_release);
    }
    atomic_store(&lane->written, SIZE_MAX / 2 + atomic_load(&lane->written));
    thread_end();
    return NULL;
}

static void *consumer(void *arg)
{
    struct lane *lane = arg;
    double *result = malloc(sizeof *result), from;
    size_t i = 0, written, sum = 0;

    thread_begin(bytes);
    pthread_barrier_wait(&start);
    from = clock_of(CLOCK_MONOTONIC);
    for (;;) {
        while ((written = atomic_load_explicit(&lane->written, memory_order_acquire)) == i)
            sched_yield();
        if (written - i >= SIZE_MAX / 4) {
            /* The producer has ended: what is left is known. */
            if (written - SIZE_MAX / 2 == i)
                break;
        }
        for (int j = 0; j < BULK; j++)
            sum += *(volatile size_t *)lane->bulks[i % DEPTH][j] - i;
        give_many(lane->bulks[i % DEPTH], BULK);
        atomic_store_explicit(&lane->read, ++i, memory_order_release);
        if (i % 1024 == 0 && clock_of(CLOCK_MONOTONIC) - from >= seconds)
            atomic_store_explicit(&ended, 1, memory_order_relaxed);
    }
    if (sum != 0)
        fail("a block was written by two");
    *result = (clock_of(CLOCK_MONOTONIC) - from) / (double)(i * BULK) * 1e9;
    thread_end();
    return result;
}

static double crossed(int threads)
{
    pthread_t ids[16][2];
    double sum = 0;

    pthread_barrier_init(&start, NULL, (unsigned)(2 * threads));
    for (int i = 0; i < threads; i++) {
        struct lane *lane = calloc(1, sizeof *lane);

        if (pthread_create(&ids[i][0], NULL, producer, lane) || pthread_create(&ids[i][1], NULL, consumer, lane))
            fail("pthread_create");
    }
    for (int i = 0; i < threads; i++) {
        void *result;

        pthread_join(ids[i][0], NULL);
        pthread_join(ids[i][1], &result);
        sum += *(double *)result;
    }
    return sum / threads;
}

static double each_alone(int threads)
{
    pthread_t ids[16];
    double results[16], sum = 0;

    pthread_barrier_init(&start, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, alone, &results[i]))
            fail("pthread_create");
    for (int i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        sum += results[i];
    }
    return sum / threads;
}

int main(int argc, char **argv)
{
    int threads = argc > 2 ? atoi(argv[2]) : 1;

    if (argc != 5 || threads < 1 || threads > 16) {
        fprintf(stderr, "usage: %s pair|batch|touch|cross THREADS BYTES MILLISECONDS\n", argv[0]);
        return 2;
    }
    kind = argv[1];
    bytes = (size_t)atol(argv[3]);
    seconds = atof(argv[4]) / 1000;
    allocator_begin();
    printf("%.3f\n", strcmp(kind, "cross") == 0 ? crossed(threads) : each_alone(threads));
    return 0;
}

#endif /* WORK_H */
