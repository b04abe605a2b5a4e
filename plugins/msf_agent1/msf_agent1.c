/*
 * libmsf_agent1.so: a service as a plugin of msf_shell. It logs in to
 * msf_agent as AGENT1_ID and answers AGENT1_SET and AGENT1_GET.
 *
 * libipc has one client per process. This plugin owns it: other plugins of the
 * same process call through it and must come later in proc_svcs.
 */
#include <errno.h>
#include <string.h>

#include <client.h>
#include <msf_log.h>
#include <msf_network.h>
#include <msf_svc.h>
#include <protocol.h>

#include "../login.h"
#include "msf_agent1.h"

#define AGENT1_LOG(level, ...) msf_log_write(level, "AGENT1", MSF_FUNC_FILE_LINE, __VA_ARGS__)

/* Touched by `answer` alone, and libipc runs callbacks one at a time. */
static struct agent1_stats stats;

static s32 set(s8 *data, u32 len)
{
    struct agent1_nonce nonce;

    if (len != sizeof(nonce)) {
        AGENT1_LOG(DBG_ERROR, "a nonce has %zu bytes, this one %u.", sizeof(nonce), len);
        return -1;
    }
    memcpy(&nonce, data, sizeof(nonce)); /* the buffer need not be aligned */
    nonce.value = agent1_transform(nonce.value);
    memcpy(data, &nonce, sizeof(nonce));
    stats.answered++;
    return 0;
}

static s32 get(s8 *data, u32 len)
{
    if (len < sizeof(stats)) {
        AGENT1_LOG(DBG_ERROR, "the figures have %zu bytes, the caller wants %u.", sizeof(stats), len);
        return -1;
    }
    memcpy(data, &stats, sizeof(stats));
    return 0;
}

static s32 answer(s8 *data, u32 len, u32 cmd)
{
    switch (cmd) {
    case AGENT1_SET:
        return set(data, len);
    case AGENT1_GET:
        return get(data, len);
    default:
        AGENT1_LOG(DBG_ERROR, "no command 0x%x.", cmd);
        return -1;
    }
}

/* Answers to calls some plugin of this process made without waiting. */
static s32 acked(s8 *data, u32 len, u32 cmd)
{
    (void)data;
    AGENT1_LOG(DBG_WARN, "nobody here waits for the %u bytes answering cmd(0x%x).", len, cmd);
    return 0;
}

static s32 agent1_init(void *data, u32 len)
{
    struct client_param client = {
        .cid = AGENT1_ID,
        .name = "AGENT1",
        .host = LOCAL_HOST_V4,
        .port = LOCAL_PORT,
        .req_scb = answer,
        .ack_scb = acked,
    };

    (void)data;
    (void)len;
    stats.answered = 0;
    if (login(&client) < 0) {
        if (errno == EALREADY)
            AGENT1_LOG(DBG_ERROR, "another plugin of this process has the client; list msf_agent1 before it.");
        else
            AGENT1_LOG(DBG_ERROR, "cannot log in to msf_agent as 0x%x: %s", AGENT1_ID, strerror(errno));
        return -1;
    }
    AGENT1_LOG(DBG_INFO, "logged in as 0x%x.", AGENT1_ID);
    return 0;
}

/* libipc's threads answer since init, so nothing is left to be set to work. */
static s32 agent1_start(void *data, u32 len)
{
    (void)data;
    (void)len;
    AGENT1_LOG(DBG_INFO, "answers AGENT1_SET and AGENT1_GET.");
    return 0;
}

static s32 agent1_deinit(void *data, u32 len)
{
    s32 rc = client_agent_deinit(); /* no callback runs from here on */

    (void)data;
    (void)len;
    AGENT1_LOG(DBG_INFO, "logged out after %llu answers.", (unsigned long long)stats.answered);
    return rc;
}

struct msf_svc msf_agent1 = {
    .init = agent1_init,
    .deinit = agent1_deinit,
    .start = agent1_start,
};
