/*
 * floor.c - no timers at all: the caller's handle is read from an array, and the time is noted where it leads. Nobody who
 * gives out handles can be faster than that.
 */
#define _GNU_SOURCE
#include "work.h"

struct note {
    uint64_t due;
    void *owner;
};

static struct note **notes;

static void timers_make(int count)
{
    struct note *all = calloc((size_t)count, sizeof *all);

    notes = calloc((size_t)count, sizeof *notes);
    if (notes == NULL || all == NULL)
        work_fail("calloc");
    for (int i = 0; i < count; i++)
        notes[i] = &all[i];
}

static void timer_start(int at, unsigned ms)
{
    *(volatile uint64_t *)&notes[at]->due = ms;
}

static void timer_stop(int at)
{
    *(volatile uint64_t *)&notes[at]->due = 0;
}

static void timers_run(void)
{
    while (work_left > 0)
        work_fired();
}

static void timers_leave(void)
{
}

static void timers_inside(void (*job)(void))
{
    job();
}
