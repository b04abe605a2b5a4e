/*
 * nmid_toupper: an nmid worker. It offers the function ToUpper, which returns its param `name` in capitals, until
 * SIGTERM or SIGINT; then it finishes what it has begun and leaves.
 */
#include <ctype.h>
#include <pthread.h>
#include <signal.h>

#include <msf_log.h>
#include <nmid_worker.h>

#include "../broker.h"

#define NO_NAME 100
#define CLOSE_MS 5000
#define READY_MS 1000

static const char help[] =
    "usage: nmid_toupper [-n THREADS] [BROKER...]\n"
    "Offers the function ToUpper (params: name) to the nmid brokers given, or to the one of this machine, until SIGTERM or\n"
    "SIGINT. BROKER is HOST, HOST:PORT (default port 6808) or the path of a unix socket.\n";

static s32 to_upper(struct nmid_job *job, void *arg)
{
    const s8 *name = nmid_job_string(job, "name");
    size_t len, i;
    char *upper;
    s32 sent;

    (void)arg;
    if (name == NULL)
        return nmid_job_reply(job, NO_NAME, "ToUpper needs the param \"name\"", NULL, 0);
    len = strlen(name);
    upper = malloc(len + 1);
    if (upper == NULL)
        return nmid_job_reply(job, NO_NAME + 1, "no memory", NULL, 0);
    for (i = 0; i < len; i++)
        upper[i] = (char)toupper((unsigned char)name[i]);
    sent = nmid_job_reply(job, 0, "ok", upper, (u32)len);
    free(upper);
    return sent;
}

/* 0, or the exit status of a command line that is wrong. */
static int describe(struct nmid_worker *worker, int argc, char **argv)
{
    struct broker broker = { "127.0.0.1", NMID_PORT };
    int i = 1;

    if (argc > 2 && strcmp(argv[1], "-n") == 0) {
        if (nmid_worker_concurrency(worker, (u32)strtoul(argv[2], NULL, 10)) != 0) {
            fprintf(stderr, "nmid_toupper: \"%s\" is no number of threads\n%s", argv[2], help);
            return 2;
        }
        i = 3;
    }
    if (i == argc)
        nmid_worker_add_server(worker, broker.host, broker.port);
    for (; i < argc; i++) {
        if (*argv[i] == '-' || broker_of(argv[i], &broker) != 0) {
            fprintf(stderr, "nmid_toupper: \"%s\" is no broker\n%s", argv[i], help);
            return 2;
        }
        nmid_worker_add_server(worker, broker.host, broker.port);
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct nmid_worker *worker;
    sigset_t stop;
    int signo, status;

    if (argc == 2 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) {
        fputs(help, stdout);
        return 0;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    /* Blocked before the worker starts its threads, so that the signal waits for sigwait below. */
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);

    worker = nmid_worker_new("nmid_toupper");
    if (worker == NULL || nmid_worker_add_function(worker, "ToUpper", to_upper, NULL) != 0) {
        fprintf(stderr, "nmid_toupper: %s\n", strerror(errno));
        return 1;
    }
    status = describe(worker, argc, argv);
    if (status == 0 && nmid_worker_start(worker) != 0) {
        fprintf(stderr, "nmid_toupper: cannot start: %s\n", strerror(errno));
        status = 1;
    }
    if (status == 0) {
        /* A broker that comes later is served as well. */
        printf("nmid_toupper offers ToUpper to %d of its brokers.\n", nmid_worker_ready(worker, READY_MS));
        sigwait(&stop, &signo);
        if (nmid_worker_close(worker, CLOSE_MS) != 0)
            fprintf(stderr, "nmid_toupper: a job was not finished: %s\n", strerror(errno));
        printf("nmid_toupper ends on signal %d.\n", signo);
    }
    nmid_worker_free(worker);
    return status;
}
