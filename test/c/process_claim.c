/*
 * One live process per name; the places; the title in /proc.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <msf_process.h>
#include <msf_thread.h>

#include "must.h"

static char folder[] = "/tmp/msf-test-claim-XXXXXX";

static void places(void)
{
    char path[256], shared[300];
    errno = 4711;
    MUST(msf_run_dir(path, sizeof path) == 0 && strcmp(path, folder) == 0 && errno == 4711);
    MUST(msf_run_dir(path, strlen(folder)) == -1 && errno == ERANGE);
    MUST(msf_run_dir(path, strlen(folder) + 1) == 0);
    MUST(msf_run_dir(NULL, 10) == -1 && errno == EINVAL);
    setenv("MSF_LOG_DIR", folder, 1);
    MUST(msf_log_dir(path, sizeof path) == 0 && strcmp(path, folder) == 0);
    snprintf(shared, sizeof shared, "%s/shared", folder);
    MUST(mkdir(shared, 0700) == 0 && chmod(shared, 0777) == 0 && setenv("MSF_RUN_DIR", shared, 1) == 0);
    errno = 0;
    MUST(msf_run_dir(path, sizeof path) == -1 && errno == EPERM);
    MUST(rmdir(shared) == 0 && setenv("MSF_RUN_DIR", folder, 1) == 0);
}

static void names(void)
{
    pid_t holder = 4711, child;
    int status;
    errno = 0;
    MUST(msf_process_holder("test") == -1 && errno == ESRCH);
    MUST(msf_process_claim("../test", NULL) == -1 && errno == EINVAL);
    MUST(msf_process_claim(NULL, NULL) == -1 && errno == EINVAL);
    MUST(msf_process_claim("test", &holder) == 0 && holder == 4711);
    MUST(msf_process_claim("test", &holder) == 0); /* ours already */
    MUST(msf_process_holder("test") == getpid());
    child = fork();
    MUST(child >= 0);
    if (child == 0) {
        /* The fork is another process, and ending must not take the parent's claim away. */
        int refused = msf_process_claim("test", &holder) == -1 && errno == EALREADY && holder == getppid();
        int kept = msf_process_release("test") == -1 && errno == ENOENT;
        exit(refused && kept ? 0 : 1);
    }
    MUST(waitpid(child, &status, 0) == child && status == 0);
    MUST(msf_process_holder("test") == getpid());
    MUST(msf_process_release("test") == 0);
    MUST(msf_process_release("test") == -1 && errno == ENOENT);
    MUST(msf_process_holder("test") == -1 && errno == ESRCH);
}

static void a_holder_that_is_killed_holds_no_more(void)
{
    int ready[2];
    char byte;
    pid_t child;
    MUST(pipe(ready) == 0);
    child = fork();
    MUST(child >= 0);
    if (child == 0) {
        byte = msf_process_claim("killed", NULL) == 0 ? '+' : '-';
        if (write(ready[1], &byte, 1) == 1) {
            pause();
        }
        _exit(1);
    }
    MUST(read(ready[0], &byte, 1) == 1 && byte == '+');
    MUST(msf_process_holder("killed") == child);
    kill(child, SIGKILL);
    MUST(waitpid(child, NULL, 0) == child);
    MUST(msf_process_holder("killed") == -1);
    MUST(msf_process_claim("killed", NULL) == 0); /* removed at exit */
    close(ready[0]);
    close(ready[1]);
}

static void title(void)
{
    char shown[4096], comm[64], after[64];
    FILE *file = fopen("/proc/self/comm", "r");
    size_t length;
    MUST(file != NULL && fgets(comm, sizeof comm, file) != NULL);
    fclose(file);
    if (msf_process_title("msf_test: a title that is longer than the arguments of this program") != 0) {
        fprintf(stderr, "no title under this kernel or emulator (errno %d)\n", errno);
        return;
    }
    MUST(getenv("MSF_RUN_DIR") != NULL && strcmp(getenv("MSF_RUN_DIR"), folder) == 0);
    MUST(msf_process_title("msf_test: short") == 0);
    file = fopen("/proc/self/cmdline", "r");
    MUST(file != NULL);
    length = fread(shown, 1, sizeof shown, file);
    fclose(file);
    MUST(length >= 16 && memcmp(shown, "msf_test: short", 16) == 0);
    while (length > 16) {
        MUST(shown[--length] == '\0');
    }
    file = fopen("/proc/self/comm", "r");
    MUST(file != NULL && fgets(after, sizeof after, file) != NULL && strcmp(comm, after) == 0);
    fclose(file);
    MUST(msf_process_title(NULL) == -1 && errno == EINVAL);
}

/* Runs `part` in a process of its own, so that its claims end with it. */
static void apart(void (*part)(void))
{
    int status;
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        part();
        exit(0);
    }
    MUST(waitpid(child, &status, 0) == child && status == 0);
}

int main(void)
{
    MUST(mkdtemp(folder) != NULL && setenv("MSF_RUN_DIR", folder, 1) == 0);
    places();
    names();
    apart(a_holder_that_is_killed_holds_no_more);
    apart(title);
    MUST(rmdir(folder) == 0); /* nothing was left behind */
    return 0;
}
