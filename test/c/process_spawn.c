/*
 * Programs started by a plan: what they get, what they do not, and why some do not start.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <msf_process.h>

#include "check.h"

/* The status of `sh -c script` under a plan that may be prepared otherwise. */
static s32 shell(struct msf_process_plan *plan, const char *script)
{
    char name[] = "sh", option[] = "-c", words[512];
    s8 *argv[] = { name, option, words, NULL };
    s32 status = -1;
    pid_t pid;

    snprintf(words, sizeof(words), "%s", script);
    plan->size = sizeof(*plan);
    plan->path = "/bin/sh";
    plan->argv = argv;
    pid = msf_process_spawn(plan);
    CHECK(pid > 0);
    if (pid > 0)
        CHECK_EQ(msf_process_wait(pid, 20000, &status), 0);
    return status;
}

static void what_comes_back(void)
{
    struct msf_process_plan plan = { 0 };
    s32 status;

    errno = 4711;
    status = shell(&plan, "exit 7");
    CHECK_EQ(errno, 4711);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    status = shell(&plan, "kill -TERM $$");
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void what_it_gets(void)
{
    struct msf_process_fd fds[4];
    struct msf_process_limit limit = { 55, 66, RLIMIT_NOFILE };
    struct msf_process_plan plan = { 0 };
    char one[] = "ONE=1", two[] = "TWO=a=b", text[64] = "";
    s8 *envp[] = { one, two, NULL };
    int back[2], input[2], extra;
    ssize_t got;

    CHECK(pipe(back) == 0 && pipe(input) == 0);
    CHECK(write(input[1], "in\n", 3) == 3);
    close(input[1]);
    extra = open("/dev/null", O_RDWR | O_CLOEXEC);
    fds[0] = (struct msf_process_fd){ input[0], 0 };
    fds[1] = (struct msf_process_fd){ back[1], 1 };
    fds[2] = (struct msf_process_fd){ MSF_FD_NULL, 2 };
    fds[3] = (struct msf_process_fd){ extra, 9 };
    plan.envp = envp;
    plan.folder = "/proc";
    plan.fds = fds;
    plan.fd_count = 4;
    plan.limits = &limit;
    plan.limit_count = 1;
    plan.nice = 2;
    CHECK_EQ(shell(&plan, "read word; echo $word $ONE $TWO $PWD $(ulimit -Sn) $(ulimit -Hn); echo lost >&2; [ -e /dev/fd/9 ]"),
             0);
    close(back[1]);
    got = read(back[0], text, sizeof(text) - 1);
    CHECK(got > 0 && strcmp(text, "in 1 a=b /proc 55 66\n") == 0);
    CHECK(read(back[0], text, 1) == 0); /* no copy of the writing end is left in the child, nor here */
    close(back[0]);
    close(input[0]);
    CHECK(fcntl(extra, F_GETFD) == FD_CLOEXEC); /* stays ours, as it was */
    close(extra);
}

static void what_it_does_not_get(void)
{
    struct msf_process_plan plan = { 0 };
    int leak = open("/dev/null", O_RDONLY);
    char script[200];
    sigset_t all, before;

    snprintf(script, sizeof(script), "[ ! -e /proc/$$/fd/%d ] && [ -z \"$(cat)\" ]", leak);
    CHECK_EQ(shell(&plan, script), 0);
    close(leak);
    signal(SIGTERM, SIG_IGN);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    CHECK_EQ(shell(&plan, "exec grep -q '^SigBlk:.0*$' /proc/self/status"), 0);
    CHECK_EQ(shell(&plan, "kill -TERM $$; exit 3"), SIGTERM);
    sigprocmask(SIG_SETMASK, &before, NULL);
    signal(SIGTERM, SIG_DFL);
}

static void where_it_belongs(void)
{
    struct msf_process_plan plan = { 0 };
    char script[200];
    u32 cpu;

    CHECK_EQ(shell(&plan, "[ $(cut -d' ' -f5 /proc/$$/stat) = $$ ]"), 0);
    plan.flags = MSF_SPAWN_SESSION;
    CHECK_EQ(shell(&plan, "[ $(cut -d' ' -f6 /proc/$$/stat) = $$ ]"), 0);
    plan.flags = MSF_SPAWN_OUR_GROUP;
    snprintf(script, sizeof(script), "[ $(cut -d' ' -f5 /proc/$$/stat) = %d ]", (int)getpgrp());
    CHECK_EQ(shell(&plan, script), 0);
    plan.flags = 0;
    for (cpu = 0; cpu < 1024; cpu++) { /* the first one we may use ourselves */
        snprintf(script, sizeof(script), "grep -q '^Cpus_allowed_list:.%u$' /proc/$$/status", cpu);
        plan.cpus = &cpu;
        plan.cpu_count = 1;
        plan.size = sizeof(plan);
        plan.path = "true";
        plan.argv = NULL;
        pid_t pid = msf_process_spawn(&plan);
        if (pid > 0) {
            CHECK_EQ(msf_process_wait(pid, 20000, NULL), 0);
            CHECK_EQ(shell(&plan, script), 0);
            break;
        }
        CHECK_EQ(errno, EINVAL);
    }
    CHECK(cpu < 1024);
}

static void whom_it_runs_as(void)
{
    struct msf_process_plan plan = { 0 };

    plan.flags = MSF_SPAWN_IDS;
    plan.uid = 4711;
    plan.gid = 4712;
    if (geteuid() != 0) {
        plan.size = sizeof(plan);
        plan.path = "true";
        CHECK_FAILS(msf_process_spawn(&plan), EPERM);
        return;
    }
    CHECK_EQ(shell(&plan, "[ \"$(id -u) $(id -g) $(id -G)\" = '4711 4712 4712' ]"), 0);
    plan.flags = 0;
    plan.user = "nobody";
    CHECK_EQ(shell(&plan, "[ $(id -un) = nobody ]"), 0);
    /* Who has no right to enter the folder does not start there. */
    plan.folder = "/root";
    plan.size = sizeof(plan);
    plan.path = "/bin/true";
    plan.argv = NULL;
    if (access("/root", X_OK) == 0 && shell(&(struct msf_process_plan){ .user = "nobody" }, "cd /root 2>/dev/null") != 0)
        CHECK_FAILS(msf_process_spawn(&plan), EACCES);
    plan.folder = NULL;
    plan.user = "no such user";
    CHECK_FAILS(msf_process_spawn(&plan), EINVAL);
}

static void a_detached_one_is_nobodys(void)
{
    struct msf_process_fd out;
    char script[] = "echo $$ $PPID", name[] = "sh", option[] = "-c", text[64] = "";
    s8 *argv[] = { name, option, script, NULL };
    struct msf_process_plan plan = { .size = sizeof(plan), .path = "sh", .argv = argv };
    int back[2], pid = 0, parent = 0;
    pid_t started;

    CHECK(pipe(back) == 0);
    out = (struct msf_process_fd){ back[1], 1 };
    plan.fds = &out;
    plan.fd_count = 1;
    plan.flags = MSF_SPAWN_DETACHED | MSF_SPAWN_SESSION;
    started = msf_process_spawn(&plan);
    close(back[1]);
    CHECK(read(back[0], text, sizeof(text) - 1) > 0 && sscanf(text, "%d %d", &pid, &parent) == 2);
    CHECK(started > 0 && pid == started && parent != getpid());
    CHECK_FAILS(msf_process_wait(started, MSF_WAIT_FOREVER, NULL), ECHILD);
    close(back[0]);
    plan.fd_count = 0;
    plan.path = "/nowhere/at/all";
    CHECK_FAILS(msf_process_spawn(&plan), ENOENT);
    /* Whatever number the failure is told through: the program's descriptors are no place for it. */
    CHECK(pipe2(back, O_CLOEXEC) == 0);
    plan.fd_count = 1;
    for (s32 number = 3; number < 20; number++) {
        out = (struct msf_process_fd){ back[1], number };
        CHECK_FAILS(msf_process_spawn(&plan), ENOENT);
    }
    close(back[1]);
    CHECK_EQ(read(back[0], text, sizeof(text)), 0);
    close(back[0]);
    CHECK_FAILS(waitpid(-1, NULL, 0), ECHILD); /* neither left anything behind */
}

static void why_it_does_not_start(void)
{
    struct msf_process_plan plan = { .size = sizeof(plan), .path = "/nowhere/at/all" };
    struct msf_process_fd fd = { 4000, 5 };
    struct msf_process_limit limit = { 2, 1, RLIMIT_NOFILE };
    char odd[] = "ODD";
    s8 *none[] = { NULL }, *envp[] = { odd, NULL };

    CHECK_FAILS(msf_process_spawn(&plan), ENOENT);
    plan.path = "no such program anywhere";
    CHECK_FAILS(msf_process_spawn(&plan), ENOENT);
    plan.path = "/etc/passwd";
    CHECK_FAILS(msf_process_spawn(&plan), EACCES);
    plan.path = "";
    CHECK_FAILS(msf_process_spawn(&plan), EINVAL);
    plan.path = "true";
    plan.fds = &fd;
    plan.fd_count = 1;
    CHECK_FAILS(msf_process_spawn(&plan), EBADF);
    fd = (struct msf_process_fd){ 0, -1 };
    CHECK_FAILS(msf_process_spawn(&plan), EINVAL);
    plan.fds = NULL;
    CHECK_FAILS(msf_process_spawn(&plan), EINVAL);
    plan.fd_count = 0;
    plan.limits = &limit;
    plan.limit_count = 1;
    CHECK_FAILS(msf_process_spawn(&plan), EINVAL);
    limit.resource = 4711;
    CHECK_FAILS(msf_process_spawn(&plan), EINVAL);
    plan.limit_count = 0;
    plan.argv = none;
    CHECK_FAILS(msf_process_spawn(&plan), EINVAL);
    plan.argv = NULL;
    plan.envp = envp;
    CHECK_FAILS(msf_process_spawn(&plan), EINVAL);
    plan.envp = NULL;
    plan.flags = 1u << 31;
    CHECK_FAILS(msf_process_spawn(&plan), EINVAL);
    CHECK_FAILS(msf_process_spawn(NULL), EINVAL);
    plan.size = 4;
    CHECK_FAILS(msf_process_spawn(&plan), EINVAL);
    CHECK_FAILS(waitpid(-1, NULL, 0), ECHILD);
}

static void waiting(void)
{
    char name[] = "sleep", long_time[] = "1000";
    s8 *argv[] = { name, long_time, NULL };
    struct msf_process_plan plan = { .size = sizeof(plan), .path = "sleep", .argv = argv };
    pid_t pid = msf_process_spawn(&plan);
    long long before = check_now();
    s32 status = 4711;

    CHECK(pid > 0);
    CHECK_FAILS(msf_process_wait(pid, MSF_NO_WAIT, &status), ETIMEDOUT);
    CHECK_FAILS(msf_process_wait(pid, 50, &status), ETIMEDOUT);
    CHECK(check_now() - before >= 50 && status == 4711);
    CHECK_EQ(kill(pid, SIGKILL), 0);
    CHECK_EQ(msf_process_wait(pid, MSF_WAIT_FOREVER, &status), 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK_FAILS(msf_process_wait(pid, 0, NULL), ECHILD);
    CHECK_FAILS(msf_process_wait(1, 10, NULL), ECHILD);
    CHECK_FAILS(msf_process_wait(-1, 10, NULL), ECHILD);
}

/* 2019's way: proc_path -c proc_conf. */
static void as_in_2019(void)
{
    static struct process_desc desc;
    char folder[] = "/tmp/msf-test-spawn-XXXXXX", told[64] = "";
    struct rlimit few = { 0, 0 }, before;
    FILE *file;
    pid_t pid;

    CHECK(mkdtemp(folder) != NULL);
    snprintf(desc.proc_path, sizeof(desc.proc_path), "%s/program", folder);
    snprintf(desc.proc_conf, sizeof(desc.proc_conf), "%s/said", folder);
    CHECK_FAILS(process_spwan(&desc), ENOENT);
    file = fopen(desc.proc_path, "w");
    CHECK(file != NULL && fputs("#!/bin/sh\necho \"$1 $PPID\" >$2.new\nmv $2.new $2\n", file) > 0 && fclose(file) == 0);
    CHECK_FAILS(process_spwan(&desc), EACCES);
    CHECK_EQ(chmod(desc.proc_path, 0700), 0);
    pid = process_spwan(&desc);
    CHECK(pid > 0 && desc.proc_pid == pid);
    CHECK_WITHIN(10000, access(desc.proc_conf, R_OK) == 0);
    file = fopen(desc.proc_conf, "r");
    CHECK(file != NULL && fgets(told, sizeof(told), file) != NULL && strncmp(told, "-c ", 3) == 0);
    CHECK(atoi(told + 3) != getpid());
    fclose(file);
    /* No child of ours, and not left as a zombie either. */
    CHECK_WITHIN(10000, kill(pid, 0) != 0);
    CHECK_FAILS(process_spwan(NULL), EINVAL);
    CHECK(unlink(desc.proc_conf) == 0 && unlink(desc.proc_path) == 0 && rmdir(folder) == 0);
    /* Without a descriptor for the pipe there is no process. */
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    few.rlim_max = before.rlim_max;
    strcpy(desc.proc_path, "/bin/true");
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    errno = 0;
    pid = process_spwan(&desc);
    CHECK(pid == 0 && errno == EMFILE);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    desc.proc_path[0] = '\0';
    CHECK_FAILS(process_spwan(&desc), EINVAL);
}

int main(void)
{
    what_comes_back();
    what_it_gets();
    what_it_does_not_get();
    where_it_belongs();
    whom_it_runs_as();
    a_detached_one_is_nobodys();
    why_it_does_not_start();
    waiting();
    as_in_2019();
    return check_verdict();
}
