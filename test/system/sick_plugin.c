/*
 * A service that is ill on demand. Its table is sick_ops; its commands:
 *   memory N   keeps N MiB more of the process's memory         pool N     keeps N blocks more of a pool of libmsf
 *   fds N      opens N descriptors more                         threads N  starts N threads more
 *   spin       a thread that never rests                        hang       does not return from the call
 *   ill        says of itself that it is ill                    freeze     the whole process stands still
 *   well       gives everything back
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <msf_mempool.h>
#include <msf_svc.h>

#define MOST 4096

static void *kept[MOST];
static int files[MOST], memory, opened, ill;
static pthread_t threads[MOST];
static int started;
static volatile int goes_on;
static struct msf_mempool *pool;

static void *thread(void *busy)
{
    while (goes_on)
        if (busy == NULL)
            usleep(5000);
    return NULL;
}

static s32 start_threads(int count, void *busy)
{
    goes_on = 1;
    for (; count > 0 && started < MOST; count--)
        if (pthread_create(&threads[started++], NULL, thread, busy) != 0)
            return -1;
    return 0;
}

static void get_well(void)
{
    goes_on = 0;
    while (started > 0)
        pthread_join(threads[--started], NULL);
    while (opened > 0)
        close(files[--opened]);
    while (memory > 0)
        free(kept[--memory]);
    if (pool != NULL)
        msf_mempool_destroy(pool);
    pool = NULL;
    ill = 0;
}

static s32 on_call(struct msf_svc_ctx *ctx, const s8 *command, const void *params, size_t len, struct msf_svc_out *result)
{
    char text[32] = "";
    int count;

    (void)ctx, (void)result;
    memcpy(text, params, len < sizeof(text) ? len : sizeof(text) - 1);
    count = atoi(text);
    if (strcmp(command, "memory") == 0) {
        for (; count > 0 && memory < MOST; count--)
            memset(kept[memory++] = malloc(1 << 20), 1, 1 << 20);
    } else if (strcmp(command, "pool") == 0) {
        struct msf_reg_mem block;

        if (pool == NULL && (pool = msf_mempool_create_prv(-1, 0)) == NULL)
            return -1;
        for (; count > 0; count--)
            if (msf_mempool_alloc(pool, 4096, &block) != 0)
                return -1;
    } else if (strcmp(command, "fds") == 0) {
        for (; count > 0 && opened < MOST; count--)
            files[opened++] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    } else if (strcmp(command, "threads") == 0) {
        return start_threads(count, NULL);
    } else if (strcmp(command, "spin") == 0) {
        return start_threads(1, &ill);
    } else if (strcmp(command, "hang") == 0) {
        for (;;)
            pause();
    } else if (strcmp(command, "ill") == 0) {
        ill = 1;
    } else if (strcmp(command, "freeze") == 0) {
        kill(getpid(), SIGSTOP);
    } else if (strcmp(command, "well") == 0) {
        get_well();
    } else {
        return -1;
    }
    return 0;
}

static s32 on_stop(struct msf_svc_ctx *ctx)
{
    (void)ctx;
    get_well();
    return 0;
}

static s32 on_health(struct msf_svc_ctx *ctx, struct msf_svc_out *text)
{
    (void)ctx;
    return ill ? (msf_svc_put(text, "fever", 5), -1) : 0;
}

MSF_EXPORT extern const struct msf_svc_ops sick_ops;
const struct msf_svc_ops sick_ops = {
    .size = sizeof(struct msf_svc_ops),
    .abi = MSF_SVC_ABI,
    .version = "1",
    .stop = on_stop,
    .call = on_call,
    .health = on_health,
};
