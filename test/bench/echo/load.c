/* The load of the echo benchmark: callers and services that speak librpc or NATS, the same loops for both.
 *
 * A caller has one request in flight on each of its connections; every answer is compared with what was asked. A
 * service echoes the payload. Callers are one epoll loop, each service a process with a blocking loop, so that the
 * machine's cores are left to the broker.
 *
 * usage: load call PROTOCOL ADDRESS CONNECTIONS SERVICES PAYLOAD WINDOW SECONDS   prints calls and latencies as JSON
 *        load serve PROTOCOL ADDRESS INDEX                                        prints "ready" and runs
 * PROTOCOL is librpc (ADDRESS: a unix socket's path) or nats (ADDRESS: a TCP port of this machine).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 56, BUFFER = 256 * 1024, MOST_CONNECTIONS = 1024, EVENTS = 1024, SAMPLES = 1 << 24 };
enum { CALLER_ID = 0x1000, SERVICE_ID = 0x2000, COMMAND = 0x77, TIMEOUT = 10000 };
static const uint32_t AGENT = 0xfffffff1u;

struct stream {
    int fd;
    size_t used;
    char bytes[BUFFER];
};

struct message {
    uint32_t seq; /* librpc: the header's; nats: the first word of the payload */
    const char *payload;
    size_t length;
    const char *reply_to; /* nats: inbox; librpc: the header */
    size_t reply_length;
};

static int nats;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void bad(const char *what) {
    fprintf(stderr, "load: %s\n", what);
    exit(1);
}

static uint32_t word(const char *frame, int index) {
    uint32_t value;
    memcpy(&value, frame + 4 * index, 4);
    return value;
}

static uint64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void send_all(int fd, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) die("send");
        bytes += sent;
        length -= (size_t)sent;
    }
}

static void fill(struct stream *in) {
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

/* ---- librpc ---- */

static size_t frame(char *out, uint32_t from, uint32_t to, uint32_t opcode, uint32_t command, uint32_t seq,
                    uint32_t timeout, const char *payload, size_t length) {
    uint32_t head[14] = {0x100, 0x12345678, from, to, opcode, command, seq, 0, (uint32_t)length, 0, 0, timeout};
    memcpy(out, head, HEADER);
    memcpy(out + HEADER, payload, length);
    return HEADER + length;
}

static size_t parse_librpc(const char *bytes, size_t length, struct message *out) {
    if (length < HEADER) return 0;
    size_t size = HEADER + word(bytes, 8);
    if (length < size) return 0;
    if (word(bytes, 7) != 0) bad("the broker answered with an error code");
    *out = (struct message){word(bytes, 6), bytes + HEADER, size - HEADER, bytes, HEADER};
    return size;
}

/* ---- nats: MSG <subject> <sid> [reply-to] <#bytes>\r\n[payload]\r\n ---- */

static size_t parse_nats(struct stream *in, const char *bytes, size_t length, struct message *out) {
    for (;;) {
        const char *end = memchr(bytes, '\n', length);
        if (!end) return 0;
        if (memcmp(bytes, "MSG ", 4) == 0) break;
        if (memcmp(bytes, "PING", 4) == 0)
            send_all(in->fd, "PONG\r\n", 6);
        else if (bytes[0] == '-')
            bad(bytes);
        /* What is not for us is blanked in place, so that the caller of this need not know of it. */
        size_t line = (size_t)(end - bytes) + 1;
        memmove((char *)bytes, bytes + line, length - line);
        in->used -= line;
        length -= line;
    }
    const char *end = memchr(bytes, '\n', length);
    const char *fields[5];
    size_t count = 0;
    for (const char *at = bytes + 4; at < end && count < 5; at++)
        if (at[-1] == ' ') fields[count++] = at;
    size_t size = strtoul(fields[count - 1], NULL, 10);
    size_t head = (size_t)(end - bytes) + 1;
    if (length < head + size + 2) return 0;
    *out = (struct message){word(bytes + head, 0), bytes + head, size, NULL, 0};
    if (count == 4) {
        out->reply_to = fields[2];
        out->reply_length = (size_t)(fields[3] - fields[2]) - 1;
    }
    return head + size + 2;
}

static size_t parse(struct stream *in, size_t at, struct message *out) {
    if (!nats) return parse_librpc(in->bytes + at, in->used - at, out);
    return parse_nats(in, in->bytes + at, in->used - at, out);
}

/* ---- both ---- */

static int connect_to(const char *address) {
    int fd, failed;
    if (nats) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(address))};
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        fd = socket(AF_INET, SOCK_STREAM, 0);
        failed = connect(fd, (struct sockaddr *)&to, sizeof to);
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    } else {
        struct sockaddr_un to = {.sun_family = AF_UNIX};
        snprintf(to.sun_path, sizeof to.sun_path, "%s", address);
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        failed = connect(fd, (struct sockaddr *)&to, sizeof to);
    }
    if (failed) die(address);
    return fd;
}

/* Makes the connection known: an id at the agent, a subscription at nats. Returns once the broker has confirmed. */
static void introduce(struct stream *in, uint32_t id) {
    char out[512];
    if (!nats) {
        char login[68] = "bench";
        send_all(in->fd, out, frame(out, id, AGENT, 1, 1, 1, 0, login, sizeof login));
        while (in->used < HEADER) fill(in);
        if (word(in->bytes, 4) != 2 || word(in->bytes, 7) != 0) bad("the login was refused");
        in->used = 0;
        return;
    }
    int length = snprintf(out, sizeof out, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB s%u 1\r\nPING\r\n", id);
    send_all(in->fd, out, (size_t)length);
    while (in->used == 0 || !memmem(in->bytes, in->used, "PONG\r\n", 6)) fill(in);
    in->used = 0;
}

static size_t request(char *out, uint32_t from, uint32_t to, uint32_t seq, char *payload, size_t length) {
    if (!nats) return frame(out, from, to, 1, COMMAND, seq, TIMEOUT, payload, length);
    memcpy(payload, &seq, 4);
    size_t head = (size_t)sprintf(out, "PUB s%u s%u %zu\r\n", to, from, length);
    memcpy(out + head, payload, length);
    memcpy(out + head + length, "\r\n", 2);
    return head + length + 2;
}

static size_t answer(char *out, const struct message *asked) {
    if (!nats) {
        const char *head = asked->reply_to;
        return frame(out, word(head, 3), word(head, 2), 2, word(head, 5), asked->seq, word(head, 11), asked->payload,
                     asked->length);
    }
    size_t head = (size_t)sprintf(out, "PUB %.*s %zu\r\n", (int)asked->reply_length, asked->reply_to, asked->length);
    memcpy(out + head, asked->payload, asked->length);
    memcpy(out + head + asked->length, "\r\n", 2);
    return head + asked->length + 2;
}

static _Noreturn void serve(const char *address, unsigned index) {
    static struct stream in;
    static char out[2 * BUFFER];
    in.fd = connect_to(address);
    introduce(&in, SERVICE_ID + index);
    puts("ready");
    fflush(stdout);
    for (;;) {
        fill(&in);
        size_t at = 0, used, length = 0;
        struct message asked;
        while ((used = parse(&in, at, &asked)) > 0) {
            length += answer(out + length, &asked);
            at += used;
        }
        if (length > 0) send_all(in.fd, out, length);
        in.used -= at;
        if (in.used > 0) memmove(in.bytes, in.bytes + at, in.used);
    }
}

struct caller {
    struct stream *in;
    uint32_t id, to, next, expected;
    uint64_t asked_at;
};

static struct caller callers[MOST_CONNECTIONS];
static uint32_t samples[SAMPLES];
static char payload[BUFFER / 2], scratch[BUFFER];

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void ask(struct caller *one, size_t length, unsigned count) {
    size_t used = 0;
    one->asked_at = nanoseconds();
    for (unsigned i = 0; i < count; i++) used += request(scratch + used, one->id, one->to, one->next++, payload, length);
    send_all(one->in->fd, scratch, used);
}

/* Compares what has come; how many answers that was. */
static unsigned hear(struct caller *one, size_t length) {
    struct message got;
    size_t at = 0, used;
    unsigned count = 0;
    fill(one->in);
    while ((used = parse(one->in, at, &got)) > 0) {
        size_t skip = nats ? 4 : 0;
        if (got.seq != one->expected++ || got.length != length ||
            memcmp(got.payload + skip, payload + skip, length - skip) != 0)
            bad("a wrong answer");
        at += used;
        count++;
    }
    one->in->used -= at;
    if (one->in->used > 0) memmove(one->in->bytes, one->in->bytes + at, one->in->used);
    return count;
}

static int call(char **argv) {
    const char *address = argv[3];
    unsigned connections = (unsigned)atoi(argv[4]), services = (unsigned)atoi(argv[5]), window = (unsigned)atoi(argv[7]);
    size_t length = (size_t)atoi(argv[6]);
    double seconds = atof(argv[8]);
    if (connections > MOST_CONNECTIONS || services == 0 || length > BUFFER / 4 || (nats && length < 4) ||
        window == 0 || window * (length + 128) > BUFFER)
        bad("numbers out of range");
    for (size_t i = 0; i < length; i++) payload[i] = (char)('a' + i % 23);
    int epoll = epoll_create1(0);
    for (unsigned i = 0; i < connections; i++) {
        struct caller *one = &callers[i];
        one->in = calloc(1, sizeof *one->in);
        one->in->fd = connect_to(address);
        one->id = CALLER_ID + i;
        one->to = SERVICE_ID + i % services;
        introduce(one->in, one->id);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, one->in->fd, &event) < 0) die("epoll_ctl");
    }
    uint64_t calls = 0, begin = nanoseconds(), end = begin + (uint64_t)(seconds * 1e9), now = begin;
    for (unsigned i = 0; i < connections; i++) ask(&callers[i], length, window);
    static struct epoll_event events[EVENTS];
    while (now < end) {
        int ready = epoll_wait(epoll, events, EVENTS, 5000);
        if (ready == 0) bad("no answer for five seconds");
        if (ready < 0) die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            struct caller *one = &callers[events[i].data.u32];
            unsigned count = hear(one, length);
            now = nanoseconds();
            if (count == 0) continue;
            if (calls < SAMPLES) samples[calls] = (uint32_t)((now - one->asked_at) / 10);
            calls += count;
            ask(one, length, count);
        }
    }
    double rate = (double)calls * 1e9 / (double)(now - begin);
    size_t kept = calls < SAMPLES ? calls : SAMPLES;
    if (window > 1) kept = 0; /* several answers share a sample */
    qsort(samples, kept, sizeof *samples, by_value);
    printf("{\"rate\": %.0f, \"calls\": %llu", rate, (unsigned long long)calls);
    if (kept > 0)
        printf(", \"p50_us\": %.1f, \"p99_us\": %.1f", samples[kept / 2] / 100.0, samples[kept * 99 / 100] / 100.0);
    puts("}");
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 5 || (strcmp(argv[2], "librpc") != 0 && strcmp(argv[2], "nats") != 0)) {
        fprintf(stderr, "usage: load call|serve librpc|nats ADDRESS ...\n");
        return 2;
    }
    nats = strcmp(argv[2], "nats") == 0;
    if (strcmp(argv[1], "serve") == 0) serve(argv[3], (unsigned)atoi(argv[4]));
    if (strcmp(argv[1], "call") == 0 && argc == 9) return call(argv);
    fprintf(stderr, "usage: load call PROTOCOL ADDRESS CONNECTIONS SERVICES PAYLOAD WINDOW SECONDS\n");
    return 2;
}
