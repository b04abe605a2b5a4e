/*
 * What init refuses, how long it waits for an agent that is not there, and what it leaves alone of the process.
 */
#include "ipc_agent.h"

static s32 with(u32 id, const s8 *name, const s8 *host, const s8 *port, srvcb on_request, srvcb on_answer)
{
    struct client_param param;

    memset(&param, 0, sizeof(param));
    param.cid = id;
    param.name = name;
    param.host = host;
    param.port = port;
    param.req_scb = on_request;
    param.ack_scb = on_answer;
    return client_agent_init(&param);
}

static void nonsense(void)
{
    CHECK_FAILS(client_agent_init(NULL), EINVAL);
    CHECK_FAILS(with(ID_A, NULL, LOCAL_HOST_V4, LOCAL_PORT, nothing, nothing), EINVAL);
    CHECK_FAILS(with(ID_A, "A", NULL, LOCAL_PORT, nothing, nothing), EINVAL);
    CHECK_FAILS(with(ID_A, "A", LOCAL_HOST_V4, NULL, nothing, nothing), EINVAL);
    CHECK_FAILS(with(ID_A, "A", LOCAL_HOST_V4, LOCAL_PORT, NULL, nothing), EINVAL);
    CHECK_FAILS(with(ID_A, "A", LOCAL_HOST_V4, LOCAL_PORT, nothing, NULL), EINVAL);
    CHECK_FAILS(with(ID_A, "", LOCAL_HOST_V4, LOCAL_PORT, nothing, nothing), EINVAL);
    CHECK_FAILS(with(ID_A, "a name of thirty-two bytes, long", LOCAL_HOST_V4, LOCAL_PORT, nothing, nothing), EINVAL);
    CHECK_FAILS(with(RPC_MSG_SRV_ID, "A", LOCAL_HOST_V4, LOCAL_PORT, nothing, nothing), EINVAL);
    CHECK_FAILS(with(ID_A, "A", "10.0.0.1", "no port", nothing, nothing), EINVAL);
    CHECK_FAILS(with(ID_A, "A", "127.1.2.3", "65536", nothing, nothing), EINVAL);
    CHECK_FAILS(with(ID_A, "A", "localhost", "0", nothing, nothing), EINVAL);
    CHECK_FAILS(client_agent_deinit(), ENOTCONN);
}

static void nobody_there(void)
{
    long long start = check_now();

    setenv("MSF_AGENT_SOCK", "./no.sock", 1);
    CHECK_EQ(client_agent_wait(300), 0);
    CHECK_FAILS(log_in(ID_A, "A", nothing, nothing), ENOENT);
    CHECK(check_now() - start >= 300);
    CHECK(check_now() - start < 1000);
    start = check_now();
    CHECK_EQ(client_agent_wait(0), 0);
    CHECK_FAILS(log_in(ID_A, "A", nothing, nothing), ENOENT);
    CHECK(check_now() - start < 1000);
    /* No listener is there; a port below 1024 that nobody has. */
    CHECK_FAILS(with(ID_A, "A", "localhost", "1", nothing, nothing), ECONNREFUSED);
    CHECK_FAILS(with(ID_A, "A", "127.1.2.3", "1", nothing, nothing), ECONNREFUSED);
    /* These mean the unix socket, whatever the port is. */
    CHECK_FAILS(with(ID_A, "A", LOCAL_HOST_V6, LOCAL_PORT, nothing, nothing), ENOENT);
    CHECK_FAILS(with(ID_A, "A", "::1", "", nothing, nothing), ENOENT);
    CHECK_FAILS(with(ID_A, "A", "127.0.1.1", "no port", nothing, nothing), ENOENT);
}

/* Connections are made by the kernel; whoever listens says nothing. */
static void an_agent_that_is_mute(void)
{
    int mute = listening("./mute.sock");
    long long start;

    CHECK(mute >= 0);
    setenv("MSF_AGENT_SOCK", "./mute.sock", 1);
    start = check_now();
    CHECK_EQ(client_agent_wait(400), 0);
    CHECK_FAILS(log_in(ID_A, "A", nothing, nothing), ETIMEDOUT);
    CHECK(check_now() - start >= 400);
    CHECK(check_now() - start < 1200);
    start = check_now();
    CHECK_EQ(client_agent_wait(0), 0);
    CHECK_FAILS(log_in(ID_A, "A", nothing, nothing), ETIMEDOUT);
    CHECK(check_now() - start < 1000);
    close(mute);
}

static void on_signal(int number)
{
    (void)number;
}

static void signals_are_left_alone(void)
{
    static const int numbers[] = { SIGTERM, SIGSEGV, SIGBUS, SIGILL, SIGHUP, SIGINT };
    struct sigaction before[6], now;
    size_t i;

    signal(SIGHUP, on_signal);
    for (i = 0; i < 6; i++)
        sigaction(numbers[i], NULL, &before[i]);
    CHECK_EQ(log_in(ID_A, "A", nothing, nothing), 0);
    for (i = 0; i < 6; i++) {
        sigaction(numbers[i], NULL, &now);
        CHECK(now.sa_handler == before[i].sa_handler);
    }
    sigaction(SIGPIPE, NULL, &now);
    CHECK(now.sa_handler == SIG_IGN);
    CHECK_EQ(client_agent_deinit(), 0);
    /* Who handles SIGPIPE himself goes on doing so. */
    signal(SIGPIPE, on_signal);
    CHECK_EQ(log_in(ID_A, "A", nothing, nothing), 0);
    sigaction(SIGPIPE, NULL, &now);
    CHECK(now.sa_handler == on_signal);
    CHECK_EQ(client_agent_deinit(), 0);
}

int main(void)
{
    char agent[4096];

    CHECK(rpc != NULL);
    CHECK_EQ(rpc->state, CLIENT_UNINIT);
    CHECK_EQ(rpc->cli_conn.name[0], 0);
    snprintf(agent, sizeof(agent), "%s", getenv("MSF_AGENT_SOCK"));
    nonsense();
    nobody_there();
    an_agent_that_is_mute();
    setenv("MSF_AGENT_SOCK", agent, 1);
    client_agent_wait(5000);
    signals_are_left_alone();
    return check_verdict();
}
