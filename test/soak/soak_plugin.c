/* soak_service as a plugin of msf_shell, in its process or isolated: a service of librpc whose id is in its configuration,
 * {"id": 201}. libipc has one client per process, so of one shell's services one may be it, and any number isolated. */
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

#define SOAK_PLUGIN(name)                                              \
    MSF_EXPORT const struct msf_svc_ops name##_ops = {                 \
        .size = sizeof(struct msf_svc_ops),                            \
        .abi = MSF_SVC_ABI,                                            \
        .version = "1",                                                \
        .start = plugin_start,                                         \
        .stop = plugin_stop,                                           \
    }

SOAK_PLUGIN(soak_inside);
SOAK_PLUGIN(soak_apart);
