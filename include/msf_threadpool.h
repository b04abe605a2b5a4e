/*
 * msf_threadpool.h - threads that carry out what is queued, oldest first.
 *
 * A pool is a name, not an address: what is called with one that was destroyed fails (-1, EINVAL) and harms nothing. Any
 * function may be called from any thread, also from the pool's own tasks; none holds a lock while a task runs.
 *
 * A task returns: leaving it by pthread_exit, longjmp or a C++ exception ends the process. SIGPIPE is blocked in the
 * pool's threads. Pools belong to the process that made them: after fork the child has their names, but no threads.
 */
#ifndef MSF_THREADPOOL_H
#define MSF_THREADPOOL_H

#include "msf_thread.h"

#ifdef __cplusplus
extern "C" {
#endif

struct threadpool_t;
typedef struct threadpool_t threadpool_t;

#define MSF_THREADPOOL_THREADS_MAX 64
#define MSF_THREADPOOL_QUEUE_MAX 65536

/* What threadpool_add and threadpool_destroy return when they fail; errno says the same. */
enum threadpool_error {
    threadpool_invalid = -1,        /* EINVAL: no pool (any more), no function */
    threadpool_lock_failure = -2,   /* kept for its number; locks of this library do not fail */
    threadpool_queue_full = -3,     /* EAGAIN */
    threadpool_shutdown = -4,       /* ESHUTDOWN: the pool is being destroyed */
    threadpool_thread_failure = -5  /* ENOTRECOVERABLE: a fault of the library, told in the log */
};

/* For threadpool_destroy: carry out what is queued. */
enum threadpool_destroy_flags { threadpool_graceful = 1 };

/*
 * A pool of that many threads (1 to 64), whose queue has that many slots (1 to 65536); flags are not used. NULL with
 * errno: EINVAL (a number out of range), EAGAIN (no more threads).
 */
MSF_EXPORT threadpool_t *threadpool_create(s32 threads, s32 queue, s32 flags);

/*
 * Queues func(arg); flags are not used. 0, or one of enum threadpool_error with errno: EINVAL (pool or func NULL, the
 * pool was destroyed), EAGAIN (the queue is full), ESHUTDOWN (the pool is being destroyed).
 */
MSF_EXPORT s32 threadpool_add(threadpool_t *pool, void (*func)(void *), void *arg, s32 flags);

/*
 * Ends the pool: takes no more tasks, drops those that are queued (threadpool_graceful: carries them out), waits for its
 * threads. Called from one of the pool's own tasks it does not wait; the threads end by themselves. 0, or one of enum
 * threadpool_error with errno: EINVAL (NULL, or it was destroyed already), ESHUTDOWN (another thread is at it).
 */
MSF_EXPORT s32 threadpool_destroy(threadpool_t *pool, s32 flags);

/* How a pool is to be. What is 0 is as usual. */
struct msf_threadpool_attr {
    u32 size;       /* sizeof(struct msf_threadpool_attr) */
    u32 threads;    /* 1 to 64; 0: one for each processor the caller may use */
    u32 queue;      /* 1 to 65536; 0: 1024 */
    s32 pin;        /* where its threads run: MSF_PIN_*, also MSF_PIN_EACH */
    u32 place;      /* of which processor, core or node */
    s32 sched;      /* how urgent they are: MSF_SCHED_* */
    s32 priority;   /* what `sched` makes of it */
    size_t stack;   /* bytes of each thread's stack; 0: 2 MiB */
    const s8 *name; /* the threads are called name/0, name/1 ...; NULL: pool */
};

/* As threadpool_create. NULL with errno: EINVAL (also a constant or place that does not exist, a name that is not UTF-8),
 * EPERM, EACCES (so urgent threads are not for this user), EAGAIN (no more threads). */
MSF_EXPORT threadpool_t *msf_threadpool_create(const struct msf_threadpool_attr *attr);

/* As threadpool_add, but waits for room as long as ms milliseconds (MSF_WAIT_FOREVER: without limit). 0, or -1 with
 * errno: EINVAL, ETIMEDOUT (the queue stayed full), ESHUTDOWN. */
MSF_EXPORT s32 msf_threadpool_add_wait(threadpool_t *pool, void (*func)(void *), void *arg, s32 ms);

/* Waits until nothing is queued and nothing runs, as long as ms milliseconds (MSF_WAIT_FOREVER: without limit). 0, or -1
 * with errno: EINVAL, ETIMEDOUT (there still is something to do), EDEADLK (called from a task of the pool). */
MSF_EXPORT s32 msf_threadpool_wait(threadpool_t *pool, s32 ms);

/* What a pool has done and has to do. */
struct msf_threadpool_counts {
    u32 size;    /* sizeof(struct msf_threadpool_counts), set before the call */
    u32 threads;
    u32 queued;  /* tasks in the queue */
    u32 running; /* tasks being carried out */
    u64 done;    /* tasks that were carried out */
    u64 refused; /* tasks that were not taken because the queue was full */
};

/* 0, or -1 with errno: EINVAL (no pool (any more), stats_out NULL or its size not set). */
MSF_EXPORT s32 msf_threadpool_stats(threadpool_t *pool, struct msf_threadpool_counts *stats_out);

#ifdef __cplusplus
}
#endif

#endif /* MSF_THREADPOOL_H */
