/* libuv.c - the work on libuv's uv_timer. */
#define _GNU_SOURCE
#include "work.h"

#include <uv.h>

static uv_loop_t loop;
static uv_timer_t *timers, starter;
static void (*inside)(void);

static void on_timer(uv_timer_t *timer)
{
    (void)timer;
    work_fired();
}

static void on_start(uv_timer_t *timer)
{
    (void)timer;
    inside();
    uv_stop(&loop);
}

static void timers_make(int count)
{
    timers = calloc((size_t)count, sizeof *timers);
    if (timers == NULL || uv_loop_init(&loop) != 0)
        work_fail("uv_loop_init");
    for (int i = 0; i < count; i++)
        uv_timer_init(&loop, &timers[i]);
    uv_timer_init(&loop, &starter);
}

static void timer_start(int at, unsigned ms)
{
    if (uv_timer_start(&timers[at], on_timer, ms, 0) != 0)
        work_fail("uv_timer_start");
}

static void timer_stop(int at)
{
    uv_timer_stop(&timers[at]);
}

static void timers_run(void)
{
    uv_run(&loop, UV_RUN_DEFAULT);
}

static void timers_leave(void)
{
    uv_stop(&loop);
}

static void timers_inside(void (*job)(void))
{
    inside = job;
    uv_update_time(&loop);
    uv_timer_start(&starter, on_start, 0, 0);
    timers_run();
}
