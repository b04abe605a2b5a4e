/*
 * The epoll helpers: 0 is success, all 32 bits of the events count, a change keeps the pointer. And eventfd.
 */
#include <msf_network.h>

#include "check.h"

static int pointers[2];

static struct epoll_event next(int epfd)
{
    struct epoll_event event;

    memset(&event, 0, sizeof(event));
    CHECK_EQ(epoll_wait(epfd, &event, 1, 5000), 1);
    return event;
}

static void pointers_are_kept(int epfd, int fd)
{
    struct epoll_event event;

    CHECK_EQ(msf_add_event(epfd, fd, EPOLLOUT | EPOLLET, &pointers[0]), 0);
    CHECK_FAILS(msf_add_event(epfd, fd, EPOLLOUT, &pointers[0]), EEXIST);
    event = next(epfd);
    CHECK_EQ(event.events, EPOLLOUT);
    CHECK(event.data.ptr == &pointers[0]);
    CHECK_EQ(epoll_wait(epfd, &event, 1, 0), 0); /* EPOLLET has arrived: told once */
    CHECK_EQ(msf_mod_event(epfd, fd, EPOLLOUT), 0);
    CHECK(next(epfd).data.ptr == &pointers[0]);
    CHECK(next(epfd).data.ptr == &pointers[0]); /* level-triggered now: told again */
    CHECK_EQ(msf_mod_event_ptr(epfd, fd, EPOLLOUT, &pointers[1]), 0);
    CHECK(next(epfd).data.ptr == &pointers[1]);
    CHECK_EQ(msf_mod_event(epfd, fd, EPOLLIN), 0);
    CHECK_EQ(epoll_wait(epfd, &event, 1, 0), 0);
    CHECK_EQ(msf_del_event(epfd, fd), 0);
    CHECK_FAILS(msf_mod_event(epfd, fd, EPOLLIN), ENOENT);
    CHECK_FAILS(msf_mod_event_ptr(epfd, fd, EPOLLIN, NULL), ENOENT);
    CHECK_FAILS(msf_del_event(epfd, fd), ENOENT);
}

static void counters(void)
{
    int efd = msf_eventfd(0, EFD_NONBLOCK), waiting = msf_eventfd(3, 0), semaphore = msf_eventfd(2, EFD_SEMAPHORE);
    struct pollfd one = { efd, POLLIN, 0 };
    uint64_t full = UINT64_MAX - 1;

    CHECK(efd >= 0 && waiting >= 0 && semaphore >= 0);
    CHECK_EQ(fcntl(efd, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(msf_eventfd_clear(efd), 0);
    CHECK_EQ(msf_eventfd_notify(efd), 0);
    CHECK_EQ(poll(&one, 1, 0), 1);
    CHECK_EQ(msf_eventfd_clear(efd), 0);
    CHECK_EQ(poll(&one, 1, 0), 0);
    CHECK_EQ(write(efd, &full, sizeof(full)), (ssize_t)sizeof(full));
    CHECK_EQ(msf_eventfd_notify(efd), 0); /* its end is reached; it is readable all the same */
    CHECK_EQ(msf_eventfd_clear(waiting), 0);
    CHECK_EQ(msf_eventfd_clear(waiting), 0); /* blocking, and does not block */
    CHECK_EQ(msf_eventfd_clear(semaphore), 0);
    one.fd = semaphore;
    CHECK_EQ(poll(&one, 1, 0), 1);
    CHECK_FAILS(msf_eventfd(0, 12345), EINVAL);
    CHECK_FAILS(msf_eventfd_notify(-1), EBADF);
    CHECK_FAILS(msf_eventfd_clear(9999), EBADF);
    close(efd);
    close(waiting);
    close(semaphore);
}

int main(void)
{
    int epfd = msf_epoll_create(), pair[2], file = open("file", O_CREAT | O_RDWR, 0600);

    CHECK(epfd >= 0 && file >= 0);
    CHECK_EQ(fcntl(epfd, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    pointers_are_kept(epfd, pair[0]);
    CHECK_FAILS(msf_add_event(epfd, file, EPOLLIN, NULL), EPERM);
    CHECK_FAILS(msf_add_event(epfd, -1, EPOLLIN, NULL), EBADF);
    CHECK_FAILS(msf_add_event(-1, pair[0], EPOLLIN, NULL), EBADF);
    CHECK_FAILS(msf_mod_event(-1, pair[0], EPOLLIN), EBADF);
    CHECK_FAILS(msf_mod_event(9999, pair[0], EPOLLIN), EBADF);
    CHECK_FAILS(msf_mod_event_ptr(epfd, 9999, EPOLLIN, NULL), EBADF);
    CHECK_FAILS(msf_del_event(epfd, -1), EBADF);
    close(file);
    close(pair[0]);
    close(pair[1]);
    close(epfd);
    counters();
    return check_verdict();
}
