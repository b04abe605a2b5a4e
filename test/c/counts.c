/*
 * What somebody who hosts the code of others asks: how much is in a loop, whose timers there are, whose pools.
 */
#include <pthread.h>
#include <stdint.h>
#include <unistd.h>

#include <msf_event.h>
#include <msf_mempool.h>

#include "check.h"

static void nothing(void *arg)
{
    (void)arg;
}

static s32 again(void *arg)
{
    (void)arg;
    return 1;
}

static void in_a_loop(void)
{
    struct msf_event_base *base = msf_event_base_new();
    struct msf_event_timer *one = msf_event_timer_new(base, nothing, NULL), *two = msf_event_timer_new(base, nothing, NULL);
    struct msf_event *event;
    u32 events = 9, timers = 9;
    int ends[2];

    CHECK_EQ(pipe(ends), 0);
    event = msf_event_new(ends[0], nothing, NULL, NULL, NULL);
    CHECK_EQ(msf_event_base_count(base, &events, &timers), 0);
    CHECK(events == 0 && timers == 0);
    CHECK_EQ(msf_event_add(base, event), 0);
    CHECK_EQ(msf_event_timer_start(one, 60000, 0), 0);
    CHECK_EQ(msf_event_timer_start(two, 60000, 60000), 0);
    CHECK_EQ(msf_event_base_count(base, &events, &timers), 0);
    CHECK(events == 1 && timers == 2);
    CHECK_EQ(msf_event_timer_stop(two), 0);
    msf_event_timer_free(one);
    CHECK_EQ(msf_event_base_count(base, NULL, &timers), 0);
    CHECK_EQ(timers, 0);
    msf_event_free(event);
    CHECK_EQ(msf_event_base_count(base, &events, NULL), 0);
    CHECK_EQ(events, 0);
    CHECK_FAILS(msf_event_base_count(NULL, &events, &timers), EINVAL);
    msf_event_timer_free(two);
    msf_event_base_free(base);
    close(ends[0]);
    close(ends[1]);
}

static void of_2019(void)
{
    const char *from = (const char *)(uintptr_t)again;

    CHECK_EQ(msf_timer_count(NULL, (const void *)UINTPTR_MAX), 0);
    CHECK_EQ(msf_timer_init(), 0);
    CHECK_EQ(msf_timer_add(7, 60000, again, NULL, CYCLE_TIMER, 0), 7);
    CHECK_EQ(msf_timer_add(8, 60000, again, NULL, LIMIT_TIMER, 2), 8);
    CHECK_EQ(msf_timer_count(from, from + 1), 2);
    CHECK_EQ(msf_timer_count(from + 1, from + 2), 0);
    CHECK_EQ(msf_timer_count(from - 1, from), 0);
    CHECK_EQ(msf_timer_remove(7), 0);
    CHECK_EQ(msf_timer_count(NULL, (const void *)UINTPTR_MAX), 1);
    msf_timer_destroy();
    CHECK_EQ(msf_timer_count(NULL, (const void *)UINTPTR_MAX), 0);
}

static void *somebody_else(void *arg)
{
    CHECK_EQ(msf_mempool_owner(0), 0);
    return arg;
}

static void of_pools(void)
{
    struct msf_mempool *mine, *nobodys;
    pthread_t thread;

    CHECK_EQ(msf_mempool_owner(7), 0);
    mine = msf_mempool_create_prv(-1, 0);
    CHECK_EQ(pthread_create(&thread, NULL, somebody_else, NULL), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(msf_mempool_owner(0), 7);
    nobodys = msf_mempool_create_prv(-1, 0);
    CHECK(msf_mempool_get(mine, 100) != NULL && msf_mempool_get(nobodys, 100) != NULL);
    CHECK(msf_mempool_owned(7) >= 128 && msf_mempool_owned(8) == 0);
    msf_mempool_destroy(mine);
    CHECK_EQ(msf_mempool_owned(7), 0);
    msf_mempool_destroy(nobodys);
}

int main(void)
{
    in_a_loop();
    of_2019();
    of_pools();
    return check_verdict();
}
