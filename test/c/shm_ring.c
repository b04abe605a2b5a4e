/* A ring of messages in shared memory, both ends in one process: order, limits, places, blocks, events, failures. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include <msf_event.h>
#include <msf_shmem.h>

#include "check.h"

static struct msf_shm *shm;
static struct msf_shmring *producer, *consumer;

static void open_ring(u32 capacity, u32 blocks, u32 block_size)
{
    struct msf_shmring_config config = { sizeof(config), 0, capacity, blocks, block_size };
    size_t size = msf_shmring_size(&config);

    CHECK(size >= capacity + (size_t)blocks * block_size);
    shm = msf_shm_new("ring", size);
    CHECK(shm != NULL);
    CHECK_EQ(msf_shmring_format(shm, &config), 0);
    CHECK_FAILS(msf_shmring_format(shm, &config), EEXIST);
    producer = msf_shmring_producer(shm, -1, -1);
    consumer = msf_shmring_consumer(shm, -1, -1);
    CHECK(producer != NULL && consumer != NULL);
}

static void close_ring(void)
{
    msf_shmring_close(producer);
    msf_shmring_close(consumer);
    msf_shm_close(shm);
}

/* Nothing at all fits any more. */
static void fill_up(void)
{
    u8 bytes[2032] = { 0 };

    for (u32 len = sizeof(bytes);; len /= 2) {
        while (msf_shmring_send(producer, bytes, len, MSF_NO_WAIT) == 0)
            continue;
        if (len == 0)
            break;
    }
}

static void in_order(void)
{
    u8 out[2032], in[2032];
    u32 len;

    open_ring(4096, 0, 0);
    for (u32 turn = 0; turn < 3000; turn++) {
        len = turn * 37 % sizeof(out);
        memset(out, (int)turn, len);
        CHECK_EQ(msf_shmring_send(producer, out, len, MSF_NO_WAIT), 0);
        CHECK_EQ(msf_shmring_recv(consumer, in, sizeof(in), MSF_NO_WAIT), len);
        CHECK(memcmp(in, out, len) == 0);
    }
    CHECK_EQ(msf_shmring_sequence(producer), 3000);
    CHECK_EQ(msf_shmring_sequence(consumer), 3000);
    CHECK_EQ(msf_shmring_send(producer, NULL, 0, MSF_NO_WAIT), 0);
    CHECK_EQ(msf_shmring_recv(consumer, NULL, 0, MSF_NO_WAIT), 0);
    close_ring();
}

static void full_and_empty(void)
{
    u8 bytes[2100] = { 1 };
    long long began;

    open_ring(4096, 0, 0);
    CHECK_FAILS(msf_shmring_recv(consumer, bytes, sizeof(bytes), MSF_NO_WAIT), EAGAIN);
    CHECK_NULL(msf_shmring_peek(consumer, MSF_NO_WAIT, NULL), EAGAIN);
    began = check_now();
    CHECK_FAILS(msf_shmring_recv(consumer, bytes, sizeof(bytes), 30), ETIMEDOUT);
    CHECK_NULL(msf_shmring_peek(consumer, 1, NULL), ETIMEDOUT);
    CHECK(check_now() - began >= 30);
    CHECK_FAILS(msf_shmring_send(producer, bytes, 2033, MSF_WAIT_FOREVER), EMSGSIZE);
    CHECK_NULL(msf_shmring_reserve(producer, 2033, MSF_WAIT_FOREVER), EMSGSIZE);
    CHECK_EQ(msf_shmring_send(producer, bytes, 2032, MSF_WAIT_FOREVER), 0);
    CHECK_EQ(msf_shmring_send(producer, bytes, 2032, MSF_WAIT_FOREVER), 0);
    CHECK_FAILS(msf_shmring_send(producer, bytes, 1, MSF_NO_WAIT), EAGAIN);
    CHECK_FAILS(msf_shmring_send(producer, bytes, 1, 5), ETIMEDOUT);
    CHECK_NULL(msf_shmring_reserve(producer, 1, MSF_NO_WAIT), EAGAIN);
    CHECK_NULL(msf_shmring_reserve(producer, 1, 5), ETIMEDOUT);
    CHECK_FAILS(msf_shmring_recv(consumer, bytes, 2031, MSF_NO_WAIT), EMSGSIZE);
    CHECK_EQ(msf_shmring_recv(consumer, bytes, 2032, MSF_NO_WAIT), 2032);
    close_ring();
}

static void in_place(void)
{
    u32 len = 0;
    s8 *room;
    const void *seen;

    open_ring(4096, 0, 0);
    CHECK_FAILS(msf_shmring_commit(producer, 0), EINVAL);
    room = msf_shmring_reserve(producer, 100, MSF_NO_WAIT);
    CHECK(room != NULL && (uintptr_t)room % 16 == 0);
    memcpy(room, "in place", 9);
    CHECK_FAILS(msf_shmring_recv(consumer, NULL, 0, MSF_NO_WAIT), EAGAIN);
    CHECK_FAILS(msf_shmring_commit(producer, 101), EMSGSIZE);
    CHECK_EQ(msf_shmring_commit(producer, 9), 0);
    CHECK_FAILS(msf_shmring_release(consumer), EINVAL);
    seen = msf_shmring_peek(consumer, MSF_NO_WAIT, &len);
    CHECK(seen != NULL && len == 9 && memcmp(seen, "in place", 9) == 0);
    CHECK(msf_shmring_peek(consumer, MSF_NO_WAIT, NULL) == seen);
    CHECK_FAILS(msf_shmring_take(consumer), ENOMSG);
    CHECK_EQ(msf_shmring_release(consumer), 0);
    CHECK_FAILS(msf_shmring_take(consumer), EINVAL);
    close_ring();
}

static void blocks(void)
{
    u8 in[64];
    u8 *one, *two;
    const u8 *kept;
    u32 len = 0;

    open_ring(4096, 2, 64);
    one = msf_shmring_block(producer, MSF_NO_WAIT);
    two = msf_shmring_block(producer, MSF_NO_WAIT);
    CHECK(one != NULL && two != NULL && one != two && (uintptr_t)one % 64 == 0);
    CHECK_NULL(msf_shmring_block(producer, MSF_NO_WAIT), EAGAIN);
    CHECK_NULL(msf_shmring_block(producer, 2), ETIMEDOUT);
    memset(one, 1, 64);
    memset(two, 2, 64);
    CHECK_FAILS(msf_shmring_send_block(producer, one, 65, MSF_NO_WAIT), EMSGSIZE);
    CHECK_FAILS(msf_shmring_send_block(producer, one + 1, 1, MSF_NO_WAIT), EINVAL);
    CHECK_FAILS(msf_shmring_send_block(producer, NULL, 1, MSF_NO_WAIT), EINVAL);
    CHECK_EQ(msf_shmring_send_block(producer, one, 64, MSF_NO_WAIT), 0);
    CHECK_FAILS(msf_shmring_send_block(producer, one, 64, MSF_NO_WAIT), EINVAL);
    CHECK_EQ(msf_shmring_send_block(producer, two, 10, MSF_NO_WAIT), 0);
    CHECK_FAILS(msf_shmring_free_block(producer, one), EINVAL);
    kept = msf_shmring_peek(consumer, MSF_NO_WAIT, &len);
    CHECK(kept != NULL && len == 64 && kept[63] == 1);
    CHECK_EQ(msf_shmring_take(consumer), 0);
    CHECK_EQ(msf_shmring_recv(consumer, in, sizeof(in), MSF_NO_WAIT), 10);
    CHECK_EQ(in[9], 2);
    two = msf_shmring_block(producer, MSF_NO_WAIT);
    CHECK(two != NULL);
    CHECK_NULL(msf_shmring_block(producer, MSF_NO_WAIT), EAGAIN);
    CHECK_EQ(kept[0], 1);
    CHECK_EQ(msf_shmring_free_block(consumer, (void *)(uintptr_t)kept), 0);
    CHECK_FAILS(msf_shmring_free_block(consumer, (void *)(uintptr_t)kept), EINVAL);
    one = msf_shmring_block(producer, MSF_NO_WAIT);
    CHECK(one != NULL);
    CHECK_EQ(msf_shmring_free_block(producer, two), 0);
    fill_up();
    CHECK_FAILS(msf_shmring_send_block(producer, one, 1, MSF_NO_WAIT), EAGAIN);
    CHECK_FAILS(msf_shmring_send_block(producer, one, 1, 2), ETIMEDOUT);
    CHECK_EQ(msf_shmring_free_block(producer, one), 0);
    close_ring();
    open_ring(4096, 0, 0);
    CHECK_NULL(msf_shmring_block(producer, MSF_NO_WAIT), EINVAL);
    close_ring();
}

static void the_other_leaves(void)
{
    u8 bytes[2032] = { 0 };

    open_ring(4096, 1, 64);
    CHECK_EQ(msf_shmring_peer(producer), MSF_SHMRING_HERE);
    CHECK_EQ(msf_shmring_send(producer, bytes, 1, MSF_NO_WAIT), 0);
    msf_shmring_close(producer);
    CHECK_EQ(msf_shmring_peer(consumer), MSF_SHMRING_LEFT);
    CHECK_EQ(msf_shmring_recv(consumer, bytes, 1, MSF_WAIT_FOREVER), 1);
    CHECK_FAILS(msf_shmring_recv(consumer, bytes, 1, MSF_WAIT_FOREVER), EPIPE);
    CHECK_FAILS(msf_shmring_recv(consumer, bytes, 1, 5), ETIMEDOUT);
    producer = msf_shmring_producer(shm, -1, -1);
    CHECK_EQ(msf_shmring_sequence(producer), 1);
    msf_shmring_close(producer);
    CHECK_NULL(msf_shmring_peek(consumer, MSF_WAIT_FOREVER, NULL), EPIPE);

    producer = msf_shmring_producer(shm, -1, -1);
    fill_up();
    msf_shmring_close(consumer);
    CHECK_FAILS(msf_shmring_send(producer, bytes, 2032, MSF_WAIT_FOREVER), EPIPE);
    consumer = msf_shmring_consumer(shm, -1, -1);
    msf_shmring_close(consumer);
    CHECK_NULL(msf_shmring_reserve(producer, 2032, MSF_WAIT_FOREVER), EPIPE);
    consumer = msf_shmring_consumer(shm, -1, -1);
    msf_shmring_close(consumer);
    void *block = msf_shmring_block(producer, MSF_NO_WAIT);
    CHECK_FAILS(msf_shmring_send_block(producer, block, 64, MSF_WAIT_FOREVER), EPIPE);
    consumer = msf_shmring_consumer(shm, -1, -1);
    msf_shmring_close(consumer);
    CHECK_NULL(msf_shmring_block(producer, MSF_WAIT_FOREVER), EPIPE);
    consumer = msf_shmring_consumer(shm, -1, -1);
    close_ring();
}

/* The words of a header that doc/shared-memory.md tells. */
static void the_other_breaks_it(void)
{
    u8 bytes[2032] = { 0 };
    u64 *words;
    u32 *shorts;

    open_ring(4096, 1, 64);
    words = msf_shm_addr(shm);
    words[128 / 8] = 1 << 20;                       /* more was sent than the ring holds */
    CHECK_FAILS(msf_shmring_recv(consumer, bytes, sizeof(bytes), MSF_NO_WAIT), EPROTO);
    CHECK_NULL(msf_shmring_peek(consumer, MSF_WAIT_FOREVER, NULL), EPROTO);
    close_ring();

    open_ring(4096, 1, 64);
    words = msf_shm_addr(shm);
    shorts = msf_shm_addr(shm);
    CHECK_EQ(msf_shmring_send(producer, bytes, 100, MSF_NO_WAIT), 0);
    shorts[1024 / 4] = 0x7fffffff;                  /* longer than anything */
    CHECK_FAILS(msf_shmring_recv(consumer, bytes, sizeof(bytes), MSF_NO_WAIT), EPROTO);
    while (msf_shmring_send(producer, bytes, 2000, MSF_NO_WAIT) == 0)
        continue;
    void *block = msf_shmring_block(producer, MSF_NO_WAIT);
    words[256 / 8] = 1 << 20;                       /* more was received than was sent */
    CHECK_FAILS(msf_shmring_send(producer, bytes, 2000, MSF_NO_WAIT), EPROTO);
    CHECK_NULL(msf_shmring_reserve(producer, 2000, MSF_NO_WAIT), EPROTO);
    while (msf_shmring_send_block(producer, block, 1, MSF_NO_WAIT) == 0)
        block = msf_shmring_block(producer, MSF_NO_WAIT);
    CHECK(errno == EPROTO || errno == EINVAL);
    msf_shmring_close(producer);
    CHECK_NULL(msf_shmring_producer(shm, -1, -1), EPROTO);
    producer = NULL;
    close_ring();
}

static struct {
    struct msf_event_base *base;
    u32 callbacks, messages;
} loop;

static void on_messages(void *args)
{
    u32 number;

    loop.callbacks++;
    while (msf_shmring_recv(args, &number, sizeof(number), MSF_NO_WAIT) == sizeof(number))
        CHECK_EQ(number, loop.messages++);
    CHECK_EQ(errno, EAGAIN);
    if (loop.messages == 1000)
        msf_event_base_loopexit(loop.base);
}

static void on_room(void *args)
{
    static u32 number;

    while (number < 1000 && msf_shmring_send(args, &number, sizeof(number), MSF_NO_WAIT) == 0)
        number++;
    if (number < 1000)
        CHECK_EQ(errno, EAGAIN);
}

/* Closing rings, and is told once to who does not wait, after what was sent. */
static void closing_rings(void)
{
    struct pollfd bell = { msf_shmring_fd(consumer), POLLIN, 0 };
    u32 number;

    CHECK_FAILS(msf_shmring_recv(consumer, &number, sizeof(number), MSF_NO_WAIT), EAGAIN);
    CHECK_EQ(poll(&bell, 1, 0), 0);
    CHECK_EQ(msf_shmring_send(producer, &number, sizeof(number), MSF_NO_WAIT), 0);
    msf_shmring_close(producer);
    producer = NULL;
    CHECK_EQ(poll(&bell, 1, 0), 1);
    CHECK_EQ(msf_shmring_recv(consumer, &number, sizeof(number), MSF_NO_WAIT), sizeof(number));
    CHECK_FAILS(msf_shmring_recv(consumer, &number, sizeof(number), MSF_NO_WAIT), EPIPE);
    CHECK_FAILS(msf_shmring_recv(consumer, &number, sizeof(number), MSF_NO_WAIT), EAGAIN);
}

/* Both ends as event sources of one loop: a thousand messages through a ring that holds 128, without a lost wake-up. */
static void as_event_sources(void)
{
    struct msf_shmring_config config = { sizeof(config), MSF_SHMRING_EVENTFD, 4096, 0, 0 };
    s32 data = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), space = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    s32 blocking = eventfd(0, EFD_CLOEXEC);
    struct msf_event *in, *out;

    shm = msf_shm_new("ring", msf_shmring_size(&config));
    CHECK_EQ(msf_shmring_format(shm, &config), 0);
    CHECK_NULL(msf_shmring_consumer(shm, -1, -1), EINVAL);
    CHECK_NULL(msf_shmring_consumer(shm, blocking, space), EINVAL);
    CHECK_NULL(msf_shmring_consumer(shm, data, -1), EBADF);
    CHECK_NULL(msf_shmring_producer(shm, 12345, space), EBADF);
    producer = msf_shmring_producer(shm, data, space);
    consumer = msf_shmring_consumer(shm, data, space);
    close(data);
    close(space);
    close(blocking);
    loop.base = msf_event_base_new();
    in = msf_event_new(msf_shmring_fd(consumer), on_messages, NULL, NULL, consumer);
    out = msf_event_new(msf_shmring_fd(producer), on_room, NULL, NULL, producer);
    CHECK_EQ(msf_event_add(loop.base, in), 0);
    CHECK_EQ(msf_event_add(loop.base, out), 0);
    CHECK_EQ(msf_event_base_dispatch(loop.base), 0);
    CHECK_EQ(loop.messages, 1000);
    CHECK(loop.callbacks < 100);
    msf_event_free(in);
    msf_event_free(out);
    msf_event_base_free(loop.base);
    closing_rings();
    close_ring();
    CHECK_NULL(msf_shmring_producer(NULL, -1, -1), EINVAL);
}

static void what_no_ring_can_be(void)
{
    struct msf_shmring_config config = { sizeof(config), 0, 4096, 0, 0 };
    struct msf_shm *small = msf_shm_new("small", 4096);

    CHECK_FAILS(msf_shmring_format(small, &config), EINVAL);
    CHECK_FAILS(msf_shmring_format(NULL, &config), EINVAL);
    CHECK_FAILS(msf_shmring_format(small, NULL), EINVAL);
    CHECK_NULL(msf_shmring_producer(small, -1, -1), EPROTO);
    CHECK_NULL(msf_shmring_consumer(small, -1, -1), EPROTO);
    errno = 0;
    CHECK(msf_shmring_size(NULL) == 0 && errno == EINVAL);
    config.blocks = 1;
    errno = 0;
    CHECK(msf_shmring_size(&config) == 0 && errno == EINVAL);
    config.size = 4;
    CHECK_FAILS(msf_shmring_format(small, &config), EINVAL);
    msf_shm_close(small);
}

static void wrong_sides(void)
{
    struct rlimit before, few;
    u8 byte = 0;

    open_ring(4096, 1, 64);
    CHECK_FAILS(msf_shmring_send(consumer, &byte, 1, MSF_NO_WAIT), EINVAL);
    CHECK_FAILS(msf_shmring_send(NULL, &byte, 1, MSF_NO_WAIT), EINVAL);
    CHECK_FAILS(msf_shmring_send(producer, NULL, 1, MSF_NO_WAIT), EINVAL);
    CHECK_FAILS(msf_shmring_recv(producer, &byte, 1, MSF_NO_WAIT), EINVAL);
    CHECK_NULL(msf_shmring_reserve(consumer, 1, MSF_NO_WAIT), EINVAL);
    CHECK_FAILS(msf_shmring_commit(NULL, 1), EINVAL);
    CHECK_NULL(msf_shmring_peek(producer, MSF_NO_WAIT, NULL), EINVAL);
    CHECK_FAILS(msf_shmring_release(NULL), EINVAL);
    CHECK_FAILS(msf_shmring_take(NULL), EINVAL);
    CHECK_NULL(msf_shmring_block(NULL, MSF_NO_WAIT), EINVAL);
    CHECK_FAILS(msf_shmring_free_block(NULL, &byte), EINVAL);
    CHECK_FAILS(msf_shmring_fd(producer), EINVAL);
    CHECK_FAILS(msf_shmring_peer(NULL), EINVAL);
    errno = 0;
    CHECK(msf_shmring_sequence(NULL) == 0 && errno == EINVAL);
    CHECK_NULL(msf_shmring_producer(shm, -1, -1), EBUSY);
    CHECK_NULL(msf_shmring_consumer(shm, -1, -1), EBUSY);
    msf_shmring_close(consumer);
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = (rlim_t)msf_shm_fd(shm) + 1;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    CHECK_NULL(msf_shmring_consumer(shm, -1, -1), EMFILE);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    consumer = NULL;
    close_ring();
}

int main(void)
{
    in_order();
    full_and_empty();
    in_place();
    blocks();
    the_other_leaves();
    the_other_breaks_it();
    as_event_sources();
    what_no_ring_can_be();
    wrong_sides();
    return check_verdict();
}
