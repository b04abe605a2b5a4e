/* The floor of the gateway benchmark: the least that answers HTTP, in C, one thread, level-triggered epoll.
 *
 * Every request gets 200 and its own body back, without a worker behind it. It knows Content-Length and keep-alive, parses
 * nothing else, trusts its peers and blocks on a full socket; it is a yardstick, not a server.
 *
 * usage: http_floor PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../floor.h"

enum { BUFFER = 64 * 1024, FDS = 4096, EVENTS = 1024 };

static struct partial {
    size_t used;
    char bytes[BUFFER];
} *partial_of[FDS];

/* Answers the request at the front of the bytes; its length, 0 while it is incomplete. */
static size_t respond(int fd, const char *bytes, size_t length) {
    static const char field[] = "\r\nContent-Length:";
    static char out[BUFFER + 256];
    const char *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t head = (size_t)(end - bytes) + 4;
    const char *value = memmem(bytes, head, field, sizeof field - 1);
    size_t body = value ? strtoul(value + sizeof field - 1, NULL, 10) : 0;
    if (length - head < body) return 0;
    size_t used = (size_t)sprintf(out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", body);
    memcpy(out + used, bytes + head, body);
    send_all(fd, out, used + body);
    return head + body;
}

static void readable(int fd) {
    struct partial *in = partial_of[fd];
    ssize_t got = recv(fd, in->bytes + in->used, BUFFER - in->used, 0);
    if (got <= 0) {
        close(fd);
        return;
    }
    in->used += (size_t)got;
    size_t at = 0, used;
    while ((used = respond(fd, in->bytes + at, in->used - at)) > 0) at += used;
    in->used -= at;
    if (in->used > 0) memmove(in->bytes, in->bytes + at, in->used);
}

static void welcome(int epoll, int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), on = 1;
    if (fd < 0) return;
    if (fd >= FDS || (!partial_of[fd] && !(partial_of[fd] = malloc(sizeof *partial_of[fd])))) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    partial_of[fd]->used = 0;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: http_floor PORT\n");
        return 2;
    }
    int listener = listen_on(argv[1]), epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0) die("epoll");
    static struct epoll_event events[EVENTS];
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        if (ready < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listener)
                welcome(epoll, listener);
            else
                readable(events[i].data.fd);
        }
    }
}
