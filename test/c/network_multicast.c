/*
 * Multicast by interface, and sockets that stay on one.
 */
/* no qemu: it takes the number of the interface in IP_ADD_MEMBERSHIP for 64 bits, and knows no IP_MULTICAST_IF */
#include <msf_network.h>

#include "check.h"

static int number(int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof(value);

    CHECK_EQ(getsockopt(fd, level, name, &value, &length), 0);
    return value;
}

static void device(void)
{
    int v4 = msf_socket_create(AF_INET, SOCK_DGRAM, 0);

    CHECK_FAILS(msf_socket_device(v4, "nosuch0"), ENODEV);
    CHECK_FAILS(msf_socket_device(v4, "a name no interface has"), ENODEV);
    CHECK_FAILS(msf_socket_device(-1, NULL), EBADF);
    if (msf_socket_device(v4, "lo") == 0) {
        char name[IFNAMSIZ] = "";
        socklen_t length = sizeof(name);
        CHECK_EQ(getsockopt(v4, SOL_SOCKET, SO_BINDTODEVICE, name, &length), 0);
        CHECK(strcmp(name, "lo") == 0);
        CHECK_EQ(msf_socket_device(v4, NULL), 0);
    } else {
        CHECK_EQ(errno, EPERM); /* kernels before 5.7 want a privilege */
    }
    close(v4);
}

static void multicast(void)
{
    int fd = msf_server_socket("127.0.0.1", SOCK_DGRAM, 0, 0), v6 = msf_socket_create(AF_INET6, SOCK_DGRAM, 0);
    int receiver = msf_server_socket(NULL, SOCK_DGRAM, 0, 0), local = msf_socket_create(AF_UNIX, SOCK_DGRAM, 0);
    struct sockaddr_storage at;
    struct sockaddr_in group;
    socklen_t length = sizeof(at);
    struct pollfd wait = { receiver, POLLIN, 0 };
    char got[16];
    int v4 = msf_socket_create(AF_INET, SOCK_DGRAM, 0);

    CHECK(fd >= 0 && receiver >= 0 && v4 >= 0);
    CHECK_EQ(msf_multicast_join(receiver, "239.1.2.3", "lo"), 0);
    CHECK_FAILS(msf_multicast_join(receiver, "239.1.2.3", "lo"), EADDRINUSE);
    CHECK_FAILS(msf_multicast_join(receiver, "10.0.0.1", "lo"), EINVAL);
    CHECK_FAILS(msf_multicast_join(receiver, NULL, "lo"), EINVAL);
    CHECK_FAILS(msf_multicast_join(receiver, "239.1.2.3", "nosuch0"), ENODEV);

    CHECK_EQ(getsockname(receiver, (struct sockaddr *)&at, &length), 0);
    memset(&group, 0, sizeof(group));
    group.sin_family = AF_INET;
    group.sin_port = msf_sockaddr_port(&at);
    CHECK_EQ(inet_pton(AF_INET, "239.1.2.3", &group.sin_addr), 1);
    CHECK_EQ(msf_multicast_send(fd, "lo", 1, 1), 0);
    CHECK_EQ(number(fd, IPPROTO_IP, IP_MULTICAST_TTL), 1);
    CHECK_EQ(number(fd, IPPROTO_IP, IP_MULTICAST_LOOP), 1);
    CHECK_EQ(msf_sendto(fd, "all", 3, (struct sockaddr *)&group, sizeof(group)), 3);
    CHECK_EQ(poll(&wait, 1, 5000), 1);
    CHECK_EQ(msf_recvfrom(receiver, got, sizeof(got), NULL, NULL), 3);

    CHECK_EQ(msf_multicast_leave(receiver, "239.1.2.3", "lo"), 0);
    CHECK_FAILS(msf_multicast_leave(receiver, "239.1.2.3", "lo"), EADDRNOTAVAIL);
    CHECK_FAILS(msf_multicast_send(fd, "lo", 256, 1), EINVAL);
    CHECK_FAILS(msf_multicast_send(fd, "nosuch0", 1, 1), ENODEV);
    CHECK_FAILS(msf_multicast_send(local, NULL, 1, 1), EAFNOSUPPORT);
    if (v6 >= 0) {
        CHECK_EQ(msf_multicast_join(v6, "ff02::1234", "lo"), 0);
        CHECK_EQ(msf_multicast_leave(v6, "ff02::1234", "lo"), 0);
        CHECK_EQ(msf_multicast_send(v6, "lo", 3, 0), 0);
        CHECK_EQ(number(v6, IPPROTO_IPV6, IPV6_MULTICAST_HOPS), 3);
        CHECK_EQ(number(v6, IPPROTO_IPV6, IPV6_MULTICAST_LOOP), 0);
        CHECK_EQ(number(v6, IPPROTO_IPV6, IPV6_MULTICAST_IF), if_nametoindex("lo"));
        close(v6);
    }
    close(fd);
    close(receiver);
    close(local);
    close(v4);
}

int main(void)
{
    device();
    multicast();
    return check_verdict();
}
