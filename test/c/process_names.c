/*
 * Who a process is: its file, its name, its locks, its user and its limits, and that it is ready.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <msf_daemon.h>
#include <msf_process.h>

#include "apart.h"
#include "check.h"

static void names(void)
{
    char path[256], link[256], *name;
    ssize_t length = readlink("/proc/self/exe", link, sizeof(link) - 1);
    int told[2];
    pid_t child;

    errno = 4711;
    CHECK_EQ(msf_get_process_name(path), 0);
    CHECK_EQ(errno, 4711);
    link[length > 0 ? length : 0] = '\0';
    CHECK(strcmp(path, link) == 0); /* no newline, either */
    CHECK_FAILS(msf_get_process_name(NULL), EINVAL);
    CHECK(pipe(told) == 0);
    child = fork();
    if (child == 0) {
        char byte;
        prctl(PR_SET_NAME, "msf name 4711", 0, 0, 0);
        close(told[1]);
        _exit(read(told[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(told[0]);
    CHECK_WITHIN(10000, msf_getpid_by_name("msf name 4711") == child);
    close(told[1]);
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK_FAILS(msf_getpid_by_name("msf name 4711"), ESRCH);
    name = strrchr(path, '/') + 1;
    CHECK(msf_getpid_by_name(name) > 0);
    CHECK_FAILS(msf_getpid_by_name("no such program"), ESRCH);
    CHECK_FAILS(msf_getpid_by_name(""), EINVAL);
    CHECK_FAILS(msf_getpid_by_name(NULL), EINVAL);
}

/* /var/run is everybody's: other runs of this program have other names. */
static char lock_name[64];

static int holds_no_lock(void)
{
    errno = 0;
    CHECK(process_try_lock(lock_name, 0) == MSF_FALSE && errno == EWOULDBLOCK);
    return check_verdict();
}

static int takes_the_lock(void)
{
    CHECK_EQ(process_try_lock(lock_name, 0), MSF_TRUE);
    /* Also for this process itself. */
    CHECK_EQ(process_try_lock(lock_name, 0), MSF_FALSE);
    CHECK_EQ(apart(holds_no_lock), 0);
    return check_verdict();
}

static void locks(void)
{
    char ours[300], of_2019[300];

    snprintf(lock_name, sizeof(lock_name), "msf-test-%d.lock", (int)getpid());
    snprintf(ours, sizeof(ours), "%s/%s", getenv("MSF_RUN_DIR"), lock_name);
    snprintf(of_2019, sizeof(of_2019), "/var/run/%s", lock_name);
    CHECK_EQ(apart(takes_the_lock), 0);
    CHECK_EQ(apart(takes_the_lock), 0); /* gone with its holder */
    errno = 0;
    CHECK(process_try_lock(NULL, 0) == MSF_FALSE && errno == EINVAL);
    CHECK(process_try_lock("a/b", 0) == MSF_FALSE && errno == EINVAL);
    CHECK(process_try_lock("", 0) == MSF_FALSE && errno == EINVAL);
    if (unlink(of_2019) != 0)
        CHECK_EQ(unlink(ours), 0);
    /* What cannot be opened is not locked; 2019 said it were. */
    CHECK(mkdir(ours, 0700) == 0 && mkdir(of_2019, 0700) == (geteuid() == 0 ? 0 : -1));
    CHECK(process_try_lock(lock_name, 0) == MSF_FALSE && errno == EISDIR);
    CHECK(rmdir(ours) == 0);
    rmdir(of_2019);
}

static int becomes_somebody_else(void)
{
    char nobody[] = "nobody", unknown[] = "no such user";
    struct process proc;

    memset(&proc, 0, sizeof(proc));
    CHECK_EQ(msf_set_user(&proc), 0); /* asks for nothing */
    CHECK_FAILS(msf_set_user(NULL), EINVAL);
    proc.username = unknown;
    CHECK_FAILS(msf_set_user(&proc), EINVAL);
    if (geteuid() != 0) {
        proc.username = NULL;
        proc.user = getuid() + 1;
        CHECK_FAILS(msf_set_user(&proc), EPERM);
        return check_verdict();
    }
    proc.username = nobody;
    CHECK_EQ(msf_set_user(&proc), 0);
    CHECK(proc.user > 0 && getuid() == proc.user && geteuid() == proc.user && getegid() == proc.group);
    CHECK_EQ(msf_set_user(&proc), 0); /* is so already */
    proc.username = NULL;
    proc.user = 4711;
    CHECK_FAILS(msf_set_user(&proc), EPERM);
    return check_verdict();
}

static int has_other_limits(void)
{
    struct process proc;
    struct rlimit files, core, now;
    struct rlimit none = { 0, 0 };

    memset(&proc, 0, sizeof(proc));
    CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0 && getrlimit(RLIMIT_CORE, &core) == 0);
    proc.rlimit_nofile = -1;
    proc.rlimit_core = -1;
    CHECK_EQ(msf_set_rlimit(&proc), 0);
    CHECK(getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur == files.rlim_cur);
    proc.rlimit_nofile = 99;
    proc.rlimit_core = 0;
    CHECK_EQ(msf_set_rlimit(&proc), 0);
    CHECK(getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur == 99 && now.rlim_max == files.rlim_max);
    CHECK(getrlimit(RLIMIT_CORE, &now) == 0 && now.rlim_cur == 0);
    CHECK_FAILS(msf_set_rlimit(NULL), EINVAL);
    CHECK(setrlimit(RLIMIT_CORE, &none) == 0);
    if (geteuid() == 0) {
        proc.username = NULL;
        proc.user = 4711;
        CHECK_EQ(msf_set_user(&proc), 0);
    }
    proc.rlimit_core = 1000;
    CHECK_FAILS(msf_set_rlimit(&proc), EPERM);
    return check_verdict();
}

static int is_ready_when_it_says(void)
{
    char byte = 0;
    int go[2], told[2], status;
    pid_t starter;

    CHECK(pipe(go) == 0 && pipe(told) == 0);
    starter = fork();
    if (starter == 0) {
        CHECK_EQ(msf_process_daemonize(MSF_DAEMON_KEEP_FOLDER | MSF_DAEMON_KEEP_FILES), 0);
        if (write(told[1], "+", 1) != 1 || read(go[0], &byte, 1) != 1)
            _exit(1);
        if (byte == 'r') {
            CHECK_EQ(msf_process_ready(), 0);
            CHECK_FAILS(msf_process_ready(), EALREADY);
        }
        _exit(check_verdict());
    }
    CHECK(read(told[0], &byte, 1) == 1);
    CHECK(waitpid(starter, &status, WNOHANG) == 0); /* the daemon is there, and the starter waits */
    byte = getenv("MSF_TEST_NOT_READY") == NULL ? 'r' : 'x';
    CHECK(write(go[1], &byte, 1) == 1 && waitpid(starter, &status, 0) == starter);
    return WIFEXITED(status) && WEXITSTATUS(status) == (byte == 'r' ? 0 : 1) ? check_verdict() : 1;
}

static void readiness(void)
{
    CHECK_FAILS(msf_process_ready(), EALREADY);
    CHECK_FAILS(msf_process_daemonize(4), EINVAL);
    CHECK_EQ(apart(is_ready_when_it_says), 0);
    setenv("MSF_TEST_NOT_READY", "1", 1);
    CHECK_EQ(apart(is_ready_when_it_says), 0);
}

static void descriptions(void)
{
    struct process_desc desc = { .restart_times = 3, .proc_name = "one" };
    struct msf_daemon daemon = { .msf_version = "1", .msf_proc_num = 1, .msf_proc_desc = &desc };

    CHECK(daemon.msf_proc_desc[0].restart_times == 3 && strcmp(daemon.msf_proc_desc->proc_name, "one") == 0);
    CHECK(sizeof(daemon.msf_author) == 32 && sizeof(daemon.msf_desc) == 64);
}

int main(void)
{
    names();
    locks();
    CHECK_EQ(apart(becomes_somebody_else), 0);
    CHECK_EQ(apart(has_other_limits), 0);
    readiness();
    descriptions();
    return check_verdict();
}
