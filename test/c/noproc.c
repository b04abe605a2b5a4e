/*
 * Without /proc: what cannot be done is refused by name and changes nothing; what does not need it goes on.
 */
/* no qemu: a user namespace of its own wants a process with one thread, and qemu's has more */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <msf_network.h>
#include <msf_os.h>
#include <msf_sysinfo.h>

#include "check.h"

/* msf_mod_event says that it cannot keep the pointer; msf_mod_event_ptr does not need to be told it. */
static void epoll(void)
{
    int epfd = msf_epoll_create(), pair[2], one = 1;
    struct epoll_event event;

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    CHECK_EQ(msf_add_event(epfd, pair[0], EPOLLOUT, &one), 0);
    CHECK_FAILS(msf_mod_event(epfd, pair[0], EPOLLIN), ENOTSUP);
    CHECK_EQ(epoll_wait(epfd, &event, 1, 5000), 1);
    CHECK(event.data.ptr == &one);
    CHECK_EQ(msf_mod_event_ptr(epfd, pair[0], EPOLLIN, &one), 0);
    CHECK_EQ(epoll_wait(epfd, &event, 1, 0), 0);
}

/* Nobody lists the threads of a process but /proc. */
static void places(void)
{
    cpu_set_t before, after;
    u32 here = msf_get_current_cpu();

    CHECK_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
    CHECK_FAILS(process_pin_to_cpu((s32)here), ENOENT);
    CHECK_EQ(sched_getaffinity(0, sizeof(after), &after), 0);
    CHECK(CPU_EQUAL(&before, &after));
    CHECK_EQ(thread_pin_to_cpu(here), 0);
    CHECK_EQ(sched_getaffinity(0, sizeof(after), &after), 0);
    CHECK(CPU_COUNT(&after) == 1 && CPU_ISSET(here, &after));
}

static void figures(void)
{
    struct msf_cpu_times times = { .size = sizeof(times) };
    struct msf_memory_usage memory = { .size = sizeof(memory) };
    struct msf_process_usage process = { .size = sizeof(process) };
    struct msf_disk_usage disk = { .size = sizeof(disk) };

    CHECK_FAILS(msf_sysinfo_cpu(MSF_CPU_ALL, &times), ENOENT);
    CHECK_FAILS(msf_sysinfo_cpus(&times, 1), ENOENT);
    CHECK_FAILS(msf_sysinfo_memory(&memory), ENOENT);
    CHECK_FAILS(msf_sysinfo_process(0, &process), ENOENT);
    CHECK_FAILS(msf_sysinfo_process(getpid(), &process), ENOENT);
    CHECK_EQ(msf_sysinfo_disk("/", &disk), 0);
}

/* In a process that ends by _exit: the search for leaks at exit needs /proc, too. */
static int without_proc(void)
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/proc", "tmpfs", 0, NULL) != 0) {
        printf("no place without /proc: %s\n", strerror(errno));
        fflush(stdout);
        return 77;
    }
    epoll();
    places();
    figures();
    return check_verdict();
}

int main(void)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0)
        _exit(without_proc());
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    return check_verdict() ? 1 : WEXITSTATUS(status);
}
