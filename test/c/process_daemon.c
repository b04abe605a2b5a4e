/*
 * daemonize: the parent ends with 0 once the child is there, the child has a session and no terminal, and
 * what the parent had claimed and logged goes on in the child.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <msf_log.h>
#include <msf_process.h>

#include "must.h"

struct report {
    pid_t pid, session;
    s32 rc, detached, holds, logged;
};

static int become_daemon(int out, const char *log)
{
    struct report report;
    char here[64];
    memset(&report, 0, sizeof report);
    MUST(msf_process_claim("daemon", NULL) == 0 && msf_log_init(log) == 0);
    report.rc = daemonize(0, 0);
    report.pid = getpid();
    report.session = getsid(0);
    report.detached = getcwd(here, sizeof here) != NULL && strcmp(here, "/") == 0 && !isatty(0);
    report.holds = msf_process_holder("daemon") == getpid();
    report.logged = msf_log_write(DBG_INFO, "TEST", MSF_FUNC_FILE_LINE, "from the daemon") == 0;
    return write(out, &report, sizeof report) == (ssize_t)sizeof report ? 0 : 1;
}

/* The exit status of a process that goes into the background by `flags` although it has no stdin, stdout and stderr. */
static int without_files(u32 flags)
{
    int status = -1;
    pid_t starter = fork();

    MUST(starter >= 0);
    if (starter == 0) {
        for (int fd = 0; fd < 3; fd++)
            close(fd);
        if (msf_process_daemonize(flags) != 0)
            _exit(2);
        /* Nobody listens there: above all not the parent, who would take it for the word that we are ready. */
        if (flags & MSF_DAEMON_KEEP_FILES)
            _exit(write(1, "x", 1) == -1 && errno == EBADF && msf_process_ready() == 0 ? 0 : 3);
        _exit(msf_process_ready() == 0 ? 0 : 3);
    }
    MUST(waitpid(starter, &status, 0) == starter);
    return status;
}

int main(void)
{
    char folder[] = "/tmp/msf-test-daemon-XXXXXX", log[300], line[1024], expected[64];
    struct report report;
    int channel[2], status;
    FILE *file;
    pid_t starter;
    MUST(without_files(0) == 0 && without_files(MSF_DAEMON_KEEP_FILES) == 0);
    MUST(mkdtemp(folder) != NULL && setenv("MSF_RUN_DIR", folder, 1) == 0 && pipe(channel) == 0);
    snprintf(log, sizeof log, "%s/x.log", folder);
    starter = fork();
    MUST(starter >= 0);
    if (starter == 0) {
        close(channel[0]);
        exit(become_daemon(channel[1], log));
    }
    close(channel[1]);
    MUST(waitpid(starter, &status, 0) == starter && status == 0);
    MUST(read(channel[0], &report, sizeof report) == (ssize_t)sizeof report);
    MUST(report.rc == 0 && report.pid != starter && report.session != report.pid && report.session != getsid(0));
    MUST(report.detached && report.holds && report.logged);
    /* The other end of the pipe closes when the daemon has ended, its exit handlers included. */
    MUST(read(channel[0], line, 1) == 0);
    MUST(msf_process_holder("daemon") == -1 && errno == ESRCH);
    file = fopen(log, "r");
    MUST(file != NULL && fgets(line, sizeof line, file) != NULL);
    snprintf(expected, sizeof expected, "[pid:%d,tid:%d]\n", (int)report.pid, (int)report.pid);
    MUST(strstr(line, expected) != NULL);
    fclose(file);
    unlink(log);
    MUST(rmdir(folder) == 0);
    return 0;
}
