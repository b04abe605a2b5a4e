/*
 * libuv.c - uv_async_send, and for the stream what its users put beside it, because it tells only that something was
 * sent: a queue under a mutex, which the loop takes over as a whole. Bounded like ours.
 */
#define _GNU_SOURCE
#include "post.h"

#include <uv.h>

#define MOST 65536

static uv_loop_t loops[2];
static uv_async_t asyncs[2];
static long returned;

static void on_ping(uv_async_t *async)
{
    (void)async;
    uv_async_send(&asyncs[0]);
}

static void on_pong(uv_async_t *async)
{
    (void)async;
    if (++returned == post_count) {
        uv_close((uv_handle_t *)&asyncs[0], NULL);
        return;
    }
    uv_async_send(&asyncs[1]);
}

static void *run(void *loop)
{
    uv_run(loop, UV_RUN_DEFAULT);
    return NULL;
}

static void on_stop(uv_async_t *async)
{
    uv_close((uv_handle_t *)async, NULL);
    uv_close((uv_handle_t *)&asyncs[1], NULL);
}

static void pingpong(void)
{
    pthread_t threads[2];
    uv_async_t stop;

    for (int i = 0; i < 2; i++)
        if (uv_loop_init(&loops[i]) != 0 || uv_async_init(&loops[i], &asyncs[i], i == 0 ? on_pong : on_ping) != 0)
            post_fail("uv_async_init");
    uv_async_init(&loops[1], &stop, on_stop);
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, run, &loops[i]) != 0)
            post_fail("pthread_create");
    uv_async_send(&asyncs[1]);
    pthread_join(threads[0], NULL);
    uv_async_send(&stop);
    pthread_join(threads[1], NULL);
    uv_loop_close(&loops[0]);
    uv_loop_close(&loops[1]);
}

struct message {
    struct message *next;
    long number;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct message *first, **last = &first;
static long waiting;

static void on_messages(uv_async_t *async)
{
    struct message *message, *next;

    pthread_mutex_lock(&lock);
    message = first;
    first = NULL;
    last = &first;
    waiting = 0;
    pthread_mutex_unlock(&lock);
    for (; message != NULL; message = next) {
        next = message->next;
        if (got(message->number))
            uv_close((uv_handle_t *)async, NULL);
        free(message);
    }
}

static void stream(void)
{
    pthread_t thread;

    if (uv_loop_init(&loops[0]) != 0 || uv_async_init(&loops[0], &asyncs[0], on_messages) != 0 ||
        pthread_create(&thread, NULL, run, &loops[0]) != 0)
        post_fail("uv_async_init");
    for (long number = 0; number < post_count;) {
        struct message *message = malloc(sizeof *message);

        if (message == NULL)
            post_fail("malloc");
        message->next = NULL;
        message->number = number;
        pthread_mutex_lock(&lock);
        if (waiting == MOST) {
            pthread_mutex_unlock(&lock);
            free(message);
            sched_yield();
            continue;
        }
        *last = message;
        last = &message->next;
        waiting++;
        pthread_mutex_unlock(&lock);
        uv_async_send(&asyncs[0]);
        number++;
    }
    pthread_join(thread, NULL);
    uv_loop_close(&loops[0]);
}
