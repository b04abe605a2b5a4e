/*
 * A client of nmid against a broker that plays every part: results, each refusal, silence, lateness, loss, nonsense;
 * calls that wait and calls that do not, with callbacks on a thread or in the program's own loop.
 */
#include "nmid_broker.h"

#define OK_RET "\x83\xa4" "Code\x00\xa3Msg\xa2ok\xa4" "Data\xc4\x04NMID"
#define FAIL_RET "\x93\x07\xa8no paper\xa0"
#define BYTES(text) (text), (sizeof(text) - 1)

static int listener;
static u16 port;

static struct nmid_client *client_of_the_broker(void)
{
    struct nmid_client *client = nmid_client_new(NULL, port);

    CHECK(client != NULL);
    return client;
}

static s32 call(struct nmid_client *client, const char *function, struct nmid_ret **ret)
{
    return nmid_client_call(client, function, NMID_MSGPACK, "\x80", 1, ret);
}

static int asked(int fd, struct frame *frame, const char *function)
{
    struct parts parts;

    if (!broker_heard(fd, frame))
        return 0;
    CHECK_EQ(frame->conn, CLIENT);
    CHECK_EQ(frame->kind, P_DO_JOB);
    CHECK_EQ(broker_word(frame->body + 4), 10);
    parts = broker_parts(frame->body + 8, frame->len - 8);
    CHECK_EQ(parts.count, 2);
    CHECK(broker_is(&parts, 0, function, (u32)strlen(function)));
    return 1;
}

static void *answers_well(void *arg)
{
    struct frame frame;
    struct parts parts;
    int fd = broker_accept(listener);

    (void)arg;
    CHECK(asked(fd, &frame, "ToUpper"));
    CHECK_EQ(broker_word(frame.body), NMID_MSGPACK);
    parts = broker_parts(frame.body + 8, frame.len - 8);
    CHECK(broker_is(&parts, 1, BYTES("\x83\xa4name\xa4nmid\xa1n\xd0\x80\xa1" "b\xc4\x02\x00\x01")));
    broker_answer(fd, "ToUpper", BYTES(OK_RET));
    CHECK(asked(fd, &frame, "Fail"));
    parts = broker_parts(frame.body + 8, frame.len - 8);
    CHECK(broker_is(&parts, 1, BYTES("\x80"))); /* no params are an empty map */
    broker_answer(fd, "Fail", BYTES(FAIL_RET));
    CHECK(asked(fd, &frame, "Raw"));
    CHECK_EQ(broker_word(frame.body), NMID_JSON);
    broker_answer(fd, "Raw", BYTES("anything"));
    CHECK(!broker_heard(fd, &frame));
    close(fd);
    return NULL;
}

static void results_are_read(void)
{
    pthread_t broker = broker_plays(answers_well, NULL);
    struct nmid_client *client = client_of_the_broker();
    struct nmid_params *params = nmid_params_new();
    struct nmid_ret *ret = NULL;
    const void *data;
    u32 len = 0;

    CHECK_EQ(nmid_params_add_string(params, "name", "nmid"), 0);
    CHECK_EQ(nmid_params_add_int(params, "n", -128), 0);
    CHECK_EQ(nmid_params_add_bytes(params, "b", "\0\1", 2), 0);
    CHECK_FAILS(nmid_params_add_string(params, "", "x"), EINVAL);
    CHECK_FAILS(nmid_params_add_string(params, "x", NULL), EINVAL);
    data = nmid_params_data(params, &len);
    CHECK_EQ(nmid_client_call(client, "ToUpper", NMID_MSGPACK, data, len, &ret), 0);
    nmid_params_free(params);
    CHECK_EQ(ret->size, sizeof(struct nmid_ret));
    CHECK_EQ(ret->is_struct, 1);
    CHECK_EQ(ret->code, 0);
    CHECK(strcmp(ret->msg, "ok") == 0);
    CHECK_EQ(ret->data_len, 4);
    CHECK(strcmp((const char *)ret->data, "NMID") == 0);
    CHECK_EQ(ret->raw_len, sizeof(OK_RET) - 1);
    nmid_ret_free(ret);

    CHECK_EQ(nmid_client_call(client, "Fail", NMID_MSGPACK, NULL, 0, &ret), 0);
    CHECK_EQ(ret->code, 7);
    CHECK(strcmp(ret->msg, "no paper") == 0);
    CHECK_EQ(ret->data_len, 0);
    nmid_ret_free(ret);

    CHECK_EQ(nmid_client_call(client, "Raw", NMID_JSON, BYTES("{\"a\":1}"), &ret), 0);
    CHECK_EQ(ret->is_struct, 0);
    CHECK_EQ(ret->code, -1);
    CHECK(memcmp(ret->raw, "anything", 8) == 0);
    nmid_ret_free(ret);
    nmid_ret_free(NULL);
    nmid_client_free(client);
    pthread_join(broker, NULL);
}

static void *refuses(void *arg)
{
    static const u32 kinds[] = { P_CANT_DO, P_RATELIMIT, P_ERROR };
    struct frame frame;
    int fd = broker_accept(listener), i;

    (void)arg;
    for (i = 0; i < 3; i++) {
        CHECK(asked(fd, &frame, "F"));
        broker_send(fd, kinds[i], NULL, 0);
    }
    CHECK(asked(fd, &frame, "F")); /* then it says nothing */
    CHECK(!broker_heard(fd, &frame));
    close(fd);

    fd = broker_accept(listener); /* a new connection; this one is cut */
    CHECK(asked(fd, &frame, "F"));
    close(fd);

    fd = broker_accept(listener); /* and the next speaks something else */
    CHECK(asked(fd, &frame, "F"));
    CHECK_EQ(write(fd, BYTES("HTTP/1.1 400 Bad Request\r\n\r\n")), 28);
    CHECK(!broker_heard(fd, &frame));
    close(fd);

    fd = broker_accept(listener);
    CHECK(asked(fd, &frame, "F"));
    broker_answer(fd, "F", BYTES(OK_RET));
    CHECK(!broker_heard(fd, &frame));
    close(fd);
    return NULL;
}

static void failures_have_numbers(void)
{
    pthread_t broker = broker_plays(refuses, NULL);
    struct nmid_client *client = client_of_the_broker(), *nobody;
    struct nmid_ret *ret = NULL;
    u8 *large = calloc(1, (16 << 20) + 1);
    long long start;
    int fd;

    CHECK_FAILS(call(client, "F", &ret), ENOENT);
    CHECK_FAILS(call(client, "F", &ret), EAGAIN);
    CHECK_FAILS(call(client, "F", &ret), EIO);
    CHECK_EQ(nmid_client_timeout(client, 100), 0);
    start = check_now();
    CHECK_FAILS(call(client, "F", &ret), ETIMEDOUT);
    CHECK(check_now() - start >= 99);
    CHECK_EQ(nmid_client_timeout(client, 20000), 0);
    CHECK_FAILS(call(client, "F", &ret), ECONNRESET);
    CHECK_FAILS(call(client, "F", &ret), EPROTO);
    CHECK(ret == NULL);
    CHECK_FAILS(nmid_client_timeout(client, 0), EINVAL);
    CHECK_FAILS(call(client, "", &ret), EINVAL);
    CHECK_FAILS(call(client, NULL, &ret), EINVAL);
    CHECK_FAILS(call(NULL, "F", &ret), EINVAL);
    CHECK_FAILS(call(client, "F", NULL), EINVAL);
    CHECK_FAILS(nmid_client_call(client, "F", 4, "x", 1, &ret), EINVAL);
    CHECK_FAILS(nmid_client_call(client, "F", NMID_MSGPACK, NULL, 1, &ret), EINVAL);
    CHECK_FAILS(nmid_client_call(client, "F", NMID_MSGPACK, large, (16 << 20) + 1, &ret), EMSGSIZE);
    CHECK_EQ(call(client, "F", &ret), 0);
    nmid_ret_free(ret);
    nmid_client_free(client);
    nmid_client_free(NULL);
    pthread_join(broker, NULL);
    free(large);

    nobody = nmid_client_new("127.0.0.1", broker_listen(&fd));
    close(fd);
    CHECK_FAILS(call(nobody, "F", &ret), ENOTCONN);
    nmid_client_free(nobody);
    errno = 0;
    CHECK(nmid_client_new("", 1) == NULL && errno == EINVAL);
}

struct seen {
    struct nmid_client *client;
    pthread_t thread;
    u32 count;
    s32 errors[8];
    int frees;
};

static void note(s32 error, const struct nmid_ret *ret, void *arg)
{
    struct seen *seen = arg;

    CHECK_EQ(error == 0, ret != NULL);
    if (ret != NULL)
        CHECK(strcmp((const char *)ret->data, "NMID") == 0);
    seen->errors[seen->count] = error;
    seen->thread = pthread_self();
    if (seen->frees)
        nmid_client_free(seen->client);
    __sync_fetch_and_add(&seen->count, 1);
}

/* One connection: a result, a refusal, a result; then a request that is not answered. */
static void *answers_three(void *arg)
{
    struct frame frame;
    int fd = broker_accept(listener);

    (void)arg;
    CHECK(asked(fd, &frame, "A"));
    broker_answer(fd, "A", BYTES(OK_RET));
    CHECK(asked(fd, &frame, "B"));
    broker_send(fd, P_CANT_DO, NULL, 0);
    CHECK(asked(fd, &frame, "C"));
    broker_answer(fd, "C", BYTES(OK_RET));
    while (broker_heard(fd, &frame))
        ;
    close(fd);
    return NULL;
}

static void run(struct nmid_client *client, const char *function, struct seen *seen)
{
    CHECK_EQ(nmid_client_do(client, function, NMID_MSGPACK, "\x80", 1, note, seen), 0);
}

static void callbacks_run_in_order_on_a_thread_and_the_rest_are_cancelled(void)
{
    pthread_t broker = broker_plays(answers_three, NULL);
    struct nmid_client *client = client_of_the_broker();
    struct seen seen;

    memset(&seen, 0, sizeof(seen));
    run(client, "A", &seen);
    run(client, "B", &seen);
    run(client, "C", &seen);
    CHECK_WITHIN(10000, __sync_fetch_and_add(&seen.count, 0) == 3);
    CHECK_EQ(seen.errors[0], 0);
    CHECK_EQ(seen.errors[1], ENOENT);
    CHECK_EQ(seen.errors[2], 0);
    CHECK(!pthread_equal(seen.thread, pthread_self()));
    run(client, "D", &seen);
    run(client, "E", &seen);
    CHECK_FAILS(nmid_client_do(client, "F", NMID_MSGPACK, "\x80", 1, NULL, NULL), EINVAL);
    nmid_client_free(client);
    CHECK_EQ(seen.count, 5);
    CHECK_EQ(seen.errors[3], ECANCELED);
    CHECK_EQ(seen.errors[4], ECANCELED);
    pthread_join(broker, NULL);
}

static void callbacks_run_in_the_programs_loop(void)
{
    pthread_t broker = broker_plays(answers_three, NULL);
    struct nmid_client *client = client_of_the_broker();
    struct seen seen;
    struct pollfd look;

    memset(&seen, 0, sizeof(seen));
    look.fd = nmid_client_fd(client);
    look.events = POLLIN;
    CHECK(look.fd >= 0);
    CHECK_EQ(nmid_client_fd(client), look.fd);
    CHECK_EQ(nmid_client_process(client), 0);
    run(client, "A", &seen);
    run(client, "B", &seen);
    run(client, "C", &seen);
    while (seen.count < 3) {
        CHECK_EQ(poll(&look, 1, 10000), 1);
        CHECK(nmid_client_process(client) >= 0);
        CHECK(pthread_equal(seen.thread, pthread_self()));
    }
    /* Who brought the last answer may be about to say so. */
    if (poll(&look, 1, 100) == 1)
        CHECK_EQ(nmid_client_process(client), 0);
    CHECK_EQ(poll(&look, 1, 0), 0);
    nmid_client_free(client);
    pthread_join(broker, NULL);
}

static void *answers_one(void *arg)
{
    struct frame frame;
    int fd = broker_accept(listener);

    (void)arg;
    CHECK(asked(fd, &frame, "A"));
    broker_answer(fd, "A", BYTES(OK_RET));
    CHECK(!broker_heard(fd, &frame));
    close(fd);
    return NULL;
}

static void a_callback_may_free_its_client(void)
{
    pthread_t broker = broker_plays(answers_one, NULL);
    struct seen seen;

    memset(&seen, 0, sizeof(seen));
    seen.client = client_of_the_broker();
    seen.frees = 1;
    run(seen.client, "A", &seen);
    CHECK_WITHIN(10000, __sync_fetch_and_add(&seen.count, 0) >= 1);
    CHECK_EQ(seen.errors[0], 0);
    pthread_join(broker, NULL);
}

int main(void)
{
    port = broker_listen(&listener);
    results_are_read();
    failures_have_numbers();
    callbacks_run_in_order_on_a_thread_and_the_rest_are_cancelled();
    callbacks_run_in_the_programs_loop();
    a_callback_may_free_its_client();
    return check_verdict();
}
