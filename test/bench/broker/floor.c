/* The floor of the nmid benchmark: the least a broker of these frames can do, in C, one thread, level-triggered epoll.
 *
 * A worker registers functions, a caller's DO_JOB goes to the worker of the function with the least in flight as one
 * GET_DATA with one send, and its RETURN_DATA back to the caller of that job id as one frame with one send. Where every
 * worker has LIMIT jobs, the others wait in one queue per function, first come first served. It trusts its peers,
 * blocks on a full socket and knows no deadline; it is a yardstick, not a broker.
 *
 * usage: floor PORT LIMIT      LIMIT 0: no limit
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
#include <unistd.h>

#include "../floor.h"

enum { HEADER = 12, JOB_ID = 4, BUFFER = 128 * 1024, FDS = 4096, EVENTS = 1024, FUNCTIONS = 16, WORKERS = 64, JOBS = 65536 };
enum { SERVER = 1, OK = 1, CANT_DO = 4, GET_DATA = 10, ANSWER = 11, ADD_FUNC = 13, RETURN_DATA = 15, DO_JOB = 16, SET_NAME = 23 };

struct job {
    struct job *next; /* in its function's queue, or among the free ones */
    int caller, worker;
    uint32_t generation; /* of the caller's connection: another one may have its fd by now */
    size_t length;
    char *frame; /* the GET_DATA, while it waits */
};

static struct peer {
    uint32_t generation;
    unsigned in_flight;
    size_t used;
    char bytes[BUFFER];
} *peers[FDS];

static struct function {
    size_t name_length;
    char name[256];
    int workers[WORKERS];
    unsigned many;
    struct job *first, **last;
} functions[FUNCTIONS];

static struct job jobs[JOBS], *free_jobs;
static unsigned function_count, limit;

static uint32_t word(const char *bytes) {
    uint32_t value;
    memcpy(&value, bytes, 4);
    return ntohl(value);
}

static char *put(char *out, const void *bytes, size_t length) {
    memcpy(out, bytes, length);
    return out + length;
}

static char *put_word(char *out, size_t value) {
    uint32_t wire = htonl((uint32_t)value);
    return put(out, &wire, 4);
}

static char *head(char *out, uint32_t type, size_t length) { return put_word(put_word(put_word(out, SERVER), type), length); }

static void send_empty(int fd, uint32_t type) {
    char out[HEADER];
    head(out, type, 0);
    send_all(fd, out, HEADER);
}

static struct function *find(const char *name, size_t length) {
    for (unsigned i = 0; i < function_count; i++)
        if (functions[i].name_length == length && memcmp(functions[i].name, name, length) == 0) return &functions[i];
    return NULL;
}

static void add(int worker, const char *name, size_t length) {
    struct function *one = find(name, length);
    if (!one && function_count < FUNCTIONS && length < sizeof one->name) {
        one = &functions[function_count++];
        one->name_length = length;
        one->last = &one->first;
        memcpy(one->name, name, length);
    }
    if (one && one->many < WORKERS) one->workers[one->many++] = worker;
}

/* The worker with the least to do that may have one more; -1 if none may. */
static int choose(const struct function *one) {
    int best = -1;
    for (unsigned i = 0; i < one->many; i++) {
        unsigned load = peers[one->workers[i]]->in_flight;
        if ((limit == 0 || load < limit) && (best < 0 || load < peers[best]->in_flight)) best = one->workers[i];
    }
    return best;
}

static void assign(struct job *job, int worker, const char *frame) {
    job->worker = worker;
    peers[worker]->in_flight++;
    send_all(worker, frame, job->length);
}

static void release(struct job *job) {
    free(job->frame);
    job->frame = NULL;
    job->worker = -1;
    job->next = free_jobs;
    free_jobs = job;
}

/* PT PHT HL H PL P becomes PT PHT HL PL JL H P J. */
static void do_job(int caller, const char *body) {
    static char out[BUFFER + 64];
    size_t name = word(body + 8), params = word(body + 12 + name);
    struct function *one = find(body + 12, name);
    struct job *job = free_jobs;
    if (!one || one->many == 0 || !job) {
        send_empty(caller, CANT_DO);
        return;
    }
    free_jobs = job->next;
    job->next = NULL;
    job->caller = caller;
    job->generation = peers[caller]->generation;
    char *at = put(head(out, GET_DATA, 20 + name + params + JOB_ID), body, 12);
    at = put(put_word(put_word(at, params), JOB_ID), body + 12, name);
    at = put_word(put(at, body + 16 + name, params), (size_t)(job - jobs));
    job->length = (size_t)(at - out);
    int worker = choose(one);
    if (worker >= 0) {
        assign(job, worker, out);
        return;
    }
    job->frame = malloc(job->length);
    if (!job->frame) die("malloc");
    memcpy(job->frame, out, job->length);
    *one->last = job;
    one->last = &job->next;
}

static void next_job(int worker, struct function *one) {
    struct job *job = one->first;
    if (!job) return;
    one->first = job->next;
    if (!one->first) one->last = &one->first;
    assign(job, worker, job->frame);
    free(job->frame);
    job->frame = NULL;
}

/* HL H PL P RL R JL J becomes HL PL RL H P R. */
static void return_data(int worker, const char *body) {
    static char out[BUFFER];
    size_t name = word(body);
    const char *params = body + 4 + name, *ret = params + 4 + word(params), *id = ret + 4 + word(ret);
    struct job *job = &jobs[word(id + 4) % JOBS];
    struct function *one = find(body + 4, name);
    char *at = put_word(head(out, ANSWER, 12 + name + word(params) + word(ret)), name);
    at = put(put_word(put_word(at, word(params)), word(ret)), body + 4, name);
    at = put(put(at, params + 4, word(params)), ret + 4, word(ret));
    if (peers[job->caller]->generation == job->generation) send_all(job->caller, out, (size_t)(at - out));
    release(job);
    peers[worker]->in_flight--;
    if (one) next_job(worker, one);
}

static void frame(int fd, const char *bytes, size_t length) {
    switch (word(bytes + 4)) {
    case DO_JOB:
        do_job(fd, bytes + HEADER);
        break;
    case RETURN_DATA:
        return_data(fd, bytes + HEADER);
        break;
    case ADD_FUNC:
        add(fd, bytes + HEADER, length);
        /* fall through */
    case SET_NAME:
        send_empty(fd, OK);
    }
}

/* Its jobs are lost with it; those that wait for it wait for the next worker of the function. */
static void leave(int fd) {
    close(fd);
    peers[fd]->generation++;
    for (unsigned i = 0; i < function_count; i++)
        for (unsigned k = functions[i].many; k-- > 0;)
            if (functions[i].workers[k] == fd) functions[i].workers[k] = functions[i].workers[--functions[i].many];
    for (unsigned i = 0; peers[fd]->in_flight > 0 && i < JOBS; i++)
        if (jobs[i].worker == fd) {
            peers[fd]->in_flight--;
            release(&jobs[i]);
        }
}

static void readable(int fd) {
    struct peer *in = peers[fd];
    ssize_t got = recv(fd, in->bytes + in->used, BUFFER - in->used, 0);
    if (got <= 0) {
        leave(fd);
        return;
    }
    in->used += (size_t)got;
    size_t at = 0;
    while (in->used - at >= HEADER) {
        size_t length = word(in->bytes + at + 8);
        if (in->used - at < HEADER + length) break;
        frame(fd, in->bytes + at, length);
        at += HEADER + length;
    }
    in->used -= at;
    if (in->used > 0) memmove(in->bytes, in->bytes + at, in->used);
}

static void welcome(int epoll, int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), on = 1;
    if (fd < 0) return;
    if (fd >= FDS || (!peers[fd] && !(peers[fd] = calloc(1, sizeof *peers[fd])))) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    peers[fd]->used = 0;
    peers[fd]->in_flight = 0;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: floor PORT LIMIT\n");
        return 2;
    }
    limit = (unsigned)atoi(argv[2]);
    for (unsigned i = 0; i < JOBS; i++) release(&jobs[i]);
    int listener = listen_on(argv[1]), epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0) die("epoll");
    static struct epoll_event events[EVENTS];
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        if (ready < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listener)
                welcome(epoll, listener);
            else
                readable(events[i].data.fd);
        }
    }
}
