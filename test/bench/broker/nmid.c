/* nmid, the current generation of frames: big-endian words, a job's id echoed by the worker, none at the caller.
 *
 * The worker registers and answers as the Go SDK's does: the params come back beside a msgpack map {Code, Msg, Data} whose
 * Data is the payload, or, if that is {"p": a text}, as the gateway makes it of JSON, the text.
 */
#include "protocol.h"

#include <string.h>

enum { HEADER = 12, SERVER = 1, WORKER = 2, CALLER = 3, MSGPACK = 5, ENCODED = 10 };
enum {
    OK = 1,
    ERROR = 2,
    CANT_DO = 4,
    GET_DATA = 10,
    ANSWER = 11,
    GRAB_JOB = 12,
    ADD_FUNC = 13,
    RETURN_DATA = 15,
    DO_JOB = 16,
    RATELIMIT = 18,
    SET_NAME = 23
};
/* {"Code": 0 (as int64), "Msg": "ok", "Data": bin 16, and then its length in two bytes */
static const char ret[] = "\x83\xa4"
                          "Code\xd3\0\0\0\0\0\0\0\0\xa3"
                          "Msg\xa2"
                          "ok\xa4"
                          "Data\xc5";
enum { RET = sizeof ret - 1 + 2 };

static char *put(char *out, const char *bytes, size_t length) {
    memcpy(out, bytes, length);
    return out + length;
}

static char *put_word(char *out, size_t value) {
    put_be(out, (uint32_t)value);
    return out + 4;
}

static char *put_long(char *out, const char *bytes, size_t length) { return put(put_word(out, length), bytes, length); }

/* Fills in the header of the frame that ends at `end`; returns the frame's length. */
static size_t finish(char *out, const char *end, uint32_t from, uint32_t type) {
    size_t length = (size_t)(end - out);
    put_be(out, from);
    put_be(out + 4, type);
    put_be(out + 8, (uint32_t)(length - HEADER));
    return length;
}

static size_t name(char *out, uint32_t type, const char *what) {
    return finish(out, put(out + HEADER, what, strlen(what)), WORKER, type);
}

static void be_caller(struct stream *in, unsigned index) {
    (void)in;
    (void)index;
}

static void be_worker(struct stream *in, unsigned index) {
    char out[OVERHEAD], who[] = "bench-0";
    who[6] = (char)('0' + index % 10);
    size_t length = name(out, SET_NAME, who);
    length += name(out + length, ADD_FUNC, FUNCTION);
    length += name(out + length, GRAB_JOB, "");
    send_all(in->fd, out, length);
    while (in->used < 2 * HEADER) fill(in);
    if (word_be(in->bytes + 4) != OK || word_be(in->bytes + HEADER + 4) != OK) bad("the registration was refused");
    drop(in, 2 * HEADER);
}

/* Lengths of function, params and job id, then they themselves. */
static void parse_job(const char *body, const char *end, struct message *out) {
    const char *params = body + 20 + word_be(body + 8), *job = params + word_be(body + 12);
    if (job + word_be(body + 16) != end) bad("a job whose lengths do not add up");
    *out = (struct message){PAYLOAD, params, word_be(body + 12), job, word_be(body + 16)};
}

/* An answer that contradicts itself has no payload which could be right: that of length 0 never is. */
static void parse_answer(const char *body, const char *end, struct message *out) {
    const char *params = body + 12 + word_be(body), *back = params + word_be(body + 4), *data = back + RET;
    size_t length = word_be(body + 4);
    *out = (struct message){.kind = PAYLOAD};
    if (word_be(body) != FUNCTION_LENGTH || memcmp(body + 12, FUNCTION, FUNCTION_LENGTH) != 0) return;
    if (word_be(body + 8) != RET + length || data + length != end || memcmp(params, data, length) != 0) return;
    if (memcmp(back, ret, RET - 2) != 0 || (uint8_t)back[RET - 2] != length / 256 || (uint8_t)back[RET - 1] != length % 256)
        return;
    out->payload = data;
    out->length = length;
}

static size_t parse(const char *bytes, size_t length, struct message *out) {
    if (length < HEADER || length - HEADER < word_be(bytes + 8)) return 0;
    const char *body = bytes + HEADER, *end = body + word_be(bytes + 8);
    uint32_t type = word_be(bytes + 4);
    *out = (struct message){.kind = type == ERROR || type == CANT_DO || type == RATELIMIT ? REFUSAL : CHORE};
    if (word_be(bytes) != SERVER) bad("a frame that is not the broker's");
    if (type == GET_DATA && end - body >= 20) parse_job(body, end, out);
    if (type == ANSWER && end - body >= 12) parse_answer(body, end, out);
    return (size_t)(end - bytes);
}

static size_t request(char *out, unsigned caller, unsigned workers, const char *payload, size_t length) {
    (void)caller;
    (void)workers;
    char *at = put_word(put_word(out + HEADER, MSGPACK), ENCODED);
    return finish(out, put_long(put_long(at, FUNCTION, FUNCTION_LENGTH), payload, length), CALLER, DO_JOB);
}

/* How many bytes stand before the text in {"p": text of more than 31 bytes}; 0 if that is not what it is. */
static size_t before_text(const struct message *asked) {
    if (asked->length > 5 && memcmp(asked->payload, "\x81\xa1p\xd9", 4) == 0) return 5;
    return asked->length > 6 && memcmp(asked->payload, "\x81\xa1p\xda", 4) == 0 ? 6 : 0;
}

static size_t answer(char *out, const struct message *asked) {
    size_t skip = before_text(asked), length = asked->length - skip;
    char *at = put_long(out + HEADER, FUNCTION, FUNCTION_LENGTH);
    at = put_long(at, asked->payload, asked->length);
    at = put(put_word(at, RET + length), ret, RET - 2);
    *at++ = (char)(length / 256);
    *at++ = (char)(length % 256);
    at = put(at, asked->payload + skip, length);
    return finish(out, put_long(at, asked->reply, asked->reply_length), WORKER, RETURN_DATA);
}

const struct protocol nmid = {"nmid", be_caller, be_worker, parse, request, answer};
