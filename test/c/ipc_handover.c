/*
 * A service's connection goes from process to process under calls: every answer is right, and nobody logs in again.
 */
#include <sys/socket.h>

#include "ipc_peer.h"

#define GENERATIONS 12
#define LENGTH 64

struct generation {
    int number;
    int in, out; /* ends of the channels to those before and behind it */
    int trigger; /* a byte here: hand over */
};

static int me;

/* The payload turned around, and who has done it. */
static s32 turned(s8 *data, u32 len, u32 cmd)
{
    u32 i;

    (void)cmd;
    for (i = 0; i + 1 < len; i++)
        data[i] = (s8)(data[i] ^ 0x55);
    data[len - 1] = (s8)me;
    usleep(300);
    return 0;
}

static s32 take_over(u32 id, int channel, u32 ms)
{
    struct client_param param;

    memset(&param, 0, sizeof(param));
    param.cid = id;
    param.name = "PASSED";
    param.host = LOCAL_HOST_V4;
    param.port = LOCAL_PORT;
    param.req_scb = turned;
    param.ack_scb = nothing;
    return client_agent_take_over(&param, channel, ms);
}

static void live(void *arg)
{
    struct generation *own = (struct generation *)arg;
    char byte;

    me = own->number;
    if (me == 0) {
        ready(log_in(ID_A, "PASSED", turned, nothing) != 0);
    } else {
        ready(0);
        if (take_over(ID_A, own->in, 60 * 1000) != 0) {
            fprintf(stderr, "generation %d: take over: %s\n", me, strerror(errno));
            _exit(8);
        }
    }
    if (read(own->trigger, &byte, 1) != 1)
        _exit(7);
    if (client_agent_hand_over(own->out, 10 * 1000) != 0) {
        fprintf(stderr, "generation %d: hand over: %s\n", me, strerror(errno));
        _exit(9);
    }
    if (client_agent_deinit() != -1 || errno != ENOTCONN)
        _exit(10);
    _exit(0);
}

static int stop;
static int latest;
static unsigned long calls, wrong;

/* One call after the other; each answer is looked at. */
static void *asks(void *arg)
{
    char payload[LENGTH], answer[LENGTH];
    u32 seed = (u32)(size_t)arg, i;

    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
        int right = 1;

        for (i = 0; i < LENGTH; i++) {
            seed = seed * 1103515245 + 12345;
            payload[i] = (char)(seed >> 16);
        }
        right = call(ID_A, 0x31, payload, LENGTH, answer, LENGTH, 5000) == RPC_EXEC_SUCC;
        for (i = 0; right && i + 1 < LENGTH; i++)
            right = answer[i] == (char)(payload[i] ^ 0x55);
        __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
        if (!right)
            __atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
        else if (answer[LENGTH - 1] > __atomic_load_n(&latest, __ATOMIC_ACQUIRE))
            __atomic_store_n(&latest, answer[LENGTH - 1], __ATOMIC_RELEASE);
    }
    return NULL;
}

static void passes_under_calls(pid_t *pids, int *triggers)
{
    pthread_t threads[4];
    size_t i;
    int number, status;

    for (i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, asks, (void *)(i + 1)), 0);
    for (number = 0; number + 1 < GENERATIONS; number++) {
        usleep(20 * 1000);
        CHECK_EQ(write(triggers[number], "x", 1), 1);
        CHECK_WITHIN(10000, __atomic_load_n(&latest, __ATOMIC_ACQUIRE) == number + 1);
        CHECK_EQ(waitpid(pids[number], &status, 0), pids[number]);
        CHECK_EQ(status, 0);
        pids[number] = -1;
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    for (i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(wrong, 0);
    CHECK(calls > 100);
}

/* A successor that does not come changes nothing. */
static void goes_on_alone(void)
{
    char payload[LENGTH] = "", answer[LENGTH];
    int pair[2];

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    CHECK_FAILS(client_agent_hand_over(pair[0], 100), ETIMEDOUT);
    CHECK_EQ(call(ID_A, 0x31, payload, LENGTH, answer, LENGTH, 5000), RPC_EXEC_SUCC);
    /* What was passed is there to be taken, but not by this process, and not under another id. */
    CHECK_FAILS(take_over(ID_B, pair[1], 100), EALREADY);
    close(pair[1]);
    CHECK_FAILS(client_agent_hand_over(pair[0], 1000), ECONNRESET);
    CHECK_EQ(call(ID_A, 0x31, payload, LENGTH, answer, LENGTH, 5000), RPC_EXEC_SUCC);
    close(pair[0]);
    CHECK_FAILS(client_agent_hand_over(-1, 1000), EBADF);
    CHECK_FAILS(client_agent_hand_over(STDIN_FILENO, 1000), ENOTSOCK);
    CHECK_EQ(call(ID_A, 0x31, payload, LENGTH, answer, LENGTH, 5000), RPC_EXEC_SUCC);
}

int main(void)
{
    static struct generation all[GENERATIONS];
    static int triggers[GENERATIONS];
    pid_t pids[GENERATIONS];
    int number, pair[2], before = -1;

    CHECK_FAILS(client_agent_hand_over(STDIN_FILENO, 10), ENOTCONN);
    for (number = 0; number < GENERATIONS; number++) {
        int trigger[2];

        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        CHECK_EQ(pipe(trigger), 0);
        all[number].number = number;
        all[number].in = before;
        all[number].out = pair[0];
        all[number].trigger = trigger[0];
        triggers[number] = trigger[1];
        before = pair[1];
        pids[number] = peer(live, &all[number]);
    }
    CHECK_EQ(log_in(ID_B, "CALLER", nothing, nothing), 0);
    passes_under_calls(pids, triggers);
    goes_on_alone();
    CHECK_EQ(client_agent_deinit(), 0);
    for (number = 0; number < GENERATIONS; number++)
        end_peer(pids[number]);
    return check_verdict();
}
