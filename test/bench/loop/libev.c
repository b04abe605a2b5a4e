/* libev.c - the chain on libev's ev_io, epoll back-end. */
#define _GNU_SOURCE
#include "chain.h"

#include <ev.h>

static struct ev_loop *loop;
static ev_io *watchers;

static void on_read(struct ev_loop *in, ev_io *watcher, int events)
{
    (void)events;
    if (chain_step((int)(watcher - watchers)))
        ev_break(in, EVBREAK_ALL);
}

static void loop_open(void)
{
    loop = ev_loop_new(EVBACKEND_EPOLL);
    watchers = calloc((size_t)chain_pairs, sizeof *watchers);
    if (loop == NULL || watchers == NULL)
        chain_fail("ev_loop_new");
    for (int i = 0; i < chain_pairs; i++) {
        ev_io_init(&watchers[i], on_read, chain_fds[i][0], EV_READ);
        ev_io_start(loop, &watchers[i]);
    }
}

static void loop_run(void)
{
    ev_run(loop, 0);
}
