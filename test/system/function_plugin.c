/*
 * A function service. Compiled with -DNAME=<service>, and -DSTATE if what it has counted survives an upgrade, -DMORE if
 * it has one function more:
 *   Who    its name
 *   Params what it was given, as it was given
 *   Count  one more; answers with the sum of all calls
 *   Nap    sleeps as many milliseconds as the text says
 *   Refuse fails with -7 and "not today", Silent with -8 and no words
 *   Raw    answers with bytes that are no text
 *   Stall  makes the file "stalled" and does not return
 *   Crash  ends the process
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <msf_svc.h>

#define STRING_(x) #x
#define STRING(x) STRING_(x)
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

static long long count;

static s32 say(struct msf_svc_out *out, const char *text)
{
    return msf_svc_put(out, text, strlen(text));
}

#define FUNCTION(name) static s32 name(struct msf_svc_ctx *ctx, const void *params, size_t len, struct msf_svc_out *result)
#define NOTHING_ELSE (void)ctx, (void)params, (void)len, (void)result

FUNCTION(who)
{
    NOTHING_ELSE;
    return say(result, "\"" STRING(NAME) "\"");
}

FUNCTION(given)
{
    NOTHING_ELSE;
    return msf_svc_put(result, params, len);
}

FUNCTION(one_more)
{
    char text[32];

    NOTHING_ELSE;
    snprintf(text, sizeof(text), "%lld", ++count);
    return say(result, text);
}

FUNCTION(nap)
{
    char text[32] = "";

    NOTHING_ELSE;
    memcpy(text, params, len < sizeof(text) ? len : 0);
    usleep((useconds_t)atoi(text) * 1000);
    return say(result, "rested");
}

FUNCTION(refuse)
{
    NOTHING_ELSE;
    return say(result, "not today") < 0 ? -1 : -7;
}

FUNCTION(silent)
{
    NOTHING_ELSE;
    return -8;
}

FUNCTION(raw)
{
    NOTHING_ELSE;
    return msf_svc_put(result, "\xff\0\xfe", 3);
}

FUNCTION(stall)
{
    NOTHING_ELSE;
    close(creat("stalled", 0600));
    while (pause() < 0)
        continue;
    return -1;
}

FUNCTION(crash)
{
    NOTHING_ELSE;
    abort();
}

#ifdef STATE
static s32 on_export(struct msf_svc_ctx *ctx, struct msf_svc_out *state)
{
    (void)ctx;
    return msf_svc_put(state, &count, sizeof(count));
}

static s32 on_import(struct msf_svc_ctx *ctx, u32 version, const void *state, size_t len)
{
    (void)ctx, (void)version;
    if (len != sizeof(count))
        return -1;
    memcpy(&count, state, len);
    return 0;
}
#endif

static const struct msf_svc_function functions[] = {
    { "Who", who, 0, 0 },       { "Params", given, 0, 0 },  { "Count", one_more, 0, 0 }, { "Nap", nap, 0, 0 },
    { "Refuse", refuse, 0, 0 }, { "Silent", silent, 0, 0 }, { "Raw", raw, 0, 0 },        { "Crash", crash, 0, 0 },
    { "Stall", stall, 0, 0 },
#ifdef MORE
    { "More", who, 0, 0 },
#endif
    { NULL, NULL, 0, 0 },
};

MSF_EXPORT extern const struct msf_svc_ops JOIN(NAME, _ops);
const struct msf_svc_ops JOIN(NAME, _ops) = {
    .size = sizeof(struct msf_svc_ops),
    .abi = MSF_SVC_ABI,
#ifdef STATE
    .export_state = on_export,
    .import_state = on_import,
#endif
    .functions = functions,
};
