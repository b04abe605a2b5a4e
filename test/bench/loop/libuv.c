/* libuv.c - the chain on libuv's uv_poll. */
#define _GNU_SOURCE
#include "chain.h"

#include <uv.h>

static uv_loop_t loop;
static uv_poll_t *polls;

static void on_read(uv_poll_t *poll, int status, int events)
{
    (void)events;
    if (status < 0)
        chain_fail("uv_poll");
    if (chain_step((int)(poll - polls)))
        uv_stop(&loop);
}

static void loop_open(void)
{
    polls = calloc((size_t)chain_pairs, sizeof *polls);
    if (polls == NULL || uv_loop_init(&loop) != 0)
        chain_fail("uv_loop_init");
    for (int i = 0; i < chain_pairs; i++)
        if (uv_poll_init(&loop, &polls[i], chain_fds[i][0]) != 0 || uv_poll_start(&polls[i], UV_READABLE, on_read) != 0)
            chain_fail("uv_poll_start");
}

static void loop_run(void)
{
    uv_run(&loop, UV_RUN_DEFAULT);
}
