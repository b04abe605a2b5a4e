/* The floor of the librpc cases: a bare epoll forwarder with the same hops and the same framing as msf_agent.
 *
 * One thread, level-triggered, no queues, no checks beyond the length of a frame: what one read brings is sent on with
 * one send per run of frames to the same receiver. A login binds an id to a connection and is answered. It trusts its
 * peers and blocks on a full socket; it is a yardstick, not a broker.
 *
 * usage: forwarder SOCKET
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../floor.h"

enum { HEADER = 56, BUFFER = 128 * 1024, IDS = 65536, FDS = 4096, EVENTS = 1024 };
static const uint32_t AGENT = 0xfffffff1u;

static int fd_of[IDS]; /* by the low bits of the id; 0 = nobody */
static struct partial {
    size_t used;
    char bytes[BUFFER];
} *partial_of[FDS];

static uint32_t word(const char *frame, int index) {
    uint32_t value;
    memcpy(&value, frame + 4 * index, 4);
    return value;
}

static void put(char *frame, int index, uint32_t value) { memcpy(frame + 4 * index, &value, 4); }

static void login(int fd, const char *frame) {
    char ack[HEADER];
    memcpy(ack, frame, HEADER);
    put(ack, 2, AGENT);
    put(ack, 3, word(frame, 2));
    put(ack, 4, 2);
    put(ack, 8, 0);
    fd_of[word(frame, 2) % IDS] = fd;
    send_all(fd, ack, HEADER);
}

/* Forwards the whole frames at the front of `bytes`; how many bytes they were. */
static size_t forward(int fd, const char *bytes, size_t length) {
    size_t used = 0, run = 0;
    int run_fd = 0;
    while (length - used >= HEADER) {
        const char *frame = bytes + used;
        size_t size = HEADER + word(frame, 8);
        if (length - used < size) break;
        uint32_t to = word(frame, 3);
        int target = to == AGENT ? 0 : fd_of[to % IDS];
        if (run_fd != target && run_fd > 0) send_all(run_fd, bytes + run, used - run);
        if (run_fd != target) run = used;
        if (to == AGENT) login(fd, frame);
        if (target == 0) run = used + size;
        run_fd = target;
        used += size;
    }
    if (run_fd > 0) send_all(run_fd, bytes + run, used - run);
    return used;
}

static void readable(int fd) {
    struct partial *in = partial_of[fd];
    ssize_t got = recv(fd, in->bytes + in->used, BUFFER - in->used, 0);
    if (got <= 0) {
        close(fd);
        return;
    }
    in->used += (size_t)got;
    size_t used = forward(fd, in->bytes, in->used);
    in->used -= used;
    if (in->used > 0) memmove(in->bytes, in->bytes + used, in->used);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: forwarder SOCKET\n");
        return 2;
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", argv[1]);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 128) < 0)
        die(argv[1]);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0) die("epoll");
    static struct epoll_event events[EVENTS];
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        if (ready < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd != listener) {
                readable(events[i].data.fd);
                continue;
            }
            int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
            if (fd < 0) continue;
            if (fd >= FDS) {
                close(fd);
                continue;
            }
            if (!partial_of[fd] && !(partial_of[fd] = malloc(sizeof *partial_of[fd]))) die("malloc");
            partial_of[fd]->used = 0;
            event.data.fd = fd;
            if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
        }
    }
}
