/*
 * The options of sockets: what was set is what the kernel says is set.
 */
#include <msf_network.h>

#include "check.h"

static int number(int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof(value);

    CHECK_EQ(getsockopt(fd, level, name, &value, &length), 0);
    return value;
}

static void flags(int fd)
{
    CHECK_EQ(msf_socket_nonblocking(fd), 0);
    CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
    CHECK_EQ(msf_socket_blocking(fd), 0);
    CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
    CHECK_EQ(fcntl(fd, F_SETFD, 0), 0);
    CHECK_EQ(msf_socket_closeonexec(fd), 0);
    CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CHECK_FAILS(msf_socket_nonblocking(-1), EBADF);
    CHECK_FAILS(msf_socket_blocking(9999), EBADF);
    CHECK_FAILS(msf_socket_closeonexec(-1), EBADF);
}

static void general(int fd)
{
    struct linger linger;
    struct timeval wait;
    socklen_t length = sizeof(linger);
    int before;

    CHECK_EQ(msf_socket_reuseaddr(fd), 0);
    CHECK_EQ(number(fd, SOL_SOCKET, SO_REUSEADDR), 1);
    CHECK_EQ(msf_socket_reuseport(fd), 0);
    CHECK_EQ(number(fd, SOL_SOCKET, SO_REUSEPORT), 1);
    CHECK_FAILS(msf_socket_reuseaddr(-1), EBADF);
    CHECK_FAILS(msf_socket_reuseport(STDERR_FILENO), ENOTSOCK);

    CHECK_EQ(msf_socket_linger(fd), 0);
    CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length), 0);
    CHECK_EQ(linger.l_onoff, 1);
    CHECK_EQ(linger.l_linger, 0);
    CHECK_FAILS(msf_socket_linger(-1), EBADF);
    CHECK_FAILS(msf_socket_linger(STDERR_FILENO), ENOTSOCK);

    CHECK_EQ(msf_socket_timeout(fd, 1500), 0);
    length = sizeof(wait);
    CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, &length), 0);
    CHECK_EQ(wait.tv_sec, 1);
    CHECK(wait.tv_usec >= 490000 && wait.tv_usec <= 510000);
    CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, &length), 0);
    CHECK_EQ(wait.tv_sec, 1);
    CHECK_EQ(msf_socket_timeout(fd, 0), 0);
    CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, &length), 0);
    CHECK_EQ(wait.tv_sec * 1000000 + wait.tv_usec, 0);
    CHECK_FAILS(msf_socket_timeout(-1, 1), EBADF);
    CHECK_FAILS(msf_socket_timeout(STDERR_FILENO, 1), ENOTSOCK);

    CHECK_EQ(msf_socket_buffers(fd, 20000, 30000), 0);
    CHECK_EQ(number(fd, SOL_SOCKET, SO_SNDBUF), 40000);
    CHECK_EQ(number(fd, SOL_SOCKET, SO_RCVBUF), 60000);
    CHECK_EQ(msf_socket_buffers(fd, 0, 0), 0);
    CHECK_EQ(number(fd, SOL_SOCKET, SO_SNDBUF), 40000);
    CHECK_FAILS(msf_socket_buffers(-1, 1, 1), EBADF);
    before = number(fd, SOL_SOCKET, SO_SNDBUF);
    msf_socket_maximize_sndbuf(fd);
    CHECK(number(fd, SOL_SOCKET, SO_SNDBUF) > before);
}

static void tcp(int fd, int local)
{
    CHECK_EQ(msf_socket_alive(fd), 0);
    CHECK_EQ(number(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    CHECK_EQ(number(fd, IPPROTO_TCP, TCP_KEEPIDLE), 1);
    CHECK_EQ(number(fd, IPPROTO_TCP, TCP_KEEPINTVL), 1);
    CHECK_EQ(number(fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
    CHECK_EQ(msf_socket_keepalive(fd, 30, 5, 4), 0);
    CHECK_EQ(number(fd, IPPROTO_TCP, TCP_KEEPIDLE), 30);
    CHECK_EQ(number(fd, IPPROTO_TCP, TCP_KEEPINTVL), 5);
    CHECK_EQ(number(fd, IPPROTO_TCP, TCP_KEEPCNT), 4);
    CHECK_FAILS(msf_socket_keepalive(fd, 0, 5, 4), EINVAL);
    CHECK_FAILS(msf_socket_keepalive(fd, 40000, 5, 4), EINVAL);
    CHECK_EQ(msf_socket_keepalive(fd, 30, 5, 127), 0);
    CHECK_FAILS(msf_socket_keepalive(fd, 30, 5, 128), EINVAL);
    CHECK_FAILS(msf_socket_keepalive(-1, 30, 5, 4), EBADF);
    CHECK_FAILS(msf_socket_alive(local), EOPNOTSUPP);
    CHECK_FAILS(msf_socket_alive(-1), EBADF);

    CHECK_EQ(msf_socket_tcp_nodelay(fd), 0);
    CHECK_EQ(number(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    CHECK_EQ(msf_socket_tcp_fastopen(fd), 0);
    CHECK_EQ(number(fd, IPPROTO_TCP, TCP_FASTOPEN), 5);
    CHECK_EQ(msf_socket_tcp_defer_accept(fd), 0);
    CHECK(number(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT) >= 1);
    CHECK_EQ(msf_socket_cork_flag(fd, 1), 0);
    CHECK_EQ(number(fd, IPPROTO_TCP, TCP_CORK), 1);
    CHECK_EQ(msf_socket_cork_flag(fd, 0), 0);
    CHECK_EQ(number(fd, IPPROTO_TCP, TCP_CORK), 0);
    CHECK_FAILS(msf_socket_tcp_nodelay(-1), EBADF);
    CHECK_FAILS(msf_socket_tcp_nodelay(local), EOPNOTSUPP);
    CHECK_FAILS(msf_socket_tcp_fastopen(local), EOPNOTSUPP);
    CHECK_FAILS(msf_socket_tcp_defer_accept(local), EOPNOTSUPP);
    CHECK_FAILS(msf_socket_cork_flag(local, 1), EOPNOTSUPP);
}

static void ip(void)
{
    int v4 = msf_socket_create(AF_INET, SOCK_DGRAM, 0), v6 = msf_socket_create(AF_INET6, SOCK_DGRAM, 0);
    int local = msf_socket_create(AF_UNIX, SOCK_DGRAM, 0);
    struct sockaddr_in6 any;

    CHECK(v4 >= 0 && local >= 0);
    CHECK_EQ(msf_set_dscp(v4, AF_INET, 46), 0);
    CHECK_EQ(number(v4, IPPROTO_IP, IP_TOS), 46 << 2);
    CHECK_FAILS(msf_set_dscp(v4, AF_INET, 64), EINVAL);
    CHECK_FAILS(msf_set_dscp(v4, AF_UNIX, 1), EAFNOSUPPORT);
    CHECK_FAILS(msf_set_dscp(local, AF_INET, 1), EAFNOSUPPORT);
    CHECK_FAILS(msf_set_dscp(-1, AF_INET, 1), EBADF);
    if (v6 >= 0) {
        CHECK_EQ(msf_socket_v6only(v6, 1), 0);
        CHECK_EQ(number(v6, IPPROTO_IPV6, IPV6_V6ONLY), 1);
        CHECK_EQ(msf_socket_v6only(v6, 0), 0);
        CHECK_EQ(number(v6, IPPROTO_IPV6, IPV6_V6ONLY), 0);
        CHECK_EQ(msf_set_dscp(v6, AF_INET6, 10), 0);
        CHECK_EQ(number(v6, IPPROTO_IPV6, IPV6_TCLASS), 10 << 2);
        CHECK_EQ(number(v6, IPPROTO_IP, IP_TOS), 10 << 2);
        memset(&any, 0, sizeof(any));
        any.sin6_family = AF_INET6;
        CHECK_EQ(msf_socket_bind(v6, (struct sockaddr *)&any, sizeof(any), 0), 0);
        CHECK_FAILS(msf_socket_v6only(v6, 1), EINVAL);
        close(v6);
    }
    CHECK_FAILS(msf_socket_v6only(-1, 1), EBADF);
    close(v4);
    close(local);
}

int main(void)
{
    int fd = msf_socket_create(AF_INET, SOCK_STREAM, 0), local = msf_socket_create(AF_UNIX, SOCK_STREAM, 0);

    CHECK(fd >= 0 && local >= 0);
    CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CHECK_FAILS(msf_socket_create(9999, SOCK_STREAM, 0), EAFNOSUPPORT);
    flags(fd);
    general(fd);
    tcp(fd, local);
    ip();
    close(fd);
    close(local);
    return check_verdict();
}
