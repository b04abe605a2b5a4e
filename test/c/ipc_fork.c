/* no qemu: qemu-user aborts when the child of a process with threads starts a thread */
/* flags: -fno-sanitize=address */
/* (gcc 12's ASAN leaves its allocator locked in the child when another thread is in it while the process forks.) */
/*
 * After fork the child has no client and is told so; it may make one, which leaves the parent's alone.
 */
#include "ipc_peer.h"

#define GET 0x26
#define ID_CHILD 0x43
#define ID_MORTAL 0x44

static s32 on_request(s8 *data, u32 len, u32 cmd)
{
    (void)cmd;
    memset(data, 'B', len);
    return 0;
}

static int works(void)
{
    char got[8] = "";

    return call(ID_B, GET, NULL, 0, got, sizeof(got), 2000) == RPC_EXEC_SUCC && got[7] == 'B';
}

static void in_the_child(void)
{
    CHECK_FAILS(call(ID_B, GET, NULL, 0, NULL, 8, 2000), ECHILD);
    CHECK_FAILS(call(ID_B, GET, NULL, 0, NULL, 8, MSF_NO_WAIT), ECHILD);
    CHECK_FAILS(client_agent_deinit(), ECHILD);
    CHECK_EQ(rpc->state, CLIENT_UNINIT);
    CHECK_EQ(log_in(ID_CHILD, "CHILD", nothing, nothing), 0);
    CHECK(works());
    CHECK_EQ(client_agent_deinit(), 0);
    CHECK_FAILS(call(ID_B, GET, NULL, 0, NULL, 8, 2000), ENOTCONN);
}

/* A service with a child that outlives it. */
static void leaves_a_child(void *arg)
{
    int verdict = log_in(ID_MORTAL, "MORTAL", on_request, nothing) != 0;
    pid_t child = fork();

    (void)arg;
    if (child == 0) {
        close(STDOUT_FILENO);
        close(STDERR_FILENO);
        sleep(3);
        _exit(0);
    }
    ready(verdict);
    for (;;)
        pause();
}

/* The child holds nothing of the connection: the agent sees the death at once. */
static void a_death_is_seen_through_the_children(pid_t mortal)
{
    CHECK_EQ(call(ID_MORTAL, GET, NULL, 0, NULL, 8, 2000), RPC_EXEC_SUCC);
    end_peer(mortal);
    CHECK_WITHIN(1000, call(ID_MORTAL, GET, NULL, 0, NULL, 8, 500) == RPC_PEER_OFFLINE);
}

int main(void)
{
    struct service service = { ID_B, on_request };
    pid_t pid = peer(serve, &service), mortal = peer(leaves_a_child, NULL);
    int round;

    CHECK_EQ(log_in(ID_A, "PARENT", nothing, nothing), 0);
    for (round = 0; round < 3; round++) {
        int status = -1;
        pid_t child = fork();

        if (child == 0) {
            in_the_child();
            _exit(check_verdict());
        }
        CHECK(works());
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK_EQ(status, 0);
        CHECK(works());
    }
    a_death_is_seen_through_the_children(mortal);
    CHECK_EQ(client_agent_deinit(), 0);
    end_peer(pid);
    return check_verdict();
}
