/*
 * Interfaces, how they change, and ping: in a network of the test's own, where nothing else happens.
 */
/* no qemu: a user namespace of its own wants a process with one thread, and qemu's has more */
#define _GNU_SOURCE
#include <linux/capability.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <msf_event.h>
#include <msf_network.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check.h"

/* One request to the kernel: a fixed part, then attributes. 0, or an errno. */
struct request {
    struct nlmsghdr head;
    char rest[256];
};

static void *grow(struct request *asked, size_t length)
{
    void *place = (char *)asked + NLMSG_ALIGN(asked->head.nlmsg_len);

    asked->head.nlmsg_len = (u32)(NLMSG_ALIGN(asked->head.nlmsg_len) + length);
    return place;
}

static struct rtattr *attribute(struct request *asked, u16 type, const void *data, size_t length)
{
    struct rtattr *one = grow(asked, RTA_LENGTH(length));

    one->rta_type = type;
    one->rta_len = (u16)RTA_LENGTH(length);
    memcpy(RTA_DATA(one), data, length);
    return one;
}

static int answered(struct request *asked)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    struct {
        struct nlmsghdr head;
        struct nlmsgerr error;
        char rest[512];
    } answer;

    asked->head.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    CHECK_EQ(send(fd, asked, asked->head.nlmsg_len, 0), asked->head.nlmsg_len);
    CHECK(recv(fd, &answer, sizeof(answer), 0) > 0);
    CHECK_EQ(answer.head.nlmsg_type, NLMSG_ERROR);
    close(fd);
    return -answer.error.error;
}

static int create(const char *name, const char *kind)
{
    struct request asked;
    struct rtattr *info;

    memset(&asked, 0, sizeof(asked));
    asked.head.nlmsg_len = NLMSG_LENGTH(0);
    asked.head.nlmsg_type = RTM_NEWLINK;
    asked.head.nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
    memset(grow(&asked, sizeof(struct ifinfomsg)), 0, sizeof(struct ifinfomsg));
    attribute(&asked, IFLA_IFNAME, name, strlen(name) + 1);
    info = attribute(&asked, IFLA_LINKINFO, "", 0);
    attribute(&asked, IFLA_INFO_KIND, kind, strlen(kind));
    info->rta_len = (u16)((char *)&asked + asked.head.nlmsg_len - (char *)info);
    return answered(&asked);
}

/* Whichever kind of interface this kernel can make that passes packets to nobody. */
static const char *create_any(const char *name)
{
    const char *kinds[] = { "dummy", "ifb", "vcan" };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (create(name, kinds[i]) == 0)
            return kinds[i];
    return NULL;
}

static void destroy(const char *name)
{
    struct request asked;
    struct ifinfomsg *link;

    memset(&asked, 0, sizeof(asked));
    asked.head.nlmsg_len = NLMSG_LENGTH(0);
    asked.head.nlmsg_type = RTM_DELLINK;
    link = grow(&asked, sizeof(*link));
    link->ifi_index = (int)if_nametoindex(name);
    CHECK_EQ(answered(&asked), 0);
}

static void address(const char *name, int family, const char *text, u8 prefix, u16 what)
{
    struct request asked;
    struct ifaddrmsg *one;
    char bytes[16];
    size_t length = family == AF_INET ? 4 : 16;

    memset(&asked, 0, sizeof(asked));
    asked.head.nlmsg_len = NLMSG_LENGTH(0);
    asked.head.nlmsg_type = what;
    asked.head.nlmsg_flags = what == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_EXCL : 0;
    one = grow(&asked, sizeof(*one));
    one->ifa_family = (u8)family;
    one->ifa_prefixlen = prefix;
    one->ifa_index = if_nametoindex(name);
    CHECK_EQ(inet_pton(family, text, bytes), 1);
    attribute(&asked, IFA_LOCAL, bytes, length);
    attribute(&asked, IFA_ADDRESS, bytes, length);
    CHECK_EQ(answered(&asked), 0);
}

static void no_way_to(const char *network)
{
    struct request asked;
    struct rtmsg *route;
    struct in_addr to;

    memset(&asked, 0, sizeof(asked));
    asked.head.nlmsg_len = NLMSG_LENGTH(0);
    asked.head.nlmsg_type = RTM_NEWROUTE;
    asked.head.nlmsg_flags = NLM_F_CREATE;
    route = grow(&asked, sizeof(*route));
    route->rtm_family = AF_INET;
    route->rtm_dst_len = 24;
    route->rtm_table = RT_TABLE_MAIN;
    route->rtm_protocol = RTPROT_STATIC;
    route->rtm_type = RTN_UNREACHABLE;
    CHECK_EQ(inet_pton(AF_INET, network, &to), 1);
    attribute(&asked, RTA_DST, &to, sizeof(to));
    CHECK_EQ(answered(&asked), 0);
}

static void turn(const char *name, int on)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request;

    memset(&request, 0, sizeof(request));
    strcpy(request.ifr_name, name);
    CHECK_EQ(ioctl(fd, SIOCGIFFLAGS, &request), 0);
    request.ifr_flags = (short)(on ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
    CHECK_EQ(ioctl(fd, SIOCSIFFLAGS, &request), 0);
    close(fd);
}

static void rename_to(const char *name, const char *other)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request;

    memset(&request, 0, sizeof(request));
    strcpy(request.ifr_name, name);
    strcpy(request.ifr_newname, other);
    CHECK_EQ(ioctl(fd, SIOCSIFNAME, &request), 0);
    close(fd);
}

static struct msf_netlink_event event;

/* Passes over the rest until this kind of event of this interface comes; 0 when none of it is left. */
static int comes(struct msf_netlink *links, u32 kind, const char *name)
{
    struct pollfd one = { msf_netlink_fd(links), POLLIN, 0 };
    int got;

    do {
        event.size = sizeof(event);
        while ((got = msf_netlink_next(links, &event)) == 1)
            if (event.kind == kind && (name == NULL || strcmp(event.name, name) == 0))
                return 1;
        CHECK_EQ(got, 0);
    } while (poll(&one, 1, 2000) == 1);
    return 0;
}

/* Passes over other addresses: an interface that goes up gives itself some. */
static int address_comes(struct msf_netlink *links, u32 kind, const char *name, const char *text)
{
    while (comes(links, kind, name))
        if (strcmp(event.address, text) == 0)
            return 1;
    return 0;
}

static void changes_are_told(void)
{
    struct msf_netlink *links = msf_netlink_open();
    struct msf_netlink_event small;
    u32 index;

    CHECK(links != NULL);
    event.size = sizeof(event);
    CHECK_EQ(msf_netlink_next(links, &event), 0); /* what was there before is no change */
    turn("lo", 1);
    CHECK(comes(links, MSF_LINK_UP, "lo"));
    CHECK_EQ(event.index, if_nametoindex("lo"));
    CHECK(event.flags & IFF_UP);
    CHECK(comes(links, MSF_LINK_ADDRESS_ADDED, "lo"));
    CHECK(strcmp(event.address, event.family == AF_INET ? "127.0.0.1" : "::1") == 0);
    CHECK_EQ(event.prefix, event.family == AF_INET ? 8 : 128);

    CHECK(create_any("msf0") != NULL);
    CHECK(comes(links, MSF_LINK_ADDED, "msf0"));
    index = event.index;
    CHECK_EQ(index, if_nametoindex("msf0"));
    rename_to("msf0", "msf1");
    CHECK(comes(links, MSF_LINK_CHANGED, "msf1"));
    CHECK_EQ(event.index, index);
    turn("msf1", 1);
    CHECK(comes(links, MSF_LINK_UP, "msf1"));
    address("msf1", AF_INET, "10.9.9.1", 24, RTM_NEWADDR);
    CHECK(address_comes(links, MSF_LINK_ADDRESS_ADDED, "msf1", "10.9.9.1"));
    CHECK(event.family == AF_INET && event.prefix == 24);
    address("msf1", AF_INET6, "fd00::1", 64, RTM_NEWADDR);
    CHECK(address_comes(links, MSF_LINK_ADDRESS_ADDED, "msf1", "fd00::1"));
    CHECK(event.family == AF_INET6 && event.prefix == 64);
    address("msf1", AF_INET, "10.9.9.1", 24, RTM_DELADDR);
    CHECK(address_comes(links, MSF_LINK_ADDRESS_REMOVED, "msf1", "10.9.9.1"));
    turn("msf1", 0);
    CHECK(comes(links, MSF_LINK_DOWN, "msf1"));
    destroy("msf1");
    CHECK(comes(links, MSF_LINK_REMOVED, "msf1"));
    CHECK_EQ(event.index, index);

    /* A caller whose header is older has a shorter struct. */
    memset(&small, 0x55, sizeof(small));
    small.size = 16;
    turn("lo", 0);
    CHECK_WITHIN(2000, msf_netlink_next(links, &small) == 1);
    CHECK(small.kind != 0x55555555 && small.name[0] == 0x55);
    small.size = 8;
    CHECK_FAILS(msf_netlink_next(links, &small), EINVAL);
    CHECK_FAILS(msf_netlink_next(NULL, &event), EINVAL);
    CHECK_FAILS(msf_netlink_next(links, NULL), EINVAL);
    CHECK_FAILS(msf_netlink_fd(NULL), EINVAL);
    msf_netlink_close(links);
    msf_netlink_close(NULL);
}

static void what_was_lost_is_told_late(void)
{
    struct msf_netlink *links = msf_netlink_open();
    int tiny = 1;

    CHECK_EQ(setsockopt(msf_netlink_fd(links), SOL_SOCKET, SO_RCVBUF, &tiny, sizeof(tiny)), 0);
    for (int i = 0; i < 50; i++) {
        turn("lo", 1);
        turn("lo", 0);
    }
    CHECK(create_any("msf2") != NULL);
    turn("lo", 1);
    CHECK(comes(links, MSF_LINK_LOST, NULL));
    tiny = 1 << 20;
    CHECK_EQ(setsockopt(msf_netlink_fd(links), SOL_SOCKET, SO_RCVBUF, &tiny, sizeof(tiny)), 0);
    CHECK(comes(links, MSF_LINK_ADDED, "msf2"));
    destroy("msf2");
    CHECK(comes(links, MSF_LINK_REMOVED, "msf2"));
    msf_netlink_close(links);
}

static struct msf_event_base *base;

static void on_change(void *args)
{
    struct msf_netlink *links = args;

    event.size = sizeof(event);
    while (msf_netlink_next(links, &event) == 1)
        if (event.kind == MSF_LINK_ADDED)
            msf_event_base_loopexit(base);
}

static void is_an_event_source(void)
{
    struct msf_netlink *links = msf_netlink_open();
    struct msf_event *change = msf_event_new(msf_netlink_fd(links), on_change, NULL, NULL, links);

    base = msf_event_base_new();
    CHECK_EQ(msf_event_add(base, change), 0);
    CHECK(create_any("msf3") != NULL);
    CHECK_EQ(msf_event_base_dispatch(base), 0);
    CHECK(strcmp(event.name, "msf3") == 0);
    msf_event_free(change);
    msf_event_base_free(base);
    msf_netlink_close(links);
    destroy("msf3");
}

static void lists(void)
{
    struct msf_interface list[8];
    struct msf_interface_address addresses[8];
    char ip[MAX_IPADDR_LEN], tight[4];
    int seen = 0;

    CHECK_EQ(create("msf4", "veth"), 0); /* with a hardware address, and a peer */
    CHECK_EQ(msf_interface_list(list, 8), 3);
    CHECK_EQ(msf_interface_list(NULL, 0), 3);
    for (int i = 0; i < 3; i++) {
        seen += strcmp(list[i].name, "lo") == 0 && list[i].is_up == 1;
        seen += strcmp(list[i].name, "msf4") == 0 && list[i].is_up == 0 && list[i].index == if_nametoindex("msf4") &&
                memcmp(list[i].mac, "\0\0\0\0\0", 6) != 0 && !(list[i].flags & IFF_UP);
    }
    CHECK_EQ(seen, 2);
    CHECK_FAILS(msf_interface_list(NULL, 1), EINVAL);

    CHECK_FAILS(get_ipaddr_by_intf("msf4", ip, sizeof(ip)), EADDRNOTAVAIL);
    turn("msf4", 1);
    address("msf4", AF_INET6, "fd00::1", 64, RTM_NEWADDR);
    CHECK_EQ(get_ipaddr_by_intf("msf4", ip, sizeof(ip)), 0);
    CHECK(strcmp(ip, "fd00::1") == 0);
    address("msf4", AF_INET, "10.9.9.1", 24, RTM_NEWADDR);
    CHECK_EQ(get_ipaddr_by_intf("msf4", ip, sizeof(ip)), 0);
    CHECK(strcmp(ip, "10.9.9.1") == 0);
    CHECK_FAILS(get_ipaddr_by_intf("msf4", tight, sizeof(tight)), ENOSPC);
    CHECK_FAILS(get_ipaddr_by_intf("nosuch0", ip, sizeof(ip)), ENODEV);
    CHECK_FAILS(get_ipaddr_by_intf(NULL, ip, sizeof(ip)), EINVAL);
    CHECK_FAILS(get_ipaddr_by_intf("msf4", NULL, 64), EINVAL);

    CHECK_EQ(msf_interface_addresses("msf4", addresses, 8), 2);
    for (int i = 0; i < 2; i++) {
        int v4 = addresses[i].family == AF_INET;
        CHECK(strcmp(addresses[i].address, v4 ? "10.9.9.1" : "fd00::1") == 0);
        CHECK_EQ(addresses[i].prefix, v4 ? 24 : 64);
        CHECK_EQ(addresses[i].index, if_nametoindex("msf4"));
        CHECK(strcmp(addresses[i].name, "msf4") == 0);
    }
    CHECK(msf_interface_addresses(NULL, addresses, 1) > 2);
    CHECK_FAILS(msf_interface_addresses("nosuch0", addresses, 8), ENODEV);
    CHECK_FAILS(msf_interface_addresses("msf4", NULL, 8), EINVAL);
}

/* Takes every privilege away from the calling process. */
static int powerless(void)
{
    struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct none[2];

    memset(none, 0, sizeof(none));
    return (int)syscall(SYS_capset, &head, none);
}

static void pings(void)
{
    u32 us = 0xffffffffu;
    int status;
    pid_t child;

    CHECK_EQ(msf_ping("127.0.0.1"), 0);
    CHECK_EQ(msf_ping_host("127.0.0.1", 5000, &us), 0);
    CHECK(us < 5000000);
    CHECK_EQ(msf_ping_host("::1", 5000, NULL), 0);
    CHECK_EQ(msf_ping_host("10.9.9.1", 5000, NULL), 0);
    CHECK_FAILS(msf_ping_host("10.9.9.2", 200, &us), ETIMEDOUT); /* its answer would come from the veth's other end */
    CHECK_FAILS(msf_ping_host("192.0.2.1", 200, &us), ENETUNREACH);
    no_way_to("198.51.100.0");
    CHECK_FAILS(msf_ping_host("198.51.100.1", 200, &us), EHOSTUNREACH);
    CHECK_FAILS(msf_ping("no such host"), ENOENT);
    CHECK_FAILS(msf_ping(NULL), EINVAL);
    child = fork();
    if (child == 0) {
        CHECK_EQ(powerless(), 0);
        CHECK_FAILS(msf_ping("127.0.0.1"), EPERM);
        _exit(check_verdict());
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
}

/* An address that every link may have leads somewhere with its interface only. */
static void link_local_addresses_have_a_scope(void)
{
    struct sockaddr_in6 at;
    char ip[MAX_IPADDR_LEN], expected[MAX_IPADDR_LEN], port[8];
    struct sockaddr_storage bound;
    socklen_t length = sizeof(bound);
    s32 server, client;

    turn("lo", 1);
    address("lo", AF_INET6, "fe80::1", 64, RTM_NEWADDR);
    snprintf(expected, sizeof(expected), "fe80::1%%%u", if_nametoindex("lo"));
    CHECK_EQ(msf_get_ipaddr_by_host("fe80::1%lo", ip, sizeof(ip)), 0);
    CHECK(strcmp(ip, expected) == 0);
    CHECK_EQ(msf_get_sockaddr_by_host("fe80::1%lo", (struct sockaddr *)&at), AF_INET6);
    CHECK_EQ(at.sin6_scope_id, if_nametoindex("lo"));
    CHECK_WITHIN(5000, (server = msf_server_socket("fe80::1%lo", SOCK_STREAM, 0, 5)) >= 0);
    CHECK_EQ(getsockname(server, (struct sockaddr *)&bound, &length), 0);
    snprintf(port, sizeof(port), "%u", ntohs(msf_sockaddr_port(&bound)));
    CHECK((client = msf_connect_host_within("fe80::1%lo", port, 5000)) >= 0);
    close(client);
    CHECK((client = msf_connect_host_within("[fe80::1%lo]", port, 5000)) >= 0);
    close(client);
    CHECK((client = msf_connect_host_within(ip, port, 5000)) >= 0);
    close(client);
    close(server);
    CHECK_FAILS(msf_server_socket("fe80::1", SOCK_STREAM, 0, 5), EINVAL);
    CHECK_FAILS(msf_connect_host_within("fe80::1", port, 5000), EINVAL);
    CHECK_FAILS(msf_connect_host_within("fe80::1%nowhere", port, 5000), ENOENT);
    CHECK_EQ(msf_isipaddr("fe80::1%lo", AF_INET6), 0);
    address("lo", AF_INET6, "fe80::1", 64, RTM_DELADDR);
}

int main(void)
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        printf("no network of its own: %s\n", strerror(errno));
        return 77;
    }
    if (create_any("probe") == NULL) {
        puts("this kernel makes no interface of the kinds dummy, ifb, vcan");
        return 77;
    }
    destroy("probe");
    changes_are_told();
    what_was_lost_is_told_late();
    is_an_event_source();
    lists();
    pings();
    link_local_addresses_have_a_scope();
    return check_verdict();
}
