#define _GNU_SOURCE
#include "stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

void die(const char *what) {
    perror(what);
    exit(1);
}

void bad(const char *what) {
    fprintf(stderr, "load: %s\n", what);
    exit(1);
}

static int connect_unix(const char *path) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) die(path);
    return fd;
}

static int connect_tcp(const char *port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) die(port);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

struct stream *stream_open(const char *address) {
    struct stream *one = calloc(1, sizeof *one);
    if (!one) die("calloc");
    one->fd = address[0] == '/' ? connect_unix(address) : connect_tcp(address);
    return one;
}

void send_all(int fd, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) die("send");
        bytes += sent;
        length -= (size_t)sent;
    }
}

void fill(struct stream *in) {
    if (in->used == BUFFER) bad("a message larger than the buffer");
    for (;;) {
        ssize_t got = recv(in->fd, in->bytes + in->used, BUFFER - in->used, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) die("recv");
        if (got == 0) bad("the broker closed the connection");
        in->used += (size_t)got;
        return;
    }
}

void drop(struct stream *in, size_t length) {
    in->used -= length;
    if (in->used > 0) memmove(in->bytes, in->bytes + length, in->used);
}

uint32_t word_at(const char *bytes) {
    uint32_t value;
    memcpy(&value, bytes, 4);
    return value;
}

uint32_t word_be(const char *bytes) { return ntohl(word_at(bytes)); }

void put_be(char *bytes, uint32_t value) {
    value = htonl(value);
    memcpy(bytes, &value, 4);
}
