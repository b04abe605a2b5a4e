/*
 * libmsf_agent2.so: a plugin of msf_shell that calls another service. Every
 * second its thread sends AGENT1 a nonce, checks the transformed answer and
 * logs it. A failed call is repeated every 50 ms until one is answered, so an
 * msf_agent that was killed and started again is used as soon as it is there.
 *
 * libipc has one client per process: loaded behind msf_agent1 this plugin calls
 * through that one's client, alone in a process it logs in as AGENT2_ID.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include <client.h>
#include <msf_log.h>
#include <msf_network.h>
#include <msf_svc.h>
#include <msf_thread.h>
#include <protocol.h>

#include "../login.h"
#include "../msf_agent1/msf_agent1.h"

#define AGENT2_LOG(level, ...) msf_log_write(level, "AGENT2", MSF_FUNC_FILE_LINE, __VA_ARGS__)

#define AGENT2_ID 0x32u
#define PERIOD_MS 1000
#define RETRY_MS 50
#define CALL_TIMEOUT_MS 500

static struct {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t told; /* of `stop`, on the monotonic clock */
    int stop;
    int owns_client;
    int running;
} self;

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Sleeps until `when_us` or until told to stop; true in the latter case. */
static int told_to_stop(uint64_t when_us)
{
    struct timespec when = {
        .tv_sec = (time_t)(when_us / 1000000),
        .tv_nsec = (long)(when_us % 1000000 * 1000),
    };
    int stop, rc = 0;

    pthread_mutex_lock(&self.lock);
    while (!self.stop && rc == 0)
        rc = pthread_cond_timedwait(&self.told, &self.lock, &when);
    stop = self.stop;
    pthread_mutex_unlock(&self.lock);
    return stop;
}

/* A nonce that differs on every call and in every process. */
static uint64_t fresh_nonce(uint64_t calls)
{
    return (now_us() << 24) ^ ((uint64_t)getpid() << 40) ^ calls;
}

/* Why a call failed, from its return value and the errno it left. */
static const char *reason(s32 rc)
{
    switch (rc) {
    case RPC_PEER_OFFLINE:
        return "agent1 is offline";
    case RPC_LOGIN_FAIL:
        return "msf_agent refuses this client";
    default:
        return rc < 0 ? strerror(errno) : "agent1 refuses the call";
    }
}

/* Sends one nonce and checks the answer. Returns 0, or logs why not. */
static int call_once(uint64_t calls, int quiet)
{
    struct agent1_nonce nonce = {.value = fresh_nonce(calls)}, answer = {0};
    struct agent1_stats stats = {0};
    uint64_t started = now_us(), took;
    s32 rc;
    struct basic_pdu set = {
        .dstid = AGENT1_ID,
        .cmd = AGENT1_SET,
        .timeout = CALL_TIMEOUT_MS,
        .payload = (s8 *)&nonce,
        .paylen = sizeof(nonce),
        .restload = (s8 *)&answer,
        .restlen = sizeof(answer),
    };
    struct basic_pdu get = {
        .dstid = AGENT1_ID,
        .cmd = AGENT1_GET,
        .timeout = CALL_TIMEOUT_MS,
        .restload = (s8 *)&stats,
        .restlen = sizeof(stats),
    };

    rc = client_agent_service(&set);
    took = now_us() - started;
    if (rc == RPC_EXEC_SUCC && answer.value != agent1_transform(nonce.value)) {
        AGENT2_LOG(DBG_ERROR, "call %llu: WRONG answer 0x%016llx to nonce 0x%016llx.",
                   (unsigned long long)calls, (unsigned long long)answer.value,
                   (unsigned long long)nonce.value);
        return -1;
    }
    if (rc == RPC_EXEC_SUCC)
        rc = client_agent_service(&get);
    if (rc != RPC_EXEC_SUCC) {
        if (!quiet)
            AGENT2_LOG(DBG_WARN, "call %llu failed: %s; retrying every %d ms.",
                       (unsigned long long)calls, reason(rc), RETRY_MS);
        return -1;
    }
    AGENT2_LOG(DBG_INFO,
               "call %llu answered: nonce 0x%016llx -> 0x%016llx in %llu us, agent1 has answered %llu.",
               (unsigned long long)calls, (unsigned long long)nonce.value,
               (unsigned long long)answer.value, (unsigned long long)took,
               (unsigned long long)stats.answered);
    return 0;
}

static void *caller(void *arg)
{
    uint64_t calls = 0, failed = 0, failing_since = 0, due = now_us();

    (void)arg;
    while (!told_to_stop(due)) {
        if (failed == 0)
            calls++;
        if (call_once(calls, failed > 0) < 0) {
            if (failed++ == 0)
                failing_since = now_us();
            due = now_us() + RETRY_MS * 1000;
            continue;
        }
        if (failed > 0)
            AGENT2_LOG(DBG_WARN, "answered again %llu ms after the first failure, %llu attempts failed.",
                       (unsigned long long)(now_us() - failing_since) / 1000,
                       (unsigned long long)failed);
        /* Seconds are counted from the first call, unless failures or a SIGSTOP upset the count:
         * what was missed is not made up for. */
        due += PERIOD_MS * 1000;
        if (failed > 0 || due < now_us())
            due = now_us() + PERIOD_MS * 1000;
        failed = 0;
    }
    return NULL;
}

/* AGENT2 offers no command. */
static s32 asked(s8 *data, u32 len, u32 cmd)
{
    (void)data;
    AGENT2_LOG(DBG_WARN, "no command 0x%x (%u bytes).", cmd, len);
    return -1;
}

static s32 acked(s8 *data, u32 len, u32 cmd)
{
    (void)data;
    AGENT2_LOG(DBG_WARN, "nobody waits for the %u bytes answering cmd(0x%x).", len, cmd);
    return 0;
}

static s32 agent2_init(void *data, u32 len)
{
    struct client_param client = {
        .cid = AGENT2_ID,
        .name = "AGENT2",
        .host = LOCAL_HOST_V4,
        .port = LOCAL_PORT,
        .req_scb = asked,
        .ack_scb = acked,
    };
    pthread_condattr_t monotonic;

    (void)data;
    (void)len;
    memset(&self, 0, sizeof(self));
    if (login(&client) == 0) {
        self.owns_client = 1;
    } else if (errno != EALREADY) {
        AGENT2_LOG(DBG_ERROR, "cannot log in to msf_agent as 0x%x: %s", AGENT2_ID, strerror(errno));
        return -1;
    }
    pthread_mutex_init(&self.lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&self.told, &monotonic);
    pthread_condattr_destroy(&monotonic);
    AGENT2_LOG(DBG_INFO, "calls 0x%x through %s client.", AGENT1_ID,
               self.owns_client ? "its own" : "this process'");
    return 0;
}

static s32 agent2_start(void *data, u32 len)
{
    (void)data;
    (void)len;
    if (msf_pthread_spawn(&self.thread, caller, NULL) < 0) {
        AGENT2_LOG(DBG_ERROR, "no thread: %s", strerror(errno));
        return -1;
    }
    self.running = 1;
    return 0;
}

static s32 agent2_stop(void *data, u32 len)
{
    (void)data;
    (void)len;
    if (!self.running)
        return 0;
    pthread_mutex_lock(&self.lock);
    self.stop = 1;
    pthread_cond_signal(&self.told);
    pthread_mutex_unlock(&self.lock);
    pthread_join(self.thread, NULL); /* at most one call's timeout away */
    self.running = 0;
    return 0;
}

static s32 agent2_deinit(void *data, u32 len)
{
    (void)data;
    (void)len;
    pthread_cond_destroy(&self.told);
    pthread_mutex_destroy(&self.lock);
    return self.owns_client ? client_agent_deinit() : 0;
}

struct msf_svc msf_agent2 = {
    .init = agent2_init,
    .deinit = agent2_deinit,
    .start = agent2_start,
    .stop = agent2_stop,
};
