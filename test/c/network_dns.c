/*
 * Name servers, read from an /etc/resolv.conf of the test's own.
 */
/* no qemu: a user namespace of its own wants a process with one thread, and qemu's has more */
#define _GNU_SOURCE
#include <msf_network.h>
#include <sched.h>
#include <sys/mount.h>

#include "check.h"

static void write_file(const char *text)
{
    FILE *file = fopen("resolv.conf", "w");

    CHECK(file != NULL);
    fputs(text, file);
    fclose(file);
}

int main(void)
{
    char first[MAX_IPADDR_LEN], second[MAX_IPADDR_LEN], ip[MAX_IPADDR_LEN];
    struct sockaddr_storage at, list[1];

    write_file("# two of them\nnameserver 10.0.0.1\nsearch lan\nnameserver fe80::1%lo\nnameserver 10.0.0.3\n");
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("resolv.conf", "/etc/resolv.conf", NULL, MS_BIND, NULL) != 0) {
        printf("no /etc/resolv.conf of its own: %s\n", strerror(errno));
        return 77;
    }
    CHECK_EQ(msf_get_dns(first, second), 0);
    CHECK(strcmp(first, "10.0.0.1") == 0);
    CHECK(strcmp(second, "fe80::1") == 0);
    write_file("nameserver 10.0.0.2\n");
    CHECK_EQ(msf_get_dns(first, second), 0);
    CHECK(strcmp(first, "10.0.0.2") == 0);
    CHECK(strcmp(second, "") == 0);
    write_file("search lan\n");
    CHECK_FAILS(msf_get_dns(first, second), ENOENT);
    CHECK_FAILS(msf_get_dns(NULL, second), EINVAL);
    CHECK_FAILS(msf_get_dns(first, NULL), EINVAL);

    /* The network is down, so no server answers. */
    write_file("nameserver 10.0.0.1\noptions timeout:1 attempts:1\n");
    CHECK_FAILS(msf_get_ipaddr_by_host("host.msf-test.example", ip, sizeof(ip)), EAGAIN);
    CHECK_FAILS(msf_get_sockaddr_by_host("host.msf-test.example", PADDR(&at)), EAGAIN);
    CHECK_FAILS(msf_host_addresses("host.msf-test.example", NULL, list, 1), EAGAIN);
    CHECK_FAILS(msf_connect_host("host.msf-test.example", "80"), EAGAIN);
    return check_verdict();
}
