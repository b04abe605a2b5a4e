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

#define CHECK(condition)                                                                   \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno); \
            exit(1);                                                                       \
        }                                                                                  \
    } while (0)

static char folder[] = "/tmp/msf-test-claim-XXXXXX";

static void places(void)
{
    char path[256], shared[300];
    errno = 4711;
    CHECK(msf_run_dir(path, sizeof path) == 0 && strcmp(path, folder) == 0 && errno == 4711);
    CHECK(msf_run_dir(path, strlen(folder)) == -1 && errno == ERANGE);
    CHECK(msf_run_dir(path, strlen(folder) + 1) == 0);
    CHECK(msf_run_dir(NULL, 10) == -1 && errno == EINVAL);
    setenv("MSF_LOG_DIR", folder, 1);
    CHECK(msf_log_dir(path, sizeof path) == 0 && strcmp(path, folder) == 0);
    snprintf(shared, sizeof shared, "%s/shared", folder);
    CHECK(mkdir(shared, 0700) == 0 && chmod(shared, 0777) == 0 && setenv("MSF_RUN_DIR", shared, 1) == 0);
    errno = 0;
    CHECK(msf_run_dir(path, sizeof path) == -1 && errno == EPERM);
    CHECK(rmdir(shared) == 0 && setenv("MSF_RUN_DIR", folder, 1) == 0);
}

static void names(void)
{
    pid_t holder = 4711, child;
    int status;
    errno = 0;
    CHECK(msf_process_holder("test") == -1 && errno == ESRCH);
    CHECK(msf_process_claim("../test", NULL) == -1 && errno == EINVAL);
    CHECK(msf_process_claim(NULL, NULL) == -1 && errno == EINVAL);
    CHECK(msf_process_claim("test", &holder) == 0 && holder == 4711);
    CHECK(msf_process_claim("test", &holder) == 0); /* ours already */
    CHECK(msf_process_holder("test") == getpid());
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        /* The fork is another process, and ending must not take the parent's claim away. */
        int refused = msf_process_claim("test", &holder) == -1 && errno == EALREADY && holder == getppid();
        int kept = msf_process_release("test") == -1 && errno == ENOENT;
        exit(refused && kept ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(msf_process_holder("test") == getpid());
    CHECK(msf_process_release("test") == 0);
    CHECK(msf_process_release("test") == -1 && errno == ENOENT);
    CHECK(msf_process_holder("test") == -1 && errno == ESRCH);
}

static void a_holder_that_is_killed_holds_no_more(void)
{
    int ready[2];
    char byte;
    pid_t child;
    CHECK(pipe(ready) == 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        byte = msf_process_claim("killed", NULL) == 0 ? '+' : '-';
        if (write(ready[1], &byte, 1) == 1) {
            pause();
        }
        _exit(1);
    }
    CHECK(read(ready[0], &byte, 1) == 1 && byte == '+');
    CHECK(msf_process_holder("killed") == child);
    kill(child, SIGKILL);
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK(msf_process_holder("killed") == -1);
    CHECK(msf_process_claim("killed", NULL) == 0); /* removed at exit */
    close(ready[0]);
    close(ready[1]);
}

static void title(void)
{
    char shown[4096], comm[64], after[64];
    FILE *file = fopen("/proc/self/comm", "r");
    size_t length;
    CHECK(file != NULL && fgets(comm, sizeof comm, file) != NULL);
    fclose(file);
    if (msf_process_title("msf_test: a title that is longer than the arguments of this program") != 0) {
        fprintf(stderr, "no title under this kernel or emulator (errno %d)\n", errno);
        return;
    }
    CHECK(getenv("MSF_RUN_DIR") != NULL && strcmp(getenv("MSF_RUN_DIR"), folder) == 0);
    CHECK(msf_process_title("msf_test: short") == 0);
    file = fopen("/proc/self/cmdline", "r");
    CHECK(file != NULL);
    length = fread(shown, 1, sizeof shown, file);
    fclose(file);
    CHECK(length >= 16 && memcmp(shown, "msf_test: short", 16) == 0);
    while (length > 16) {
        CHECK(shown[--length] == '\0');
    }
    file = fopen("/proc/self/comm", "r");
    CHECK(file != NULL && fgets(after, sizeof after, file) != NULL && strcmp(comm, after) == 0);
    fclose(file);
    CHECK(msf_process_title(NULL) == -1 && errno == EINVAL);
}

/* Runs `part` in a process of its own, so that its claims end with it. */
static void apart(void (*part)(void))
{
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        part();
        exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(void)
{
    CHECK(mkdtemp(folder) != NULL && setenv("MSF_RUN_DIR", folder, 1) == 0);
    places();
    names();
    apart(a_holder_that_is_killed_holds_no_more);
    apart(title);
    CHECK(rmdir(folder) == 0); /* nothing was left behind */
    return 0;
}
