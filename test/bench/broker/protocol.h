/* What the load must know of a broker's protocol: how a caller asks, how a worker answers, what came in.
 *
 * One function is called everywhere, "Echo"; its answer is the payload it was called with. librpc, which has no functions,
 * has one service per worker instead, and the callers are spread over them.
 */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include "stream.h"

#define FUNCTION "Echo"
#define FUNCTION_LENGTH (sizeof FUNCTION - 1)

/* What no protocol adds to a payload more than. */
enum { OVERHEAD = 512 };

enum kind {
    PAYLOAD, /* a call (at a worker), an answer (at a caller) */
    REFUSAL, /* the broker says no */
    CHORE    /* the protocol's own affairs: `reply` is what to send back, perhaps nothing */
};

struct message {
    enum kind kind;
    const char *payload;
    size_t length;
    const char *reply; /* at a worker: where the answer goes, as `answer` needs it */
    size_t reply_length;
};

struct protocol {
    const char *name;
    /* Make a new connection known, and return when the broker has confirmed it. */
    void (*be_caller)(struct stream *, unsigned index);
    void (*be_worker)(struct stream *, unsigned index);
    /* The message at the front of the bytes; returns its length, 0 while it is incomplete. */
    size_t (*parse)(const char *bytes, size_t length, struct message *out);
    /* Write a frame, return its length. `workers`: how many there are. */
    size_t (*request)(char *out, unsigned caller, unsigned workers, const char *payload, size_t length);
    size_t (*answer)(char *out, const struct message *asked);
};

extern const struct protocol librpc, nats, gearman, nmid;

#endif
