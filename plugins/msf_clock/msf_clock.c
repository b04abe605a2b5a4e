/* A function service in C: Clock says what time it is, Echo what it was told. */
#include <stdio.h>
#include <time.h>
#include <msf_svc.h>

static s32 clock_now(struct msf_svc_ctx *ctx, const void *params, size_t len, struct msf_svc_out *result)
{
    s8 text[64];
    int used = snprintf(text, sizeof(text), "{\"seconds\":%lld}", (long long)time(NULL));

    (void)ctx, (void)params, (void)len;
    return msf_svc_put(result, text, (size_t)used);
}

static s32 echo(struct msf_svc_ctx *ctx, const void *params, size_t len, struct msf_svc_out *result)
{
    (void)ctx;
    return msf_svc_put(result, params, len);
}

static const struct msf_svc_function functions[] = {
    { "Clock", clock_now, 0, 0 }, { "Echo", echo, 0, 0 }, { NULL, NULL, 0, 0 } };

MSF_EXPORT const struct msf_svc_ops msf_clock_ops = {
    .size = sizeof(struct msf_svc_ops), .abi = MSF_SVC_ABI, .functions = functions };
