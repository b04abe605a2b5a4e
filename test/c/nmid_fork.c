/* no qemu: qemu-user aborts when the child of a process with threads starts a thread */
/* flags: -fno-sanitize=address */
/* (gcc 12's ASAN leaves its allocator locked in the child when another thread is in it while the process forks.) */
/*
 * After fork the parent's handles are of no use in the child, which is told so, may make its own, and does not keep the
 * parent's connections open.
 */
#include <signal.h>
#include <sys/wait.h>

#include "nmid_broker.h"

static int listener;
static u16 port;

static s32 silent(struct nmid_job *job, void *arg)
{
    (void)job;
    (void)arg;
    return 0;
}

static void note(s32 error, const struct nmid_ret *ret, void *arg)
{
    (void)error;
    (void)ret;
    (void)arg;
}

static int in_the_child(struct nmid_client *client, struct nmid_worker *worker, struct nmid_params *params)
{
    struct nmid_ret *ret = NULL;
    struct nmid_client *own;
    struct frame frame;
    int fd;
    u32 len;

    check_failures = 0;
    CHECK_FAILS(nmid_client_call(client, "F", NMID_MSGPACK, NULL, 0, &ret), ECHILD);
    CHECK_FAILS(nmid_client_do(client, "F", NMID_MSGPACK, NULL, 0, note, NULL), ECHILD);
    CHECK_FAILS(nmid_client_fd(client), ECHILD);
    CHECK_FAILS(nmid_worker_close(worker, 1000), ECHILD);
    CHECK_FAILS(nmid_worker_ready(worker, 1000), ECHILD);
    CHECK(nmid_params_data(params, &len) == NULL && errno == ECHILD);
    nmid_client_free(client);
    nmid_worker_free(worker);
    nmid_params_free(params);
    own = nmid_client_new(NULL, port);
    CHECK_EQ(nmid_client_timeout(own, 50), 0);
    CHECK_FAILS(nmid_client_call(own, "F", NMID_MSGPACK, NULL, 0, &ret), ETIMEDOUT);
    nmid_client_free(own);
    fd = broker_accept(listener);
    CHECK(broker_heard(fd, &frame));
    CHECK_EQ(frame.kind, P_DO_JOB);
    return check_verdict();
}

/* A process with a worker and a client that is connected; then a child of it that outlives it. */
static void mortal(void)
{
    struct nmid_worker *worker = nmid_worker_new("mortal");
    struct nmid_client *client = nmid_client_new(NULL, port);
    struct nmid_ret *ret;

    nmid_client_timeout(client, 300);
    nmid_worker_add_server(worker, NULL, port);
    nmid_worker_add_function(worker, "F", silent, NULL);
    nmid_worker_start(worker);
    nmid_worker_ready(worker, 20000);
    if (nmid_client_do(client, "F", NMID_MSGPACK, NULL, 0, note, NULL) != 0)
        _exit(3);
    nmid_client_call(client, "F", NMID_MSGPACK, NULL, 0, &ret);
    if (fork() == 0) {
        close(listener);
        close(STDOUT_FILENO);
        close(STDERR_FILENO);
        sleep(5);
        _exit(0);
    }
    kill(getpid(), SIGKILL);
}

static void a_child_does_not_keep_the_connections(void)
{
    pid_t pid = fork();
    struct frame frame;
    long long start;
    int fd;

    if (pid == 0)
        mortal();
    fd = broker_accept(listener);
    CHECK(broker_heard(fd, &frame));
    CHECK_EQ(frame.kind, P_SET_NAME);
    CHECK(broker_heard(fd, &frame));
    broker_send(fd, P_OK, NULL, 0);
    broker_send(fd, P_OK, NULL, 0);
    waitpid(pid, NULL, 0);
    start = check_now();
    while (broker_heard(fd, &frame))
        ;
    CHECK(check_now() - start < 3000);
    close(fd);
}

int main(void)
{
    struct nmid_client *client;
    struct nmid_worker *worker;
    struct nmid_params *params;
    struct frame frame;
    int fd, round, status;

    port = broker_listen(&listener);
    a_child_does_not_keep_the_connections();
    /* The two calls that the mortal one made are of no interest here. */
    close(listener);
    port = broker_listen(&listener);
    client = nmid_client_new(NULL, port);
    worker = nmid_worker_new("parent");
    params = nmid_params_new();
    CHECK_EQ(nmid_worker_add_server(worker, NULL, port), 0);
    CHECK_EQ(nmid_worker_add_function(worker, "F", silent, NULL), 0);
    CHECK_EQ(nmid_worker_start(worker), 0);
    fd = broker_accept(listener);
    CHECK(broker_heard(fd, &frame));
    for (round = 0; round < 3; round++) {
        pid_t child = fork();

        if (child == 0)
            _exit(in_the_child(client, worker, params));
        status = -1;
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK_EQ(status, 0);
    }
    /* The parent's worker is none the worse. */
    broker_job(fd, "F", NMID_MSGPACK, "\x80", 1, "id");
    do
        CHECK(broker_heard(fd, &frame));
    while (frame.kind != P_W_RETURN && check_failures == 0);
    nmid_worker_free(worker);
    nmid_client_free(client);
    nmid_params_free(params);
    return check_verdict();
}
