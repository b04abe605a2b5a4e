/*
 * What first.c reads and writes: frames of nmid's first generation, and as much msgpack as their params and results
 * need. Everything that is not as it must be ends the program through refuse().
 */
#ifndef FIRST_WIRE_H
#define FIRST_WIRE_H

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SERVER = 1, WORKER = 2, CLIENT = 3 };
enum { OK = 1, GET_DATA = 10, S_RETURN = 11, GRAB_JOB = 12, ADD_FUNC = 13, W_RETURN = 15, DO_JOB = 16 };
enum { HEADER = 12, ATOMIC = 16000 };

static void refuse(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("refused: ", stdout);
    vfprintf(stdout, format, args);
    putchar('\n');
    va_end(args);
    exit(1);
}

/* ---- bytes ---- */

struct text {
    const uint8_t *bytes;
    size_t len;
};

struct frame {
    uint32_t type;
    uint32_t len;
    uint8_t *body;
};

struct writer {
    uint8_t *bytes;
    size_t len;
};

static uint32_t word(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void put(struct writer *to, const void *bytes, size_t len)
{
    to->bytes = realloc(to->bytes, to->len + len + 1);
    if (!to->bytes)
        abort();
    if (len)
        memcpy(to->bytes + to->len, bytes, len);
    to->len += len;
}

static void put_word(struct writer *to, uint32_t number)
{
    number = htonl(number);
    put(to, &number, 4);
}

static void put_str(struct writer *to, struct text text)
{
    uint8_t wide[3] = {0xda, (uint8_t)(text.len >> 8), (uint8_t)text.len};
    uint8_t fix = 0xa0 | (uint8_t)text.len;

    if (text.len > 0xffff)
        refuse("a string of %zu bytes", text.len);
    if (text.len < 32)
        put(to, &fix, 1);
    else
        put(to, wide, 3);
    put(to, text.bytes, text.len);
}

static struct text text_of(const char *string)
{
    return (struct text){(const uint8_t *)string, strlen(string)};
}

/* ---- msgpack, as much as a RetStruct and an array of strings need ---- */

struct item {
    enum { INTEGER, STR, BIN, NIL, ARRAY, MAP } kind;
    int64_t number;             /* an integer, or how many elements */
    struct text text;
};

static uint64_t big_endian(const uint8_t *at, size_t len)
{
    uint64_t number = 0;

    while (len--)
        number = number << 8 | *at++;
    return number;
}

/* The rest of `in` after the next item; what it is goes to `item`. */
static struct text next(struct text in, struct item *item, const char *where)
{
    static const uint8_t width[] = {1, 2, 4, 8};
    size_t head = 1, body = 0;
    uint8_t tag;

    if (!in.len)
        refuse("%s: msgpack ends too early", where);
    tag = in.bytes[0];
    *item = (struct item){.kind = INTEGER};
    if (tag <= 0x7f || tag >= 0xe0) {
        item->number = (int8_t)tag;
    } else if (tag <= 0x8f) {
        item->kind = MAP, item->number = tag & 15;
    } else if (tag <= 0x9f) {
        item->kind = ARRAY, item->number = tag & 15;
    } else if (tag <= 0xbf) {
        item->kind = STR, body = tag & 31;
    } else if (tag == 0xc0) {
        item->kind = NIL;
    } else if ((tag >= 0xc4 && tag <= 0xc6) || (tag >= 0xd9 && tag <= 0xdb)) {
        item->kind = tag <= 0xc6 ? BIN : STR;
        head += width[tag <= 0xc6 ? tag - 0xc4 : tag - 0xd9];
        if (in.len < head)
            refuse("%s: msgpack ends too early", where);
        body = big_endian(in.bytes + 1, head - 1);
    } else if (tag >= 0xcc && tag <= 0xd3) {
        head += width[tag <= 0xcf ? tag - 0xcc : tag - 0xd0];
        if (in.len < head)
            refuse("%s: msgpack ends too early", where);
        item->number = (int64_t)big_endian(in.bytes + 1, head - 1);
        if (tag == 0xd0)
            item->number = (int8_t)item->number;
        else if (tag == 0xd1)
            item->number = (int16_t)item->number;
        else if (tag == 0xd2)
            item->number = (int32_t)item->number;
    } else if (tag == 0xdc || tag == 0xde) {
        head = 3;
        if (in.len < head)
            refuse("%s: msgpack ends too early", where);
        item->kind = tag == 0xdc ? ARRAY : MAP;
        item->number = (int64_t)big_endian(in.bytes + 1, 2);
    } else {
        refuse("%s: msgpack with tag %02x", where, tag);
    }
    if (in.len < head + body)
        refuse("%s: msgpack ends too early", where);
    item->text = (struct text){in.bytes + head, body};
    return (struct text){in.bytes + head + body, in.len - head - body};
}

/* ---- frames ---- */

static void send_all(int fd, const void *bytes, size_t len)
{
    while (len) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0)
            refuse("the broker closed while we wrote: %s", strerror(errno));
        bytes = (const uint8_t *)bytes + sent;
        len -= (size_t)sent;
    }
}

/* The originals' two writes: header, then body. */
static void send_frame(int fd, uint32_t sender, uint32_t type, struct writer body)
{
    struct writer header = {0};

    put_word(&header, sender);
    put_word(&header, type);
    put_word(&header, (uint32_t)body.len);
    send_all(fd, header.bytes, header.len);
    send_all(fd, body.bytes, body.len);
    free(header.bytes);
    free(body.bytes);
}

static size_t readable(int fd)
{
    int bytes = 0;

    if (ioctl(fd, FIONREAD, &bytes) < 0)
        abort();
    return (size_t)bytes;
}

static struct frame read_frame(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    uint8_t header[HEADER];
    struct frame frame;
    ssize_t got;

    poll(&wait, 1, -1);
    got = recv(fd, header, HEADER, 0);
    if (got <= 0)
        refuse("the broker closed");
    if (got < HEADER)
        refuse("a header in pieces: %zd bytes", got);
    if (word(header) != SERVER)
        refuse("a frame of connection type %u", word(header));
    frame.type = word(header + 4);
    frame.len = word(header + 8);
    /* One write of the broker arrives whole; what loopback cuts in two is larger than this. */
    if (frame.len <= ATOMIC && readable(fd) < frame.len)
        refuse("a body in pieces: %zu of %u bytes stand behind the header", readable(fd), frame.len);
    frame.body = malloc(frame.len + 1);
    if (!frame.body)
        abort();
    if (frame.len) {
        got = recv(fd, frame.body, frame.len, frame.len <= ATOMIC ? 0 : MSG_WAITALL);
        if (got != (ssize_t)frame.len)
            refuse("a body in pieces: %zd of %u bytes", got, frame.len);
    }
    return frame;
}

static int connected(const char *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        refuse("cannot connect to port %s: %s", port, strerror(errno));
    return fd;
}

#endif
