/* One side of a ring is killed: the other learns it in bounded time, nothing half is delivered, a successor goes on. */
/* alone: it sees that a process that waits sleeps on */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <msf_shmem.h>

#include "check.h"

static struct msf_shm *shm;

struct message {
    u64 number;
    u8 body[240];
};

static void filled(struct message *message, u64 number)
{
    message->number = number;
    memset(message->body, (int)(number % 251), sizeof(message->body));
}

static int whole(const struct message *message)
{
    for (size_t at = 0; at < sizeof(message->body); at++)
        if (message->body[at] != message->number % 251)
            return 0;
    return 1;
}

static void new_ring(u32 blocks)
{
    struct msf_shmring_config config = { sizeof(config), 0, 16384, blocks, blocks ? 4096 : 0 };

    shm = msf_shm_new("ring", msf_shmring_size(&config));
    CHECK(shm != NULL);
    CHECK_EQ(msf_shmring_format(shm, &config), 0);
}

/* Sends as fast as it can, beginning where its predecessor stopped, until it is killed. */
static pid_t sending(void)
{
    pid_t child = fork();

    if (child == 0) {
        struct msf_shmring *ring = msf_shmring_producer(shm, -1, -1);
        struct message message;

        for (u64 number = msf_shmring_sequence(ring);; number++) {
            filled(&message, number);
            if (msf_shmring_send(ring, &message, sizeof(message), MSF_WAIT_FOREVER) < 0)
                _exit(1);
        }
    }
    return child;
}

/* Receives until it is killed; leaves by itself when something is wrong. */
static pid_t receiving(void)
{
    pid_t child = fork();

    if (child == 0) {
        struct msf_shmring *ring = msf_shmring_consumer(shm, -1, -1);
        struct message message;

        for (;;) {
            s32 len = msf_shmring_recv(ring, &message, sizeof(message), MSF_WAIT_FOREVER);

            if (len != 1 && (len != (s32)sizeof(message) || !whole(&message)))
                _exit(1);
        }
    }
    return child;
}

static void killed(pid_t child)
{
    int status;

    CHECK_EQ(kill(child, SIGKILL), 0);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Every message comes once, in order, over twenty producers. */
static void producers_die(void)
{
    struct msf_shmring *ring;
    struct message message;
    u64 expected = 0;
    int deaths = 0;

    new_ring(0);
    ring = msf_shmring_consumer(shm, -1, -1);
    CHECK_EQ(msf_shmring_peer(ring), MSF_SHMRING_NEVER);
    while (deaths < 20 && !check_failures) {
        pid_t child = sending();

        for (u64 until = expected + 500; expected < until; expected++) {
            CHECK_EQ(msf_shmring_recv(ring, &message, sizeof(message), MSF_WAIT_FOREVER), sizeof(message));
            CHECK(message.number == expected && whole(&message));
        }
        killed(child);
        CHECK_EQ(msf_shmring_peer(ring), MSF_SHMRING_DIED);
        /* What it had sent is still there; then its death is told, and a wait after that has its limit. */
        while (msf_shmring_recv(ring, &message, sizeof(message), MSF_NO_WAIT) == sizeof(message)) {
            CHECK(message.number == expected && whole(&message));
            expected++;
        }
        long long began = check_now();
        CHECK_FAILS(msf_shmring_recv(ring, &message, sizeof(message), MSF_WAIT_FOREVER), EOWNERDEAD);
        CHECK(check_now() - began < 2000);
        CHECK_FAILS(msf_shmring_recv(ring, &message, sizeof(message), 1), ETIMEDOUT);
        deaths++;
    }
    msf_shmring_close(ring);
    msf_shm_close(shm);
}

static void consumers_die(void)
{
    struct msf_shmring *ring;
    struct message message;
    u64 number = 0;
    int failed;

    new_ring(0);
    ring = msf_shmring_producer(shm, -1, -1);
    for (int deaths = 0; deaths < 20 && !check_failures; deaths++) {
        pid_t child = receiving();

        for (u64 until = number + 500; number < until; number++) {
            filled(&message, number);
            CHECK_EQ(msf_shmring_send(ring, &message, sizeof(message), MSF_WAIT_FOREVER), 0);
        }
        killed(child);
        long long began = check_now();
        for (filled(&message, number); msf_shmring_send(ring, &message, sizeof(message), MSF_WAIT_FOREVER) == 0; number++)
            filled(&message, number + 1);
        failed = errno;
        CHECK_EQ(failed, EOWNERDEAD);
        CHECK(check_now() - began < 2000);
    }
    msf_shmring_close(ring);
    msf_shm_close(shm);
}

/* The other calls that wait. */
static void every_wait_ends(void)
{
    struct msf_shmring *ring;
    void *block;

    new_ring(2);
    ring = msf_shmring_consumer(shm, -1, -1);
    killed(sending());
    CHECK_WITHIN(2000, msf_shmring_peer(ring) != MSF_SHMRING_HERE);
    while (msf_shmring_release(ring) == 0 || msf_shmring_peek(ring, MSF_NO_WAIT, NULL) != NULL)
        continue;
    if (msf_shmring_peer(ring) == MSF_SHMRING_DIED)         /* it may have been killed before it was anybody */
        CHECK_NULL(msf_shmring_peek(ring, MSF_WAIT_FOREVER, NULL), EOWNERDEAD);
    msf_shmring_close(ring);

    ring = msf_shmring_producer(shm, -1, -1);
    block = msf_shmring_block(ring, MSF_NO_WAIT);
    for (int turn = 0; turn < 3; turn++) {
        pid_t child = receiving();

        CHECK_WITHIN(5000, msf_shmring_peer(ring) == MSF_SHMRING_HERE);
        killed(child);
        while (msf_shmring_send(ring, "x", 1, MSF_NO_WAIT) == 0)
            continue;
        if (turn == 0)
            CHECK_NULL(msf_shmring_reserve(ring, 1000, MSF_WAIT_FOREVER), EOWNERDEAD);
        if (turn == 1)
            CHECK_FAILS(msf_shmring_send_block(ring, block, 1, MSF_WAIT_FOREVER), EOWNERDEAD);
        if (turn == 2) {
            CHECK(msf_shmring_block(ring, MSF_NO_WAIT) != NULL);
            CHECK_NULL(msf_shmring_block(ring, MSF_WAIT_FOREVER), EOWNERDEAD);
        }
    }
    msf_shmring_close(ring);
    msf_shm_close(shm);
}

static void ready(int pipe)
{
    if (write(pipe, "r", 1) != 1)
        _exit(2);
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){ 0, ms * 1000000 }, NULL);
}

/* How often a process went to sleep, as the kernel counts; -1 while it does not sleep. */
static long sleeps_of(pid_t pid)
{
    s8 path[64], line[128], state = '?';
    long count = -1;

    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");

    while (file && fgets(line, sizeof(line), file)) {
        sscanf(line, "State: %c", &state);
        sscanf(line, "voluntary_ctxt_switches: %ld", &count);
    }
    if (file)
        fclose(file);
    return state == 'S' ? count : -1;
}

/* Whether the kernel tells of ends; emulators do not have it. */
static int kernel_tells(void)
{
    void *head;
    size_t length;

    return syscall(SYS_get_robust_list, 0, &head, &length) == 0;
}

/* One who waits is not woken for nothing, and is woken by the other's end; by his successor's, too. */
static void nobody_wakes_for_nothing(void)
{
    int here[2], told[2], status;
    s8 byte;

    new_ring(0);
    CHECK(pipe(here) == 0 && pipe(told) == 0);
    pid_t waits = fork();
    if (waits == 0) {
        struct msf_shmring *ring = msf_shmring_consumer(shm, -1, -1);

        for (;;) {
            if (msf_shmring_recv(ring, &byte, 1, MSF_WAIT_FOREVER) != -1 || errno != EOWNERDEAD)
                _exit(1);
            ready(told[1]);
        }
    }
    close(told[1]);
    for (int deaths = 0; deaths < 2; deaths++) {
        pid_t producer = fork();

        if (producer == 0) {
            struct msf_shmring *ring = msf_shmring_producer(shm, -1, -1);

            ready(ring ? here[1] : -1);
            for (;;)
                pause();
        }
        CHECK_EQ(read(here[0], &byte, 1), 1);
        pause_ms(300);                                      /* what it does on its way to sleep is over */
        long before = sleeps_of(waits);
        pause_ms(700);
        if (kernel_tells())
            CHECK(before > 0 && sleeps_of(waits) == before);
        killed(producer);
        long long began = check_now();
        CHECK_EQ(read(told[0], &byte, 1), 1);
        CHECK(check_now() - began < 2000);
    }
    CHECK_EQ(waitpid(waits, &status, WNOHANG), 0);
    killed(waits);
    close(here[0]);
    close(here[1]);
    close(told[0]);
    msf_shm_close(shm);
}

int main(void)
{
    producers_die();
    consumers_die();
    every_wait_ends();
    nobody_wakes_for_nothing();
    return check_verdict();
}
