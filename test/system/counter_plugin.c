/*
 * A service with a table of its own, which counts: `add` adds a number and answers with the sum, `get` answers with it,
 * `config` with its configuration, `loop` with the thread whose loop ran its job. Its count survives an upgrade.
 * Compiled with -DNAME=<service>, and:
 *   -DBUILD=<n>        what it calls its version
 *   -DLOOP             it asks for a loop, and works on it
 *   -DNO_STATE         it hands nothing over
 *   -DFAIL=<slot>      init, start, stop, export_state or import_state fails
 *   -DBLOCK=<slot>     init, start or stop does not return until the file "go" is there
 *   -DABI=<n> -DSIZE=<n>
 *   -DKEYS             it keeps something in each thread, also in one that every `add` begins and joins, and leaves the key
 *   -DSPIN -DSLEEPER -DTIMER -DHANDLER   what it leaves behind: a thread, busy or asleep, a timer, a signal handler
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <msf_event.h>
#include <msf_log.h>
#include <msf_svc.h>
#include <msf_time.h>

#define STRING_(x) #x
#define STRING(x) STRING_(x)
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#ifndef BUILD
#define BUILD 1
#endif
#ifndef ABI
#define ABI MSF_SVC_ABI
#endif
#ifndef SIZE
#define SIZE sizeof(struct msf_svc_ops)
#endif
#ifndef FAIL
#define FAIL none
#endif
#ifndef BLOCK
#define BLOCK none
#endif

static long long total;

static s32 come(const char *slot)
{
    if (strcmp(slot, STRING(FAIL)) == 0) {
        errno = EPROTO;
        return -5;
    }
    if (strcmp(slot, STRING(BLOCK)) == 0)
        while (access("go", F_OK) != 0)
            usleep(1000);
    return 0;
}

static s32 say(struct msf_svc_out *out, const char *text)
{
    return msf_svc_put(out, text, strlen(text));
}

#ifdef KEYS
static pthread_key_t key;
static void free_kept(void *kept)
{
    free(kept);
}
static void *keep(void *arg)
{
    pthread_setspecific(key, malloc(100));
    return arg;
}
#endif

static s32 on_init(struct msf_svc_ctx *ctx)
{
#ifdef KEYS
    if (pthread_key_create(&key, free_kept) != 0)
        return -1;
    keep(NULL);
#endif
    if (ctx->size < sizeof(*ctx) || strcmp(ctx->name, STRING(NAME)) != 0)
        return -1;
    ctx->data = &total;
    return come("init");
}

#ifdef SPIN
static volatile int spinning = 1;
static void *spin(void *arg)
{
    while (spinning)
        if (access("go", F_OK) == 0)
            spinning = 0;
    return arg;
}
#endif
#ifdef SLEEPER
static void *sleeper(void *arg)
{
    pthread_setname_np(pthread_self(), "left behind");
    while (access("go", F_OK) != 0)
        usleep(20000);
    return arg;
}
#endif
#ifdef TIMER
static s32 tick(void *arg)
{
    (void)arg;
    total++;
    return 1;
}
#endif
#ifdef HANDLER
static void handler(int number)
{
    (void)number;
    total++;
}
#endif
#ifdef LOOP
static struct msf_event_timer *beat;
static pthread_t beaten_on;
static void on_beat(void *arg)
{
    (void)arg;
    beaten_on = pthread_self();
}
#endif

static s32 on_start(struct msf_svc_ctx *ctx)
{
    (void)ctx;
#if defined(SPIN) || defined(SLEEPER)
    pthread_t thread;
#ifdef SPIN
    if (pthread_create(&thread, NULL, spin, NULL) != 0)
        return -1;
#else
    if (pthread_create(&thread, NULL, sleeper, NULL) != 0)
        return -1;
#endif
    pthread_detach(thread);
#endif
#ifdef TIMER
    if (msf_timer_init() < 0 || msf_timer_add(77, 5, tick, NULL, CYCLE_TIMER, 0) < 0)
        return -1;
#endif
#ifdef HANDLER
    signal(SIGUSR2, handler);
#endif
#ifdef LOOP
    if (ctx->base == NULL)
        return -1;
    beat = msf_event_timer_new(ctx->base, on_beat, NULL);
    if (beat == NULL || msf_event_timer_start(beat, 1, 1) < 0)
        return -1;
#endif
    return come("start");
}

static s32 on_stop(struct msf_svc_ctx *ctx)
{
    (void)ctx;
#if defined(LOOP) && !defined(LEAVE)
    msf_event_timer_free(beat);
#endif
    return come("stop");
}

static s32 on_deinit(struct msf_svc_ctx *ctx)
{
    return ctx->data == &total ? come("deinit") : -1;
}

static s32 on_call(struct msf_svc_ctx *ctx, const s8 *command, const void *params, size_t len, struct msf_svc_out *result)
{
    char text[64] = "";

    if (strcmp(command, "get") == 0)
        snprintf(text, sizeof(text), "%lld", total);
    else if (strcmp(command, "config") == 0)
        return say(result, ctx->config);
    else if (strcmp(command, "echo") == 0)
        return msf_svc_put(result, params, len);
    else if (strcmp(command, "generation") == 0)
        snprintf(text, sizeof(text), "%u build %d", ctx->generation, BUILD);
#ifdef LOOP
    else if (strcmp(command, "loop") == 0)
        snprintf(text, sizeof(text), "%s", beaten_on && pthread_equal(beaten_on, pthread_self()) ? "mine" : "not yet");
#endif
    else {
        say(result, "no such command");
        return -2;
    }
    return say(result, text);
}

static s32 add(struct msf_svc_ctx *ctx, const void *params, size_t len, struct msf_svc_out *result)
{
    char text[64] = "";

    (void)ctx;
    if (len >= sizeof(text))
        return -1;
    memcpy(text, params, len);
#ifdef KEYS
    pthread_t thread;
    if (pthread_create(&thread, NULL, keep, NULL) != 0 || pthread_join(thread, NULL) != 0)
        return -1;
#endif
    total += atoll(text);
    snprintf(text, sizeof(text), "%lld", total);
    return say(result, text);
}

#ifndef NO_STATE
static s32 on_export(struct msf_svc_ctx *ctx, struct msf_svc_out *state)
{
    (void)ctx;
    if (come("export_state") < 0)
        return -5;
    return msf_svc_put(state, &total, sizeof(total));
}

static s32 on_import(struct msf_svc_ctx *ctx, u32 version, const void *state, size_t len)
{
    (void)ctx;
    if (come("import_state") < 0 || version != 3 || len != sizeof(total))
        return -5;
    memcpy(&total, state, len);
    return 0;
}
#endif

static s32 on_health(struct msf_svc_ctx *ctx, struct msf_svc_out *text)
{
    (void)ctx;
    return total < 0 ? (say(text, "below zero"), -1) : 0;
}

static const struct msf_svc_function functions[] = { { "add", add, 0, 0 }, { NULL, NULL, 0, 0 } };

MSF_EXPORT extern const struct msf_svc_ops JOIN(NAME, _ops);
const struct msf_svc_ops JOIN(NAME, _ops) = {
    .size = SIZE,
    .abi = ABI,
#ifdef LOOP
    .flags = MSF_SVC_LOOP,
#endif
    .state = 3,
    .version = "1." STRING(BUILD),
    .init = on_init,
    .start = on_start,
    .stop = on_stop,
    .deinit = on_deinit,
    .call = on_call,
#ifndef NO_STATE
    .export_state = on_export,
    .import_state = on_import,
#endif
    .health = on_health,
    .functions = functions,
};
