/* epoll.c - the chain on bare epoll: what the kernel and the work itself cost. */
#define _GNU_SOURCE
#include "chain.h"

#include <sys/epoll.h>

#define MAX_EVENTS 1024

static int epoll_fd;

static void loop_open(void)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        chain_fail("epoll_create1");
    for (int i = 0; i < chain_pairs; i++) {
        struct epoll_event event = { .events = EPOLLIN, .data.u32 = (unsigned)i };

        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, chain_fds[i][0], &event) != 0)
            chain_fail("epoll_ctl");
    }
}

static void loop_run(void)
{
    static struct epoll_event events[MAX_EVENTS];

    for (;;) {
        int count = epoll_wait(epoll_fd, events, MAX_EVENTS, -1);

        if (count < 0)
            chain_fail("epoll_wait");
        for (int i = 0; i < count; i++)
            if (chain_step((int)events[i].data.u32))
                return;
    }
}
