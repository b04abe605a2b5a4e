/* libevent.c - the work on libevent 2's timer events. */
#define _GNU_SOURCE
#include "work.h"

#include <event2/event.h>
#include <event2/event_struct.h>

static struct event_base *base;
static struct event *timers, starter;
static void (*inside)(void);

static void on_timer(evutil_socket_t fd, short what, void *args)
{
    (void)fd;
    (void)what;
    (void)args;
    work_fired();
}

static void on_start(evutil_socket_t fd, short what, void *args)
{
    (void)fd;
    (void)what;
    (void)args;
    inside();
    event_base_loopbreak(base);
}

static void timers_make(int count)
{
    timers = calloc((size_t)count, sizeof *timers);
    base = event_base_new();
    if (timers == NULL || base == NULL)
        work_fail("event_base_new");
    for (int i = 0; i < count; i++)
        if (evtimer_assign(&timers[i], base, on_timer, NULL) != 0)
            work_fail("evtimer_assign");
    if (evtimer_assign(&starter, base, on_start, NULL) != 0)
        work_fail("evtimer_assign");
}

static void timer_start(int at, unsigned ms)
{
    struct timeval after = { .tv_sec = ms / 1000, .tv_usec = (long)(ms % 1000) * 1000 };

    if (event_add(&timers[at], &after) != 0)
        work_fail("event_add");
}

static void timer_stop(int at)
{
    event_del(&timers[at]);
}

static void timers_run(void)
{
    if (event_base_dispatch(base) < 0)
        work_fail("event_base_dispatch");
}

static void timers_leave(void)
{
    event_base_loopbreak(base);
}

static void timers_inside(void (*job)(void))
{
    struct timeval soon = { 0, 0 };

    inside = job;
    if (event_add(&starter, &soon) != 0)
        work_fail("event_add");
    timers_run();
}
