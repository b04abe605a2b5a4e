/*
 * Pid files: ours, those of the living and those of the dead.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <msf_file.h>
#include <msf_log.h>

#include "check.h"

static void write_text(const char *path, const char *text)
{
    CHECK_EQ(msf_file_replace(path, text, strlen(text), 0644), 0);
}

int main(void)
{
    char folder[] = "/tmp/msf-test-pid-XXXXXX", path[300], beside[300], text[32], log[300];
    pid_t gone;
    FILE *file;
    int writer;

    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof(path), "%s/x.pid", folder);
    snprintf(beside, sizeof(beside), "%s/no/x.pid", folder);
    snprintf(log, sizeof(log), "%s/x.log", folder);
    CHECK_FAILS(msf_read_pidfile(path), ENOENT);
    CHECK_EQ(msf_check_runningpid(path), 0);
    errno = 4711;
    CHECK_EQ(msf_create_pidfile(path), 0);
    CHECK_EQ(errno, 4711);
    CHECK(msf_read_pidfile(path) == getpid() && msf_check_runningpid(path) == 1);
    CHECK_EQ(msf_create_pidfile(path), 0); /* ours already */
    file = fopen(path, "r");
    CHECK(file != NULL && fgets(text, sizeof(text), file) != NULL && atoi(text) == getpid() && strchr(text, '\n') != NULL);
    fclose(file);
    /* A living one is respected, */
    snprintf(text, sizeof(text), "%d\n", (int)getppid());
    write_text(path, text);
    CHECK_FAILS(msf_create_pidfile(path), EEXIST);
    msf_delete_pidfile(path);
    CHECK(msf_read_pidfile(path) == getppid());
    msf_write_pidfile(path); /* unless he shall not be */
    CHECK(msf_read_pidfile(path) == getpid());
    /* a dead one is not. */
    gone = fork();
    if (gone == 0)
        _exit(0);
    CHECK(waitpid(gone, NULL, 0) == gone);
    snprintf(text, sizeof(text), "%d\n", (int)gone);
    write_text(path, text);
    CHECK_EQ(msf_check_runningpid(path), 0);
    CHECK_EQ(msf_create_pidfile(path), 0);
    CHECK(msf_read_pidfile(path) == getpid());
    write_text(path, "no number\n");
    CHECK(msf_read_pidfile(path) == 0 && msf_check_runningpid(path) == 0);
    write_text(path, "-1\n"); /* which kill would take for everybody */
    CHECK(msf_read_pidfile(path) == 0 && msf_check_runningpid(path) == 0);
    msf_delete_pidfile(path);
    CHECK_FAILS(msf_read_pidfile(path), ENOENT);
    /* A pipe has no number, whether anybody writes into it or not. */
    CHECK_EQ(mkfifo(path, 0600), 0);
    CHECK_FAILS(msf_read_pidfile(path), EINVAL);
    CHECK((writer = open(path, O_RDWR)) >= 0);
    CHECK_FAILS(msf_read_pidfile(path), EINVAL);
    CHECK_FAILS(msf_check_runningpid(path), EINVAL);
    CHECK_FAILS(msf_create_pidfile(path), EINVAL);
    close(writer);
    CHECK_EQ(unlink(path), 0);
    CHECK_FAILS(msf_read_pidfile(folder), EISDIR);
    CHECK_FAILS(msf_create_pidfile(folder), EISDIR);
    CHECK_FAILS(msf_check_runningpid(folder), EISDIR);
    CHECK_FAILS(msf_create_pidfile(beside), ENOENT);
    CHECK_FAILS(msf_create_pidfile(NULL), EINVAL);
    CHECK_FAILS(msf_read_pidfile(NULL), EINVAL);
    CHECK_FAILS(msf_check_runningpid(NULL), EINVAL);
    msf_delete_pidfile(NULL);
    msf_write_pidfile(NULL);
    /* What cannot be written is in the log. */
    CHECK_EQ(msf_log_init(log), 0);
    msf_write_pidfile(beside);
    msf_log_free();
    file = fopen(log, "r");
    CHECK(file != NULL && fgets(path, sizeof(path), file) != NULL && strstr(path, "cannot write the pid file") != NULL);
    fclose(file);
    CHECK(unlink(log) == 0 && rmdir(folder) == 0);
    return check_verdict();
}
