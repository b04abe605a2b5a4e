/* The other side of a ring is hostile: it writes what it likes wherever it likes, while we send and receive. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <msf_shmem.h>

#include "check.h"

enum { CAPACITY = 4096, BLOCKS = 8, BLOCK = 4096, HEADER = 1024, ROUNDS = 120, CALLS = 400 };

static const struct msf_shmring_config config = { sizeof(config), 0, CAPACITY, BLOCKS, BLOCK };

static u32 dice(u32 *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* A word that leads astray: an end of what a number can be, a bit that flips, or anything. */
static void scribble(volatile u64 *words, size_t count, u32 *state)
{
    static const u64 odd[] = { 0, 1, 15, 16, 4096, 4112, 1ull << 31, 1ull << 32, 1ull << 63, ~0ull, ~0ull - 15 };
    size_t header = HEADER / 8;
    size_t at = dice(state) % (dice(state) % 2 ? header : count);

    switch (dice(state) % 4) {
    case 0:
        words[at] = odd[dice(state) % (sizeof(odd) / sizeof(odd[0]))];
        break;
    case 1:
        words[at] ^= 1ull << dice(state) % 64;
        break;
    case 2:
        words[at] += 16;
        break;
    default:
        words[at] = (u64)dice(state) << 32 | dice(state);
    }
}

static pid_t scribbling(struct msf_shm *shm, u32 seed)
{
    pid_t child = fork();

    if (child == 0) {
        volatile u64 *words = msf_shm_addr(shm);
        size_t count = msf_shm_size(shm) / 8;

        for (;;) {
            scribble(words, count, &seed);
            for (volatile int pause = 0; pause < 200; pause++)
                ;
        }
    }
    return child;
}

static int documented(int error)
{
    return error == EAGAIN || error == ETIMEDOUT || error == EPROTO || error == EPIPE || error == EOWNERDEAD ||
           error == EMSGSIZE || error == EBUSY;
}

/* Outcomes are what the header names, lengths what a message can have, and nothing lasts longer than it may. */
static void receive(struct msf_shmring *ring, int call)
{
    char buffer[CAPACITY];
    u32 len = 0;

    if (call % 3 == 0) {
        s32 got = msf_shmring_recv(ring, buffer, sizeof(buffer), call % 2);
        CHECK(got <= (s32)sizeof(buffer) && (got >= 0 || documented(errno)));
        return;
    }
    const u8 *message = msf_shmring_peek(ring, call % 2, &len);
    if (message == NULL) {
        CHECK(documented(errno));
        return;
    }
    CHECK(len <= BLOCK);
    volatile u8 sum = 0;
    for (u32 at = 0; at < len; at++)
        sum = (u8)(sum + message[at]);
    if (call % 3 == 1 && msf_shmring_take(ring) == 0)
        CHECK_EQ(msf_shmring_free_block(ring, (void *)message), 0);
    else
        CHECK_EQ(msf_shmring_release(ring), 0);
}

static void send(struct msf_shmring *ring, int call)
{
    char bytes[2032] = "a message";

    if (call % 3 == 0) {
        void *block = msf_shmring_block(ring, call % 2);
        if (block == NULL) {
            CHECK(documented(errno));
            return;
        }
        memset(block, call, BLOCK);
        if (msf_shmring_send_block(ring, block, BLOCK, 0) < 0) {
            CHECK(documented(errno));
            CHECK_EQ(msf_shmring_free_block(ring, block), 0);
        }
    } else if (msf_shmring_send(ring, bytes, (u32)(call * 37 % 2032), call % 2) < 0) {
        CHECK(documented(errno));
    }
}

static void attacked(u32 seed)
{
    struct msf_shm *shm = msf_shm_new("hostile", msf_shmring_size(&config));
    CHECK_EQ(msf_shmring_format(shm, &config), 0);
    /* Before there are sides: a child would keep them taken. It is held up until there are. */
    pid_t enemy = scribbling(shm, seed);
    kill(enemy, SIGSTOP);
    waitpid(enemy, NULL, WUNTRACED);
    struct msf_shmring *producer = msf_shmring_producer(shm, -1, -1);
    struct msf_shmring *consumer = msf_shmring_consumer(shm, -1, -1);
    long long began = check_now();

    /* It may have begun before it was stopped. */
    CHECK(producer != NULL || errno == EPROTO);
    CHECK(consumer != NULL || errno == EPROTO);
    kill(enemy, SIGCONT);
    for (int call = 0; call < CALLS && producer != NULL && consumer != NULL; call++) {
        send(producer, call);
        receive(consumer, call);
        CHECK(msf_shmring_peer(producer) >= 0);
        if (call % 50 == 49) {
            /* A successor has no more luck, but is told so. */
            struct msf_shmring **side = call % 100 == 99 ? &producer : &consumer;
            msf_shmring_close(*side);
            for (int again = 0; again < 3; again++) {
                *side = side == &producer ? msf_shmring_producer(shm, -1, -1) : msf_shmring_consumer(shm, -1, -1);
                if (*side != NULL)
                    break;
                CHECK(errno == EPROTO || errno == EINVAL);
            }
            if (*side == NULL)
                break;
        }
    }
    CHECK(check_now() - began < 20000);
    kill(enemy, SIGKILL);
    waitpid(enemy, NULL, 0);
    msf_shmring_close(producer);
    msf_shmring_close(consumer);
    msf_shm_close(shm);
}

/* A ring that was left with numbers near the end of what 64 bits hold is refused or goes on; it never runs over. */
static void far_positions(void)
{
    enum { HEAD = 128 / 8, LAST = 136 / 8, TAIL = 256 / 8 };
    static const u64 far[] = { ~0ull - 15, ~0ull - 4111, ~0ull - 4095, ~0ull - 8191, 1ull << 63, (1ull << 63) - 16 };
    size_t count = sizeof(far) / sizeof(far[0]);

    for (size_t which = 0; which < count * count; which++) {
        struct msf_shm *shm = msf_shm_new("far", msf_shmring_size(&config));
        volatile u64 *words = msf_shm_addr(shm);
        char bytes[1000] = "x";

        CHECK_EQ(msf_shmring_format(shm, &config), 0);
        words[HEAD] = words[TAIL] = far[which / count];
        words[LAST] = far[which % count];
        for (size_t at = HEADER / 8; at < (HEADER + CAPACITY) / 8; at++)
            words[at] = ~0ull - which % 2;
        struct msf_shmring *ring = msf_shmring_producer(shm, -1, -1);
        CHECK(ring != NULL || errno == EPROTO);
        for (int call = 0; ring != NULL && call < 8; call++)
            CHECK(msf_shmring_send(ring, bytes, sizeof(bytes), 0) == 0 || documented(errno));
        msf_shmring_close(ring);
        msf_shm_close(shm);
    }
}

/* Both sides have the same two eventfds, so the other one can fill them, and make them such as would block. */
static void bells_that_would_block(void)
{
    enum { CONSUMER_SLEEPS = 512 / 4, ASLEEP = 1 << 30 };
    struct msf_shmring_config with_bells = { sizeof(with_bells), MSF_SHMRING_EVENTFD, CAPACITY, 0, 0 };
    struct msf_shm *shm = msf_shm_new("bells", msf_shmring_size(&with_bells));
    int data = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), space = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    u64 full = ~0ull - 1;
    char buffer[CAPACITY] = "";

    CHECK_EQ(msf_shmring_format(shm, &with_bells), 0);
    struct msf_shmring *producer = msf_shmring_producer(shm, data, space);
    struct msf_shmring *consumer = msf_shmring_consumer(shm, data, space);
    CHECK_FAILS(msf_shmring_recv(consumer, buffer, sizeof(buffer), 0), EAGAIN);
    CHECK_EQ(fcntl(data, F_SETFL, 0), 0);
    CHECK_EQ(fcntl(space, F_SETFL, 0), 0);
    alarm(20);
    CHECK_FAILS(msf_shmring_recv(consumer, buffer, sizeof(buffer), 0), EAGAIN);
    CHECK_FAILS(msf_shmring_recv(consumer, buffer, sizeof(buffer), 20), ETIMEDOUT);
    CHECK_EQ(write(data, &full, sizeof(full)), sizeof(full));
    ((volatile u32 *)msf_shm_addr(shm))[CONSUMER_SLEEPS] = ASLEEP;
    CHECK_EQ(msf_shmring_send(producer, "x", 1, 0), 0);
    ((volatile u32 *)msf_shm_addr(shm))[CONSUMER_SLEEPS] = ASLEEP;
    msf_shmring_close(producer);
    CHECK_NULL(msf_shmring_producer(shm, data, space), EINVAL);
    CHECK_EQ(fcntl(data, F_SETFL, O_NONBLOCK), 0);
    CHECK_EQ(fcntl(space, F_SETFL, O_NONBLOCK), 0);
    producer = msf_shmring_producer(shm, data, space);
    CHECK(producer != NULL);
    CHECK_EQ(msf_shmring_recv(consumer, buffer, sizeof(buffer), 0), 1);
    alarm(0);
    msf_shmring_close(producer);
    msf_shmring_close(consumer);
    msf_shm_close(shm);
    close(data);
    close(space);
}

int main(void)
{
    bells_that_would_block();
    far_positions();
    for (u32 round = 1; round <= ROUNDS && check_failures == 0; round++)
        attacked(round * 2654435761u | 1);
    return check_failures != 0;
}
