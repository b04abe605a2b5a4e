/* librpc: a 56-byte header of words in the machine's order; workers are services with an id. */
#include "protocol.h"

#include <string.h>

enum { HEADER = 56, CALLER_ID = 0x1000, SERVICE_ID = 0x2000, COMMAND = 0x77, TIMEOUT = 10000 };
enum { REQUEST = 1, ACK = 2, LOGIN = 1 };
enum { SOURCE = 2, TARGET, OPCODE, WHAT, SEQUENCE, ERROR_CODE, LENGTH, PATIENCE = 11 }; /* words of the header */
static const uint32_t AGENT = 0xfffffff1u;

static uint32_t word(const char *frame, int index) { return word_at(frame + 4 * index); }

static size_t frame(char *out, const uint32_t head[14], const char *payload, size_t length) {
    memcpy(out, head, HEADER);
    memcpy(out + HEADER, payload, length);
    return HEADER + length;
}

static size_t question(char *out, uint32_t from, uint32_t to, uint32_t what, const char *payload, size_t length) {
    uint32_t head[14] = {0x100, 0x12345678, from, to, REQUEST, what, 0, 0, (uint32_t)length, 0, 0, TIMEOUT};
    return frame(out, head, payload, length);
}

static void login(struct stream *in, uint32_t id) {
    char out[OVERHEAD], who[68] = "bench";
    send_all(in->fd, out, question(out, id, AGENT, LOGIN, who, sizeof who));
    while (in->used < HEADER) fill(in);
    if (word(in->bytes, OPCODE) != ACK || word(in->bytes, ERROR_CODE) != 0) bad("the login was refused");
    drop(in, HEADER);
}

static void be_caller(struct stream *in, unsigned index) { login(in, CALLER_ID + index); }

static void be_worker(struct stream *in, unsigned index) { login(in, SERVICE_ID + index); }

static size_t parse(const char *bytes, size_t length, struct message *out) {
    if (length < HEADER || length - HEADER < word(bytes, LENGTH)) return 0;
    *out = (struct message){PAYLOAD, bytes + HEADER, word(bytes, LENGTH), bytes, HEADER};
    if (word(bytes, ERROR_CODE) != 0) out->kind = REFUSAL;
    return HEADER + out->length;
}

static size_t request(char *out, unsigned caller, unsigned workers, const char *payload, size_t length) {
    return question(out, CALLER_ID + caller, SERVICE_ID + caller % workers, COMMAND, payload, length);
}

static size_t answer(char *out, const struct message *asked) {
    uint32_t head[14];
    memcpy(head, asked->reply, HEADER);
    head[SOURCE] = word(asked->reply, TARGET);
    head[TARGET] = word(asked->reply, SOURCE);
    head[OPCODE] = ACK;
    return frame(out, head, asked->payload, asked->length);
}

const struct protocol librpc = {"librpc", be_caller, be_worker, parse, request, answer};
