/* Callers for the kill matrix, through libipc as any program would use it, every answer compared.
 *
 * usage: soak_caller librpc ID THREADS PAUSE_US SERVICE...        one client of librpc, whose threads call services
 *        soak_caller nmid BROKER THREADS PAUSE_US FUNCTION...     each thread a client of nmid, calling functions
 *
 * They call until stdin ends, each after a pause of 0 to twice PAUSE_US. One line for each call on stdout: its target, when
 * it began and ended (nanoseconds of CLOCK_MONOTONIC), r(ight) f(ailed) w(rong) or h(ung), and why: what the call returned,
 * or errno with a minus. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <nmid_client.h>

#include "../../plugins/broker.h"
#include "soak_transform.h"

#define MAX_THREADS 64
#define MAX_PAYLOAD 4000
/* Nobody has to wait for so long, whatever dies: who does hangs. */
#define HUNG_MS 5000
#define LOGIN_MS 10000
/* What msf_shell answers for a service that is down, or went down before it had answered. */
#define SERVICE_DOWN 503

static atomic_int stop;
static unsigned long pause_us;
static char **targets;
static unsigned n_targets;
static struct broker broker;

struct caller {
    unsigned number;
    u64 random;
    u64 calls;
    struct nmid_client *nmid;
};

struct outcome {
    char letter;
    int why;
};

static u64 now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (u64)time.tv_sec * 1000000000u + (u64)time.tv_nsec;
}

static u64 roll(struct caller *me)
{
    me->random ^= me->random >> 12;
    me->random ^= me->random << 25;
    me->random ^= me->random >> 27;
    return (me->random * 0x2545f4914f6cdd1du) >> 8;
}

/* What the loss of whoever would have answered looks like. */
static int is_failure(int error)
{
    return error == ENOTCONN || error == ECONNRESET || error == ENOENT || error == EIO || error == EAGAIN;
}

static struct outcome failed(int error)
{
    struct outcome outcome = { error == ETIMEDOUT ? 'h' : is_failure(error) ? 'f' : 'w', -error };
    return outcome;
}

static struct outcome call_service(struct caller *me, const char *target)
{
    static _Thread_local s8 payload[MAX_PAYLOAD], expected[MAX_PAYLOAD], answer[MAX_PAYLOAD];
    u32 len = 8 + (u32)(roll(me) % (MAX_PAYLOAD - 8)), i;
    struct basic_pdu pdu;
    struct outcome outcome = { 'w', 0 };

    memset(&pdu, 0, sizeof(pdu));
    pdu.dstid = (u32)strtoul(target, NULL, 10);
    pdu.cmd = SOAK_SLOWLY + (u32)(roll(me) & 0xff);
    pdu.timeout = HUNG_MS;
    for (i = 0; i < len; i++)
        payload[i] = (s8)roll(me);
    memcpy(expected, payload, len);
    soak_transform(expected, len, pdu.cmd);
    pdu.payload = payload;
    pdu.restload = answer;
    pdu.paylen = pdu.restlen = len;
    outcome.why = client_agent_service(&pdu);
    if (outcome.why < 0)
        return failed(errno);
    if (outcome.why == RPC_PEER_OFFLINE || outcome.why == RPC_PEER_BUSY)
        outcome.letter = 'f';
    else if (outcome.why == RPC_EXEC_SUCC && memcmp(answer, expected, len) == 0)
        outcome.letter = 'r';
    return outcome;
}

static struct outcome call_function(struct caller *me, const char *target)
{
    char text[128], upper[128];
    struct nmid_params *params = nmid_params_new();
    struct nmid_ret *ret = NULL;
    struct outcome outcome = { 'w', 0 };
    const void *bytes;
    size_t i;
    u32 len;
    int error;

    snprintf(text, sizeof(text), "caller %d.%u, call %" PRIu64 ", %" PRIx64, (int)getpid(), me->number, me->calls, roll(me));
    for (i = 0; i <= strlen(text); i++)
        upper[i] = (char)toupper((unsigned char)text[i]);
    nmid_params_add_string(params, "name", text);
    bytes = nmid_params_data(params, &len);
    error = nmid_client_call(me->nmid, target, NMID_MSGPACK, bytes, len, &ret) == 0 ? 0 : errno;
    nmid_params_free(params);
    if (error != 0)
        return failed(error);
    outcome.why = (int)ret->code;
    if (ret->code == SERVICE_DOWN)
        outcome.letter = 'f';
    if (ret->is_struct && ret->code == 0 && ret->data_len == strlen(upper) && memcmp(ret->data, upper, ret->data_len) == 0)
        outcome.letter = 'r';
    nmid_ret_free(ret);
    return outcome;
}

static void *call(void *data)
{
    struct caller *me = data;

    while (!atomic_load(&stop)) {
        const char *target = targets[roll(me) % n_targets];
        u64 began = now();
        struct outcome outcome = me->nmid ? call_function(me, target) : call_service(me, target);

        me->calls++;
        printf("%s %" PRIu64 " %" PRIu64 " %c %d\n", target, began, now(), outcome.letter, outcome.why);
        usleep((useconds_t)(roll(me) % (2 * pause_us + 1)));
    }
    return NULL;
}

static int log_in(const char *id)
{
    struct client_param param = { .host = LOCAL_HOST_V4, .port = LOCAL_PORT, .req_scb = soak_transform,
                                  .ack_scb = soak_ignore_ack };
    char name[MAX_CONN_NAME];

    snprintf(name, sizeof(name), "CALLER%s", id);
    param.name = name;
    param.cid = (u32)strtoul(id, NULL, 10);
    client_agent_wait(LOGIN_MS);
    return client_agent_init(&param);
}

static int run(unsigned threads, int nmid)
{
    static struct caller callers[MAX_THREADS];
    pthread_t ids[MAX_THREADS];
    unsigned i;

    for (i = 0; i < threads; i++) {
        callers[i].number = i;
        callers[i].random = now() ^ ((u64)getpid() << 32) ^ ((u64)(i + 1) << 56);
        if (nmid) {
            callers[i].nmid = nmid_client_new(broker.host, broker.port);
            nmid_client_timeout(callers[i].nmid, HUNG_MS);
        }
        if (pthread_create(&ids[i], NULL, call, &callers[i]) != 0)
            return 1;
    }
    while (getchar() != EOF)
        ;
    atomic_store(&stop, 1);
    for (i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        nmid_client_free(callers[i].nmid);
    }
    return nmid || client_agent_deinit() == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    unsigned long threads;
    int nmid;

    if (argc < 6) {
        fprintf(stderr, "usage: soak_caller librpc ID|nmid BROKER THREADS PAUSE_US TARGET...\n");
        return 2;
    }
    nmid = strcmp(argv[1], "nmid") == 0;
    threads = strtoul(argv[3], NULL, 10);
    pause_us = strtoul(argv[4], NULL, 10);
    targets = argv + 5;
    n_targets = (unsigned)argc - 5;
    if (threads == 0 || threads > MAX_THREADS || (nmid && broker_of(argv[2], &broker) != 0)) {
        fprintf(stderr, "soak_caller: %s %s: no such broker, or not 1 to %d threads\n", argv[2], argv[3], MAX_THREADS);
        return 2;
    }
    /* The log's thread is there from here on, and not only when something goes wrong. */
    msf_log_init_default("soak_caller");
    msf_log_write(DBG_WARN, "CALLER", MSF_FUNC_FILE_LINE, "%lu threads", threads);
    if (!nmid && log_in(argv[2]) < 0) {
        fprintf(stderr, "soak_caller: cannot log in: %s\n", strerror(errno));
        return 1;
    }
    return run((unsigned)threads, nmid);
}
