/* gearman's binary protocol: magic, type and length, then arguments that end with NUL, the last one without.
 *
 * A worker grabs a job, and grabs the next one in the packet behind the result, so that a busy worker never sleeps.
 */
#define _GNU_SOURCE
#include "protocol.h"

#include <string.h>

enum { HEADER = 12 };
enum {
    CAN_DO = 1,
    PRE_SLEEP = 4,
    NOOP = 6,
    SUBMIT_JOB = 7,
    GRAB_JOB = 9,
    NO_JOB = 10,
    JOB_ASSIGN = 11,
    WORK_COMPLETE = 13,
    WORK_FAIL = 14,
    ERROR = 19
};
static const char sleep_frame[HEADER] = {0, 'R', 'E', 'Q', 0, 0, 0, PRE_SLEEP};
static const char grab_frame[HEADER] = {0, 'R', 'E', 'Q', 0, 0, 0, GRAB_JOB};

static size_t frame(char *out, uint32_t type, const char *first, size_t first_length, const char *rest, size_t length) {
    memcpy(out, "\0REQ", 4);
    put_be(out + 4, type);
    put_be(out + 8, (uint32_t)(first_length + length));
    memcpy(out + HEADER, first, first_length);
    memcpy(out + HEADER + first_length, rest, length);
    return HEADER + first_length + length;
}

static void be_caller(struct stream *in, unsigned index) {
    (void)in;
    (void)index;
}

/* The answer to the first grab confirms the registration; it is left for the worker's loop to act upon. */
static void be_worker(struct stream *in, unsigned index) {
    (void)index;
    char out[OVERHEAD];
    size_t length = frame(out, CAN_DO, FUNCTION, FUNCTION_LENGTH, "", 0);
    memcpy(out + length, grab_frame, HEADER);
    send_all(in->fd, out, length + HEADER);
    fill(in);
}

/* Behind the argument that begins at `bytes`; NULL if it does not end before `end`. */
static const char *behind(const char *bytes, const char *end) {
    const char *nul = bytes ? memchr(bytes, 0, (size_t)(end - bytes)) : NULL;
    return nul ? nul + 1 : NULL;
}

static size_t parse(const char *bytes, size_t length, struct message *out) {
    if (length < HEADER || length - HEADER < word_be(bytes + 8)) return 0;
    const char *body = bytes + HEADER, *end = body + word_be(bytes + 8), *rest = behind(body, end);
    *out = (struct message){.kind = CHORE};
    switch (word_be(bytes + 4)) {
    case JOB_ASSIGN: /* handle, function, data; the handle with its NUL is how the answer begins */
        out->reply = body;
        out->reply_length = rest ? (size_t)(rest - body) : 0;
        rest = behind(rest, end);
        /* fall through */
    case WORK_COMPLETE: /* handle, data */
        if (!rest) bad("a packet without its arguments");
        out->kind = PAYLOAD;
        out->payload = rest;
        out->length = (size_t)(end - rest);
        break;
    case NOOP:
        out->reply = grab_frame;
        out->reply_length = HEADER;
        break;
    case NO_JOB:
        out->reply = sleep_frame;
        out->reply_length = HEADER;
        break;
    case WORK_FAIL:
    case ERROR:
        out->kind = REFUSAL;
    }
    return (size_t)(end - bytes);
}

static size_t request(char *out, unsigned caller, unsigned workers, const char *payload, size_t length) {
    (void)caller;
    (void)workers;
    /* The function, and an empty "unique": every job is its own. */
    return frame(out, SUBMIT_JOB, FUNCTION "\0", FUNCTION_LENGTH + 2, payload, length);
}

static size_t answer(char *out, const struct message *asked) {
    size_t length = frame(out, WORK_COMPLETE, asked->reply, asked->reply_length, asked->payload, asked->length);
    memcpy(out + length, grab_frame, HEADER);
    return length + HEADER;
}

const struct protocol gearman = {"gearman", be_caller, be_worker, parse, request, answer};
