/* msf.c - the chain on libmsf's event base. */
#define _GNU_SOURCE
#include "chain.h"

#include <msf_event.h>
#include <stdint.h>

static struct msf_event_base *base;

static void on_read(void *args)
{
    if (chain_step((int)(intptr_t)args))
        msf_event_base_loopexit(base);
}

static void loop_open(void)
{
    base = msf_event_base_new();
    if (base == NULL)
        chain_fail("msf_event_base_new");
    for (int i = 0; i < chain_pairs; i++) {
        struct msf_event *event = msf_event_new(chain_fds[i][0], on_read, NULL, NULL, (void *)(intptr_t)i);

        if (event == NULL || msf_event_add(base, event) != 0)
            chain_fail("msf_event_add");
    }
}

static void loop_run(void)
{
    if (msf_event_base_dispatch(base) != 0)
        chain_fail("msf_event_base_dispatch");
}
