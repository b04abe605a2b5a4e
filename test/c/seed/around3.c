/*
 * Around snippet 3: a client of the agent whose program runs a second loop on rpc->evt_conn.
 *
 * The snippet's callback does nothing that could be seen, so this program stands between it and the library: it
 * defines msf_event_new itself (the snippet's call binds here), counts, and passes everything on.
 */
/* RTLD_NEXT is hidden without it. */
#define _GNU_SOURCE
#include <check.h>
#include <client.h>
#include <dlfcn.h>

s32 thread_init(void);
void *tx_thread_worker(void *lparam);

static void (*snippet_callback)(void *);
static void *snippet_args;
static msf_atomic_t callbacks;

static void counted(void *args)
{
    u64 wakes;

    CHECK(args == snippet_args);
    snippet_callback(args);
    /* The snippet leaves the eventfd as it is, and a level-triggered loop would call it for ever. */
    CHECK_EQ(read(rpc->evt_conn.fd, &wakes, sizeof(wakes)), sizeof(wakes));
    msf_atomic_add(&callbacks, 1);
}

struct msf_event *msf_event_new(s32 fd, void (*read_cb)(void *), void (*write_cb)(void *), void (*error_cb)(void *),
                                void *args)
{
    struct msf_event *(*next)(s32, void (*)(void *), void (*)(void *), void (*)(void *), void *);

    *(void **)&next = dlsym(RTLD_NEXT, "msf_event_new");
    if (args != &rpc->evt_conn)
        return next(fd, read_cb, write_cb, error_cb, args);
    snippet_callback = read_cb;
    snippet_args = args;
    return next(fd, counted, write_cb, error_cb, args);
}

static s32 callback(s8 *data, u32 len, u32 cmd)
{
    (void)data;
    (void)len;
    (void)cmd;
    return 0;
}

static u32 seen(void)
{
    u32 number;

    msf_atomic_get(&callbacks, number);
    return number;
}

static void notify(void)
{
    u64 one = 1;

    CHECK_EQ(write(rpc->evt_conn.fd, &one, sizeof(one)), sizeof(one));
}

int main(void)
{
    struct client_param param = {
        .cid = 0x1234, .name = "SEED3", .host = LOCAL_HOST_V4, .port = LOCAL_PORT, .req_scb = callback, .ack_scb = callback,
    };
    u32 at;

    CHECK(rpc != NULL);
    CHECK_EQ(rpc->state, CLIENT_UNINIT);
    if (client_agent_init(&param) != 0) {
        perror("client_agent_init");
        return 1;
    }
    CHECK_EQ(rpc->state, CLIENT_INITED);
    CHECK(strcmp(rpc->cli_conn.name, "SEED3") == 0);
    CHECK(rpc->evt_conn.fd >= 0);

    thread_init(); /* the snippet ends without a value */
    CHECK(rpc->tx_evt_base != NULL && rpc->tx_evt != NULL);
    CHECK_EQ(seen(), 0);
    for (at = 1; at <= 3; at++) {
        notify();
        CHECK_WITHIN(5000, seen() == at);
    }
    CHECK_EQ(MSF_RPC_LOG(DBG_INFO, "%u wakes seen", seen()), 0);

    rpc->stop_flag = 1;
    msf_event_base_loopexit(rpc->tx_evt_base);
    CHECK_EQ(pthread_join(rpc->tx_tid, NULL), 0);
    msf_event_free(rpc->tx_evt);
    msf_event_base_free(rpc->tx_evt_base);
    CHECK_EQ(client_agent_deinit(), 0);
    CHECK_EQ(rpc->state, CLIENT_UNINIT);
    return check_verdict();
}
