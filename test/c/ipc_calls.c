/*
 * Every kind of call between two processes: with and without payload, waited for or not, answered with more or less
 * than was asked for, of every size up to the limit, and to nobody.
 */
#include "ipc_peer.h"

#define GET 0x26
#define SET 0x25
#define SUM 0x30   /* payload in, a transformed copy of it back */
#define EMPTY 0x31
#define REFUSE 0x32
#define LIMIT (1 << 20)

static s32 on_request(s8 *data, u32 len, u32 cmd)
{
    u32 i;

    if (cmd == REFUSE)
        return -1;
    for (i = 0; cmd == GET && i < len; i++) {
        if (data[i] != 0)
            return -1; /* the buffer must come zeroed */
        data[i] = (s8)(i * 7 + 1);
    }
    if (cmd == SUM)
        for (i = 0; i < len; i++)
            data[i] = (s8)(data[i] ^ 0x5a);
    return 0;
}

static volatile u32 answers, answer_len, answer_cmd, answer_null;

static s32 on_answer(s8 *data, u32 len, u32 cmd)
{
    answer_null = data == NULL;
    answer_len = len;
    answer_cmd = cmd;
    __sync_fetch_and_add(&answers, 1);
    return 0;
}

static void gets_are_answered(void)
{
    unsigned char got[64];
    u32 i;

    memset(got, 0xee, sizeof(got));
    CHECK_EQ(call(ID_B, GET, NULL, 0, got, 36, 2000), RPC_EXEC_SUCC);
    for (i = 0; i < 36; i++)
        CHECK_EQ(got[i], (i * 7 + 1) & 0xff);
    CHECK_EQ(got[36], 0xee);
    /* Nobody wants the bytes. */
    CHECK_EQ(call(ID_B, GET, NULL, 0, NULL, 36, 2000), RPC_EXEC_SUCC);
    CHECK_EQ(call(ID_B, GET, NULL, 0, got, 36, (u32)MSF_WAIT_FOREVER), RPC_EXEC_SUCC);
}

static void sets_are_answered(void)
{
    unsigned char sent[16] = { 1, 2, 3 }, got[32];

    CHECK_EQ(call(ID_B, SET, sent, sizeof(sent), NULL, 0, 2000), RPC_EXEC_SUCC);
    memset(got, 0xee, sizeof(got));
    CHECK_EQ(call(ID_B, SUM, sent, sizeof(sent), got, 8, 2000), RPC_EXEC_SUCC);
    CHECK_EQ(got[0], 1 ^ 0x5a);
    CHECK_EQ(got[7], 0x5a);
    CHECK_EQ(got[8], 0xee);
    /* More wanted than was sent: the rest is zero, whatever was there. */
    CHECK_EQ(call(ID_B, SUM, sent, sizeof(sent), got, 32, 2000), RPC_EXEC_SUCC);
    CHECK_EQ(got[15], 0x5a);
    CHECK_EQ(got[16], 0);
    CHECK_EQ(got[31], 0);
}

static void refusals_do_not_keep_the_caller(void)
{
    unsigned char got[8];
    long long start = check_now();

    memset(got, 0xee, sizeof(got));
    CHECK(call(ID_B, REFUSE, NULL, 0, got, 8, 5000) > 0);
    CHECK(check_now() - start < 2000);
    CHECK_EQ(got[0], 0xee);
}

static void nobody_is_told(void)
{
    unsigned char got[8];

    memset(got, 0xee, sizeof(got));
    CHECK_EQ(call(0x4711, GET, NULL, 0, got, 8, 2000), RPC_PEER_OFFLINE);
    CHECK_EQ(got[0], 0xee);
    /* Into the blue: queued is all that is promised. */
    CHECK_EQ(call(0x4711, GET, NULL, 0, NULL, 8, MSF_NO_WAIT), 0);
}

static void posts_are_answered_by_callback(void)
{
    u32 before = answers;
    unsigned char sent[36] = { 1 };

    CHECK_EQ(call(ID_B, GET, NULL, 0, NULL, 36, MSF_NO_WAIT), 0);
    CHECK_WITHIN(2000, answers == before + 1);
    CHECK_EQ(answer_len, 36);
    CHECK_EQ(answer_cmd, GET);
    CHECK_EQ(answer_null, 0);
    /* Nothing comes back for this one; the next answer is of the one after it. */
    CHECK_EQ(call(ID_B, SET, sent, sizeof(sent), NULL, 0, MSF_NO_WAIT), 0);
    CHECK_EQ(call(ID_B, EMPTY, NULL, 0, NULL, 0, MSF_NO_WAIT), 0);
    CHECK_WITHIN(2000, answers == before + 2);
    CHECK_EQ(answer_cmd, EMPTY);
    CHECK_EQ(answer_null, 1);
}

static void every_size_arrives(void)
{
    static const u32 sizes[] = { 1, 55, 56, 57, 64, 65, 4096, 8096, 8097, 65536, 200000, LIMIT };
    unsigned char *sent = malloc(LIMIT), *got = malloc(LIMIT);
    u32 round, i, wrong = 0;

    for (round = 0; round < sizeof(sizes) / sizeof(*sizes); round++) {
        u32 size = sizes[round];

        for (i = 0; i < size; i++)
            sent[i] = (unsigned char)(i * 31 + round);
        memset(got, 0xee, size);
        CHECK_EQ(call(ID_B, SUM, sent, size, got, size, 5000), RPC_EXEC_SUCC);
        for (i = 0; i < size; i++)
            wrong += got[i] != (sent[i] ^ 0x5a);
    }
    CHECK_EQ(wrong, 0);
    free(sent);
    free(got);
}

static void nonsense_is_refused(void)
{
    unsigned char *large = calloc(1, LIMIT + 1);

    CHECK_FAILS(client_agent_service(NULL), EINVAL);
    CHECK_FAILS(call(ID_B, SET, NULL, 5, NULL, 0, 100), EINVAL);
    CHECK_FAILS(call(ID_B, SET, large, LIMIT + 1, NULL, 0, 100), EMSGSIZE);
    CHECK_FAILS(call(ID_B, GET, NULL, 0, large, LIMIT + 1, 100), EMSGSIZE);
    CHECK_FAILS(log_in(ID_A, "AGAIN", nothing, nothing), EALREADY);
    /* None of this has hurt the connection. */
    CHECK_EQ(call(ID_B, GET, NULL, 0, NULL, 36, 2000), RPC_EXEC_SUCC);
    free(large);
}

int main(void)
{
    struct service service = { ID_B, on_request };
    pid_t pid = peer(serve, &service);

    CHECK_FAILS(call(ID_B, GET, NULL, 0, NULL, 0, 100), ENOTCONN);
    CHECK_EQ(log_in(ID_A, "CALLER", nothing, on_answer), 0);
    CHECK_EQ(rpc->state, CLIENT_INITED);
    CHECK(strcmp(rpc->cli_conn.name, "CALLER") == 0);
    CHECK(rpc->evt_conn.fd >= 0);
    gets_are_answered();
    sets_are_answered();
    refusals_do_not_keep_the_caller();
    nobody_is_told();
    posts_are_answered_by_callback();
    every_size_arrives();
    nonsense_is_refused();
    CHECK_EQ(client_agent_deinit(), 0);
    CHECK_EQ(rpc->stop_flag, 1);
    end_peer(pid);
    return check_verdict();
}
