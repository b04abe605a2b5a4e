/*
 * The memory pool as the demo services use it: blocks that do not overlap, huge pages that need not exist,
 * a node id that is none, frees that come twice or too late.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <msf_mempool.h>
#include <msf_thread.h>

#include "must.h"

static void sizes(void)
{
    static const size_t wanted[] = {1, 16384, 16385, 65536, 262144, 262145, 1048576};
    struct msf_reg_mem mem[7], refused;
    struct msf_mempool *pool = msf_mempool_create_prv(0x12, MSF_MEMPOOL_FLAG_HUGE_PAGES_ALLOC);
    size_t i;
    MUST(pool != NULL);
    for (i = 0; i < 7; i++) {
        MUST(msf_mempool_alloc(pool, wanted[i], &mem[i]) == 0);
        MUST(mem[i].length == wanted[i] && mem[i].addr != NULL && mem[i].priv != NULL && mem[i].mr == NULL);
        MUST((uintptr_t)mem[i].addr % 4096 == 0);
        memset(mem[i].addr, (int)i + 1, wanted[i]);
    }
    for (i = 0; i < 7; i++) {
        const unsigned char *bytes = mem[i].addr;
        MUST(bytes[0] == i + 1 && bytes[wanted[i] - 1] == i + 1);
    }
    memset(&refused, 0xff, sizeof refused);
    errno = 0;
    MUST(msf_mempool_alloc(pool, 1048577, &refused) == -1 && errno == EINVAL);
    MUST(refused.addr == NULL && refused.length == 0 && refused.mr == NULL && refused.priv == NULL);
    MUST(msf_mempool_alloc(pool, 0, &refused) == -1 && msf_mempool_alloc(NULL, 1, &refused) == -1);
    MUST(msf_mempool_alloc(pool, 1, NULL) == -1);
    msf_mempool_destroy(pool); /* with all seven still out */
    msf_mempool_free(&mem[0]); /* too late, and harmless */
    MUST(mem[0].priv == NULL);
    errno = 0;
    MUST(msf_mempool_alloc(pool, 1, &mem[0]) == -1 && errno == EINVAL);
    msf_mempool_destroy(pool);
    msf_mempool_dump(pool);
}

static void given_back(void)
{
    struct msf_mempool *pool = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_NONE);
    struct msf_reg_mem mem, copy, next, none;
    MUST(pool != NULL && msf_mempool_alloc(pool, 100, &mem) == 0);
    copy = mem;
    msf_mempool_free(&mem);
    MUST(mem.addr == NULL && mem.priv == NULL && mem.length == 0);
    msf_mempool_free(&mem);
    msf_mempool_free(&copy); /* a second free through a copy */
    memset(&none, 0, sizeof none);
    msf_mempool_free(&none);
    msf_mempool_free(NULL);
    MUST(msf_mempool_alloc(pool, 100, &mem) == 0 && msf_mempool_alloc(pool, 100, &next) == 0);
    MUST(mem.addr != next.addr);
    msf_mempool_destroy(pool);
    msf_mempool_destroy(NULL);
}

static void dumped(void)
{
    char name[] = "/tmp/msf-test-pool-XXXXXX", text[2048], expected[256];
    static const int size[] = {16384, 65536, 262144, 1048576};
    struct msf_mempool *pool = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_REG_MR);
    struct msf_reg_mem mem;
    int file = mkstemp(name), kept = dup(1), i;
    ssize_t length;
    MUST(pool != NULL && file >= 0 && kept >= 0);
    MUST(msf_mempool_alloc(pool, 20000, &mem) == 0 && mem.mr != NULL);
    fflush(stdout);
    MUST(dup2(file, 1) == 1);
    msf_mempool_dump(pool);
    msf_mempool_dump(NULL);
    fflush(stdout);
    dup2(kept, 1);
    length = pread(file, text, sizeof text - 1, 0);
    MUST(length > 0);
    text[length] = '\0';
    for (i = 0; i < 4; i++) {
        int used = i == 1, there = i == 1 ? 128 : 0;
        snprintf(expected, sizeof expected, "\npool:%p - slab[%d]: size:%d, used:%d, alloced:%d, max_alloc:24576\n",
                 (void *)pool, i, size[i], used, there);
        MUST(strstr(text, expected) != NULL);
    }
    memset(expected, '-', 48);
    expected[48] = '\n';
    MUST(strncmp(text, expected, 49) == 0 && strncmp(text + length - 49, expected, 49) == 0);
    close(file);
    close(kept);
    unlink(name);
    msf_mempool_destroy(pool);
}

static void *worker(void *arg)
{
    struct msf_mempool *pool = arg;
    int i;
    for (i = 0; i < 2000; i++) {
        struct msf_reg_mem mem;
        if (msf_mempool_alloc(pool, sizeof i, &mem) != 0) {
            return arg;
        }
        *(int *)mem.addr = i;
        msf_sched_yield();
        if (*(int *)mem.addr != i) {
            return arg;
        }
        msf_mempool_free(&mem);
    }
    return NULL;
}

static void threads(void)
{
    struct msf_mempool *pool = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_NUMA_ALLOC);
    pthread_t workers[4];
    void *result;
    int i;
    MUST(pool != NULL);
    for (i = 0; i < 4; i++) {
        MUST(msf_pthread_spawn(&workers[i], worker, pool) == 0);
    }
    for (i = 0; i < 4; i++) {
        MUST(pthread_join(workers[i], &result) == 0 && result == NULL);
    }
    msf_mempool_destroy(pool);
    errno = 0;
    MUST(msf_mempool_create_prv(1000, MSF_MEMPOOL_FLAG_NUMA_ALLOC) == NULL && errno == EINVAL);
}

int main(void)
{
    sizes();
    given_back();
    dumped();
    threads();
    return 0;
}
