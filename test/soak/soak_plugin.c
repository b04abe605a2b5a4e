/* soak_service as a plugin of msf_shell, in its process or isolated: a service of librpc whose id is in its configuration,
 * {"id": 201}, and a function that returns its param `name` in capitals, Inside or Apart. libipc has one client per process, so of one shell's services one may be it, and any number isolated. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msf_svc.h>

#include "soak_transform.h"

static s32 plugin_start(struct msf_svc_ctx *ctx)
{
    const char *id = strstr(ctx->config, "\"id\":");
    struct client_param client = {
        .name = ctx->name,
        .host = LOCAL_HOST_V4,
        .port = LOCAL_PORT,
        .req_scb = soak_transform,
        .ack_scb = soak_ignore_ack,
    };

    if (id == NULL)
        return -1;
    client.cid = (u32)strtoul(id + strlen("\"id\":"), NULL, 10);
    if (client_agent_init(&client) == 0)
        return 0;
    MSF_RPC_LOG(DBG_ERROR, "%s cannot log in: %s", ctx->name, strerror(errno));
    return -1;
}

static s32 plugin_stop(struct msf_svc_ctx *ctx)
{
    (void)ctx;
    return client_agent_deinit();
}

/* The callers' texts have nothing in them that JSON writes differently. */
static s32 to_upper(struct msf_svc_ctx *ctx, const void *params, size_t len, struct msf_svc_out *result)
{
    static const char key[] = "{\"name\":\"";
    const char *text = params;
    char upper[256];
    size_t i;

    (void)ctx;
    if (len < sizeof(key) || len > sizeof(upper) || memcmp(text, key, sizeof(key) - 1) != 0)
        return -1;
    text += sizeof(key) - 1;
    len -= sizeof(key) - 1;
    for (i = 0; i < len && text[i] != '"'; i++)
        upper[i] = (char)toupper((unsigned char)text[i]);
    return msf_svc_put(result, upper, i);
}

#define SOAK_PLUGIN(name, function)                                    \
    static const struct msf_svc_function name##_functions[] = {        \
        { function, to_upper, 0, 0 }, { NULL, NULL, 0, 0 } };          \
    MSF_EXPORT const struct msf_svc_ops name##_ops = {                 \
        .size = sizeof(struct msf_svc_ops),                            \
        .abi = MSF_SVC_ABI,                                            \
        .version = "1",                                                \
        .start = plugin_start,                                         \
        .stop = plugin_stop,                                           \
        .functions = name##_functions,                                 \
    }

SOAK_PLUGIN(soak_inside, "Inside");
SOAK_PLUGIN(soak_apart, "Apart");
