/*
 * msf_dlna: a caller. It asks the UPNP service for its record, then every two
 * seconds sets the record's name and asks again without waiting, until SIGTERM
 * or SIGINT. Which of the two programs starts first does not matter.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <client.h>
#include <msf_log.h>
#include <msf_mempool.h>
#include <msf_network.h>
#include <protocol.h>

#include "../login.h"
#include "../msf_upnp/msf_upnp.h"
#include "../usage.h"

#define DLNA_LOG(level, ...) msf_log_write(level, "DLNA", MSF_FUNC_FILE_LINE, __VA_ARGS__)

/* The terminal gets the line once: level INFO goes to the log file only. */
#define SAY(...)                          \
    do {                                  \
        DLNA_LOG(DBG_INFO, __VA_ARGS__);  \
        printf(__VA_ARGS__);              \
        putchar('\n');                    \
    } while (0)

#define FIRST_CALL_TIMEOUT_MS 5000
#define RETRY_MS 100
#define PERIOD_MS 2000
#define POOL_BUFFERS 3

/* Waits up to `ms`; true when a signal asked for the end. */
static int told_to_stop(const sigset_t *stop, long ms)
{
    struct timespec longest = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    return sigtimedwait(stop, NULL, &longest) > 0;
}

/* Takes three buffers of the smallest size, gives one back and shows the pool. */
static int exercise_pool(void)
{
    struct msf_reg_mem mem[POOL_BUFFERS];
    struct msf_mempool *pool;
    int i;

    /* The first argument is a NUMA node and counts only together with the NUMA flag. */
    pool = msf_mempool_create_prv(RPC_UPNP_ID, MSF_MEMPOOL_FLAG_HUGE_PAGES_ALLOC);
    if (pool == NULL) {
        DLNA_LOG(DBG_ERROR, "no memory pool: %s", strerror(errno));
        return -1;
    }
    for (i = 0; i < POOL_BUFFERS; i++) {
        if (msf_mempool_alloc(pool, 8 * 1024, &mem[i]) < 0) {
            DLNA_LOG(DBG_ERROR, "buffer %d of the pool: %s", i, strerror(errno));
            msf_mempool_destroy(pool);
            return -1;
        }
        SAY("DLNA buffer %d at %p, %zu bytes.", i, (void *)mem[i].addr, (size_t)mem[i].length);
    }
    msf_mempool_free(&mem[0]);
    fflush(stdout);
    msf_mempool_dump(pool);
    msf_mempool_destroy(pool); /* takes back the two that are still out */
    return 0;
}

/* DLNA offers no command of its own. */
static s32 asked(s8 *data, u32 len, u32 cmd)
{
    (void)data;
    DLNA_LOG(DBG_WARN, "DLNA has no command 0x%x (%u bytes).", cmd, len);
    return -1;
}

/* Answers to calls made without waiting, on libipc's thread. */
static s32 acked(s8 *data, u32 len, u32 cmd)
{
    struct upnp_param got;

    SAY("DLNA ack service callback data(%p) len(%u) cmd(0x%x).", (void *)data, len, cmd);
    if (data == NULL || len < sizeof(got)) {
        DLNA_LOG(DBG_ERROR, "the answer to cmd(0x%x) has %u bytes of %zu.", cmd, len, sizeof(got));
        return -1;
    }
    memcpy(&got, data, sizeof(got));
    SAY("UPnP friend name(%.*s).", UPNP_NAME_LEN, got.friend_name);
    return 0;
}

/* Asks until UPNP answers; false when told to stop before. */
static int first_call(const sigset_t *stop, struct upnp_param *got)
{
    s32 rc, last = 0;
    struct basic_pdu get = {
        .dstid = RPC_UPNP_ID,
        .cmd = UPNP_GET_PARAM,
        .timeout = FIRST_CALL_TIMEOUT_MS,
        .restload = (s8 *)got,
        .restlen = sizeof(*got),
    };

    while ((rc = client_agent_service(&get)) != RPC_EXEC_SUCC) {
        if (rc != last)
            SAY("UPnP does not answer yet (%s); asking on.",
                rc == RPC_PEER_OFFLINE ? "offline" : rc < 0 ? strerror(errno) : "refused");
        last = rc;
        if (told_to_stop(stop, RETRY_MS))
            return 0;
    }
    SAY("UPnP friend name(%.*s).", UPNP_NAME_LEN, got->friend_name);
    SAY("UPnP nat enable(%u).", got->nat_enable);
    SAY("UPnP discovery enable(%u).", got->discovery_enable);
    return 1;
}

/* One SET and one GET; the GET's answer arrives in `acked`. */
static void set_and_get(struct upnp_param *param)
{
    struct basic_pdu set = {
        .dstid = RPC_UPNP_ID,
        .cmd = UPNP_SET_PARAM,
        .timeout = MSF_NO_WAIT,
        .payload = (s8 *)param,
        .paylen = sizeof(*param),
    };
    struct basic_pdu get = {
        .dstid = RPC_UPNP_ID,
        .cmd = UPNP_GET_PARAM,
        .timeout = MSF_NO_WAIT,
        .restlen = sizeof(*param),
    };

    if (client_agent_service(&set) < 0)
        DLNA_LOG(DBG_ERROR, "UPnP set is not sent: %s", strerror(errno));
    if (client_agent_service(&get) < 0)
        DLNA_LOG(DBG_ERROR, "UPnP get is not sent: %s", strerror(errno));
}

int main(int argc, char **argv)
{
    static const char help[] =
        "usage: msf_dlna\n"
        "Asks UPNP for its record and sets it through the msf_agent of this machine, until SIGTERM or SIGINT.\n";
    sigset_t stop;
    struct upnp_param param;
    struct client_param client = {
        .cid = RPC_DLNA_ID,
        .name = "DLNA",
        .host = LOCAL_HOST_V4,
        .port = LOCAL_PORT,
        .req_scb = asked,
        .ack_scb = acked,
    };
    int status = usage(argc, argv, help);

    if (status != USAGE_GO_ON)
        return status;
    setvbuf(stdout, NULL, _IOLBF, 0);

    /* Blocked before libipc starts its threads, so that they inherit it and
     * the signal waits for sigtimedwait. */
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);

    if (msf_log_init_default("msf_dlna") < 0)
        fprintf(stderr, "msf_dlna: no log file: %s\n", strerror(errno));
    if (exercise_pool() < 0)
        return 1;

    if (login(&client) < 0) {
        if (errno == EINTR) {
            SAY("DLNA ends; there was no msf_agent.");
            return 0;
        }
        fprintf(stderr, "msf_dlna: cannot log in to msf_agent: %s\n", strerror(errno));
        return 1;
    }
    memset(&param, 0, sizeof(param));
    if (first_call(&stop, &param)) {
        memset(param.friend_name, 0, sizeof(param.friend_name));
        memcpy(param.friend_name, "DLNA", sizeof("DLNA"));
        while (!told_to_stop(&stop, PERIOD_MS))
            set_and_get(&param);
    }
    SAY("DLNA ends.");
    client_agent_deinit();
    return 0;
}
