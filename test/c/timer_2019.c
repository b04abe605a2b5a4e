/* The process's timers by number, on a thread of their own, with the results of 2019. */
#include <check.h>
#include <msf_event.h>
#include <msf_time.h>
#include <pthread.h>
#include <stdatomic.h>

#define LONG 20000

static atomic_int calls, inside, release;
static atomic_llong first, second;

static s32 keep(void *arg)
{
    CHECK(arg == &calls);
    calls++;
    return -1; /* what libipc returned to keep its timer */
}

static s32 end(void *arg)
{
    (void)arg;
    calls++;
    return 0;
}

static s32 is_elsewhere(void *arg)
{
    CHECK(!pthread_equal(*(pthread_t *)arg, pthread_self()));
    calls++;
    return 1;
}

static void callbacks_run_on_a_thread_of_their_own(void)
{
    pthread_t self = pthread_self();

    calls = 0;
    CHECK_EQ(msf_timer_add(1, 1, is_elsewhere, &self, LIMIT_TIMER, 1), 1);
    CHECK_WITHIN(LONG, calls == 1);
    msf_timer_remove(1);
}

static void limited_timer_runs_so_often(void)
{
    calls = 0;
    CHECK_EQ(msf_timer_add(7, 1, keep, &calls, LIMIT_TIMER, 3), 7);
    CHECK_WITHIN(LONG, calls == 3);
    msf_time_sleep(20);
    CHECK_EQ(calls, 3);
    CHECK_FAILS(msf_timer_remove(7), ENOENT);
}

static void cyclic_timer_runs_until_it_is_removed(void)
{
    calls = 0;
    CHECK_EQ(msf_timer_add(0, 1, keep, &calls, CYCLE_TIMER, 0), 0);
    CHECK_WITHIN(LONG, calls >= 10);
    CHECK_EQ(msf_timer_remove(0), 0);
    calls = 0;
    msf_time_sleep(20);
    CHECK_EQ(calls, 0);
}

static void callback_that_returns_0_ends_its_timer(void)
{
    calls = 0;
    CHECK_EQ(msf_timer_add(1, 1, end, NULL, CYCLE_TIMER, 0), 1);
    CHECK_EQ(msf_timer_add(1, 1, end, NULL, LIMIT_TIMER, 9), 1);
    CHECK_WITHIN(LONG, calls == 2);
    msf_time_sleep(20);
    CHECK_EQ(calls, 2);
}

static s32 note_time(void *arg)
{
    atomic_store((atomic_llong *)arg, check_now());
    return 0;
}

static void first_call_is_one_interval_later(void)
{
    long long now = check_now();

    first = second = 0;
    CHECK_EQ(msf_timer_add(1, 200, note_time, &first, LIMIT_TIMER, 1), 1);
    CHECK_EQ(msf_timer_add(2, 0, note_time, &second, LIMIT_TIMER, 1), 2); /* 0 counts as 1 */
    CHECK_WITHIN(LONG, first != 0 && second != 0);
    CHECK(first - now >= 199);
    CHECK(second < first);
}

static s32 remove_own(void *arg)
{
    (void)arg;
    calls++;
    CHECK_EQ(msf_timer_remove(3), 0);
    CHECK_FAILS(msf_timer_remove(3), ENOENT);
    CHECK_EQ(msf_timer_add(4, 1, keep, &calls, LIMIT_TIMER, 1), 4);
    return 1; /* too late to be kept */
}

static void callback_may_remove_itself_and_add_others(void)
{
    calls = 0;
    CHECK_EQ(msf_timer_add(3, 1, remove_own, NULL, CYCLE_TIMER, 0), 3);
    CHECK_WITHIN(LONG, calls == 2);
    msf_time_sleep(20);
    CHECK_EQ(calls, 2);
}

static void a_number_may_be_given_twice_and_is_removed_once(void)
{
    calls = 0;
    CHECK_EQ(msf_timer_add(5, 1, keep, &calls, CYCLE_TIMER, 0), 5);
    CHECK_EQ(msf_timer_add(5, 3600000, keep, &calls, CYCLE_TIMER, 0), 5);
    CHECK_WITHIN(LONG, calls >= 1);
    CHECK_EQ(msf_timer_remove(5), 0);
    CHECK_FAILS(msf_timer_remove(5), ENOENT);
    calls = 0;
    msf_time_sleep(20);
    CHECK_EQ(calls, 0);
}

static s32 hold(void *arg)
{
    (void)arg;
    inside = 1;
    while (!release)
        check_pause();
    calls++;
    return 1;
}

static void *let_go(void *arg)
{
    (void)arg;
    msf_time_sleep(20);
    release = 1;
    return NULL;
}

static void remove_waits_for_the_callback(void)
{
    pthread_t helper;

    calls = inside = release = 0;
    CHECK_EQ(msf_timer_add(6, 1, hold, NULL, CYCLE_TIMER, 0), 6);
    CHECK_WITHIN(LONG, inside);
    CHECK_EQ(pthread_create(&helper, NULL, let_go, NULL), 0);
    CHECK_EQ(msf_timer_remove(6), 0);
    CHECK_EQ(calls, 1);
    pthread_join(helper, NULL);
}

static s32 destroy(void *arg)
{
    (void)arg;
    msf_timer_destroy();
    CHECK_FAILS(msf_timer_remove(8), ESRCH);
    calls++;
    return 1;
}

static void destroy_ends_all_also_from_a_callback(void)
{
    calls = 0;
    CHECK_EQ(msf_timer_add(8, 1, keep, &calls, CYCLE_TIMER, 0), 8);
    CHECK_WITHIN(LONG, calls >= 1);
    msf_timer_destroy();
    msf_timer_destroy();
    calls = 0;
    msf_time_sleep(20);
    CHECK_EQ(calls, 0);
    CHECK_FAILS(msf_timer_add(8, 1, keep, NULL, CYCLE_TIMER, 0), ESRCH);
    CHECK_FAILS(msf_timer_remove(8), ESRCH);
    CHECK_EQ(msf_timer_init(), 0);
    CHECK_EQ(msf_timer_add(8, 1, destroy, NULL, CYCLE_TIMER, 0), 8);
    CHECK_WITHIN(LONG, calls == 1);
    msf_time_sleep(20);
    CHECK_EQ(calls, 1);
    CHECK_FAILS(msf_timer_add(8, 1, keep, NULL, CYCLE_TIMER, 0), ESRCH);
    CHECK_EQ(msf_timer_init(), 0);
}

static void wrong_arguments_are_refused(void)
{
    CHECK_FAILS(msf_timer_add(1, 1, NULL, NULL, CYCLE_TIMER, 0), EINVAL);
    CHECK_FAILS(msf_timer_add(1, -1, keep, NULL, CYCLE_TIMER, 0), EINVAL);
    CHECK_FAILS(msf_timer_add(1, 1, keep, NULL, 0, 1), EINVAL);
    CHECK_FAILS(msf_timer_add(1, 1, keep, NULL, 3, 1), EINVAL);
    CHECK_FAILS(msf_timer_add(1, 1, keep, NULL, LIMIT_TIMER, 0), EINVAL);
    CHECK_FAILS(msf_timer_add(0xffffffffu, 1, keep, NULL, CYCLE_TIMER, 0), EINVAL);
}

int main(void)
{
    CHECK_FAILS(msf_timer_add(1, 1, keep, NULL, CYCLE_TIMER, 0), ESRCH);
    CHECK_FAILS(msf_timer_remove(1), ESRCH);
    msf_timer_destroy();
    CHECK_EQ(msf_timer_init(), 0);
    CHECK_EQ(msf_timer_init(), 0);
    limited_timer_runs_so_often();
    cyclic_timer_runs_until_it_is_removed();
    callback_that_returns_0_ends_its_timer();
    first_call_is_one_interval_later();
    callback_may_remove_itself_and_add_others();
    a_number_may_be_given_twice_and_is_removed_once();
    remove_waits_for_the_callback();
    wrong_arguments_are_refused();
    callbacks_run_on_a_thread_of_their_own();
    destroy_ends_all_also_from_a_callback();
    msf_timer_destroy();
    return check_verdict();
}
