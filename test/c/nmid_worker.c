/*
 * A worker of nmid against a broker that plays every part: registration, jobs, each way to answer and not to, many at a
 * time, loss and return, leaving, and the program's own loop.
 */
#include "nmid_broker.h"

#define BYTES(text) (text), (sizeof(text) - 1)
#define FOREVER_MS 20000

static int listener;
static u16 port;
static volatile int gate; /* Wait's functions end when it is open */
static volatile int waiting, at_once;

static s32 to_upper(struct nmid_job *job, void *arg)
{
    const s8 *name = nmid_job_string(job, "name");
    char upper[64] = "";
    size_t i;

    CHECK(arg == &listener);
    CHECK(strcmp(nmid_job_function(job), "ToUpper") == 0);
    if (name == NULL) {
        CHECK_EQ(errno, ENOENT);
        return nmid_job_reply(job, 3, "no name", NULL, 0);
    }
    for (i = 0; i + 1 < sizeof(upper) && name[i] != '\0'; i++)
        upper[i] = (char)(name[i] >= 'a' && name[i] <= 'z' ? name[i] - 32 : name[i]);
    CHECK_EQ(nmid_job_reply(job, 0, "ok", upper, (u32)i), 0);
    CHECK_FAILS(nmid_job_reply(job, 0, "ok", upper, (u32)i), EALREADY);
    return 0;
}

static s32 params(struct nmid_job *job, void *arg)
{
    u32 len = 0;
    const void *data = nmid_job_params(job, &len);

    (void)arg;
    CHECK_EQ(nmid_job_params_type(job), NMID_JSON);
    CHECK(strcmp(nmid_job_string(job, "n"), "4") == 0);
    CHECK(strcmp(nmid_job_string(job, "s"), "x") == 0);
    CHECK(nmid_job_string(job, "deep") == NULL && errno == ENOENT);
    CHECK(nmid_job_string(job, "nul") == NULL && errno == EILSEQ);
    CHECK_FAILS(nmid_job_reply(job, 0, NULL, NULL, 1), EINVAL);
    return nmid_job_reply(job, 0, NULL, data, len);
}

static s32 silent(struct nmid_job *job, void *arg)
{
    (void)job;
    (void)arg;
    return 0;
}

static s32 fails(struct nmid_job *job, void *arg)
{
    (void)arg;
    CHECK_EQ(nmid_job_reply(job, 0, "ok", "never mind", 10), 0);
    return -5;
}

static s32 waits(struct nmid_job *job, void *arg)
{
    (void)arg;
    __sync_fetch_and_add(&waiting, 1);
    if (waiting > at_once)
        at_once = waiting;
    while (!gate)
        check_pause();
    __sync_fetch_and_sub(&waiting, 1);
    return nmid_job_reply(job, 0, "ok", nmid_job_string(job, "name"), 1);
}

static s32 closes(struct nmid_job *job, void *arg)
{
    struct nmid_worker *worker = *(struct nmid_worker **)arg;

    CHECK_FAILS(nmid_worker_close(worker, 1000), EDEADLK);
    CHECK_FAILS(nmid_worker_process(worker), EDEADLK);
    return nmid_job_reply(job, 0, "ok", NULL, 0);
}

static struct nmid_worker *worker_with(const char *function, nmid_function run, void *arg)
{
    struct nmid_worker *worker = nmid_worker_new("tester");

    CHECK(worker != NULL);
    CHECK_EQ(nmid_worker_add_server(worker, "127.0.0.1", port), 0);
    CHECK_EQ(nmid_worker_add_function(worker, function, run, arg), 0);
    return worker;
}

/* A worker's connection, its registration read and confirmed. */
static int registered(const char *function)
{
    struct frame frame;
    int fd = broker_accept(listener);

    CHECK(broker_heard(fd, &frame));
    CHECK_EQ(frame.kind, P_SET_NAME);
    CHECK(strcmp((char *)frame.body, "tester") == 0);
    broker_send(fd, P_OK, NULL, 0);
    CHECK(broker_heard(fd, &frame));
    CHECK_EQ(frame.kind, P_ADD_FUNC);
    CHECK(strcmp((char *)frame.body, function) == 0);
    broker_send(fd, P_OK, NULL, 0);
    return fd;
}

/* The worker's next result: an id that was not expected, or another code, is said. */
static void result(int fd, const char *id, s64 code, const char *data)
{
    struct frame frame;
    struct parts parts;
    const u8 *ret;
    u32 len = (u32)strlen(data), i;
    u64 found = 0;

    CHECK(broker_heard(fd, &frame));
    CHECK_EQ(frame.kind, P_W_RETURN);
    parts = broker_parts(frame.body, frame.len);
    CHECK_EQ(parts.count, 4);
    CHECK(broker_is(&parts, 3, id, (u32)strlen(id)));
    /* Map of three, "Code", nine bytes; at the end "Data" in bytes of one length byte. */
    ret = parts.at[2];
    CHECK(parts.len[2] > 15 + len && memcmp(ret, "\x83\xa4" "Code\xd3", 7) == 0);
    for (i = 7; i < 15; i++)
        found = found << 8 | ret[i];
    CHECK_EQ((s64)found, code);
    CHECK(memcmp(ret + parts.len[2] - len, data, len) == 0);
    CHECK_EQ(ret[parts.len[2] - len - 1], len);
}

static void jobs_are_answered(void)
{
    struct nmid_worker *worker = worker_with("ToUpper", to_upper, &listener);
    int fd;

    CHECK_FAILS(nmid_worker_ready(worker, 0), ENOTCONN);
    CHECK_EQ(nmid_worker_start(worker), 0);
    CHECK_FAILS(nmid_worker_start(worker), EALREADY);
    CHECK_FAILS(nmid_worker_add_function(worker, "More", silent, NULL), EALREADY);
    CHECK_FAILS(nmid_worker_concurrency(worker, 2), EALREADY);
    CHECK_FAILS(nmid_worker_process(worker), EBADF);
    fd = registered("ToUpper");
    CHECK_EQ(nmid_worker_ready(worker, FOREVER_MS), 1);
    broker_job(fd, "ToUpper", NMID_MSGPACK, BYTES("\x81\xa4name\xa4nmid"), "id1");
    result(fd, "id1", 0, "NMID");
    broker_job(fd, "ToUpper", NMID_JSON, BYTES("{\"name\":\"json\"}"), "id2");
    result(fd, "id2", 0, "JSON");
    /* A float, as nmid's gateway sends every number. */
    broker_job(fd, "ToUpper", NMID_MSGPACK, BYTES("\x81\xa4name\xcb\x40\x10\0\0\0\0\0\0"), "id6");
    result(fd, "id6", 0, "4");
    broker_job(fd, "ToUpper", NMID_MSGPACK, BYTES("\x81\xa4name\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a"), "id7");
    result(fd, "id7", 0, "0.1");
    broker_job(fd, "ToUpper", NMID_MSGPACK, BYTES("\x80"), "id3");
    result(fd, "id3", 3, "");
    broker_job(fd, "Nobody", NMID_MSGPACK, BYTES("\x80"), "id4");
    result(fd, "id4", 404, "");
    /* A job that is none is passed over. */
    broker_send(fd, P_GET_DATA, BYTES("\xff\xff\xff\xff garbage"));
    broker_job(fd, "ToUpper", NMID_MSGPACK, BYTES("\x81\xa4name\xa1y"), "id5");
    result(fd, "id5", 0, "Y");
    nmid_worker_free(worker);
    close(fd);
}

static void one_job(const char *name, nmid_function run, void *arg, s64 code, const char *data)
{
    static const char json[] = "{\"n\":4,\"s\":\"x\",\"deep\":{\"s\":1},\"nul\":\"a\\u0000b\"}";
    struct nmid_worker *worker = worker_with(name, run, arg);
    int fd;

    if (arg != NULL)
        *(struct nmid_worker **)arg = worker;
    CHECK_EQ(nmid_worker_start(worker), 0);
    fd = registered(name);
    broker_job(fd, name, NMID_JSON, json, sizeof(json) - 1, "one");
    result(fd, "one", code, data);
    nmid_worker_free(worker);
    close(fd);
}

static void every_way_to_answer(void)
{
    struct nmid_worker *self;

    one_job("Params", params, NULL, 0, "{\"n\":4,\"s\":\"x\",\"deep\":{\"s\":1},\"nul\":\"a\\u0000b\"}");
    one_job("Silent", silent, NULL, 500, "");
    one_job("Fails", fails, NULL, -5, "");
    one_job("Closes", closes, &self, 0, "");
}

static void many_run_at_once_each_under_its_own_id(void)
{
    struct nmid_worker *worker = worker_with("Wait", waits, NULL);
    u32 seen = 0;
    int fd, i;

    gate = at_once = 0;
    CHECK_FAILS(nmid_worker_concurrency(worker, 0), EINVAL);
    CHECK_EQ(nmid_worker_concurrency(worker, 8), 0);
    CHECK_EQ(nmid_worker_start(worker), 0);
    fd = registered("Wait");
    for (i = 0; i < 16; i++) {
        char id[2] = { (char)('a' + i), 0 }, map[] = "\x81\xa4name\xa1?";

        map[7] = id[0];
        broker_job(fd, "Wait", NMID_MSGPACK, map, 8, id);
    }
    CHECK_WITHIN(10000, waiting == 8);
    gate = 1;
    for (i = 0; i < 16; i++) {
        struct frame frame;
        struct parts parts;

        CHECK(broker_heard(fd, &frame));
        parts = broker_parts(frame.body, frame.len);
        /* Params, Data and id name the same letter. */
        CHECK_EQ(parts.at[3][0], parts.at[1][7]);
        CHECK_EQ(parts.at[3][0], parts.at[2][parts.len[2] - 1]);
        seen |= 1u << (parts.at[3][0] - 'a');
    }
    CHECK_EQ(seen, 0xffff);
    CHECK_EQ(at_once, 8);
    nmid_worker_free(worker);
    close(fd);
}

static void it_comes_back_after_a_loss(void)
{
    struct nmid_worker *worker = worker_with("ToUpper", to_upper, &listener);
    int fd;

    CHECK_EQ(nmid_worker_start(worker), 0);
    close(registered("ToUpper"));
    fd = registered("ToUpper");
    broker_job(fd, "ToUpper", NMID_MSGPACK, BYTES("\x81\xa4name\xa1x"), "1");
    result(fd, "1", 0, "X");
    nmid_worker_free(worker);
    close(fd);
}

static void *closing(void *worker)
{
    CHECK_EQ(nmid_worker_close(worker, FOREVER_MS), 0);
    return NULL;
}

static void *running(void *worker)
{
    CHECK_EQ(nmid_worker_run(worker), 0);
    return NULL;
}

/* The functions are taken back and a PING follows; then what had come is finished. */
static void leaving(int fd, const char *function)
{
    struct frame frame;

    CHECK(broker_heard(fd, &frame));
    CHECK_EQ(frame.kind, P_DEL_FUNC);
    CHECK(strcmp((char *)frame.body, function) == 0);
    CHECK(broker_heard(fd, &frame));
    CHECK_EQ(frame.kind, P_PING);
}

static void leaving_loses_no_job(void)
{
    struct nmid_worker *worker = worker_with("Wait", waits, NULL);
    pthread_t runner = broker_plays(running, worker), closer;
    struct frame frame;
    int fd = registered("Wait");

    gate = 0;
    broker_job(fd, "Wait", NMID_MSGPACK, BYTES("\x81\xa4name\xa1" "1"), "1");
    CHECK_WITHIN(10000, waiting == 1);
    closer = broker_plays(closing, worker);
    leaving(fd, "Wait");
    broker_job(fd, "Wait", NMID_MSGPACK, BYTES("\x81\xa4name\xa1" "2"), "2");
    broker_send(fd, P_PONG, NULL, 0);
    gate = 1;
    result(fd, "1", 0, "1");
    result(fd, "2", 0, "2");
    CHECK(!broker_heard(fd, &frame));
    pthread_join(closer, NULL);
    pthread_join(runner, NULL);
    CHECK_FAILS(nmid_worker_close(worker, 1000), ENOTCONN);
    CHECK_FAILS(nmid_worker_start(worker), EALREADY);
    nmid_worker_free(worker);
    close(fd);
}

static void a_function_that_does_not_end_does_not_keep_close(void)
{
    struct nmid_worker *worker = worker_with("Wait", waits, NULL);
    int fd;

    gate = 0;
    CHECK_EQ(nmid_worker_start(worker), 0);
    fd = registered("Wait");
    broker_job(fd, "Wait", NMID_MSGPACK, BYTES("\x81\xa4name\xa1" "1"), "1");
    CHECK_WITHIN(10000, waiting == 1);
    CHECK_FAILS(nmid_worker_close(worker, 100), ETIMEDOUT);
    nmid_worker_free(worker);
    gate = 1;
    CHECK_WITHIN(10000, waiting == 0);
    close(fd);
}

static void its_functions_run_in_the_programs_loop(void)
{
    struct nmid_worker *worker = worker_with("ToUpper", to_upper, &listener);
    struct pollfd look = { nmid_worker_fd(worker), POLLIN, 0 };
    pthread_t closer;
    struct frame frame;
    int fd;

    CHECK(look.fd >= 0);
    CHECK_EQ(nmid_worker_fd(worker), look.fd);
    fd = registered("ToUpper");
    CHECK_EQ(nmid_worker_process(worker), 0);
    broker_job(fd, "ToUpper", NMID_MSGPACK, BYTES("\x81\xa4name\xa1x"), "1");
    CHECK_EQ(poll(&look, 1, 10000), 1);
    CHECK_EQ(nmid_worker_process(worker), 1);
    result(fd, "1", 0, "X");
    CHECK_EQ(poll(&look, 1, 0), 0);
    broker_job(fd, "ToUpper", NMID_MSGPACK, BYTES("\x81\xa4name\xa1y"), "2");
    CHECK_EQ(poll(&look, 1, 10000), 1);
    closer = broker_plays(closing, worker); /* which runs what waits */
    leaving(fd, "ToUpper");
    broker_send(fd, P_PONG, NULL, 0);
    result(fd, "2", 0, "Y");
    CHECK(!broker_heard(fd, &frame));
    pthread_join(closer, NULL);
    nmid_worker_free(worker);
    close(fd);
}

static void nonsense_is_refused(void)
{
    struct nmid_worker *worker;

    errno = 0;
    CHECK(nmid_worker_new("") == NULL && errno == EINVAL);
    CHECK(nmid_worker_new(NULL) == NULL && errno == EINVAL);
    worker = nmid_worker_new("tester");
    CHECK_FAILS(nmid_worker_start(worker), EDESTADDRREQ);
    CHECK_FAILS(nmid_worker_add_server(worker, "", 0), EINVAL);
    CHECK_FAILS(nmid_worker_add_function(worker, "F", NULL, NULL), EINVAL);
    CHECK_FAILS(nmid_worker_add_function(worker, "", silent, NULL), EINVAL);
    CHECK_FAILS(nmid_worker_start(NULL), EINVAL);
    CHECK_FAILS(nmid_job_reply(NULL, 0, NULL, NULL, 0), EINVAL);
    nmid_worker_free(worker);
    nmid_worker_free(NULL);
}

int main(void)
{
    port = broker_listen(&listener);
    jobs_are_answered();
    every_way_to_answer();
    many_run_at_once_each_under_its_own_id();
    it_comes_back_after_a_loss();
    leaving_loses_no_job();
    a_function_that_does_not_end_does_not_keep_close();
    its_functions_run_in_the_programs_loop();
    nonsense_is_refused();
    return check_verdict();
}
