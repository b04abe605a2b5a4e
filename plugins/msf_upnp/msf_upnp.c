/*
 * msf_upnp: a service of its own process. It keeps one struct upnp_param and
 * answers UPNP_GET_PARAM and UPNP_SET_PARAM until SIGTERM or SIGINT.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <client.h>
#include <msf_log.h>
#include <msf_network.h>
#include <protocol.h>

#include "../login.h"
#include "../usage.h"
#include "msf_upnp.h"

#define UPNP_LOG(level, ...) msf_log_write(level, "UPNP", MSF_FUNC_FILE_LINE, __VA_ARGS__)

/* The terminal gets the line once: level INFO goes to the log file only. */
#define SAY(...)                          \
    do {                                  \
        UPNP_LOG(DBG_INFO, __VA_ARGS__);  \
        printf(__VA_ARGS__);              \
        putchar('\n');                    \
    } while (0)

/* Touched by `answer` alone, and libipc runs callbacks one at a time. */
static struct upnp_param param = {
    .nat_enable = 1,
    .discovery_enable = 2,
    .friend_name = "UPNP",
};

static s32 get(s8 *data, u32 len)
{
    if (len < sizeof(param)) {
        UPNP_LOG(DBG_ERROR, "UPnP get wants %u bytes, the record has %zu.", len, sizeof(param));
        return -1;
    }
    memcpy(data, &param, sizeof(param));
    SAY("@@@@UPnP get: friend name(%.*s).", UPNP_NAME_LEN, param.friend_name);
    return 0;
}

static s32 set(const s8 *data, u32 len)
{
    if (len != sizeof(param)) {
        UPNP_LOG(DBG_ERROR, "UPnP set brings %u bytes, the record has %zu.", len, sizeof(param));
        return -1;
    }
    memcpy(&param, data, sizeof(param));
    SAY("@@@@UPnP set: friend name(%.*s) nat enable(%u) discovery enable(%u).", UPNP_NAME_LEN,
        param.friend_name, param.nat_enable, param.discovery_enable);
    return 0;
}

static s32 answer(s8 *data, u32 len, u32 cmd)
{
    switch (cmd) {
    case UPNP_GET_PARAM:
        return get(data, len);
    case UPNP_SET_PARAM:
        return set(data, len);
    default:
        UPNP_LOG(DBG_ERROR, "UPnP has no command 0x%x.", cmd);
        return -1;
    }
}

/* UPNP calls nobody, so an ACK here is somebody's mistake. */
static s32 acked(s8 *data, u32 len, u32 cmd)
{
    (void)data;
    UPNP_LOG(DBG_WARN, "UPnP asked nothing, yet got an answer of %u bytes to cmd(0x%x).", len, cmd);
    return 0;
}

int main(int argc, char **argv)
{
    static const char help[] =
        "usage: msf_upnp\n"
        "Keeps one record and serves it as UPNP through the msf_agent of this machine, until SIGTERM or SIGINT.\n";
    sigset_t stop;
    int signo;
    struct client_param client = {
        .cid = RPC_UPNP_ID,
        .name = "UPNP",
        .host = LOCAL_HOST_V4,
        .port = LOCAL_PORT,
        .req_scb = answer,
        .ack_scb = acked,
    };
    int status = usage(argc, argv, help);

    if (status != USAGE_GO_ON)
        return status;
    setvbuf(stdout, NULL, _IOLBF, 0);

    /* Blocked before libipc starts its threads, so that they inherit it and
     * the signal waits for sigwait below. */
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);

    if (msf_log_init_default("msf_upnp") < 0)
        fprintf(stderr, "msf_upnp: no log file: %s\n", strerror(errno));

    if (login(&client) < 0) {
        if (errno == EINTR) {
            SAY("UPnP ends; there was no msf_agent.");
            return 0;
        }
        fprintf(stderr, "msf_upnp: cannot log in to msf_agent: %s\n", strerror(errno));
        return 1;
    }
    SAY("UPnP serves as id 0x%x.", (unsigned)RPC_UPNP_ID);

    sigwait(&stop, &signo);
    SAY("UPnP ends on signal %d.", signo);
    client_agent_deinit();
    return 0;
}
