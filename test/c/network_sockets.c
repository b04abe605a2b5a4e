/*
 * Servers, connections, sending: every family, and what is in the way of a unix socket stays there.
 */
#include <msf_network.h>

#include "check.h"

static void wait_for(int fd, short events)
{
    struct pollfd one = { fd, events, 0 };

    CHECK_EQ(poll(&one, 1, 10000), 1);
}

/* The two ends talk: by every way of sending. */
static void talk(int client, int server)
{
    char one[3], two[4];
    struct iovec out[2] = { { (char *)"abc", 3 }, { (char *)"defg", 4 } }, in[2] = { { one, 3 }, { two, 4 } };
    struct msghdr message;

    CHECK_EQ(msf_sendto(client, "xyz", 3, NULL, 0), 3);
    wait_for(server, POLLIN);
    CHECK_EQ(msf_recvfrom(server, one, 3, NULL, NULL), 3);
    CHECK(memcmp(one, "xyz", 3) == 0);
    CHECK_EQ(msf_sendmsg_v1(client, out, 2, 0), 7);
    wait_for(server, POLLIN);
    CHECK_EQ(msf_recvmsg_v1(server, in, 2, MSG_WAITALL), 7);
    CHECK(memcmp(one, "abc", 3) == 0 && memcmp(two, "defg", 4) == 0);
    memset(&message, 0, sizeof(message));
    message.msg_iov = out;
    message.msg_iovlen = 1;
    CHECK_EQ(msf_sendmsg_v2(server, &message, 0), 3);
    CHECK_EQ(msf_sendmsg(server, &message), 3);
    wait_for(client, POLLIN);
    message.msg_iov = in;
    CHECK_EQ(msf_recvmsg_v2(client, &message, 0), 3);
    wait_for(client, POLLIN);
    CHECK_EQ(msf_recvmsg(client, &message), 3);
    CHECK_FAILS(msf_recvfrom(client, one, 3, NULL, NULL), EAGAIN);
    CHECK_FAILS(msf_sendto(client, NULL, 3, NULL, 0), EINVAL);
    CHECK_FAILS(msf_recvfrom(client, NULL, 3, NULL, NULL), EINVAL);
    CHECK_FAILS(msf_sendmsg_v1(client, NULL, 1, 0), EINVAL);
    CHECK_FAILS(msf_recvmsg_v1(client, NULL, 1, 0), EINVAL);
    CHECK_FAILS(msf_sendmsg_v2(client, NULL, 0), EINVAL);
    CHECK_FAILS(msf_recvmsg_v2(client, NULL, 0), EINVAL);
    CHECK_FAILS(msf_sendmsg_v1(client, out, 5000, 0), EMSGSIZE);
    CHECK_FAILS(msf_sendto(-1, "x", 1, NULL, 0), EBADF);
}

static void tcp(const char *host, const char *text)
{
    int listener = msf_server_socket(host, SOCK_STREAM, 0, 5), client, server;
    struct sockaddr_storage at;
    socklen_t length = sizeof(at);
    char port[8], got[4];

    CHECK(listener >= 0);
    CHECK(fcntl(listener, F_GETFL) & O_NONBLOCK);
    CHECK_FAILS(msf_socket_accept(listener, NULL, NULL), EAGAIN);
    CHECK_EQ(getsockname(listener, (struct sockaddr *)&at, &length), 0);
    snprintf(port, sizeof(port), "%u", (unsigned)ntohs(msf_sockaddr_port(&at)));
    CHECK_FAILS(msf_server_socket(host, SOCK_STREAM, atoi(port), 5), EADDRINUSE);
    client = msf_connect_host(text, port);
    CHECK(client >= 0);
    CHECK(fcntl(client, F_GETFL) & O_NONBLOCK);
    wait_for(listener, POLLIN);
    length = sizeof(at);
    server = msf_accept4(listener, (struct sockaddr *)&at, &length);
    CHECK(server >= 0);
    CHECK(fcntl(server, F_GETFL) & O_NONBLOCK);
    CHECK_EQ(fcntl(server, F_GETFD), FD_CLOEXEC);
    talk(client, server);
    close(client); /* linger 0: the connection is reset */
    wait_for(server, POLLIN);
    CHECK_FAILS(msf_recvfrom(server, got, sizeof(got), NULL, NULL), ECONNRESET);
    CHECK_FAILS(msf_sendto(server, "x", 1, NULL, 0), EPIPE);
    close(server);
    CHECK_EQ(msf_socket_blocking(listener), 0);
    client = msf_connect_host_within(text, port, 10000);
    CHECK(client >= 0);
    server = msf_accept(listener, NULL, NULL);
    CHECK(server >= 0);
    close(server);
    close(client);
    close(listener);
    CHECK_FAILS(msf_connect_host(text, port), ECONNREFUSED);
    CHECK_FAILS(msf_connect_host_within(text, port, 0), ETIMEDOUT);
}

static void refused_names(void)
{
    CHECK_FAILS(msf_connect_host(NULL, "80"), EINVAL);
    CHECK_FAILS(msf_connect_host("127.0.0.1", NULL), EINVAL);
    CHECK_FAILS(msf_connect_host_within("127.0.0.1", "no-such-service", 100), EINVAL);
    /* A name with a space in it is asked of no server. */
    CHECK_FAILS(msf_connect_host("no such host", "80"), ENOENT);
    CHECK_FAILS(msf_server_socket("no such host", SOCK_STREAM, 0, 5), ENOENT);
    CHECK_FAILS(msf_server_socket("192.0.2.1", SOCK_STREAM, 0, 5), EADDRNOTAVAIL);
    CHECK_FAILS(msf_server_socket(NULL, SOCK_STREAM, 65536, 5), EINVAL);
    CHECK_FAILS(msf_server_socket(NULL, SOCK_STREAM, -1, 5), EINVAL);
    CHECK_FAILS(msf_socket_accept(-1, NULL, NULL), EBADF);
}

static void bound(void)
{
    int fd = msf_socket_create(AF_INET, SOCK_STREAM, 0), other = msf_socket_create(AF_INET, SOCK_STREAM, 0);
    int udp = msf_socket_create(AF_INET, SOCK_DGRAM, 0), listening = 0;
    struct sockaddr_in at;
    socklen_t length = sizeof(at);

    memset(&at, 0, sizeof(at));
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_EQ(msf_socket_bind(fd, (struct sockaddr *)&at, sizeof(at), 5), 0);
    CHECK_EQ(msf_socket_listen(fd, 9), 0);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&at, &length), 0);
    length = sizeof(listening);
    CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length), 0);
    CHECK_EQ(listening, 1);
    CHECK_FAILS(msf_socket_bind(other, (struct sockaddr *)&at, sizeof(at), 5), EADDRINUSE);
    CHECK_FAILS(msf_socket_bind(other, NULL, 0, 5), EINVAL);
    at.sin_port = 0;
    CHECK_EQ(msf_socket_bind(udp, (struct sockaddr *)&at, sizeof(at), 5), 0);
    CHECK_EQ(inet_pton(AF_INET, "192.0.2.1", &at.sin_addr), 1);
    CHECK_FAILS(msf_socket_bind(other, (struct sockaddr *)&at, sizeof(at), 5), EADDRNOTAVAIL);
    CHECK_FAILS(msf_socket_listen(udp, 5), EOPNOTSUPP);
    CHECK_FAILS(msf_socket_listen(-1, 5), EBADF);
    msf_socket_debug(fd);
    msf_socket_debug(-1);
    close(fd);
    close(other);
    close(udp);
}

static void local(void)
{
    int listener = msf_server_unix_socket(5, "a.sock", 0640), client, server, plain;
    struct stat about;
    char longest[200];
    pid_t pid = 0;
    uid_t uid = 77777;
    gid_t gid = 77777;

    CHECK(listener >= 0);
    CHECK_EQ(stat("a.sock", &about), 0);
    CHECK_EQ(about.st_mode & 07777, 0640);
    client = msf_connect_unix_socket("client.sock", "a.sock");
    CHECK(client >= 0);
    CHECK(fcntl(client, F_GETFL) & O_NONBLOCK);
    server = msf_accept4(listener, NULL, NULL);
    CHECK(server >= 0);
    talk(client, server);
    CHECK_EQ(msf_socket_peer(server, &pid, &uid, &gid), 0);
    CHECK_EQ(pid, getpid());
    CHECK_EQ(uid, geteuid());
    CHECK_EQ(gid, getegid());
    CHECK_EQ(msf_socket_peer(client, NULL, NULL, NULL), 0);
    CHECK_FAILS(msf_socket_peer(-1, &pid, NULL, NULL), EBADF);
    plain = msf_socket_create(AF_UNIX, SOCK_STREAM, 0);
    CHECK_FAILS(msf_socket_peer(plain, &pid, NULL, NULL), ENOTCONN);
    close(plain);

    /* Both files belong to the living. */
    CHECK_FAILS(msf_server_unix_socket(5, "a.sock", 0600), EADDRINUSE);
    CHECK_FAILS(msf_server_unix_socket(5, "client.sock", 0600), EADDRINUSE);
    CHECK_FAILS(msf_connect_unix_socket("client.sock", "a.sock"), EADDRINUSE);
    CHECK_FAILS(msf_socket_accept(listener, NULL, NULL), EAGAIN);
    close(client);
    close(server);
    close(listener);

    /* Now they belong to the dead. */
    CHECK_FAILS(msf_connect_unix_socket(NULL, "a.sock"), ECONNREFUSED);
    listener = msf_server_unix_socket(0, "a.sock", 0666);
    CHECK(listener >= 0);
    CHECK_EQ(stat("a.sock", &about), 0);
    CHECK_EQ(about.st_mode & 07777, 0666);
    client = msf_connect_unix_socket("client.sock", "a.sock");
    CHECK(client >= 0);
    close(client);
    client = msf_connect_unix_socket("", "a.sock");
    CHECK(client >= 0);
    close(client);
    close(listener);

    plain = open("precious", O_CREAT | O_WRONLY, 0600);
    CHECK(plain >= 0 && write(plain, "x", 1) == 1);
    close(plain);
    CHECK_FAILS(msf_server_unix_socket(5, "precious", 0600), EEXIST);
    CHECK_FAILS(msf_connect_unix_socket("precious", "a.sock"), EEXIST);
    CHECK_EQ(stat("precious", &about), 0);
    CHECK_EQ(about.st_size, 1);
    CHECK_FAILS(msf_server_unix_socket(5, NULL, 0600), EINVAL);
    CHECK_FAILS(msf_connect_unix_socket(NULL, NULL), EINVAL);
    CHECK_FAILS(msf_connect_unix_socket("client.sock", "nobody.sock"), ENOENT);
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    CHECK_FAILS(msf_server_unix_socket(5, longest, 0600), ENAMETOOLONG);
}

static void drained(void)
{
    int pair[2];
    char one;

    CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    CHECK_EQ(send(pair[0], "a", 1, 0) + send(pair[0], "b", 1, 0) + send(pair[0], "c", 1, 0), 3);
    msf_drain_fd(pair[1], 2);
    CHECK_EQ(recv(pair[1], &one, 1, MSG_DONTWAIT), 1);
    CHECK_EQ(one, 'c');
    msf_drain_fd(pair[1], 10); /* empty, and blocking: comes back */
    msf_drain_fd(-1, 1);
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    int v6 = socket(AF_INET6, SOCK_STREAM, 0);

    tcp("127.0.0.1", LOCAL_HOST_V4);
    tcp(NULL, "127.0.0.1");
    if (v6 >= 0) {
        tcp("::1", LOCAL_HOST_V6);
        tcp(NULL, "::1");
        close(v6);
    }
    tcp("localhost", "localhost");
    refused_names();
    bound();
    local();
    drained();
    return check_verdict();
}
