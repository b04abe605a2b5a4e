/* msf.c - the work on timers of libmsf's event base. */
#define _GNU_SOURCE
#include "work.h"

#include <msf_event.h>

static struct msf_event_base *base;
static struct msf_event_timer **timers, *starter;
static void (*inside)(void);

static void on_timer(void *args)
{
    (void)args;
    work_fired();
}

static void on_start(void *args)
{
    (void)args;
    inside();
    msf_event_base_loopexit(base);
}

static void timers_make(int count)
{
    timers = calloc((size_t)count, sizeof *timers);
    base = msf_event_base_new();
    if (timers == NULL || base == NULL)
        work_fail("msf_event_base_new");
    for (int i = 0; i < count; i++) {
        timers[i] = msf_event_timer_new(base, on_timer, NULL);
        if (timers[i] == NULL)
            work_fail("msf_event_timer_new");
    }
    starter = msf_event_timer_new(base, on_start, NULL);
    if (starter == NULL)
        work_fail("msf_event_timer_new");
}

static void timer_start(int at, unsigned ms)
{
    if (msf_event_timer_start(timers[at], ms, 0) != 0)
        work_fail("msf_event_timer_start");
}

static void timer_stop(int at)
{
    msf_event_timer_stop(timers[at]);
}

static void timers_run(void)
{
    if (msf_event_base_dispatch(base) != 0)
        work_fail("msf_event_base_dispatch");
}

static void timers_leave(void)
{
    msf_event_base_loopexit(base);
}

static void timers_inside(void (*job)(void))
{
    inside = job;
    if (msf_event_timer_start(starter, 0, 0) != 0)
        work_fail("msf_event_timer_start");
    timers_run();
}
