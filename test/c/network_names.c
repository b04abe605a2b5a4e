/*
 * Addresses and names, as text and as structs.
 */
#include <msf_network.h>

#include "check.h"

static struct sockaddr_storage address(const char *text, u16 port)
{
    struct sockaddr_storage at;

    memset(&at, 0, sizeof(at));
    if (inet_pton(AF_INET, text, &SIN(&at)->sin_addr) == 1) {
        at.ss_family = AF_INET;
        SIN(&at)->sin_port = htons(port);
    } else {
        CHECK_EQ(inet_pton(AF_INET6, text, &SIN6(&at)->sin6_addr), 1);
        at.ss_family = AF_INET6;
        SIN6(&at)->sin6_port = htons(port);
    }
    return at;
}

static int differ(struct sockaddr_storage one, struct sockaddr_storage two)
{
    return msf_sockaddr_cmp(PADDR(&one), PADDR(&two));
}

static void compared(void)
{
    struct sockaddr_storage one = address("::1", 1), scoped = one;
    struct sockaddr_un path, other;

    CHECK_EQ(differ(address("10.0.0.1", 80), address("10.0.0.1", 80)), 0);
    CHECK_EQ(differ(address("10.0.0.1", 80), address("10.0.0.2", 80)), 1);
    CHECK_EQ(differ(address("10.0.0.1", 80), address("10.0.0.1", 81)), 1);
    CHECK_EQ(differ(address("::1", 80), address("::1", 80)), 0);
    CHECK_EQ(differ(address("::1", 80), address("::2", 80)), 1);
    CHECK_EQ(differ(address("::ffff:10.0.0.1", 80), address("10.0.0.1", 80)), 1);
    SIN6(&scoped)->sin6_scope_id = 3;
    CHECK_EQ(differ(one, scoped), 1);
    memset(&path, 0, sizeof(path));
    path.sun_family = AF_UNIX;
    strcpy(path.sun_path, "/tmp/a");
    other = path;
    CHECK_EQ(msf_sockaddr_cmp(PADDR(&path), PADDR(&other)), 0);
    strcpy(SINU(&other)->sun_path, "/tmp/b");
    CHECK_EQ(msf_sockaddr_cmp(PADDR(&path), PADDR(&other)), 1);
    CHECK_EQ(msf_sockaddr_cmp(PADDR(&path), PADDR(&one)), 1);
    CHECK_FAILS(msf_sockaddr_cmp(NULL, PADDR(&one)), EINVAL);
    scoped.ss_family = 99;
    CHECK_FAILS(msf_sockaddr_cmp(PADDR(&one), PADDR(&scoped)), EAFNOSUPPORT);

    CHECK_EQ(msf_sockaddr_port(&one), htons(1));
    one = address("10.0.0.1", 8080);
    CHECK_EQ(msf_sockaddr_port(&one), htons(8080));
    one.ss_family = AF_UNIX;
    CHECK_EQ(msf_sockaddr_port(&one), 0);
    CHECK_EQ(msf_sockaddr_port(NULL), 0);
}

static void texts(void)
{
    CHECK_EQ(msf_isipaddr("10.0.0.1", AF_INET), 1);
    CHECK_EQ(msf_isipaddr("10.0.0.1", AF_INET6), 0);
    CHECK_EQ(msf_isipaddr("fe80::1", AF_INET6), 1);
    CHECK_EQ(msf_isipaddr("fe80::1", AF_INET), 0);
    CHECK_EQ(msf_isipaddr("fe80::1", AF_UNSPEC), 1);
    CHECK_EQ(msf_isipaddr("10.0.0.256", AF_INET), 0);
    CHECK_EQ(msf_isipaddr("localhost", AF_UNSPEC), 0);
    CHECK_EQ(msf_isipaddr(NULL, AF_INET), 0);
}

/* As many bytes are written as an address of its family has. */
static void exactly(const char *host, size_t size)
{
    unsigned char bytes[2 * sizeof(struct sockaddr_storage)];
    size_t length = sizeof(bytes);

    memset(bytes, 0x5a, sizeof(bytes));
    CHECK(msf_get_sockaddr_by_host(host, (struct sockaddr *)(void *)bytes) > 0);
    while (length > 0 && bytes[length - 1] == 0x5a)
        length--;
    CHECK(length <= size);
}

static void hosts(void)
{
    struct sockaddr_storage at, list[4];
    char ip[MAX_IPADDR_LEN], tight[4], name[256], ours[256];

    memset(&at, 0, sizeof(at));
    CHECK_EQ(msf_get_sockaddr_by_host("127.0.0.1", PADDR(&at)), AF_INET);
    CHECK_EQ(differ(at, address("127.0.0.1", 0)), 0);
    CHECK_EQ(msf_get_sockaddr_by_host("::1", PADDR(&at)), AF_INET6);
    CHECK_EQ(differ(at, address("::1", 0)), 0);
    exactly("127.0.0.1", sizeof(struct sockaddr_in));
    exactly("::1", sizeof(struct sockaddr_in6));
    CHECK_FAILS(msf_get_sockaddr_by_host(NULL, PADDR(&at)), EINVAL);
    CHECK_FAILS(msf_get_sockaddr_by_host("::1", NULL), EINVAL);
    CHECK_FAILS(msf_get_sockaddr_by_host("no such host", PADDR(&at)), ENOENT);

    CHECK_EQ(msf_get_ipaddr_by_host("localhost", ip, sizeof(ip)), 0);
    CHECK_EQ(msf_isipaddr(ip, AF_UNSPEC), 1);
    CHECK_EQ(msf_get_ipaddr_by_host("[::1]", ip, sizeof(ip)), 0);
    CHECK(strcmp(ip, "::1") == 0);
    CHECK_FAILS(msf_get_ipaddr_by_host("127.0.0.1", tight, sizeof(tight)), ENOSPC);
    CHECK_FAILS(msf_get_ipaddr_by_host("127.0.0.1", ip, -1), ENOSPC);
    CHECK_FAILS(msf_get_ipaddr_by_host("127.0.0.1", NULL, 64), EINVAL);
    CHECK_FAILS(msf_get_ipaddr_by_host("no such host", ip, sizeof(ip)), ENOENT);

    memset(list, 0, sizeof(list));
    CHECK_EQ(msf_host_addresses("127.0.0.1", "9999", list, 4), 1);
    CHECK_EQ(differ(list[0], address("127.0.0.1", 9999)), 0);
    CHECK_EQ(msf_host_addresses("127.0.0.1", NULL, NULL, 0), 1);
    CHECK_FAILS(msf_host_addresses("127.0.0.1", NULL, NULL, 1), EINVAL);
    CHECK_FAILS(msf_host_addresses("127.0.0.1", "no-such-service", list, 4), EINVAL);
    CHECK_FAILS(msf_host_addresses("127.0.0.1", "65536", list, 4), EINVAL);
    CHECK_EQ(msf_host_addresses("127.0.0.1", "65535", list, 4), 1);
    CHECK_EQ(msf_sockaddr_port(&list[0]), htons(65535));
    CHECK_FAILS(msf_host_addresses("no such host", NULL, list, 4), ENOENT);

    CHECK_EQ(gethostname(ours, sizeof(ours)), 0);
    CHECK_EQ(msf_get_hostname(name, sizeof(name)), 0);
    CHECK(strcmp(name, ours) == 0);
    CHECK_FAILS(msf_get_hostname(name, (s32)strlen(ours)), ENOSPC);
    CHECK_FAILS(msf_get_hostname(NULL, 256), EINVAL);
}

int main(void)
{
    CHECK_EQ(max_epoll_event, 256);
    CHECK_EQ(INVALID_SOCKET, -1);
    CHECK_EQ(DOMAIN_ADDR_LEN, 64);
    CHECK(strcmp(LOCAL_HOST_V4 LOCAL_HOST_V6 LOCAL_PORT, "127.0.0.1[::1]9999") == 0);
    CHECK(strcmp(MSF_RPC_UNIX_SERVER, PREFIX_UNIX_PATH "msf_agent.sock") == 0);
    CHECK(strcmp(MSF_RPC_UNIX_DLNA, "/var/msf_dlna.sock") == 0);
    CHECK(strcmp(MSF_RPC_UNIX_UPNP, "/var/msf_upnp.sock") == 0);
    CHECK(strcmp(MSF_RPC_UNIX_FORMAT, "/var/msf_%s.sock") == 0);
    compared();
    texts();
    hosts();
    return check_verdict();
}
