/*
 * The ring of messages under torture: a producer and a consumer, processes of their own, killed at random and succeeded
 * by others, until so many messages went through.
 *
 *   shm_torture MESSAGES SECONDS SEED futex|eventfd      SECONDS 0: no limit
 *
 * Each message has a length, a way (copied, written in place, in a block) and contents that follow from its number, and
 * a checksum. What is demanded, and what is counted:
 *   corrupt    a checksum, a length or the contents are wrong
 *   lost       a number is missing: what was sent is received, whoever dies
 *   twice      a number came again, unless its consumer was killed before he released it (then once more: "again")
 *   stuck      nothing went through for STUCK seconds
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include <msf_shmem.h>

#define CAPACITY 32768
#define BLOCKS 8
#define BLOCK_SIZE 4096
#define LONGEST 1024
#define STUCK 20

/* What outlives the two: written by one of them at a time, read by the supervisor. */
struct ledger {
    _Atomic u64 total;          /* the producer stops there */
    _Atomic u64 expected;       /* the next number, noted before its predecessor is released */
    _Atomic u64 corrupt, lost, twice, again;
    _Atomic u64 told_died, told_left;
};

struct message {
    u64 number;
    u64 sum;
    u8 body[];
};

static struct ledger *ledger;
static struct msf_shm *shm;
static s32 data_fd = -1, space_fd = -1;
static u64 dice;

static u64 mixed(u64 value)
{
    value = (value ^ value >> 31) * 0x9e3779b97f4a7c15u;
    value = (value ^ value >> 27) * 0xbf58476d1ce4e5b9u;
    return value ^ value >> 29;
}

static u64 roll(u64 below)
{
    return mixed(++dice) % below;
}

/* Most messages are short; a block may be full. */
static u32 length_of(u64 number)
{
    u64 mix = mixed(number);
    u32 most = number % 64 == 63 ? BLOCK_SIZE : number % 16 == 15 ? LONGEST : 128;

    return (u32)sizeof(struct message) + (u32)(mix % (most - sizeof(struct message) + 1));
}

static u64 sum_of(const struct message *message, u32 len)
{
    u64 sum = message->number * 0x9e3779b97f4a7c15u + len;

    for (u32 at = 0; at + sizeof(*message) < len; at++)
        sum = (sum << 5 | sum >> 59) ^ message->body[at];
    return sum;
}

static void filled(void *room, u64 number, u32 len)
{
    struct message *message = room;

    message->number = number;
    memset(message->body, (int)(number * 31 + 7), len - sizeof(*message));
    message->sum = sum_of(message, len);
}

/* A wait that failed because the other is gone is waited again: his successor comes. Anything else ends the process. */
static void heard(const s8 *what)
{
    if (errno == EOWNERDEAD)
        ledger->told_died++;
    else if (errno == EPIPE)
        ledger->told_left++;
    else if (errno != EAGAIN && errno != ETIMEDOUT) {
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        _exit(1);
    }
}

static s32 patience(u64 number)
{
    return number % 1024 == 0 ? 1 : MSF_WAIT_FOREVER;
}

static void in_block(struct msf_shmring *ring, u64 number, u32 len)
{
    void *block;

    while (!(block = msf_shmring_block(ring, patience(number))))
        heard("block");
    filled(block, number, len);
    while (msf_shmring_send_block(ring, block, len, patience(number)) < 0)
        heard("send_block");
}

static void in_place(struct msf_shmring *ring, u64 number, u32 len)
{
    void *room;

    while (!(room = msf_shmring_reserve(ring, LONGEST, patience(number))))
        heard("reserve");
    filled(room, number, len);
    if (msf_shmring_commit(ring, len) < 0)
        heard("commit");
}

static void copied(struct msf_shmring *ring, u64 number, u32 len)
{
    _Alignas(8) u8 room[LONGEST];

    filled(room, number, len);
    while (msf_shmring_send(ring, room, len, patience(number)) < 0)
        heard("send");
}

static struct msf_shmring *attached(struct msf_shmring *(*side)(struct msf_shm *, s32, s32))
{
    struct msf_shmring *ring = side(shm, data_fd, space_fd);

    if (!ring) {
        perror("attach");
        _exit(1);
    }
    return ring;
}

static int produce(void)
{
    struct msf_shmring *ring = attached(msf_shmring_producer);

    for (u64 number; (number = msf_shmring_sequence(ring)) < ledger->total;) {
        if (number % 64 == 63)
            in_block(ring, number, length_of(number));
        else if (number % 4 == 3)
            in_place(ring, number, length_of(number));
        else
            copied(ring, number, length_of(number));
    }
    msf_shmring_close(ring);
    return 0;
}

static void judged(const struct message *message, u32 len, int *fresh)
{
    u64 expected = ledger->expected;

    if (len != length_of(message->number) || message->sum != sum_of(message, len))
        ledger->corrupt++;
    else if (message->number == expected)
        ledger->expected = expected + 1;
    else if (message->number + 1 == expected && *fresh)
        ledger->again++;
    else if (message->number < expected)
        ledger->twice++;
    else {
        ledger->lost += message->number - expected;
        ledger->expected = message->number + 1;
    }
    *fresh = 0;
}

static int consume(void)
{
    struct msf_shmring *ring = attached(msf_shmring_consumer);
    int fresh = 1;

    while (ledger->expected < ledger->total) {
        u32 len;
        const struct message *message = msf_shmring_peek(ring, patience(ledger->expected), &len);

        if (!message) {
            heard("peek");
            continue;
        }
        u64 number = message->number;

        judged(message, len, &fresh);
        /* Every other block is kept for a moment, after its message is released. */
        if (number % 128 == 127 && msf_shmring_take(ring) == 0) {
            if (message->sum != sum_of(message, len))
                ledger->corrupt++;
            msf_shmring_free_block(ring, (void *)(uintptr_t)message);
        } else if (msf_shmring_release(ring) < 0)
            heard("release");
    }
    msf_shmring_close(ring);
    return 0;
}

static pid_t started(int (*side)(void))
{
    pid_t child = fork();

    if (child == 0)
        _exit(side());
    return child;
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* 1 when the child ended well, -1 when it did not, 0 while it runs. */
static int ended(pid_t child)
{
    int status;

    if (waitpid(child, &status, WNOHANG) != child)
        return 0;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 1 : -1;
}

static int supervise(double seconds, u64 *kills)
{
    int (*const sides[2])(void) = { produce, consume };
    pid_t children[2] = { started(produce), started(consume) };
    int done[2] = { 0, 0 };
    double began = now(), moved = began;
    u64 before = 0;

    while (!done[0] || !done[1]) {
        struct timespec moment = { 0, (long)(1000000 + roll(20000000)) };
        int which = (int)roll(2);

        nanosleep(&moment, NULL);
        if (seconds > 0 && now() - began > seconds && ledger->total == UINT64_MAX)
            ledger->total = ledger->expected + 100000;
        if (ledger->expected != before)
            moved = now();
        before = ledger->expected;
        if (now() - moved > STUCK) {
            fprintf(stderr, "stuck at message %" PRIu64 "\n", (uint64_t)before);
            goto failed;
        }
        for (int side = 0; side < 2; side++)
            if (!done[side] && (done[side] = ended(children[side])) < 0)
                goto failed;
        if (done[which])
            continue;
        kill(children[which], SIGKILL);
        waitpid(children[which], NULL, 0);
        ++*kills;
        if (roll(64) == 0)
            nanosleep(&(struct timespec){ 0, 250000000 }, NULL);       /* long enough for the death to be told */
        children[which] = started(sides[which]);
    }
    return 0;
failed:
    for (int side = 0; side < 2; side++)
        if (!done[side]) {
            kill(children[side], SIGKILL);
            waitpid(children[side], NULL, 0);
        }
    return 1;
}

int main(int argc, char **argv)
{
    struct msf_shmring_config config = { sizeof(config), 0, CAPACITY, BLOCKS, BLOCK_SIZE };
    u64 kills = 0;
    double began = now();
    int failed;

    if (argc != 5)
        return 2;
    dice = strtoull(argv[3], NULL, 10) << 32;
    if (strcmp(argv[4], "eventfd") == 0) {
        config.flags = MSF_SHMRING_EVENTFD;
        data_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        space_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    }
    ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ledger->total = strtod(argv[2], NULL) > 0 ? UINT64_MAX : strtoull(argv[1], NULL, 10);
    shm = msf_shm_new("torture", msf_shmring_size(&config));
    if (!shm || msf_shmring_format(shm, &config) < 0) {
        perror("ring");
        return 1;
    }
    failed = supervise(strtod(argv[2], NULL), &kills);
    printf("%" PRIu64 " messages in %.1f s, %" PRIu64 " kills: %" PRIu64 " corrupt, %" PRIu64 " lost, %" PRIu64
           " twice, %d stuck or failed (%" PRIu64 " again after a kill, %" PRIu64 " deaths told, %" PRIu64 " leavings)\n",
           (uint64_t)ledger->expected, now() - began, (uint64_t)kills, (uint64_t)ledger->corrupt, (uint64_t)ledger->lost,
           (uint64_t)ledger->twice, failed, (uint64_t)ledger->again, (uint64_t)ledger->told_died,
           (uint64_t)ledger->told_left);
    return failed || ledger->corrupt || ledger->lost || ledger->twice;
}
