/*
 * A calls B, which calls A while A waits: a call made inside a callback goes on serving. The nesting is bounded, the call
 * at its bottom fails at once with EDEADLK. Deinit inside a callback is refused.
 */
#include "ipc_peer.h"

#define PING 0x30  /* payload: how often to go on */
#define LEAVE 0x31

struct turn {
    s32 left, depth, code, why;
};

static u32 other;
static volatile s32 depth, deepest;

/* Each side calls the other until nothing is left, and reports what its own call said at the very bottom. */
static s32 on_request(s8 *data, u32 len, u32 cmd)
{
    struct turn turn;

    if (cmd == LEAVE) {
        errno = 0;
        memset(&turn, 0, sizeof(turn));
        turn.code = client_agent_deinit();
        turn.why = errno;
        memcpy(data, &turn, sizeof(turn));
        return 0;
    }
    if (len < sizeof(turn))
        return -1;
    memcpy(&turn, data, sizeof(turn));
    depth++;
    if (depth > deepest)
        deepest = depth;
    if (turn.left > 0) {
        s32 code;

        turn.left--;
        turn.depth++;
        errno = 0;
        code = call(other, PING, &turn, sizeof(turn), &turn, sizeof(turn), 5000);
        if (code != RPC_EXEC_SUCC) {
            turn.code = code;
            turn.why = errno;
        }
    }
    depth--;
    memcpy(data, &turn, sizeof(turn));
    return 0;
}

static void other_side(void *arg)
{
    (void)arg;
    other = ID_A;
    ready(log_in(ID_B, "OTHER", on_request, nothing) != 0);
    for (;;)
        pause();
}

int main(void)
{
    pid_t pid = peer(other_side, NULL);
    struct turn turn;

    other = ID_B;
    CHECK_EQ(log_in(ID_A, "ONE", on_request, nothing), 0);
    /* A -> B -> A, and a longer way. */
    memset(&turn, 0, sizeof(turn));
    turn.left = 1;
    CHECK_EQ(call(ID_B, PING, &turn, sizeof(turn), &turn, sizeof(turn), 5000), RPC_EXEC_SUCC);
    CHECK_EQ(turn.depth, 1);
    CHECK_EQ(turn.code, 0);
    memset(&turn, 0, sizeof(turn));
    turn.left = 10;
    CHECK_EQ(call(ID_B, PING, &turn, sizeof(turn), &turn, sizeof(turn), 5000), RPC_EXEC_SUCC);
    CHECK_EQ(turn.depth, 10);
    CHECK_EQ(turn.code, 0);
    /* Deeper than either side may nest: the one at the bottom is told, everybody else gets his answer. */
    memset(&turn, 0, sizeof(turn));
    turn.left = 100;
    CHECK_EQ(call(ID_B, PING, &turn, sizeof(turn), &turn, sizeof(turn), 5000), RPC_EXEC_SUCC);
    CHECK_EQ(turn.code, -1);
    CHECK_EQ(turn.why, EDEADLK);
    /* The other side was at its eighth callback, we at our seventh. */
    CHECK_EQ(turn.depth, 15);
    CHECK_EQ(deepest, 7);
    CHECK_EQ(depth, 0);
    /* To oneself. */
    memset(&turn, 0, sizeof(turn));
    other = ID_A;
    turn.left = 3;
    CHECK_EQ(call(ID_A, PING, &turn, sizeof(turn), &turn, sizeof(turn), 5000), RPC_EXEC_SUCC);
    CHECK_EQ(turn.depth, 3);
    memset(&turn, 0, sizeof(turn));
    CHECK_EQ(call(ID_A, LEAVE, NULL, 0, &turn, sizeof(turn), 5000), RPC_EXEC_SUCC);
    CHECK_EQ(turn.code, -1);
    CHECK_EQ(turn.why, EDEADLK);
    CHECK_EQ(client_agent_deinit(), 0);
    end_peer(pid);
    return check_verdict();
}
