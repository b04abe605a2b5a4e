/* A 64-bit process and a 32-bit one (ARM, under qemu-user) exchange messages and blocks through the same two rings. */
/* no qemu: it starts qemu itself, beside a native process */
#define _GNU_SOURCE
#include <libgen.h>
#include <sys/wait.h>

#include <msf_shmem.h>

#include "check.h"

#define MESSAGES 3000
#define SKIPPED 77
#define ARM_ROOT "/usr/arm-linux-gnueabihf"

struct message {
    u64 number;
    u32 length, turned;
    u8 body[1000];
};

static struct msf_shm *there, *back;
static s8 names[2][80];

static u32 filled(struct message *message, u32 number)
{
    message->number = (u64)number << 32 | number;
    message->length = number * 37 % sizeof(message->body);
    message->turned = 0;
    memset(message->body, (int)number, message->length);
    return (u32)offsetof(struct message, body) + message->length;
}

static int whole(const struct message *message, s32 len, u32 number)
{
    struct message wanted;

    return len == (s32)filled(&wanted, number) && message->number == wanted.number && message->length == wanted.length &&
           memcmp(message->body, wanted.body, wanted.length) == 0;
}

/* The 32-bit side: sends back what it gets, every fourth time in a block. */
static int peer(void)
{
    struct msf_shmring *in, *out;
    struct message message;
    s32 len;

    there = msf_shm_open(names[0], 0600);
    back = msf_shm_open(names[1], 0600);
    in = msf_shmring_consumer(there, -1, -1);
    out = msf_shmring_producer(back, -1, -1);
    if (!in || !out) {
        perror("attach");
        return 1;
    }
    for (u32 number = 0; (len = msf_shmring_recv(in, &message, sizeof(message), 10000)) >= 0; number++) {
        if (!whole(&message, len, number))
            return 1;
        message.turned = (u32)sizeof(void *);
        void *block = number % 4 == 3 ? msf_shmring_block(out, 10000) : NULL;
        if (block)
            memcpy(block, &message, (size_t)len);
        if ((block ? msf_shmring_send_block(out, block, (u32)len, 10000)
                   : msf_shmring_send(out, &message, (u32)len, 10000)) < 0)
            return 1;
    }
    return errno == EPIPE ? 0 : 1;
}

/* The program for the other machine, started; -1 when something for that is not here. */
static pid_t started(void)
{
    static s8 source[600], folder[600], lib[600], command[4096];
    const s8 *given = getenv("MSF_STAGE_ARMV7"), *stage = getenv("MSF_STAGE");
    pid_t child;

    snprintf(source, sizeof(source), "%s", __FILE__);
    snprintf(folder, sizeof(folder), "%s", __FILE__);
    dirname(folder);
    if (given)
        snprintf(lib, sizeof(lib), "%s/lib", given);
    else
        snprintf(lib, sizeof(lib), "%s/../armv7-unknown-linux-gnueabihf/lib", stage ? stage : ".");
    snprintf(command, sizeof(command),
             "{ test -e %s/libmsf.so && which qemu-arm && arm-linux-gnueabihf-gcc -std=gnu11 -I%s/../../include -I%s %s "
             "-o ./peer -L%s -lmsf -lpthread; } >/dev/null 2>&1", lib, folder, folder, source, lib);
    if (system(command) != 0)
        return -1;
    child = fork();
    if (child == 0) {
        snprintf(command, sizeof(command), "LD_LIBRARY_PATH=%s", lib);
        execlp("qemu-arm", "qemu-arm", "-L", ARM_ROOT, "-E", command, "./peer", names[0], names[1], (char *)NULL);
        _exit(127);
    }
    return child;
}

static struct msf_shm *new_ring(const s8 *name)
{
    struct msf_shmring_config config = { sizeof(config), 0, 16384, 4, sizeof(struct message) };
    struct msf_shm *shm = msf_shm_create(name, msf_shmring_size(&config), 0600);

    CHECK(shm != NULL);
    CHECK_EQ(msf_shmring_format(shm, &config), 0);
    return shm;
}

static void exchange(void)
{
    struct msf_shmring *out = msf_shmring_producer(there, -1, -1), *in = msf_shmring_consumer(back, -1, -1);
    struct message message;
    u32 sent = 0, len;

    for (u32 number = 0; number < MESSAGES && !check_failures; number++) {
        /* As many on their way as there is room for; none is waited for while there is something to send. */
        for (; sent < MESSAGES && (len = filled(&message, sent), msf_shmring_send(out, &message, len, 0) == 0); sent++)
            continue;
        s32 got = msf_shmring_recv(in, &message, sizeof(message), 20000);
        CHECK(whole(&message, got, number));
        CHECK_EQ(message.turned, 4);
    }
    msf_shmring_close(out);
    msf_shmring_close(in);
}

int main(int argc, char **argv)
{
    int status;
    pid_t child;

    for (int which = 0; which < 2; which++)
        snprintf(names[which], sizeof(names[which]), "msf-test-%d-mixed-%d", (int)getpid(), which);
    if (argc == 3) {
        snprintf(names[0], sizeof(names[0]), "%s", argv[1]);
        snprintf(names[1], sizeof(names[1]), "%s", argv[2]);
        return peer();
    }
    if (sizeof(void *) != 8)
        return SKIPPED;
    there = new_ring(names[0]);
    back = new_ring(names[1]);
    child = started();
    if (child > 0) {
        exchange();
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    msf_shm_close(there);
    msf_shm_close(back);
    CHECK_EQ(msf_shm_unlink(names[0]), 0);
    CHECK_EQ(msf_shm_unlink(names[1]), 0);
    return child > 0 ? check_verdict() : SKIPPED;
}
