/*
 * Caches that a program holds: inline get and put, bulk, what a cache gives back when it is freed, and what happens to
 * one whose pool is gone.
 */
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <msf_mempool.h>
#include <msf_thread.h>

#include "check.h"
#include "mempool_figures.h"

#define MANY 500

static void in_and_out(void)
{
    struct msf_mempool *pool = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_NONE);
    struct msf_memcache *cache = msf_memcache_new(pool, 100);
    unsigned char *blocks[MANY];
    void *first, *second;

    CHECK(cache != NULL && cache->size == sizeof *cache && cache->mask == 127);
    first = msf_memcache_get(cache);
    CHECK_EQ(msf_memcache_put(cache, first), 0);
    second = msf_memcache_get(cache);
    CHECK(first == second); /* the last one in is the first one out */
    CHECK_EQ(msf_memcache_put(cache, second), 0);
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < MANY; i++) {
            errno = 4711;
            blocks[i] = msf_memcache_get(cache);
            CHECK(blocks[i] != NULL && errno == 4711 && (uintptr_t)blocks[i] % 128 == 0);
            memset(blocks[i], i, 128);
        }
        CHECK_EQ(figures(pool, 128).used, MANY);
        for (int i = 0; i < MANY; i++) {
            CHECK(blocks[i][0] == i % 256 && blocks[i][127] == i % 256);
            CHECK_EQ(msf_memcache_put(cache, blocks[i]), 0);
        }
        CHECK_EQ(figures(pool, 128).used, 0);
    }
    CHECK_EQ(msf_memcache_put(cache, NULL), 0);

    /* A block may go back through the pool, and one of the pool's through the cache. */
    first = msf_memcache_get(cache);
    CHECK_EQ(msf_mempool_put(pool, first), 0);
    first = msf_mempool_get(pool, 100);
    CHECK_EQ(msf_memcache_put(cache, first), 0);

    msf_memcache_free(cache);
    msf_memcache_free(NULL);
    CHECK_EQ(figures(pool, 128).used, 0);
    CHECK_EQ(figures(pool, 128).cached, figures(pool, 128).allocated);
    msf_mempool_destroy(pool);
}

static void bulk(void)
{
    struct msf_mempool *pool = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_NONE);
    struct msf_memcache *cache = msf_memcache_new(pool, 8192);
    void *blocks[MANY];
    char local[8];

    CHECK_EQ(msf_memcache_get_bulk(cache, blocks, MANY), 0);
    for (int i = 0; i < MANY; i++)
        memset(blocks[i], i, 8192);
    for (int i = 0; i < MANY; i++)
        CHECK_EQ(((unsigned char *)blocks[i])[8191], i % 256);
    CHECK_EQ(msf_memcache_put_bulk(cache, blocks, MANY - 1), 0);
    CHECK_EQ(figures(pool, 8192).used, 1);
    blocks[0] = blocks[MANY - 1];
    blocks[1] = local;
    CHECK_FAILS(msf_memcache_put_bulk(cache, blocks, 2), EINVAL);
    CHECK_EQ(figures(pool, 8192).used, 1);
    CHECK_EQ(msf_memcache_put_bulk(cache, blocks, 1), 0);
    CHECK_FAILS(msf_memcache_get_bulk(NULL, blocks, 1), EINVAL);
    CHECK_FAILS(msf_memcache_get_bulk(cache, NULL, 1), EINVAL);
    CHECK_FAILS(msf_memcache_put_bulk(NULL, blocks, 1), EINVAL);
    CHECK_FAILS(msf_memcache_put_bulk(cache, NULL, 1), EINVAL);
    msf_memcache_free(cache);
    CHECK_EQ(figures(pool, 8192).used, 0);
    msf_mempool_destroy(pool);
}

static void refused(void)
{
    struct msf_mempool *pool = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_NONE);
    struct msf_memcache *cache = msf_memcache_new(pool, 64), *other = msf_memcache_new(pool, 32);
    char *block = msf_memcache_get(cache), *smaller = msf_memcache_get(other), local[64];

    CHECK_NULL(msf_memcache_new(pool, 0), EINVAL);
    CHECK_NULL(msf_memcache_new(pool, 8193), EINVAL);
    CHECK_NULL(msf_memcache_new(NULL, 64), EINVAL);
    CHECK_FAILS(msf_memcache_put(cache, smaller), EINVAL);
    CHECK_FAILS(msf_memcache_put(cache, block + 8), EINVAL);
    CHECK_FAILS(msf_memcache_put(cache, local), EINVAL);
    CHECK_FAILS(msf_memcache_flush(cache, local), EINVAL);
    CHECK_FAILS(msf_memcache_flush(NULL, block), EINVAL);
    CHECK_NULL(msf_memcache_refill(NULL), EINVAL);
    CHECK_EQ(msf_memcache_flush(cache, block), 0);
    CHECK((block = msf_memcache_refill(cache)) != NULL);
    CHECK_EQ(msf_memcache_put(cache, block), 0);
    CHECK_EQ(msf_memcache_put(other, smaller), 0);

    /* The pool goes first: the caches have nothing any more, and are freed all the same. */
    msf_mempool_destroy(pool);
    CHECK_NULL(msf_memcache_get(cache), EINVAL);
    CHECK_FAILS(msf_memcache_get_bulk(cache, (void **)&block, 1), EINVAL);
    msf_memcache_free(cache);
    msf_memcache_free(other);
}

/* As many as a class may have; then no more. */
static void used_up(void)
{
    struct msf_mempool *pool = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_NONE);
    struct msf_memcache *cache = msf_memcache_new(pool, 8192);
    size_t most = figures(pool, 8192).max, i;
    void **blocks = calloc(most, sizeof *blocks), *rest[2];

    CHECK(most >= 256 && blocks != NULL);
    for (i = 0; i < most && (blocks[i] = msf_memcache_get(cache)) != NULL; i++)
        ;
    CHECK_EQ(i, most);
    CHECK_NULL(msf_memcache_get(cache), ENOMEM);
    CHECK_NULL(msf_memcache_refill(cache), ENOMEM);
    CHECK_FAILS(msf_memcache_get_bulk(cache, rest, 2), ENOMEM);
    CHECK_EQ(msf_memcache_put(cache, blocks[0]), 0);
    CHECK(msf_memcache_get(cache) == blocks[0]);
    CHECK_EQ(msf_memcache_put_bulk(cache, blocks, most), 0);
    CHECK_EQ(figures(pool, 8192).used, 0);
    free(blocks);
    msf_memcache_free(cache);
    msf_mempool_destroy(pool);
}

/* A pool whose process may have no more addresses. */
static void no_addresses(void)
{
    struct msf_mempool *pool = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_NONE);
    struct rlimit before, none = { 1 << 20, RLIM_INFINITY };
    void *probe;

    CHECK_EQ(getrlimit(RLIMIT_AS, &before), 0);
    none.rlim_max = before.rlim_max;
    CHECK_EQ(setrlimit(RLIMIT_AS, &none), 0);
    probe = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (probe == MAP_FAILED)
        CHECK_NULL(msf_memcache_new(pool, 64), ENOMEM);
    else
        munmap(probe, 1 << 20); /* an emulator that does not know the limit */
    CHECK_EQ(setrlimit(RLIMIT_AS, &before), 0);
    msf_mempool_destroy(pool);
}

/* Bytes of addresses the process has. */
static rlim_t addresses(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;

    if (file == NULL || fscanf(file, "%lu", &pages) != 1)
        CHECK(!"a figure in /proc/self/statm");
    if (file != NULL)
        fclose(file);
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

/* A pool whose process may have few more: its classes are smaller. */
static void few_addresses(void)
{
    struct msf_mempool *pool = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_NONE);
    struct msf_memcache *cache;
    struct rlimit before, few;
    size_t usual = figures(pool, 64).max, reached;

    CHECK_EQ(getrlimit(RLIMIT_AS, &before), 0);
    few = before;
    few.rlim_cur = addresses() + (64 << 20);
    CHECK_EQ(setrlimit(RLIMIT_AS, &few), 0);
    cache = msf_memcache_new(pool, 64);
    CHECK_EQ(setrlimit(RLIMIT_AS, &before), 0);
    CHECK(cache != NULL);
    reached = figures(pool, 64).max;
    CHECK(reached >= 32768 && (reached <= 65536 || reached == usual)); /* an emulator may not know the limit */
    CHECK_EQ(msf_memcache_put(cache, msf_memcache_get(cache)), 0);
    msf_memcache_free(cache);
    msf_mempool_destroy(pool);
}

#define BULK 32
#define TURNS 3000

static struct msf_mempool *shared;
static void *volatile handed[BULK];
static volatile int full, stopped;

static void *consumes(void *arg)
{
    struct msf_memcache *cache = msf_memcache_new(shared, 256);
    long wrong = cache == NULL;

    for (int turn = 0; turn < TURNS && !wrong; turn++) {
        while (!__atomic_load_n(&full, __ATOMIC_ACQUIRE))
            msf_sched_yield();
        for (int i = 0; i < BULK; i++) {
            wrong += *(int *)handed[i] != turn * BULK + i;
            wrong += msf_memcache_put(cache, handed[i]) != 0;
        }
        __atomic_store_n(&full, 0, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&stopped, 1, __ATOMIC_RELEASE);
    msf_memcache_free(cache);
    return wrong ? arg : NULL;
}

static void thread_to_thread(void)
{
    struct msf_memcache *cache;
    pthread_t thread;
    void *result;

    shared = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_NONE);
    cache = msf_memcache_new(shared, 256);
    CHECK_EQ(msf_pthread_spawn(&thread, consumes, &thread), 0);
    for (int turn = 0; turn < TURNS && !__atomic_load_n(&stopped, __ATOMIC_ACQUIRE); turn++) {
        for (int i = 0; i < BULK; i++) {
            handed[i] = msf_memcache_get(cache);
            *(int *)handed[i] = turn * BULK + i;
        }
        __atomic_store_n(&full, 1, __ATOMIC_RELEASE);
        while (__atomic_load_n(&full, __ATOMIC_ACQUIRE) && !__atomic_load_n(&stopped, __ATOMIC_ACQUIRE))
            msf_sched_yield();
    }
    CHECK(pthread_join(thread, &result) == 0 && result == NULL);
    msf_memcache_free(cache);
    CHECK_EQ(figures(shared, 256).used, 0);
    CHECK(figures(shared, 256).allocated <= 512);
    msf_mempool_destroy(shared);
}

int main(void)
{
    in_and_out();
    bulk();
    refused();
    used_up();
    no_addresses();
    few_addresses();
    thread_to_thread();
    return check_verdict();
}
