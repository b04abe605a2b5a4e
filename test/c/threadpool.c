/* The thread pool: every task once, full and ending pools, pools used and ended by their own tasks. */
#include <msf_os.h>
#include <msf_sem.h>
#include <msf_threadpool.h>
#include <stdatomic.h>

#include "apart.h"
#include "check.h"

#define LONG 20000
#define TASKS 10000

static atomic_int count;
static sem_t begun, release, done;

static void add_one(void *arg)
{
    count += *(int *)arg;
}

static void hold(void *arg)
{
    (void)arg;
    msf_sem_post(&begun);
    msf_sem_wait(&release, MSF_WAIT_FOREVER);
}

/* A pool of one thread that is busy until `release` is posted. */
static threadpool_t *busy(s32 queue)
{
    threadpool_t *pool = threadpool_create(1, queue, 0);

    count = 0;
    CHECK_EQ(threadpool_add(pool, hold, NULL, 0), 0);
    CHECK_EQ(msf_sem_wait(&begun, LONG), 0);
    return pool;
}

static void every_task_is_carried_out_once(void)
{
    static int one = 1;
    struct msf_threadpool_counts now = { .size = sizeof(now) };
    threadpool_t *pool = threadpool_create(4, 64, 0);

    CHECK(pool != NULL);
    errno = 4711;
    for (int i = 0; i < TASKS; i++)
        while (threadpool_add(pool, add_one, &one, 0) == threadpool_queue_full)
            msf_sched_yield();
    CHECK_EQ(msf_threadpool_wait(pool, LONG), 0);
    CHECK_EQ(count, TASKS);
    CHECK_EQ(msf_threadpool_stats(pool, &now), 0);
    CHECK_EQ(now.threads, 4);
    CHECK_EQ(now.queued, 0);
    CHECK_EQ(now.running, 0);
    CHECK_EQ(now.done, TASKS);
    CHECK_EQ(threadpool_destroy(pool, 0), 0);
}

static void numbers_out_of_range_make_no_pool(void)
{
    struct msf_threadpool_attr attr = { .size = sizeof(attr), .threads = 65 };

    CHECK_NULL(threadpool_create(0, 1, 0), EINVAL);
    CHECK_NULL(threadpool_create(MSF_THREADPOOL_THREADS_MAX + 1, 1, 0), EINVAL);
    CHECK_NULL(threadpool_create(1, 0, 0), EINVAL);
    CHECK_NULL(threadpool_create(1, MSF_THREADPOOL_QUEUE_MAX + 1, 0), EINVAL);
    CHECK_NULL(threadpool_create(-1, -1, 0), EINVAL);
    CHECK_NULL(msf_threadpool_create(NULL), EINVAL);
    CHECK_NULL(msf_threadpool_create(&attr), EINVAL);
    attr.threads = 1;
    attr.pin = 77;
    CHECK_NULL(msf_threadpool_create(&attr), EINVAL);
    attr.pin = MSF_PIN_CPU;
    attr.place = 60000;
    CHECK_NULL(msf_threadpool_create(&attr), EINVAL);
    attr.pin = MSF_PIN_INHERIT;
    attr.name = "\xff";
    CHECK_NULL(msf_threadpool_create(&attr), EINVAL);
}

static void a_full_queue_refuses(void)
{
    static int one = 1;
    struct msf_threadpool_counts now = { .size = sizeof(now) };
    threadpool_t *pool = busy(1);
    long long asked;

    CHECK_EQ(threadpool_add(pool, add_one, &one, 0), 0);
    errno = 0;
    CHECK(threadpool_add(pool, add_one, &one, 0) == threadpool_queue_full && errno == EAGAIN);
    asked = check_now();
    CHECK_FAILS(msf_threadpool_add_wait(pool, add_one, &one, 30), ETIMEDOUT);
    CHECK(check_now() - asked >= 30);
    CHECK_FAILS(msf_threadpool_wait(pool, 1), ETIMEDOUT);
    CHECK_EQ(msf_threadpool_stats(pool, &now), 0);
    CHECK_EQ(now.queued, 1);
    CHECK_EQ(now.running, 1);
    CHECK_EQ(now.refused, 2);
    msf_sem_post(&release);
    CHECK_EQ(msf_threadpool_add_wait(pool, add_one, &one, MSF_WAIT_FOREVER), 0);
    CHECK_EQ(msf_threadpool_wait(pool, MSF_WAIT_FOREVER), 0);
    CHECK_EQ(count, 2);
    CHECK_EQ(threadpool_destroy(pool, 0), 0);
}

static void *destroys(void *pool)
{
    CHECK_EQ(threadpool_destroy(pool, threadpool_graceful), 0);
    return NULL;
}

static void an_ending_pool_takes_nothing_and_carries_out_the_rest(void)
{
    static int one = 1;
    threadpool_t *pool = busy(8);
    pthread_t thread;

    CHECK_EQ(threadpool_add(pool, add_one, &one, 0), 0);
    CHECK_EQ(msf_pthread_spawn(&thread, destroys, pool), 0);
    /* What is taken until then is carried out, too; the queue may be full for a moment. */
    CHECK_WITHIN(LONG, threadpool_add(pool, add_one, &one, 0) == threadpool_shutdown);
    CHECK(threadpool_add(pool, add_one, &one, 0) == threadpool_shutdown && errno == ESHUTDOWN);
    CHECK_FAILS(msf_threadpool_add_wait(pool, add_one, &one, 10), ESHUTDOWN);
    CHECK(threadpool_destroy(pool, 0) == threadpool_shutdown && errno == ESHUTDOWN);
    CHECK_EQ(count, 0);
    msf_sem_post(&release);
    pthread_join(thread, NULL);
    CHECK(count >= 1);
}

static void *releases_when_it_ends(void *pool)
{
    static int one = 1;

    CHECK_WITHIN(LONG, threadpool_add(pool, add_one, &one, 0) == threadpool_shutdown);
    msf_sem_post(&release);
    return NULL;
}

static void a_pool_that_is_not_graceful_drops_what_is_queued(void)
{
    static int one = 1;
    threadpool_t *pool = busy(8);
    pthread_t thread;

    CHECK_EQ(threadpool_add(pool, add_one, &one, 0), 0);
    CHECK_EQ(msf_pthread_spawn(&thread, releases_when_it_ends, pool), 0);
    CHECK_EQ(threadpool_destroy(pool, 0), 0);
    pthread_join(thread, NULL);
    CHECK_EQ(count, 0);
}

static void what_was_destroyed_is_nobody(void)
{
    static int one = 1;
    struct msf_threadpool_counts now = { .size = sizeof(now) };
    threadpool_t *gone = threadpool_create(1, 1, 0), *pools[] = { NULL, gone }, *alive;

    CHECK_EQ(threadpool_destroy(gone, 0), 0);
    alive = threadpool_create(1, 1, 0);
    for (int i = 0; i < 2; i++) {
        CHECK(threadpool_destroy(pools[i], 0) == threadpool_invalid && errno == EINVAL);
        CHECK(threadpool_add(pools[i], add_one, &one, 0) == threadpool_invalid && errno == EINVAL);
        CHECK_FAILS(msf_threadpool_add_wait(pools[i], add_one, &one, 0), EINVAL);
        CHECK_FAILS(msf_threadpool_wait(pools[i], 0), EINVAL);
        CHECK_FAILS(msf_threadpool_stats(pools[i], &now), EINVAL);
    }
    CHECK_FAILS(threadpool_add(alive, NULL, NULL, 0), EINVAL);
    CHECK_FAILS(msf_threadpool_wait(alive, -2), EINVAL);
    CHECK_FAILS(msf_threadpool_stats(alive, NULL), EINVAL);
    CHECK_EQ(threadpool_destroy(alive, threadpool_graceful), 0);
}

static void adds_and_ends(void *arg)
{
    threadpool_t *pool = arg;
    static int one = 1;

    CHECK_FAILS(msf_threadpool_wait(pool, LONG), EDEADLK);
    CHECK_EQ(threadpool_add(pool, add_one, &one, 0), 0);
    CHECK_EQ(threadpool_destroy(pool, threadpool_graceful), 0);
    CHECK(threadpool_add(pool, add_one, &one, 0) == threadpool_invalid);
    msf_sem_post(&done);
}

static void a_task_may_add_to_its_pool_and_end_it(void)
{
    threadpool_t *pool = threadpool_create(2, 4, 0);

    count = 0;
    CHECK_EQ(threadpool_add(pool, adds_and_ends, pool, 0), 0);
    CHECK_EQ(msf_sem_wait(&done, LONG), 0);
    CHECK_WITHIN(LONG, count == 1);
    CHECK_FAILS(threadpool_destroy(pool, 0), EINVAL);
}

static s8 name[MSF_THREAD_NAME_LEN];
static s32 sched, priority, processors, sigpipe;

static void look(void *arg)
{
    sigset_t mask;

    (void)arg;
    CHECK_EQ(msf_thread_name_get(pthread_self(), name, sizeof(name)), 0);
    CHECK_EQ(msf_thread_sched_get(0, &sched, &priority), 0);
    processors = msf_cpu_list(MSF_PIN_INHERIT, 0, NULL, 0);
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    sigpipe = sigismember(&mask, SIGPIPE);
    msf_sem_post(&done);
}

static void a_pool_is_as_its_attributes_say(void)
{
    struct msf_threadpool_attr attr = { .size = sizeof(attr), .threads = 1, .queue = 3, .pin = MSF_PIN_EACH,
                                        .sched = MSF_SCHED_BATCH, .priority = 15, .stack = 1 << 18, .name = "stokers" };
    struct msf_threadpool_counts now = { .size = sizeof(now) };
    threadpool_t *pool = msf_threadpool_create(&attr);

    CHECK_EQ(threadpool_add(pool, look, NULL, 0), 0);
    CHECK_EQ(msf_sem_wait(&done, LONG), 0);
    CHECK(strcmp(name, "stokers/0") == 0);
    CHECK_EQ(sched, MSF_SCHED_BATCH);
    CHECK_EQ(priority, 15);
    CHECK_EQ(processors, 1);
    CHECK_EQ(sigpipe, 1);
    CHECK_EQ(threadpool_destroy(pool, threadpool_graceful), 0);

    /* One thread for each processor. */
    attr = (struct msf_threadpool_attr){ .size = sizeof(attr) };
    pool = msf_threadpool_create(&attr);
    CHECK_EQ(msf_threadpool_stats(pool, &now), 0);
    CHECK(now.threads == (u32)min(msf_cpu_list(MSF_PIN_INHERIT, 0, NULL, 0), 64));
    CHECK_EQ(threadpool_destroy(pool, threadpool_graceful), 0);
}

/* What only the privileged may do, seen by a child that is not. */
static int the_unprivileged_are_refused(int was_root)
{
    struct msf_threadpool_attr attr = { .size = sizeof(attr), .threads = 2, .sched = MSF_SCHED_FIFO, .priority = 1 };
    struct rlimit none = { 0, 0 };

    CHECK_NULL(msf_threadpool_create(&attr), EPERM);
    attr.sched = MSF_SCHED_OTHER;
    attr.priority = -5;
    CHECK_NULL(msf_threadpool_create(&attr), EACCES);
    if (was_root) {
        setrlimit(RLIMIT_NPROC, &none);
        CHECK_NULL(threadpool_create(1, 1, 0), EAGAIN);
        attr.sched = MSF_SCHED_INHERIT;
        CHECK_NULL(msf_threadpool_create(&attr), EAGAIN);
    }
    return check_verdict();
}

int main(void)
{
    enum threadpool_error never = threadpool_lock_failure;

    CHECK(never == -2 && threadpool_thread_failure == -5);
    msf_sem_init(&begun);
    msf_sem_init(&release);
    msf_sem_init(&done);
    every_task_is_carried_out_once();
    numbers_out_of_range_make_no_pool();
    a_full_queue_refuses();
    an_ending_pool_takes_nothing_and_carries_out_the_rest();
    a_pool_that_is_not_graceful_drops_what_is_queued();
    what_was_destroyed_is_nobody();
    a_task_may_add_to_its_pool_and_end_it();
    a_pool_is_as_its_attributes_say();
    CHECK_EQ(apart_unprivileged(the_unprivileged_are_refused), 0);
    return check_verdict();
}
