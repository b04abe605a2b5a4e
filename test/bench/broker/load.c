/* The load of the broker benchmarks: callers and workers, the same loops for every protocol.
 *
 * A caller keeps WINDOW calls in flight on its connection: an answer, right or wrong, begins the next one in its place.
 * Each call carries who asked and which call it is, and each answer is compared with what was asked, byte by byte: an
 * answer of somebody else is wrong. A call without an answer for PATIENCE is lost, and another takes its place. At the end
 * nothing new is asked and what is in flight is waited for. Callers are one epoll loop, each worker a process with a
 * blocking loop, so that the machine's cores are left to the broker.
 *
 * usage: load call PROTOCOL ADDRESS CALLERS WORKERS PAYLOAD WINDOW SECONDS   prints what was counted, as JSON
 *        load work PROTOCOL ADDRESS INDEX                                    prints "ready" and runs
 * PROTOCOL is librpc, nats, gearman or nmid; ADDRESS a unix socket's path or a TCP port of this machine.
 */
#define _GNU_SOURCE
#include "protocol.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

enum { MOST_CALLERS = 1024, MOST_WINDOW = 256, EVENTS = 1024, SAMPLES = 1 << 24, HEAD = 6, STAMP = 8 };
static const uint64_t SECOND = 1000000000, PATIENCE = 500000000;

static const struct protocol *protocol;

static uint64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static _Noreturn void work(const char *address, unsigned index) {
    static char out[4 * BUFFER];
    struct stream *in = stream_open(address);
    protocol->be_worker(in, index);
    puts("ready");
    fflush(stdout);
    for (;; fill(in)) {
        size_t at = 0, used, length = 0;
        struct message got;
        while ((used = protocol->parse(in->bytes + at, in->used - at, &got)) > 0) {
            if (got.kind == PAYLOAD) length += protocol->answer(out + length, &got);
            if (got.kind == CHORE && got.reply_length > 0) {
                memcpy(out + length, got.reply, got.reply_length);
                length += got.reply_length;
            }
            if (length > sizeof out / 2) bad("more jobs at once than there is room for answers");
            at += used;
        }
        if (length > 0) send_all(in->fd, out, length);
        drop(in, at);
    }
}

struct call {
    uint32_t number;
    bool open;
    uint64_t asked_at;
};

struct caller {
    struct stream *in;
    struct call calls[MOST_WINDOW];
};

static struct caller callers[MOST_CALLERS];
static unsigned many, workers, window, open_calls;
static bool ending;
static size_t length;
static char payload[BUFFER], scratch[2 * BUFFER];
static struct {
    uint64_t right, wrong, refused, lost;
} count;
static uint32_t samples[SAMPLES]; /* tens of nanoseconds; the first ones, should they not suffice */

/* {"p": bin 16}, so that it may pass for an nmid function's params; what is stamped are the first bytes of the bin. */
static void make_payload(void) {
    memcpy(payload, "\x81\xa1p\xc5", 4);
    payload[4] = (char)((length - HEAD) / 256);
    payload[5] = (char)((length - HEAD) % 256);
    for (size_t i = HEAD; i < length; i++) payload[i] = (char)('a' + i % 23);
}

static void stamp(unsigned caller, unsigned slot) {
    put_be(payload + HEAD, caller << 16 | slot);
    put_be(payload + HEAD + 4, callers[caller].calls[slot].number);
}

/* Appends a call in place of the one that `slot` had to the scratch; `used` is how much is there. */
static size_t ask(size_t used, unsigned caller, unsigned slot, uint64_t now) {
    struct call *call = &callers[caller].calls[slot];
    open_calls -= call->open;
    call->open = !ending;
    if (ending) return used;
    open_calls++;
    call->number++;
    call->asked_at = now;
    stamp(caller, slot);
    return used + protocol->request(scratch + used, caller, workers, payload, length);
}

/* Which of the caller's calls this answers; an answer that says nothing of use is taken for the only one, or the first. */
static unsigned slot_of(const struct message *got) {
    if (got->kind != PAYLOAD || got->length < HEAD + STAMP) return 0;
    unsigned slot = word_be(got->payload + HEAD) & 0xffff;
    return slot < window ? slot : 0;
}

static void check(unsigned caller, unsigned slot, const struct message *got, uint64_t now) {
    stamp(caller, slot);
    if (got->kind == REFUSAL) {
        count.refused++;
    } else if (got->length != length || memcmp(got->payload, payload, length) != 0) {
        count.wrong++;
    } else if (!ending) {
        uint64_t took = (now - callers[caller].calls[slot].asked_at) / 10;
        if (count.right < SAMPLES) samples[count.right] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
        count.right++;
    }
}

/* Takes the answers that have come, and asks as many times again with one send. */
static void hear(unsigned caller, uint64_t *now) {
    struct stream *in = callers[caller].in;
    struct message got;
    size_t at = 0, used, asked = 0;
    fill(in);
    *now = nanoseconds();
    while ((used = protocol->parse(in->bytes + at, in->used - at, &got)) > 0) {
        at += used;
        if (got.kind == CHORE) {
            send_all(in->fd, got.reply, got.reply_length);
            continue;
        }
        unsigned slot = slot_of(&got);
        check(caller, slot, &got, *now);
        asked = ask(asked, caller, slot, *now);
    }
    drop(in, at);
    send_all(in->fd, scratch, asked);
}

static void replace_lost(uint64_t now) {
    for (unsigned i = 0; i < many; i++) {
        size_t asked = 0;
        for (unsigned slot = 0; slot < window; slot++) {
            if (!callers[i].calls[slot].open || now - callers[i].calls[slot].asked_at < PATIENCE) continue;
            count.lost++;
            asked = ask(asked, i, slot, now);
        }
        send_all(callers[i].in->fd, scratch, asked);
    }
}

/* Hears answers until `end`, or until no call is open; returns when that was. */
static uint64_t listen_until(int epoll, uint64_t now, uint64_t end) {
    static struct epoll_event events[EVENTS];
    uint64_t looked = now;
    while (now < end && open_calls > 0) {
        int ready = epoll_wait(epoll, events, EVENTS, 50);
        if (ready < 0) die("epoll_wait");
        for (int i = 0; i < ready; i++) hear(events[i].data.u32, &now);
        if (ready == 0) now = nanoseconds();
        if (now - looked < PATIENCE / 4) continue;
        /* After a standstill of this very process the answers may just not have been read yet. */
        if (now - looked < PATIENCE / 2) replace_lost(now);
        looked = now;
    }
    return now;
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void print(double seconds) {
    size_t kept = count.right < SAMPLES ? count.right : SAMPLES;
    qsort(samples, kept, sizeof *samples, by_value);
    printf("{\"rate\": %.1f, \"right\": %llu, \"wrong\": %llu, \"refused\": %llu, \"lost\": %llu", (double)count.right / seconds,
           (unsigned long long)count.right, (unsigned long long)count.wrong, (unsigned long long)count.refused,
           (unsigned long long)count.lost);
    if (kept > 0)
        printf(", \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f", samples[kept / 2] / 100.0,
               samples[kept * 99 / 100] / 100.0, samples[kept * 999 / 1000] / 100.0);
    puts("}");
}

static void call(const char *address, double seconds) {
    if (many > MOST_CALLERS || workers == 0 || window == 0 || window > MOST_WINDOW || length < HEAD + STAMP ||
        length > UINT16_MAX || window * (length + OVERHEAD) > BUFFER)
        bad("numbers out of range");
    make_payload();
    int epoll = epoll_create1(0);
    for (unsigned i = 0; i < many; i++) {
        callers[i].in = stream_open(address);
        protocol->be_caller(callers[i].in, i);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, callers[i].in->fd, &event) < 0) die("epoll_ctl");
    }
    uint64_t begin = nanoseconds();
    for (unsigned i = 0; i < many; i++) {
        size_t asked = 0;
        for (unsigned slot = 0; slot < window; slot++) asked = ask(asked, i, slot, begin);
        send_all(callers[i].in->fd, scratch, asked);
    }
    uint64_t end = listen_until(epoll, begin, begin + (uint64_t)(seconds * (double)SECOND));
    ending = true;
    listen_until(epoll, end, end + 2 * PATIENCE);
    count.lost += open_calls;
    print((double)(end - begin) / (double)SECOND);
}

int main(int argc, char **argv) {
    const struct protocol *all[] = {&librpc, &nats, &gearman, &nmid};
    for (size_t i = 0; argc > 2 && i < sizeof all / sizeof *all; i++)
        if (strcmp(argv[2], all[i]->name) == 0) protocol = all[i];
    if (protocol && argc == 5 && strcmp(argv[1], "work") == 0) work(argv[3], (unsigned)atoi(argv[4]));
    if (!protocol || argc != 9 || strcmp(argv[1], "call") != 0) {
        fprintf(stderr, "usage: load call PROTOCOL ADDRESS CALLERS WORKERS PAYLOAD WINDOW SECONDS\n"
                        "       load work PROTOCOL ADDRESS INDEX\n");
        return 2;
    }
    many = (unsigned)atoi(argv[4]);
    workers = (unsigned)atoi(argv[5]);
    length = (size_t)atoi(argv[6]);
    window = (unsigned)atoi(argv[7]);
    call(argv[3], atof(argv[8]));
    return 0;
}
