/*
 * The agent goes away and comes back: what was subscribed is subscribed again, and callbacks are told that nobody knows what
 * they have missed. The agent here is one of our own: it also knows no events at first, and says what was lost.
 */
#include "ipc_agent.h"

static msf_atomic_t unknown, lost, got, answers;

static void note(const struct client_event *event, void *arg)
{
    (void)arg;
    if (event->lost == CLIENT_EVENTS_UNKNOWN)
        msf_atomic_fetch_add(&unknown, 1);
    else if (event->lost > 0)
        msf_atomic_fetch_add(&lost, event->lost);
    else
        msf_atomic_fetch_add(&got, 1);
    CHECK_EQ(event->lost > 0, event->data == NULL && event->name == NULL);
}

/* Nothing of all this is an answer that the program has asked for. */
static s32 answered(s8 *data, u32 len, u32 cmd)
{
    (void)data;
    (void)len;
    (void)cmd;
    msf_atomic_fetch_add(&answers, 1);
    return 0;
}

static void expect(int fd, u32 cmd, const char *name, struct basic_head *head)
{
    char payload[64] = "";

    receive(fd, head, sizeof(*head));
    if (head->cmd != cmd || head->dstid != RPC_EVENT_SRV_ID || head->datalen != strlen(name))
        _exit(6);
    receive(fd, payload, head->datalen);
    if (memcmp(payload, name, head->datalen) != 0)
        _exit(7);
}

static void answer(int fd, const struct basic_head *request, u32 errcode)
{
    struct basic_head ack = acknowledged(request);

    ack.errcode = errcode;
    transmit(fd, &ack, sizeof(ack), sizeof(ack));
}

static void event(int fd, u32 missed, const char *name)
{
    struct {
        struct basic_head head;
        u32 length;
        char name[8];
    } MSF_PACKED_MEMORY frame;

    memset(&frame, 0, sizeof(frame));
    frame.head.version = RPC_VERSION;
    frame.head.magic = RPC_MAGIC;
    frame.head.srcid = RPC_EVENT_SRV_ID;
    frame.head.dstid = ID_A;
    frame.head.opcode = RPC_REQ;
    frame.head.cmd = RPC_EVENT;
    memcpy(frame.head.reserved, &missed, sizeof(missed));
    frame.length = (u32)strlen(name);
    frame.head.datalen = frame.length == 0 ? 0 : 4 + frame.length;
    memcpy(frame.name, name, frame.length);
    transmit(fd, &frame, sizeof(frame.head) + frame.head.datalen, 13);
}

static void agent(void *arg)
{
    int listener = *(int *)arg, fd;
    struct basic_head head;

    ready(0);
    fd = accept(listener, NULL, NULL);
    welcome(fd);
    expect(fd, RPC_SUBSCRIBE, "a", &head);
    answer(fd, &head, RPC_PEER_OFFLINE);
    expect(fd, RPC_UNSUBSCRIBE, "a", &head);
    expect(fd, RPC_SUBSCRIBE, "a", &head);
    answer(fd, &head, RPC_EXEC_SUCC);
    event(fd, 0, "a");
    event(fd, 0, "b"); /* nobody wants that */
    event(fd, 3, "");
    event(fd, 4, "a");
    expect(fd, RPC_SUBSCRIBE, "c", &head);
    close(fd); /* instead of an answer */
    fd = accept(listener, NULL, NULL);
    welcome(fd);
    expect(fd, RPC_SUBSCRIBE, "a", &head);
    if (head.timeout != MSF_NO_WAIT)
        _exit(8);
    event(fd, 0, "a");
    expect(fd, RPC_SUBSCRIBE, "d", &head);
    close(fd); /* instead of an answer */
    close(listener);
    for (;;)
        pause();
}

int main(void)
{
    int listener = listening("own.sock");
    pid_t other;

    setenv("MSF_AGENT_SOCK", "own.sock", 1);
    other = peer(agent, &listener);
    close(listener);
    CHECK_EQ(log_in(ID_A, "EVENTS", nothing, answered), 0);
    CHECK_FAILS(client_agent_subscribe("a", note, NULL), EOPNOTSUPP);
    CHECK_EQ(client_agent_subscribe("a", note, NULL), 0);
    CHECK_WITHIN(2000, got == 2 && lost == 7);
    CHECK_EQ(unknown, 0);
    CHECK_FAILS(client_agent_unsubscribe("c", note, NULL), ENOENT);
    CHECK_FAILS(client_agent_subscribe("c", note, NULL), ECONNRESET);
    CHECK_WITHIN(2000, got == 3);
    CHECK_EQ(unknown, 1);
    CHECK_FAILS(client_agent_subscribe("d", note, NULL), ECONNRESET);
    CHECK_WITHIN(2000, rpc->state == CLIENT_UNINIT);
    CHECK_FAILS(client_agent_publish("a", "", 0), ENOTCONN);
    CHECK_FAILS(client_agent_subscribe("a", note, NULL), ENOTCONN);
    CHECK_EQ(client_agent_unsubscribe("a", note, NULL), 0);
    CHECK_EQ(lost, 7);
    CHECK_EQ(answers, 0);
    client_agent_deinit();
    end_peer(other);
    return check_verdict();
}
