/*
 * Without /proc msf_mod_event says that it cannot keep the pointer, and changes nothing; msf_mod_event_ptr does not need it.
 */
/* no qemu: a user namespace of its own wants a process with one thread, and qemu's has more */
#define _GNU_SOURCE
#include <msf_network.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "check.h"

/* In a process that ends by _exit: the search for leaks at exit needs /proc, too. */
static int without_proc(void)
{
    int epfd = msf_epoll_create(), pair[2], one = 1;
    struct epoll_event event;

    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/proc", "tmpfs", 0, NULL) != 0) {
        printf("no place without /proc: %s\n", strerror(errno));
        fflush(stdout);
        return 77;
    }
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    CHECK_EQ(msf_add_event(epfd, pair[0], EPOLLOUT, &one), 0);
    CHECK_FAILS(msf_mod_event(epfd, pair[0], EPOLLIN), ENOTSUP);
    CHECK_EQ(epoll_wait(epfd, &event, 1, 5000), 1);
    CHECK(event.data.ptr == &one);
    CHECK_EQ(msf_mod_event_ptr(epfd, pair[0], EPOLLIN, &one), 0);
    CHECK_EQ(epoll_wait(epfd, &event, 1, 0), 0);
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
