/*
 * ring.c - the floor: a ring of 65536 places between two threads, one read-modify-write for a message, and nothing else: no
 * loop, no sleep, no second sender, no end.
 */
#define _GNU_SOURCE
#include "post.h"

#include <stdatomic.h>
#include <stdint.h>

#define PLACES 65536

static struct {
    void (*run)(void *);
    void *arg;
    atomic_size_t mark;
} places[PLACES];
static _Alignas(128) atomic_size_t tail;
static _Alignas(128) atomic_size_t head;
static int over;

static void pingpong(void)
{
    post_fail("a ring alone wakes nobody");
}

static void take(void *arg)
{
    over = got((long)(intptr_t)arg);
}

static void *receive(void *arg)
{
    for (size_t number = 0; !over;) {
        if (atomic_load_explicit(&places[number % PLACES].mark, memory_order_acquire) != number + 1) {
            sched_yield();
            continue;
        }
        places[number % PLACES].run(places[number % PLACES].arg);
        atomic_store_explicit(&head, ++number, memory_order_release);
    }
    return arg;
}

static void stream(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, receive, NULL) != 0)
        post_fail("pthread_create");
    for (long number = 0; number < post_count; number++) {
        size_t ticket = atomic_fetch_add_explicit(&tail, 1, memory_order_relaxed);

        while (ticket - atomic_load_explicit(&head, memory_order_acquire) >= PLACES)
            sched_yield();
        places[ticket % PLACES].run = take;
        places[ticket % PLACES].arg = (void *)(intptr_t)number;
        atomic_store_explicit(&places[ticket % PLACES].mark, ticket + 1, memory_order_release);
    }
    pthread_join(thread, NULL);
}
