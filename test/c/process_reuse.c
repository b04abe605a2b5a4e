/*
 * Numbers of processes come again: whoever has a dead one's number is not taken for him. In a namespace of the test's own,
 * where the next number can be chosen.
 */
/* no qemu: a user namespace of its own wants a process with one thread, and qemu's has more */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <msf_file.h>
#include <msf_process.h>

#include "check.h"

static char folder[] = "/tmp/msf-test-reuse-XXXXXX";

/* Waits until it is killed. */
static void stay(void)
{
    for (;;)
        pause();
}

/* A process with this number, which sleeps; 0 when the kernel does not let it be chosen. */
static pid_t stranger(pid_t number)
{
    char last[16];
    int file = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
    int length = snprintf(last, sizeof(last), "%d", (int)number - 1);
    int chosen = file >= 0 && write(file, last, (size_t)length) == length;
    pid_t child = chosen ? fork() : 0;

    if (chosen && child == 0)
        stay();
    if (file >= 0)
        close(file);
    return child;
}

/* The kernel notes starts in ticks of a hundredth of a second; within one, two of a number are the same to everybody. */
static void next_tick(void)
{
    long long end = check_now() + 20;

    while (check_now() < end)
        usleep(1000);
}

static void ended(pid_t child)
{
    CHECK_EQ(kill(child, SIGKILL), 0);
    CHECK_EQ(waitpid(child, NULL, 0), child);
}

/* Claims the name and writes a pid file, and has a child (whose number goes to *heir) that keeps its descriptors, or none. */
static pid_t service(int with_heir, pid_t *heir)
{
    char path[300];
    int told[2];
    pid_t child;

    snprintf(path, sizeof(path), "%s/service.pidfile", folder);
    CHECK_EQ(pipe(told), 0);
    child = fork();
    if (child == 0) {
        pid_t grandchild = 0;

        /* The heir's name, which it has from its first moment on. */
        prctl(PR_SET_NAME, "heir");
        if (msf_process_claim("service", NULL) != 0)
            _exit(1);
        msf_write_pidfile(path);
        if (with_heir && (grandchild = fork()) == 0)
            stay();
        prctl(PR_SET_NAME, "reused");
        if (write(told[1], &grandchild, sizeof(grandchild)) != sizeof(grandchild))
            _exit(1);
        stay();
    }
    CHECK_EQ(read(told[0], heir, sizeof(*heir)), sizeof(*heir));
    close(told[0]);
    close(told[1]);
    return child;
}

static int has_come_again(int with_heir)
{
    pid_t heir, first = service(with_heir, &heir), second, holder = 4711;
    char path[300];

    snprintf(path, sizeof(path), "%s/service.pidfile", folder);
    CHECK_EQ(msf_process_holder("service"), first);
    CHECK_EQ(msf_getpid_by_name("reused"), first);
    ended(first);
    next_tick();
    second = stranger(first);
    if (second != first) {
        printf("the kernel does not let numbers be chosen\n");
        fflush(stdout);
        return 77;
    }
    /* A hint, and no more: */
    CHECK_EQ(msf_read_pidfile(path), second);
    CHECK_EQ(msf_check_runningpid(path), 1);
    CHECK_FAILS(msf_create_pidfile(path), EEXIST);
    /* what is claimed is known. */
    CHECK_FAILS(msf_process_holder("service"), ESRCH);
    CHECK_FAILS(msf_getpid_by_name("reused"), ESRCH);
    if (with_heir) {
        CHECK_FAILS(msf_process_claim("service", &holder), EALREADY);
        CHECK_EQ(holder, 0);
        ended(heir);
    }
    CHECK_EQ(msf_process_claim("service", NULL), 0);
    CHECK_EQ(msf_process_holder("service"), getpid());
    CHECK_EQ(msf_process_release("service"), 0);
    ended(second);
    CHECK_EQ(unlink(path), 0);
    return 0;
}

/* As the first process of the namespace: orphans are its children. */
static int inside(void)
{
    int skipped;

    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || mount("proc", "/proc", "proc", 0, NULL) != 0) {
        printf("no /proc of its own: %s\n", strerror(errno));
        fflush(stdout);
        return 77;
    }
    skipped = has_come_again(0);
    return skipped ? skipped : has_come_again(1) ? 77 : check_verdict();
}

/* Namespaces are for children, so this process is between them and the test. */
static int apart_from_all(void)
{
    int status = 0;
    pid_t first;

    if (unshare((geteuid() == 0 ? 0 : CLONE_NEWUSER) | CLONE_NEWPID | CLONE_NEWNS) != 0) {
        printf("no namespace of its own: %s\n", strerror(errno));
        fflush(stdout);
        return 77;
    }
    first = fork();
    if (first == 0)
        _exit(inside());
    return waitpid(first, &status, 0) == first && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(void)
{
    int status = 0;
    pid_t child;

    CHECK(mkdtemp(folder) != NULL && setenv("MSF_RUN_DIR", folder, 1) == 0);
    child = fork();
    if (child == 0)
        _exit(apart_from_all());
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    CHECK_EQ(rmdir(folder), 0);
    return check_verdict() ? 1 : WEXITSTATUS(status);
}
