/*
 * nmid_broker.h - enough of an nmid broker to misbehave with: frames in, frames out, on a thread that plays a part.
 */
#ifndef NMID_BROKER_H
#define NMID_BROKER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nmid_worker.h>

#include "check.h"

enum { SERVER = 1, WORKER = 2, CLIENT = 3 };
enum {
    P_OK = 1, P_ERROR = 2, P_CANT_DO = 4, P_GET_DATA = 10, P_RETURN = 11, P_ADD_FUNC = 13, P_DEL_FUNC = 14,
    P_W_RETURN = 15, P_DO_JOB = 16, P_RATELIMIT = 18, P_PING = 22, P_PONG = 23, P_SET_NAME = 23
};

/* A frame that came; the body is followed by a NUL. */
struct frame {
    u32 conn, kind, len;
    u8 body[70000];
};

/* The parts of a job or a result, in the order of the wire. */
struct parts {
    u32 count;
    const u8 *at[4];
    u32 len[4];
};

static inline u16 broker_listen(int *fd_out)
{
    struct sockaddr_in address;
    socklen_t size = sizeof(address);

    memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *fd_out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd_out < 0 || bind(*fd_out, (struct sockaddr *)&address, size) != 0 || listen(*fd_out, 16) != 0 ||
        getsockname(*fd_out, (struct sockaddr *)&address, &size) != 0)
        abort();
    return ntohs(address.sin_port);
}

static inline int broker_accept(int listener)
{
    int fd = accept(listener, NULL, NULL), yes = 1;

    if (fd < 0)
        abort();
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    return fd;
}

/* Whether all of it came before the end of the connection; 20 seconds of silence are no end that a test expects. */
static inline int broker_receive(int fd, void *data, size_t len)
{
    u8 *at = data;

    while (len > 0) {
        struct pollfd look = { fd, POLLIN, 0 };
        ssize_t count;

        if (poll(&look, 1, 20000) != 1) {
            fprintf(stderr, "the peer is silent\n");
            abort();
        }
        count = read(fd, at, len);
        if (count <= 0)
            return 0;
        at += count;
        len -= (size_t)count;
    }
    return 1;
}

/* The next frame; 0: the peer has hung up. */
static inline int broker_heard(int fd, struct frame *frame)
{
    u32 head[3];

    memset(frame, 0, sizeof(*frame));
    if (!broker_receive(fd, head, sizeof(head)))
        return 0;
    frame->conn = ntohl(head[0]);
    frame->kind = ntohl(head[1]);
    frame->len = ntohl(head[2]);
    if (frame->len >= sizeof(frame->body))
        abort();
    return broker_receive(fd, frame->body, frame->len);
}

static inline void broker_send(int fd, u32 kind, const void *body, u32 len)
{
    u8 *bytes = malloc(12 + len);
    u32 head[3] = { htonl(SERVER), htonl(kind), htonl(len) };

    memcpy(bytes, head, 12);
    if (len > 0)
        memcpy(bytes + 12, body, len);
    /* The peer may have gone, which it has a right to. */
    (void)!send(fd, bytes, 12 + len, MSG_NOSIGNAL);
    free(bytes);
}

static inline u32 broker_word(const u8 *at)
{
    u32 word;

    memcpy(&word, at, 4);
    return ntohl(word);
}

/* Length, bytes, length, bytes ... to the end; aborts when they do not add up. */
static inline struct parts broker_parts(const u8 *body, u32 len)
{
    struct parts parts;
    u32 at = 0;

    memset(&parts, 0, sizeof(parts));
    while (at < len) {
        u32 size = broker_word(body + at);

        if (parts.count == 4 || at + 4 + size > len)
            abort();
        parts.at[parts.count] = body + at + 4;
        parts.len[parts.count++] = size;
        at += 4 + size;
    }
    return parts;
}

static inline int broker_is(const struct parts *parts, u32 index, const void *bytes, u32 len)
{
    return index < parts->count && parts->len[index] == len && memcmp(parts->at[index], bytes, len) == 0;
}

/* Appends words and bytes. */
static inline u32 broker_put(u8 *to, u32 at, u32 word)
{
    word = htonl(word);
    memcpy(to + at, &word, 4);
    return at + 4;
}

static inline u32 broker_add(u8 *to, u32 at, const void *bytes, u32 len)
{
    memcpy(to + at, bytes, len);
    return at + len;
}

/* A result for a client. */
static inline void broker_answer(int fd, const char *function, const void *ret, u32 len)
{
    u32 name = (u32)strlen(function), at = 0;
    u8 *body = malloc(16 + name + len);

    at = broker_put(body, at, name);
    at = broker_put(body, at, 1);
    at = broker_put(body, at, len);
    at = broker_add(body, at, function, name);
    at = broker_add(body, at, "\x80", 1);
    at = broker_add(body, at, ret, len);
    broker_send(fd, P_RETURN, body, at);
    free(body);
}

/* A job for a worker. */
static inline void broker_job(int fd, const char *function, u32 type, const void *params, u32 len, const char *id)
{
    u32 name = (u32)strlen(function), id_len = (u32)strlen(id), at = 0;
    u8 *body = malloc(20 + name + len + id_len);

    at = broker_put(body, at, type);
    at = broker_put(body, at, 10);
    at = broker_put(body, at, name);
    at = broker_put(body, at, len);
    at = broker_put(body, at, id_len);
    at = broker_add(body, at, function, name);
    at = broker_add(body, at, params, len);
    at = broker_add(body, at, id, id_len);
    broker_send(fd, P_GET_DATA, body, at);
    free(body);
}

/* A part on a thread of its own; join it with pthread_join. */
static inline pthread_t broker_plays(void *(*part)(void *), void *arg)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, part, arg) != 0)
        abort();
    return thread;
}

#endif /* NMID_BROKER_H */
