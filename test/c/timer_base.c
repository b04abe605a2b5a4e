/* Timers of an event base: when they fire, and what callbacks may do to them. */
#include <check.h>
#include <msf_event.h>
#include <sys/socket.h>

#define LONG 20000 /* ms: nothing takes so long */

static struct msf_event_base *base;
static struct msf_event_timer *own, *other, *ender;
static int calls, order[64];

static void leave(void *args)
{
    (void)args;
    msf_event_base_loopexit(base);
}

/* Dispatches until `ms` are over. */
static void run_for(u64 ms)
{
    CHECK_EQ(msf_event_timer_start(ender, ms, 0), 0);
    CHECK_EQ(msf_event_base_dispatch(base), 0);
}

static void count(void *args)
{
    (void)args;
    calls++;
}

static void count_and_leave(void *args)
{
    count(args);
    leave(args);
}

static void one_shot_fires_once_and_never_early(void)
{
    struct msf_event_timer *timer = msf_event_timer_new(base, count_and_leave, NULL);

    calls = 0;
    for (u64 ms = 0; ms < 40; ms += 13) {
        struct timespec before, after;

        clock_gettime(CLOCK_MONOTONIC, &before);
        CHECK_EQ(msf_event_timer_start(timer, ms, 0), 0);
        CHECK_EQ(msf_event_base_dispatch(base), 0);
        clock_gettime(CLOCK_MONOTONIC, &after);
        CHECK((after.tv_sec - before.tv_sec) * 1000000000LL + after.tv_nsec - before.tv_nsec >= (long long)ms * 1000000);
    }
    CHECK_EQ(calls, 4);
    run_for(20);
    CHECK_EQ(calls, 4);
    msf_event_timer_free(timer);
}

static void note(void *args)
{
    order[calls++] = *(int *)args;
}

static void timers_fire_in_the_order_in_which_they_are_due(void)
{
    static int numbers[] = { 0, 1, 2, 3 };
    struct msf_event_timer *timers[4];

    calls = 0;
    for (int i = 0; i < 4; i++)
        timers[i] = msf_event_timer_new(base, note, &numbers[i]);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(msf_event_timer_start(timers[i], (u64)(40 - 10 * i), 0), 0);
    run_for(60);
    CHECK_EQ(calls, 4);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(order[i], 3 - i);
    for (int i = 0; i < 4; i++)
        msf_event_timer_free(timers[i]);
}

static void starting_again_postpones_and_stopping_prevents(void)
{
    struct msf_event_timer *timer = msf_event_timer_new(base, count, NULL);

    calls = 0;
    CHECK_EQ(msf_event_timer_start(timer, 1, 0), 0);
    CHECK_EQ(msf_event_timer_start(timer, 3600000, 0), 0);
    run_for(20);
    CHECK_EQ(calls, 0);
    CHECK_EQ(msf_event_timer_start(timer, 1, 0), 0); /* and earlier again */
    run_for(20);
    CHECK_EQ(calls, 1);
    CHECK_EQ(msf_event_timer_start(timer, 1, 1), 0);
    CHECK_EQ(msf_event_timer_stop(timer), 0);
    CHECK_EQ(msf_event_timer_stop(timer), 0);
    run_for(20);
    CHECK_EQ(calls, 1);
    CHECK_EQ(msf_event_timer_start(timer, 1, 1), 0); /* cyclic once does not stay cyclic */
    CHECK_EQ(msf_event_timer_start(timer, 1, 0), 0);
    run_for(20);
    CHECK_EQ(calls, 2);
    msf_event_timer_free(timer);
}

static void no_clock_reaches_a_huge_delay(void)
{
    struct msf_event_timer *timer = msf_event_timer_new(base, count, NULL);
    const u64 huge[] = { ~(u64)0, ~(u64)0 / 2, ~(u64)0 / 1000000, 0xffffffffu };

    calls = 0;
    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++) {
        CHECK_EQ(msf_event_timer_start(timer, huge[i], huge[i]), 0);
        run_for(2);
    }
    CHECK_EQ(msf_event_timer_start(timer, 0, ~(u64)0), 0); /* at once, and then never */
    run_for(10);
    CHECK_EQ(calls, 1);
    msf_event_timer_free(timer);
}

static long long fired_at[8];

static void be_slow_once(void *args)
{
    fired_at[calls] = check_now();
    if (calls++ == 0)
        while (check_now() < fired_at[0] + 105)
            check_pause();
    if (calls == 4)
        leave(args);
}

static void what_a_slow_callback_misses_is_skipped(void)
{
    struct msf_event_timer *timer = msf_event_timer_new(base, be_slow_once, NULL);

    calls = 0;
    CHECK_EQ(msf_event_timer_start(timer, 30, 30), 0);
    CHECK_EQ(msf_event_base_dispatch(base), 0);
    CHECK_EQ(calls, 4);
    CHECK(fired_at[1] - fired_at[0] >= 105); /* the one that was due meanwhile, once for all it missed */
    CHECK(fired_at[3] - fired_at[2] >= 20);  /* no burst afterwards */
    msf_event_timer_free(timer);
}

static void cycle(void *args)
{
    CHECK(args == &calls);
    if (++calls == 5)
        CHECK_EQ(msf_event_timer_stop(own), 0); /* from its own callback */
}

static void cyclic_timer_goes_on_until_it_is_stopped(void)
{
    own = msf_event_timer_new(base, cycle, &calls);
    calls = 0;
    CHECK_EQ(msf_event_timer_start(own, 1, 2), 0);
    run_for(60);
    CHECK_EQ(calls, 5);
    msf_event_timer_free(own);
}

static void free_own(void *args)
{
    (void)args;
    calls++;
    msf_event_timer_free(own);
    own = NULL;
}

static void free_other(void *args)
{
    (void)args;
    calls++;
    msf_event_timer_free(other);
    other = NULL;
}

static void start_own(void *args)
{
    (void)args;
    if (++calls < 5)
        CHECK_EQ(msf_event_timer_start(own, 0, 0), 0);
}

static void callbacks_may_free_and_start(void)
{
    struct msf_event_timer *timer;
    u32 turn;

    calls = 0;
    own = msf_event_timer_new(base, free_own, NULL);
    CHECK_EQ(msf_event_timer_start(own, 1, 1), 0);
    run_for(10);
    CHECK_EQ(calls, 1);
    /* Two of the same moment: the first frees the second. */
    timer = msf_event_timer_new(base, free_other, NULL);
    other = msf_event_timer_new(base, count, NULL);
    CHECK_EQ(msf_event_timer_start(timer, 5, 0), 0);
    CHECK_EQ(msf_event_timer_start(other, 5, 0), 0);
    run_for(20);
    CHECK_EQ(calls, 2);
    CHECK(other == NULL);
    msf_event_timer_free(timer);
    calls = 0;
    own = msf_event_timer_new(base, start_own, NULL);
    CHECK_EQ(msf_event_timer_start(own, 0, 0), 0);
    /* Each is a turn of its own, and what ends the run may be due beside the first on a slow machine. */
    for (turn = 0; turn < 100 && calls < 5; turn++)
        run_for(20);
    run_for(20);
    CHECK_EQ(calls, 5);
    msf_event_timer_free(own);
}

static void nest(void *args)
{
    (void)args;
    calls++;
    CHECK_EQ(msf_event_timer_start(ender, 10, 0), 0);
    CHECK_EQ(msf_event_base_dispatch(base), 0); /* in here the others fire */
    CHECK_EQ(calls, 2);
    leave(NULL);
}

static void a_callback_may_turn_the_loop(void)
{
    struct msf_event_timer *outer = msf_event_timer_new(base, nest, NULL);
    struct msf_event_timer *inner = msf_event_timer_new(base, count, NULL);

    calls = 0;
    CHECK_EQ(msf_event_timer_start(outer, 0, 0), 0);
    CHECK_EQ(msf_event_timer_start(inner, 4, 0), 0);
    CHECK_EQ(msf_event_base_dispatch(base), 0);
    CHECK_EQ(calls, 2);
    msf_event_timer_free(outer);
    msf_event_timer_free(inner);
}

static void wait_returns_when_a_timer_has_fired(void)
{
    struct msf_event_base *fresh = msf_event_base_new();
    struct msf_event_timer *timer = msf_event_timer_new(fresh, count, NULL);

    calls = 0;
    CHECK_EQ(msf_event_timer_start(timer, 5, 0), 0);
    CHECK_EQ(msf_event_base_wait(fresh), 0);
    CHECK_EQ(calls, 1);
    CHECK_EQ(msf_event_timer_start(timer, 1300, 0), 0); /* far: the loop looks in between */
    CHECK_EQ(msf_event_base_wait(fresh), 0);
    CHECK_EQ(calls, 2);
    CHECK_EQ(msf_event_timer_start(timer, 3600000, 0), 0);
    msf_event_base_signal(fresh);
    CHECK_EQ(msf_event_base_wait(fresh), 0);
    CHECK_EQ(calls, 2);
    msf_event_timer_free(timer);
    msf_event_base_free(fresh);
}

static s32 pair[2];

static void drain(void *args)
{
    s8 byte;

    (void)args;
    CHECK_EQ(read(pair[0], &byte, 1), 1);
    calls++;
    leave(NULL);
}

static void events_and_timers_share_a_loop(void)
{
    struct msf_event *event;
    struct msf_event_timer *timer = msf_event_timer_new(base, count, NULL);

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    event = msf_event_new(pair[0], drain, NULL, NULL, NULL);
    CHECK_EQ(msf_event_add(base, event), 0);
    calls = 0;
    CHECK_EQ(msf_event_timer_start(timer, 3600000, 0), 0);
    CHECK_EQ(write(pair[1], "x", 1), 1);
    CHECK_EQ(msf_event_base_dispatch(base), 0);
    CHECK_EQ(calls, 1);
    msf_event_timer_free(timer);
    msf_event_free(event);
    close(pair[0]);
    close(pair[1]);
}

static void wrong_arguments_are_refused(void)
{
    CHECK_NULL(msf_event_timer_new(NULL, count, NULL), EINVAL);
    CHECK_NULL(msf_event_timer_new(base, NULL, NULL), EINVAL);
    CHECK_FAILS(msf_event_timer_start(NULL, 1, 1), EINVAL);
    CHECK_FAILS(msf_event_timer_stop(NULL), EINVAL);
    msf_event_timer_free(NULL);
}

static void timers_outlive_their_base(void)
{
    struct msf_event_base *brief = msf_event_base_new();
    struct msf_event_timer *timer = msf_event_timer_new(brief, count, NULL);

    CHECK_EQ(msf_event_timer_start(timer, 1, 1), 0);
    msf_event_base_free(brief);
    CHECK_FAILS(msf_event_timer_start(timer, 1, 1), EINVAL);
    CHECK_EQ(msf_event_timer_stop(timer), 0);
    msf_event_timer_free(timer);
}

int main(void)
{
    base = msf_event_base_new();
    ender = msf_event_timer_new(base, leave, NULL);
    CHECK(ender != NULL);
    one_shot_fires_once_and_never_early();
    timers_fire_in_the_order_in_which_they_are_due();
    starting_again_postpones_and_stopping_prevents();
    no_clock_reaches_a_huge_delay();
    what_a_slow_callback_misses_is_skipped();
    cyclic_timer_goes_on_until_it_is_stopped();
    callbacks_may_free_and_start();
    a_callback_may_turn_the_loop();
    wait_returns_when_a_timer_has_fired();
    events_and_timers_share_a_loop();
    wrong_arguments_are_refused();
    timers_outlive_their_base();
    msf_event_timer_free(ender);
    msf_event_base_free(base);
    return check_verdict();
}
