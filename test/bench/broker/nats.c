/* NATS request/reply: MSG <subject> <sid> [reply-to] <#bytes>\r\n[payload]\r\n; workers share a queue group. */
#define _GNU_SOURCE
#include "protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void subscribe(struct stream *in, const char *to) {
    char out[OVERHEAD];
    int length = snprintf(out, sizeof out, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB %s 1\r\nPING\r\n", to);
    send_all(in->fd, out, (size_t)length);
    while (in->used == 0 || !memmem(in->bytes, in->used, "PONG\r\n", 6)) fill(in);
    drop(in, in->used);
}

static void be_caller(struct stream *in, unsigned index) {
    char inbox[32];
    snprintf(inbox, sizeof inbox, "_INBOX.%u", index);
    subscribe(in, inbox);
}

static void be_worker(struct stream *in, unsigned index) {
    (void)index;
    subscribe(in, FUNCTION " workers");
}

static size_t parse(const char *bytes, size_t length, struct message *out) {
    const char *end = memchr(bytes, '\n', length);
    if (!end) return 0;
    size_t head = (size_t)(end - bytes) + 1;
    if (memcmp(bytes, "MSG ", 4) != 0) {
        *out = (struct message){.kind = bytes[0] == '-' ? REFUSAL : CHORE, .reply = "PONG\r\n"};
        if (memcmp(bytes, "PING", 4) == 0) out->reply_length = 6;
        return head;
    }
    const char *fields[4] = {0};
    size_t count = 0;
    for (const char *at = bytes + 4; at < end && count < 4; at++)
        if (at[-1] == ' ') fields[count++] = at;
    if (count < 3) bad("a MSG line that is too short");
    size_t size = strtoul(fields[count - 1], NULL, 10);
    if (length < head + size + 2) return 0;
    *out = (struct message){.kind = PAYLOAD, .payload = bytes + head, .length = size};
    if (count == 4) {
        out->reply = fields[2];
        out->reply_length = (size_t)(fields[3] - fields[2]) - 1;
    }
    return head + size + 2;
}

static size_t publish(char *out, size_t head, const char *payload, size_t length) {
    memcpy(out + head, payload, length);
    memcpy(out + head + length, "\r\n", 2);
    return head + length + 2;
}

static size_t request(char *out, unsigned caller, unsigned workers, const char *payload, size_t length) {
    (void)workers;
    size_t head = (size_t)sprintf(out, "PUB " FUNCTION " _INBOX.%u %zu\r\n", caller, length);
    return publish(out, head, payload, length);
}

static size_t answer(char *out, const struct message *asked) {
    size_t head = (size_t)sprintf(out, "PUB %.*s %zu\r\n", (int)asked->reply_length, asked->reply, asked->length);
    return publish(out, head, asked->payload, asked->length);
}

const struct protocol nats = {"nats", be_caller, be_worker, parse, request, answer};
