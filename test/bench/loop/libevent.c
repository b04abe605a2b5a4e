/* libevent.c - the chain on libevent 2. */
#define _GNU_SOURCE
#include "chain.h"

#include <event2/event.h>
#include <stdint.h>

static struct event_base *base;

static void on_read(evutil_socket_t fd, short what, void *args)
{
    (void)fd;
    (void)what;
    if (chain_step((int)(intptr_t)args))
        event_base_loopbreak(base);
}

static void loop_open(void)
{
    base = event_base_new();
    if (base == NULL)
        chain_fail("event_base_new");
    for (int i = 0; i < chain_pairs; i++) {
        struct event *event = event_new(base, chain_fds[i][0], EV_READ | EV_PERSIST, on_read, (void *)(intptr_t)i);

        if (event == NULL || event_add(event, NULL) != 0)
            chain_fail("event_add");
    }
}

static void loop_run(void)
{
    if (event_base_dispatch(base) < 0)
        chain_fail("event_base_dispatch");
}
