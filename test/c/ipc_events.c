/*
 * Events through a real agent: between processes and threads, from inside callbacks, who is logged in, and what is refused.
 */
#include "ipc_peer.h"

#define NEWS "test.news"
#define EVENTS 2000

static u32 seen, disordered, online, offline, other, entered, left;

#define NOW(counter) __atomic_load_n(&(counter), __ATOMIC_SEQ_CST)

static void count(const struct client_event *event, void *arg)
{
    u32 number;

    CHECK_EQ(event->size, sizeof(*event));
    CHECK_EQ(event->lost, 0);
    CHECK_EQ(event->len, sizeof(number));
    CHECK_EQ(strcmp(event->name, NEWS), 0);
    CHECK_EQ(event->data[event->len], 0);
    memcpy(&number, event->data, sizeof(number));
    if (number != *(u32 *)arg || event->from != ID_B)
        msf_atomic_fetch_add(&disordered, 1);
    *(u32 *)arg = number + 1;
    msf_atomic_fetch_add(&seen, 1);
}

static void component(const struct client_event *event, void *arg)
{
    (void)arg;
    CHECK_EQ(event->from, RPC_MSG_SRV_ID);
    if (strstr(event->data, "\"name\":\"PEER\"") == NULL)
        return;
    CHECK(strstr(event->data, "\"by\":\"msf_agent\"") != NULL);
    if (strcmp(event->name, "component_online") == 0)
        msf_atomic_fetch_add(&online, 1);
    else
        msf_atomic_fetch_add(&offline, 1);
}

static void add(const struct client_event *event, void *arg)
{
    if (event->data != NULL)
        msf_atomic_fetch_add((u32 *)arg, 1);
}

static void slow(const struct client_event *event, void *arg)
{
    (void)event;
    (void)arg;
    msf_atomic_fetch_add(&entered, 1);
    usleep(100 * 1000);
    msf_atomic_fetch_add(&left, 1);
}

/* Once is enough for it; and it publishes and subscribes from inside. */
static void once(const struct client_event *event, void *arg)
{
    CHECK_EQ(client_agent_unsubscribe(event->name, once, arg), 0);
    CHECK_EQ(client_agent_subscribe("test.inner", add, arg), 0);
    CHECK_EQ(client_agent_publish("test.inner", NULL, 0), 0);
}

/* Somebody else, who publishes as soon as he is asked to, and gets events as 2019's services got requests: not at all. */
static s32 publish_all(s8 *data, u32 len, u32 cmd)
{
    u32 number;

    (void)data;
    (void)len;
    (void)cmd;
    for (number = 0; number < EVENTS; number++)
        while (client_agent_publish(NEWS, &number, sizeof(number)) != 0)
            usleep(1000);
    return 0;
}

static void between_processes(void)
{
    u32 next = 0, answer;

    CHECK_EQ(client_agent_subscribe(NEWS, count, &next), 0);
    CHECK_EQ(client_agent_subscribe(NEWS, count, &next), 0); /* twice is once */
    CHECK_EQ(call(ID_B, 0x26, NULL, 0, &answer, sizeof(answer), 10 * 1000), RPC_EXEC_SUCC);
    CHECK_WITHIN(10 * 1000, NOW(seen) == EVENTS);
    CHECK_EQ(NOW(disordered), 0);
    CHECK_EQ(client_agent_unsubscribe(NEWS, count, &next), 0);
    CHECK_EQ(call(ID_B, 0x26, NULL, 0, &answer, sizeof(answer), 10 * 1000), RPC_EXEC_SUCC);
    usleep(20 * 1000);
    CHECK_EQ(NOW(seen), EVENTS);
}

static void components(pid_t peer)
{
    CHECK_EQ(client_agent_subscribe("component_online", component, NULL), 0);
    CHECK_EQ(client_agent_subscribe("component_offline", component, NULL), 0);
    CHECK_WITHIN(2000, NOW(online) == 1); /* it was there already */
    CHECK_EQ(NOW(offline), 0);
    kill(peer, SIGKILL);
    CHECK_WITHIN(2000, NOW(offline) == 1);
    CHECK_EQ(NOW(online), 1);
    CHECK_EQ(client_agent_unsubscribe("component_online", component, NULL), 0);
    CHECK_EQ(client_agent_unsubscribe("component_offline", component, NULL), 0);
}

static void callbacks(void)
{
    static u32 inner, all;

    CHECK_EQ(client_agent_subscribe("*", add, &all), 0);
    CHECK_EQ(client_agent_subscribe("test.once", once, &inner), 0);
    CHECK_EQ(client_agent_publish("test.once", "x", 1), 0);
    CHECK_WITHIN(2000, NOW(inner) == 1);
    CHECK_EQ(client_agent_publish("test.once", "x", 1), 0);
    CHECK_EQ(client_agent_publish("test.last", "x", 1), 0);
    CHECK_WITHIN(2000, NOW(all) >= 4);
    CHECK_EQ(NOW(inner), 1);
    CHECK_EQ(client_agent_unsubscribe("test.inner", add, &inner), 0);
    CHECK_EQ(client_agent_unsubscribe("*", add, &all), 0);

    /* Two of one name: one goes, the other stays. */
    CHECK_EQ(client_agent_subscribe(NEWS, add, &other), 0);
    CHECK_EQ(client_agent_subscribe(NEWS, slow, NULL), 0);
    CHECK_EQ(client_agent_publish(NEWS, "", 0), 0);
    CHECK_WITHIN(2000, NOW(entered) == 1);
    CHECK_EQ(client_agent_unsubscribe(NEWS, slow, NULL), 0);
    CHECK_EQ(NOW(left), 1); /* it was waited for */
    CHECK_EQ(client_agent_publish(NEWS, "", 0), 0);
    CHECK_WITHIN(2000, NOW(other) == 2);
    CHECK_EQ(NOW(entered), 1);
    CHECK_EQ(client_agent_unsubscribe(NEWS, add, &other), 0);
}

static void refusals(void)
{
    char *huge = calloc(1, 2 << 20), name[66];
    int i;

    memset(name, 'x', sizeof(name) - 1);
    name[65] = 0;
    CHECK_FAILS(client_agent_subscribe(NULL, add, NULL), EINVAL);
    CHECK_FAILS(client_agent_subscribe("a b", add, NULL), EINVAL);
    CHECK_FAILS(client_agent_subscribe(name, add, NULL), EINVAL);
    CHECK_FAILS(client_agent_subscribe("a", NULL, NULL), EINVAL);
    CHECK_FAILS(client_agent_unsubscribe("", add, NULL), EINVAL);
    CHECK_FAILS(client_agent_unsubscribe("a", add, NULL), ENOENT);
    CHECK_FAILS(client_agent_publish("*", "x", 1), EINVAL);
    CHECK_FAILS(client_agent_publish("a", NULL, 1), EINVAL);
    CHECK_FAILS(client_agent_publish("a", huge, 2 << 20), EMSGSIZE);
    for (i = 0; i < 64; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        CHECK_EQ(client_agent_subscribe(name, add, NULL), 0);
    }
    CHECK_FAILS(client_agent_subscribe("one-too-many", add, NULL), ENOSPC);
    CHECK_FAILS(client_agent_unsubscribe("one-too-many", add, NULL), ENOENT);
    CHECK_EQ(client_agent_unsubscribe("n0", add, NULL), 0);
    CHECK_EQ(client_agent_subscribe("one-too-many", add, NULL), 0);
    free(huge);
}

int main(void)
{
    struct service service = { ID_B, publish_all };
    pid_t other_process = peer(serve, &service);

    CHECK_FAILS(client_agent_subscribe("a", add, NULL), ENOTCONN);
    CHECK_FAILS(client_agent_unsubscribe("a", add, NULL), ENOTCONN);
    CHECK_FAILS(client_agent_publish("a", "", 0), ENOTCONN);
    CHECK_EQ(log_in(ID_A, "EVENTS", nothing, nothing), 0);
    between_processes();
    components(other_process);
    callbacks();
    refusals();
    CHECK_EQ(client_agent_deinit(), 0);
    end_peer(other_process);
    return check_verdict();
}
