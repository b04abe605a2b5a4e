/*
 * libmsf's side: a pair of rings, two processes.
 *   msf copy BYTES BATCHES [CPU CPU]       messages copied in and out, both sides looking all the time
 *   msf block BYTES BATCHES [CPU CPU]      blocks handed over: their first 8 bytes are written and read
 *   msf wait BYTES BATCHES [CPU CPU]       both sides wait with MSF_WAIT_FOREVER, as a service does
 *   msf stream BYTES BATCHES [CPU CPU]     one way as fast as it goes: nanoseconds per message
 *   msf idle MILLISECONDS                  processor nanoseconds that waiting so long takes, and how long it was
 */
#include "pair.h"

#include <msf_shmem.h>

struct pair {
    struct msf_shmring *out, *in;
    u32 bytes;
    u8 *buffer;
};

static struct msf_shm *ring_of(u32 capacity, u32 blocks, u32 block_size)
{
    struct msf_shmring_config config = { sizeof(config), 0, capacity, blocks, block_size };
    struct msf_shm *shm = msf_shm_new("bench", msf_shmring_size(&config));

    if (!shm || msf_shmring_format(shm, &config) != 0)
        exit(1);
    return shm;
}

static void copy_out(struct pair *pair, uint64_t number)
{
    memset(pair->buffer, (int)number, pair->bytes);
    while (msf_shmring_send(pair->out, pair->buffer, pair->bytes, MSF_NO_WAIT) < 0)
        continue;
}

static void copy_in(struct pair *pair)
{
    while (msf_shmring_recv(pair->in, pair->buffer, pair->bytes, MSF_NO_WAIT) < 0)
        continue;
}

static void copy_turn(int first, uint64_t number, void *args)
{
    if (first)
        copy_out(args, number);
    copy_in(args);
    if (!first)
        copy_out(args, number);
}

static void block_out(struct pair *pair, uint64_t number)
{
    void *block;

    while (!(block = msf_shmring_block(pair->out, MSF_NO_WAIT)))
        continue;
    memset(block, (int)number, 8);
    while (msf_shmring_send_block(pair->out, block, pair->bytes, MSF_NO_WAIT) < 0)
        continue;
}

static void block_in(struct pair *pair)
{
    const void *seen;

    while (!(seen = msf_shmring_peek(pair->in, MSF_NO_WAIT, NULL)))
        continue;
    memcpy(pair->buffer, seen, 8);
    msf_shmring_release(pair->in);
}

static void block_turn(int first, uint64_t number, void *args)
{
    if (first)
        block_out(args, number);
    block_in(args);
    if (!first)
        block_out(args, number);
}

static void wait_turn(int first, uint64_t number, void *args)
{
    struct pair *pair = args;

    (void)number;
    if (first && msf_shmring_send(pair->out, pair->buffer, pair->bytes, MSF_WAIT_FOREVER) < 0)
        exit(1);
    if (msf_shmring_recv(pair->in, pair->buffer, pair->bytes, MSF_WAIT_FOREVER) < 0)
        exit(1);
    if (!first && msf_shmring_send(pair->out, pair->buffer, pair->bytes, MSF_WAIT_FOREVER) < 0)
        exit(1);
}

static void stream_turn(int first, uint64_t number, void *args)
{
    if (first)
        copy_out(args, number);
    else
        copy_in(args);
}

static double processor_ns(void)
{
    struct timespec used;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec * 1e9 + (double)used.tv_nsec;
}

/* A consumer that waits while its producer is there and says nothing. */
static int idle(s32 milliseconds)
{
    struct msf_shm *shm = ring_of(4096, 0, 0);
    struct msf_shmring *producer = msf_shmring_producer(shm, -1, -1), *consumer = msf_shmring_consumer(shm, -1, -1);
    double used = processor_ns();
    uint64_t began = now_ns();
    u8 byte;

    if (!producer || msf_shmring_recv(consumer, &byte, 1, milliseconds) != -1)
        return 1;
    used = processor_ns() - used;
    printf("%.0f %.0f\n", used, (double)(now_ns() - began));
    return 0;
}

int main(int argc, char **argv)
{
    static u8 buffer[1 << 20];
    struct pair pair = { NULL, NULL, 0, buffer };
    struct msf_shm *there, *back;
    void (*turn)(int, uint64_t, void *) = copy_turn;
    u32 block_size = 0;
    pid_t child;
    int first;

    if (argc == 3 && strcmp(argv[1], "idle") == 0)
        return idle(atoi(argv[2]));
    if (argc < 4)
        return 2;
    pair.bytes = (u32)atol(argv[2]);
    if (strcmp(argv[1], "block") == 0) {
        turn = block_turn;
        block_size = pair.bytes;
    } else if (strcmp(argv[1], "wait") == 0) {
        turn = wait_turn;
    } else if (strcmp(argv[1], "stream") == 0) {
        turn = stream_turn;
    }
    there = ring_of(1 << 16, block_size ? 4 : 0, block_size);
    back = ring_of(1 << 16, block_size ? 4 : 0, block_size);
    first = two(argc, argv, 4, &child);
    pair.out = msf_shmring_producer(first ? there : back, -1, -1);
    pair.in = msf_shmring_consumer(first ? back : there, -1, -1);
    if (!pair.out || !pair.in)
        return 1;
    ping_pong(first, (size_t)atol(argv[3]), turn, &pair);
    if (first)
        waitpid(child, NULL, 0);
    return 0;
}
