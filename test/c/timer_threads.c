/* Timers of a base that one thread dispatches, called from others. */
#include <check.h>
#include <msf_event.h>
#include <msf_thread.h>
#include <msf_time.h>
#include <pthread.h>
#include <stdatomic.h>

#define LONG 20000
#define THREADS 4
#define ROUNDS 2000

static struct msf_event_base *base;
static atomic_int calls, inside, release, wrong;

static void *dispatch(void *args)
{
    (void)args;
    CHECK_EQ(msf_event_base_dispatch(base), 0);
    return NULL;
}

static void count(void *args)
{
    (void)args;
    calls++;
}

static void an_earlier_timer_wakes_the_loop(void)
{
    struct msf_event_timer *late = msf_event_timer_new(base, count, NULL);
    struct msf_event_timer *soon = msf_event_timer_new(base, count, NULL);

    calls = 0;
    CHECK_EQ(msf_event_timer_start(late, 3600000, 0), 0);
    msf_time_sleep(10); /* so that the loop sleeps for an hour, most likely */
    CHECK_EQ(msf_event_timer_start(soon, 5, 0), 0);
    CHECK_WITHIN(LONG, calls == 1);
    CHECK_EQ(msf_event_timer_start(late, 1, 0), 0);
    CHECK_WITHIN(LONG, calls == 2);
    msf_event_timer_free(late);
    msf_event_timer_free(soon);
}

static void hold(void *args)
{
    (void)args;
    inside = 1;
    while (!release)
        check_pause();
    calls++;
}

static void *let_go(void *args)
{
    (void)args;
    msf_time_sleep(20);
    release = 1;
    return NULL;
}

static void stop_and_free_wait_for_the_callback(void)
{
    for (int round = 0; round < 2; round++) {
        struct msf_event_timer *timer = msf_event_timer_new(base, hold, NULL);
        pthread_t helper;

        calls = inside = release = 0;
        CHECK_EQ(msf_event_timer_start(timer, 0, 1), 0);
        CHECK_WITHIN(LONG, inside);
        CHECK_EQ(msf_pthread_spawn(&helper, let_go, NULL), 0);
        if (round == 0) {
            CHECK_EQ(msf_event_timer_stop(timer), 0);
            CHECK_EQ(calls, 1);
        }
        msf_event_timer_free(timer);
        CHECK_EQ(calls, 1);
        pthread_join(helper, NULL);
    }
}

/* A timer's argument; after stop returned nothing may run. */
struct fenced {
    atomic_int stopped, runs;
};

static void look(void *args)
{
    struct fenced *fenced = args;

    fenced->runs++;
    if (fenced->stopped)
        wrong++;
}

static void *churn(void *args)
{
    unsigned random = (unsigned)(size_t)args + 1;

    for (int i = 0; i < ROUNDS; i++) {
        struct fenced *fenced = calloc(1, sizeof *fenced); /* on the heap: ASAN sees a call after the end */
        struct msf_event_timer *timer = msf_event_timer_new(base, look, fenced);

        random = random * 1103515245 + 12345;
        CHECK_EQ(msf_event_timer_start(timer, random >> 16 & 1, random >> 17 & 1), 0);
        if (random >> 18 & 1)
            sched_yield();
        if (random >> 19 & 1)
            CHECK_EQ(msf_event_timer_start(timer, random >> 20 & 1, 0), 0);
        if (i % 64 == 0)
            CHECK_WITHIN(LONG, fenced->runs > 0);
        if (random >> 21 & 1) {
            CHECK_EQ(msf_event_timer_stop(timer), 0);
            fenced->stopped = 1;
        }
        msf_event_timer_free(timer);
        free(fenced);
    }
    return NULL;
}

static void nothing_runs_after_it_was_stopped_or_freed(void)
{
    pthread_t threads[THREADS];

    for (size_t i = 0; i < THREADS; i++)
        CHECK_EQ(msf_pthread_spawn(&threads[i], churn, (void *)i), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(wrong, 0);
}

static struct msf_event_timer *victim;

/* Inside the loop: starts or stops the victim, then lets the other thread have its say. */
static void start_first(void *args)
{
    (void)args;
    CHECK_EQ(msf_event_timer_start(victim, 0, 0), 0);
    inside = 1;
    while (!release)
        check_pause();
}

static void start_last(void *args)
{
    (void)args;
    CHECK_EQ(msf_event_timer_stop(victim), 0);
    inside = 1;
    while (!release)
        check_pause();
    CHECK_EQ(msf_event_timer_start(victim, 0, 0), 0);
}

static void run_beside(void (*job)(void *), int start)
{
    struct msf_event_timer *timer = msf_event_timer_new(base, job, NULL);

    calls = inside = release = 0;
    CHECK_EQ(msf_event_timer_start(timer, 0, 0), 0);
    CHECK_WITHIN(LONG, inside);
    if (start)
        CHECK_EQ(msf_event_timer_start(victim, 0, 0), 0);
    else
        CHECK_EQ(msf_event_timer_stop(victim), 0);
    release = 1;
    msf_event_timer_free(timer);
    msf_time_sleep(20);
}

static void the_last_word_counts_whoever_says_it(void)
{
    victim = msf_event_timer_new(base, count, NULL);
    run_beside(start_first, 0); /* started inside, then stopped from here */
    CHECK_EQ(calls, 0);
    run_beside(start_last, 0); /* stopped from here, then started inside */
    CHECK_WITHIN(LONG, calls == 1);
    CHECK_EQ(msf_event_timer_start(victim, 3600000, 0), 0);
    run_beside(start_first, 1); /* inside and from here: once all the same */
    CHECK_WITHIN(LONG, calls == 1);
    msf_event_timer_free(victim);
}

int main(void)
{
    pthread_t loop;

    base = msf_event_base_new();
    CHECK_EQ(msf_pthread_spawn(&loop, dispatch, NULL), 0);
    msf_time_sleep(20); /* the loop sleeps already when it gets its first timer */
    an_earlier_timer_wakes_the_loop();
    stop_and_free_wait_for_the_callback();
    the_last_word_counts_whoever_says_it();
    nothing_runs_after_it_was_stopped_or_freed();
    msf_event_base_loopexit(base);
    pthread_join(loop, NULL);
    msf_event_base_free(base);
    return check_verdict();
}
