/* The event loop called from other threads, and from a signal handler. */
#include <check.h>
#include <msf_event.h>
#include <msf_thread.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>

#define SOON 100 /* ms: what "at once" may take */
#define LONG 10000

static struct msf_event_base *base;
static atomic_int dispatching, returned, calls, inside, release;

static void *dispatch_once(void *args)
{
    (void)args;
    dispatching = 1;
    CHECK_EQ(msf_event_base_dispatch(base), 0);
    returned++;
    return NULL;
}

static pthread_t start(void)
{
    pthread_t thread;

    dispatching = returned = calls = inside = release = 0;
    CHECK_EQ(msf_pthread_spawn(&thread, dispatch_once, NULL), 0);
    CHECK_WITHIN(LONG, dispatching);
    return thread;
}

static void leave(pthread_t thread)
{
    long long asked = check_now();

    msf_event_base_loopexit(base);
    CHECK_WITHIN(LONG, returned == 1);
    CHECK(check_now() - asked <= SOON);
    pthread_join(thread, NULL);
}

static int stays(void)
{
    for (int i = 0; i < 30; i++)
        check_pause();
    return returned == 0;
}

static void pair_of(s32 *pair)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
        perror("socketpair");
}

static void loopexit_ends_one_dispatch_and_the_next_blocks_again(void)
{
    pthread_t thread;

    msf_event_base_loopexit(base);
    CHECK_EQ(msf_event_base_dispatch(base), 0);
    for (int i = 0; i < 3; i++) {
        thread = start();
        CHECK(stays()); /* dispatching an empty base blocks */
        msf_event_base_signal(base);
        CHECK(stays());
        leave(thread);
    }
}

static void exit_handler(int signo)
{
    (void)signo;
    msf_event_base_loopexit(base);
}

static void loopexit_works_in_a_signal_handler(void)
{
    struct sigaction action = { 0 };
    pthread_t thread;
    long long asked;

    action.sa_handler = exit_handler;
    sigaction(SIGUSR1, &action, NULL);
    thread = start();
    CHECK(stays());
    asked = check_now();
    pthread_kill(thread, SIGUSR1);
    CHECK_WITHIN(LONG, returned == 1);
    CHECK(check_now() - asked <= SOON);
    pthread_join(thread, NULL);
}

static void ignore(int signo)
{
    (void)signo;
}

static void interrupted_dispatch_goes_on(void)
{
    struct sigaction action = { 0 };
    pthread_t thread;

    action.sa_handler = ignore;
    sigaction(SIGUSR2, &action, NULL);
    thread = start();
    for (int i = 0; i < 5; i++) {
        pthread_kill(thread, SIGUSR2);
        check_pause();
    }
    CHECK(stays());
    leave(thread);
}

static void second_thread_is_refused(void)
{
    pthread_t thread = start();

    CHECK(stays());
    CHECK_FAILS(msf_event_base_dispatch(base), EBUSY);
    CHECK_FAILS(msf_event_base_wait(base), EBUSY);
    leave(thread);
}

static void count_one(void *args)
{
    char byte;

    if (read(*(s32 *)args, &byte, 1) == 1)
        calls++;
}

static void cancelled_thread_goes_when_dispatch_returns(void)
{
    pthread_t thread = start();
    void *result = NULL;

    pthread_cancel(thread);
    CHECK(stays());
    msf_event_base_loopexit(base);
    pthread_join(thread, &result);
    CHECK(result == PTHREAD_CANCELED || result == NULL); /* whether it meets a cancellation point is its own matter */
    msf_event_base_loopexit(base);
    CHECK_EQ(msf_event_base_dispatch(base), 0);
}

static void event_added_while_the_loop_sleeps_is_served(void)
{
    s32 pair[2];
    pthread_t thread = start();
    struct msf_event *event;

    CHECK(stays());
    pair_of(pair);
    event = msf_event_new(pair[0], count_one, NULL, NULL, &pair[0]);
    CHECK_EQ(msf_event_add(base, event), 0);
    for (int i = 1; i <= 20; i++) {
        CHECK_EQ(write(pair[1], "x", 1), 1);
        CHECK_WITHIN(LONG, calls == i);
    }
    CHECK_EQ(msf_event_del(base, event), 0);
    CHECK_EQ(write(pair[1], "x", 1), 1);
    CHECK(stays());
    CHECK_EQ(calls, 20);
    leave(thread);
    msf_event_free(event);
    close(pair[0]);
    close(pair[1]);
}

static void block(void *args)
{
    (void)args;
    inside = 1;
    while (!release)
        check_pause();
    inside = 2;
}

static void *release_soon(void *args)
{
    for (int i = 0; i < 20; i++)
        check_pause();
    release = 1;
    return args;
}

static void del_waits_for_the_running_callback_of_that_event_only(void)
{
    s32 busy[2], idle[2];
    pthread_t thread, releaser;
    struct msf_event *busy_event, *idle_event;

    pair_of(busy);
    pair_of(idle);
    thread = start();
    busy_event = msf_event_new(busy[0], block, NULL, NULL, NULL);
    idle_event = msf_event_new(idle[0], count_one, NULL, NULL, &idle[0]);
    msf_event_add(base, busy_event);
    msf_event_add(base, idle_event);
    CHECK_EQ(write(busy[1], "x", 1), 1);
    CHECK_WITHIN(LONG, inside == 1);
    CHECK_EQ(msf_event_del(base, idle_event), 0);
    CHECK_EQ(inside, 1);
    msf_pthread_spawn(&releaser, release_soon, NULL);
    msf_event_free(busy_event); /* frees an armed event whose callback runs */
    CHECK_EQ(inside, 2);
    pthread_join(releaser, NULL);
    leave(thread);
    msf_event_free(idle_event);
    close(busy[0]);
    close(busy[1]);
    close(idle[0]);
    close(idle[1]);
}

static void *come_and_go(void *args)
{
    for (int i = 0; i < 300; i++) {
        s32 pair[2];
        struct msf_event *event;

        pair_of(pair);
        event = msf_event_new(pair[0], count_one, NULL, NULL, &pair[0]);
        if (msf_event_add(base, event) != 0 || write(pair[1], "x", 1) != 1)
            perror("come_and_go");
        if (i % 2)
            msf_event_del(base, event);
        msf_event_free(event); /* from here on nobody reads pair */
        close(pair[0]);
        close(pair[1]);
    }
    return args;
}

static void events_come_and_go_from_many_threads(void)
{
    pthread_t thread = start(), workers[4];

    for (int i = 0; i < 4; i++)
        CHECK_EQ(msf_pthread_spawn(&workers[i], come_and_go, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(workers[i], NULL);
    leave(thread);
}

static void freeing_the_base_ends_its_dispatch(void)
{
    s32 pair[2];
    pthread_t thread = start();
    struct msf_event *event;

    CHECK(stays());
    pair_of(pair);
    event = msf_event_new(pair[0], count_one, NULL, NULL, &pair[0]);
    msf_event_add(base, event);
    msf_event_base_free(base);
    CHECK_WITHIN(SOON, returned == 1);
    pthread_join(thread, NULL);
    msf_event_free(event);
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    base = msf_event_base_new();
    CHECK(base != NULL);
    loopexit_ends_one_dispatch_and_the_next_blocks_again();
    loopexit_works_in_a_signal_handler();
    interrupted_dispatch_goes_on();
    second_thread_is_refused();
    cancelled_thread_goes_when_dispatch_returns();
    event_added_while_the_loop_sleeps_is_served();
    del_waits_for_the_running_callback_of_that_event_only();
    events_come_and_go_from_many_threads();
    freeing_the_base_ends_its_dispatch();
    return check_verdict();
}
