/* msf.c - msf_loop_post. */
#define _GNU_SOURCE
#include "post.h"

#include <msf_loop.h>

static struct msf_loop *loops[2];
static long returned;

static void pong(void *arg);

static void ping(void *arg)
{
    if (msf_loop_post(loops[0], pong, NULL, arg) != 0)
        post_fail("msf_loop_post");
}

static void pong(void *arg)
{
    if (++returned == post_count)
        msf_loop_stop(loops[0]);
    else if (msf_loop_post(loops[1], ping, NULL, arg) != 0)
        post_fail("msf_loop_post");
}

static void pingpong(void)
{
    loops[0] = msf_loop_new(NULL);
    loops[1] = msf_loop_new(NULL);
    if (loops[0] == NULL || loops[1] == NULL || msf_loop_post(loops[1], ping, NULL, NULL) != 0)
        post_fail("msf_loop_new");
    msf_loop_join(loops[0]);
    msf_loop_free(loops[0]);
    msf_loop_free(loops[1]);
}

static void take(void *arg)
{
    if (got((long)(intptr_t)arg))
        msf_loop_stop(loops[0]);
}

static void stream(void)
{
    struct msf_loop_options options = { .size = sizeof options, .mailbox = 65536 };

    loops[0] = msf_loop_new(&options);
    if (loops[0] == NULL)
        post_fail("msf_loop_new");
    for (long number = 0; number < post_count; number++)
        while (msf_loop_post(loops[0], take, NULL, (void *)(intptr_t)number) != 0) {
            if (errno != EAGAIN)
                post_fail("msf_loop_post");
            sched_yield();
        }
    msf_loop_join(loops[0]);
    msf_loop_free(loops[0]);
}
