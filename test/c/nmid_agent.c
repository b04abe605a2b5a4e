/*
 * The circle through msf_agent: C workers, C clients, both encodings, many at a time, and what a caller is told when a
 * worker leaves, is killed, or is late.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <msf_event.h>
#include <nmid_worker.h>

#include "check.h"

#define LARGE (3 << 20)
#define CALLERS 6
#define CALLS 200

static u16 port;

static s32 echo(struct nmid_job *job, void *arg)
{
    const s8 *text = nmid_job_string(job, "text");

    (void)arg;
    if (text == NULL)
        return 1;
    return nmid_job_reply(job, 0, "ok", text, (u32)strlen(text));
}

static s32 late(struct nmid_job *job, void *arg)
{
    (void)arg;
    usleep(300000);
    return nmid_job_reply(job, 0, "ok", "late", 4);
}

static s32 deadly(struct nmid_job *job, void *arg)
{
    (void)job;
    (void)arg;
    kill(getpid(), SIGKILL);
    return 0;
}

static struct nmid_worker *worker_with(const char *name, const char *function, nmid_function run)
{
    struct nmid_worker *worker = nmid_worker_new(name);

    CHECK_EQ(nmid_worker_add_server(worker, NULL, port), 0);
    CHECK_EQ(nmid_worker_add_function(worker, function, run, NULL), 0);
    return worker;
}

/* The echo of a text, compared; -1 with errno when there is none. */
static s32 echoed(struct nmid_client *client, const char *text)
{
    struct nmid_params *params = nmid_params_new();
    struct nmid_ret *ret = NULL;
    u32 len;
    const void *data;
    s32 code;

    nmid_params_add_string(params, "text", text);
    data = nmid_params_data(params, &len);
    code = nmid_client_call(client, "Echo", NMID_MSGPACK, data, len, &ret);
    nmid_params_free(params);
    if (code != 0)
        return code;
    CHECK_EQ(ret->code, 0);
    CHECK_EQ(ret->data_len, strlen(text));
    CHECK(memcmp(ret->data, text, ret->data_len) == 0);
    nmid_ret_free(ret);
    return 0;
}

static void *calls(void *arg)
{
    struct nmid_client *client = nmid_client_new("127.0.0.1", port);
    char text[64];
    int i;

    for (i = 0; i < CALLS; i++) {
        snprintf(text, sizeof(text), "call %d of caller %d", i, *(int *)arg);
        CHECK_EQ(echoed(client, text), 0);
    }
    nmid_client_free(client);
    return NULL;
}

static void every_caller_gets_his_own_answers(void)
{
    struct nmid_worker *workers[3];
    pthread_t threads[CALLERS];
    int numbers[CALLERS], i;

    for (i = 0; i < 3; i++) {
        workers[i] = worker_with("echoer", "Echo", echo);
        CHECK_EQ(nmid_worker_start(workers[i]), 0);
        CHECK_EQ(nmid_worker_ready(workers[i], 20000), 1);
    }
    for (i = 0; i < CALLERS; i++) {
        numbers[i] = i;
        CHECK_EQ(pthread_create(&threads[i], NULL, calls, &numbers[i]), 0);
    }
    /* One of them leaves in the middle of it: nobody notices. */
    CHECK_EQ(nmid_worker_close(workers[0], 20000), 0);
    for (i = 0; i < CALLERS; i++)
        pthread_join(threads[i], NULL);
    for (i = 0; i < 3; i++)
        nmid_worker_free(workers[i]);
}

static void large_params_and_json_arrive(struct nmid_client *client)
{
    char *text = malloc(LARGE + 1);
    struct nmid_ret *ret = NULL;

    memset(text, 'x', LARGE);
    text[LARGE] = '\0';
    CHECK_EQ(echoed(client, text), 0);
    CHECK_EQ(nmid_client_call(client, "Echo", NMID_JSON, "{\"text\":4}", 10, &ret), 0);
    CHECK(strcmp((const char *)ret->data, "4") == 0);
    nmid_ret_free(ret);
    CHECK_EQ(nmid_client_call(client, "Echo", NMID_JSON, NULL, 0, &ret), 0);
    CHECK_EQ(ret->code, 1);
    nmid_ret_free(ret);
    free(text);
}

static void a_late_answer_is_nobodys(struct nmid_client *client)
{
    struct nmid_worker *worker = worker_with("sleeper", "Late", late);
    struct nmid_ret *ret = NULL;
    int round;

    CHECK_EQ(nmid_worker_start(worker), 0);
    CHECK_EQ(nmid_worker_ready(worker, 20000), 1);
    CHECK_EQ(nmid_client_timeout(client, 100), 0);
    CHECK_FAILS(nmid_client_call(client, "Late", NMID_MSGPACK, NULL, 0, &ret), ETIMEDOUT);
    CHECK_EQ(nmid_client_timeout(client, 20000), 0);
    for (round = 0; round < 50; round++) {
        CHECK_EQ(echoed(client, "mine"), 0);
        usleep(10000);
    }
    nmid_worker_free(worker);
}

/* A worker in a process of its own, which dies of its job. Made before this process has threads. */
static pid_t mortal(void)
{
    int ready[2];
    char byte;
    pid_t pid;

    CHECK_EQ(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        struct nmid_worker *worker = worker_with("mortal", "Deadly", deadly);

        nmid_worker_start(worker);
        if (nmid_worker_ready(worker, 20000) == 1)
            (void)!write(ready[1], "r", 1);
        for (;;)
            pause();
    }
    CHECK_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

/* The caller is told at once, not at the broker's deadline. */
static void a_death_is_an_error_at_once(struct nmid_client *client, pid_t pid)
{
    struct nmid_ret *ret = NULL;
    long long start = check_now();

    CHECK_FAILS(nmid_client_call(client, "Deadly", NMID_MSGPACK, NULL, 0, &ret), EIO);
    CHECK(check_now() - start < 5000);
    waitpid(pid, NULL, 0);
}

struct loop {
    struct msf_event_base *base;
    struct nmid_worker *worker;
    struct nmid_client *client;
    int answers;
    pthread_t thread;
};

static void works(void *arg)
{
    CHECK(nmid_worker_process(((struct loop *)arg)->worker) >= 0);
}

static void looks(void *arg)
{
    CHECK(nmid_client_process(((struct loop *)arg)->client) >= 0);
}

static void answered(s32 error, const struct nmid_ret *ret, void *arg)
{
    struct loop *loop = arg;

    CHECK_EQ(error, 0);
    CHECK(ret != NULL && strcmp((const char *)ret->data, "looped") == 0);
    CHECK(pthread_equal(pthread_self(), loop->thread));
    if (++loop->answers == 20)
        msf_event_base_loopexit(loop->base);
}

/* A worker and a client on one event base of libmsf, all callbacks on one thread. */
static void both_live_in_one_loop_of_libmsf(void)
{
    struct loop loop;
    struct msf_event *jobs, *answers;
    int i;

    memset(&loop, 0, sizeof(loop));
    loop.thread = pthread_self();
    loop.base = msf_event_base_new();
    loop.worker = worker_with("looper", "Loop", echo);
    loop.client = nmid_client_new(NULL, port);
    jobs = msf_event_new(nmid_worker_fd(loop.worker), works, NULL, NULL, &loop);
    answers = msf_event_new(nmid_client_fd(loop.client), looks, NULL, NULL, &loop);
    CHECK_EQ(msf_event_add(loop.base, jobs), 0);
    CHECK_EQ(msf_event_add(loop.base, answers), 0);
    CHECK_EQ(nmid_worker_ready(loop.worker, 20000), 1);
    for (i = 0; i < 20; i++)
        CHECK_EQ(nmid_client_do(loop.client, "Loop", NMID_JSON, "{\"text\":\"looped\"}", 17, answered, &loop), 0);
    CHECK_EQ(msf_event_base_dispatch(loop.base), 0);
    CHECK_EQ(loop.answers, 20);
    msf_event_free(jobs);
    msf_event_free(answers);
    nmid_worker_free(loop.worker);
    nmid_client_free(loop.client);
    msf_event_base_free(loop.base);
}

int main(void)
{
    struct nmid_worker *worker;
    struct nmid_client *client;
    pid_t pid;

    port = (u16)atoi(getenv("MSF_TEST_NMID_PORT"));
    pid = mortal();
    client = nmid_client_new(NULL, port);
    CHECK_FAILS(echoed(client, "nobody"), ENOENT);
    a_death_is_an_error_at_once(client, pid);
    every_caller_gets_his_own_answers();
    worker = worker_with("echoer", "Echo", echo);
    CHECK_EQ(nmid_worker_start(worker), 0);
    CHECK_EQ(nmid_worker_ready(worker, 20000), 1);
    large_params_and_json_arrive(client);
    a_late_answer_is_nobodys(client);
    CHECK_EQ(nmid_worker_close(worker, 20000), 0);
    CHECK_FAILS(echoed(client, "nobody"), ENOENT);
    nmid_worker_free(worker);
    nmid_client_free(client);
    both_live_in_one_loop_of_libmsf();
    return check_verdict();
}
