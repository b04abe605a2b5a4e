/*
 * Threads: joinable, SIGPIPE blocked in the new one only, and free to leave by pthread_exit or cancellation.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <msf_log.h>
#include <msf_thread.h>

#include "must.h"

static int sigpipe_is_blocked(void)
{
    sigset_t mask;
    sigemptyset(&mask);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    return sigismember(&mask, SIGPIPE);
}

static void *writes_to_nobody(void *arg)
{
    int ends[2];
    if (!sigpipe_is_blocked() || pipe(ends) != 0) {
        return NULL;
    }
    close(ends[0]);
    return write(ends[1], "x", 1) == -1 && errno == EPIPE ? arg : NULL;
}

static void *leaves_early(void *arg)
{
    pthread_exit(arg);
}

static void *logs_for_ever(void *arg)
{
    while (arg == NULL) {
        msf_log_write(DBG_INFO, "TEST", MSF_FUNC_FILE_LINE, "until it is cancelled");
        pthread_testcancel();
    }
    return arg;
}

int main(void)
{
    char folder[] = "/tmp/msf-test-thread-XXXXXX", log[300];
    pthread_t thread;
    void *result = NULL;
    int mark = 0, i;
    errno = 0;
    MUST(msf_pthread_spawn(NULL, leaves_early, NULL) == -1 && errno == EINVAL);
    errno = 0;
    MUST(msf_pthread_spawn(&thread, NULL, NULL) == -1 && errno == EINVAL);
    MUST(pthread_spawn(&thread, writes_to_nobody, &mark) == 0);
    MUST(pthread_join(thread, &result) == 0 && result == &mark);
    MUST(!sigpipe_is_blocked());
    MUST(msf_pthread_spawn(&thread, leaves_early, &mark) == 0);
    MUST(pthread_join(thread, &result) == 0 && result == &mark);

    MUST(mkdtemp(folder) != NULL);
    snprintf(log, sizeof log, "%s/x.log", folder);
    MUST(msf_log_init(log) == 0);
    /* One file, however fast these threads are. */
    MUST(msf_log_limit((u64)1 << 30, 1) == 0);
    for (i = 0; i < 20; i++) {
        MUST(msf_pthread_spawn(&thread, logs_for_ever, NULL) == 0);
        usleep(1000);
        MUST(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
        MUST(msf_log_write(DBG_INFO, "TEST", MSF_FUNC_FILE_LINE, "the log is not stuck") == 0);
    }
    msf_log_free();
    unlink(log);
    MUST(rmdir(folder) == 0);
    return 0;
}
