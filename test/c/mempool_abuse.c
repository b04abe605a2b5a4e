/* Pools and what should not be done with them: sizes without end, addresses of others, no memory, threads that leave full. */
/* no qemu: RLIMIT_AS would be its own memory, too */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <msf_mempool.h>

#include "check.h"

static const size_t endless[] = { SIZE_MAX, SIZE_MAX - 7, SIZE_MAX / 2 + 1, SIZE_MAX / 2, SIZE_MAX / 8 + 1, (size_t)1 << 31 };

enum { ENDLESS = sizeof(endless) / sizeof(endless[0]) };

static void sizes_without_end(void)
{
    struct msf_mempool *pool = msf_mempool_create_prv(-1, 0);
    struct msf_memcache *cache = msf_memcache_new(pool, 64);
    void *blocks[1];
    struct msf_reg_mem mem;

    for (int which = 0; which < ENDLESS; which++) {
        size_t size = endless[which];
        CHECK_NULL(msf_mempool_get(pool, size), EINVAL);
        CHECK_NULL(msf_memcache_new(pool, size), EINVAL);
        CHECK_FAILS(msf_mempool_alloc(pool, size, &mem), EINVAL);
        CHECK(mem.addr == NULL && mem.length == 0);
        CHECK_FAILS(msf_mempool_get_bulk(pool, size, blocks, 1), EINVAL);
        CHECK_FAILS(msf_mempool_add_slab(pool, 5000, size, size, 1, 0), EINVAL);
        CHECK_FAILS(msf_mempool_add_slab(pool, 5000, 0, size, 1, 0), EINVAL);
        /* 2 GiB is a lot, but may be there. */
        CHECK(which == ENDLESS - 1 || msf_mempool_add_slab(pool, size, 1, 32768, size, 0) == -1);
        CHECK(errno == EINVAL || errno == ENOMEM);
    }
    for (int which = 0; which < 3; which++) {
        CHECK_FAILS(msf_mempool_get_bulk(pool, 64, blocks, endless[which]), EINVAL);
        CHECK_FAILS(msf_mempool_put_bulk(pool, blocks, endless[which]), EINVAL);
        CHECK_FAILS(msf_memcache_get_bulk(cache, blocks, endless[which]), EINVAL);
        CHECK_FAILS(msf_memcache_put_bulk(cache, blocks, endless[which]), EINVAL);
    }
    msf_memcache_free(cache);
    msf_mempool_destroy(pool);
}

/* Small blocks, slab's blocks, and every address that is none. */
static void addresses_of_others(void)
{
    struct msf_mempool *pool = msf_mempool_create_prv(-1, 0), *other = msf_mempool_create_prv(-1, 0);
    u8 *small = msf_mempool_get(pool, 64), *large = msf_mempool_get(pool, 20000), *theirs = msf_mempool_get(other, 64);
    u8 *mapped = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    u8 local[128], *heap = malloc(64);
    u8 *wrong[] = { small + 1, small + 8, small + 32, large + 1, large + 4096, theirs, mapped, local, heap, (u8 *)1,
                    (u8 *)UINTPTR_MAX, (u8 *)(UINTPTR_MAX - 63) };

    for (size_t which = 0; which < sizeof(wrong) / sizeof(wrong[0]); which++)
        CHECK_FAILS(msf_mempool_put(pool, wrong[which]), EINVAL);
    CHECK_FAILS(msf_mempool_put((struct msf_mempool *)heap, small), EINVAL);
    CHECK_FAILS(msf_mempool_put((struct msf_mempool *)UINTPTR_MAX, small), EINVAL);
    for (size_t at = 1; at < 300; at++)
        CHECK(msf_mempool_get((struct msf_mempool *)((uintptr_t)pool ^ at << 16), 64) == NULL);
    CHECK_EQ(msf_mempool_put(pool, large), 0);
    CHECK_FAILS(msf_mempool_put(pool, large), EINVAL);
    CHECK_EQ(msf_mempool_put(pool, small), 0);
    CHECK_EQ(msf_mempool_put(other, theirs), 0);
    msf_mempool_destroy(other);
    CHECK_FAILS(msf_mempool_put(other, theirs), EINVAL);
    msf_mempool_destroy(pool);
    msf_mempool_destroy(pool);
    munmap(mapped, 4096);
    free(heap);
}

static void tickets_that_are_made_up(void)
{
    struct msf_mempool *pool = msf_mempool_create_prv(-1, 0);
    struct msf_reg_mem mem, copy;

    CHECK_EQ(msf_mempool_alloc(pool, 100, &mem), 0);
    memset(mem.addr, 1, 100);
    for (uintptr_t bit = 0; bit < 8 * sizeof(void *); bit++) {
        copy = mem;
        copy.priv = (void *)((uintptr_t)mem.priv ^ (uintptr_t)1 << bit);
        msf_mempool_free(&copy);
    }
    copy = mem;
    memset(&mem, 0xff, sizeof(mem));
    msf_mempool_free(&mem);
    msf_mempool_free(&copy);
    CHECK_EQ(msf_mempool_alloc(pool, 100, &copy), 0);
    msf_mempool_free(&copy);
    msf_mempool_destroy(pool);
    msf_mempool_free(&copy);
}

static struct msf_mempool *shared;

static void *leaves_full(void *arg)
{
    struct msf_memcache *cache = msf_memcache_new(shared, 64);
    void *blocks[100];

    (void)arg;
    for (int round = 0; round < 10; round++) {
        for (int at = 0; at < 100; at++)
            blocks[at] = at % 2 ? msf_mempool_get(shared, 64) : msf_memcache_get(cache);
        for (int at = 0; at < 100; at++) {
            CHECK(blocks[at] != NULL);
            CHECK_EQ(at % 3 ? msf_mempool_put(shared, blocks[at]) : msf_memcache_put(cache, blocks[at]), 0);
        }
    }
    msf_memcache_free(cache);
    return NULL;
}

static u64 used_of(struct msf_mempool *pool, size_t block)
{
    struct msf_mempool_slab slab = { .size = sizeof(slab) };
    for (u32 index = 0; msf_mempool_stats(pool, index, &slab) == 0; index++)
        if (slab.block == block)
            return slab.used;
    return ~0ull;
}

static void *destroys(void *arg)
{
    void *block = msf_mempool_get(shared, 64);
    CHECK(block != NULL);
    CHECK_EQ(msf_mempool_put(shared, block), 0);
    msf_mempool_destroy(arg);
    return NULL;
}

static void threads_that_leave(void)
{
    pthread_t threads[20];

    shared = msf_mempool_create_prv(-1, 0);
    for (int round = 0; round < 10; round++) {
        for (int which = 0; which < 20; which++)
            CHECK_EQ(pthread_create(&threads[which], NULL, leaves_full, NULL), 0);
        for (int which = 0; which < 20; which++)
            CHECK_EQ(pthread_join(threads[which], NULL), 0);
    }
    CHECK_EQ(used_of(shared, 64), 0);
    /* It has something at hand of a pool that is gone when it ends. */
    CHECK_EQ(pthread_create(&threads[0], NULL, destroys, shared), 0);
    CHECK_EQ(pthread_join(threads[0], NULL), 0);
}

/* In a child: with the address space it has and a little more, everything says ENOMEM and goes on. */
static void no_memory(void)
{
    long pages = 0;
    int status;
    FILE *file = fopen("/proc/self/statm", "r");

    CHECK(file != NULL && fscanf(file, "%ld", &pages) == 1);
    fclose(file);
    pid_t child = fork();
    if (child == 0) {
        struct msf_mempool *pool = msf_mempool_create_prv(-1, 0);
        size_t least = (size_t)pages * (size_t)sysconf(_SC_PAGESIZE) + (4u << 20);
        int refused = 0, made = 0;
        check_failures = 0;
        for (size_t more = 0; more < 64u << 20; more += 8u << 20) {
            struct rlimit tight = { least + more, RLIM_INFINITY };
            CHECK_EQ(setrlimit(RLIMIT_AS, &tight), 0);
            for (size_t size = 32; size <= 1u << 20; size *= 2) {
                for (int times = 0; times < 16; times++) {
                    void *block = msf_mempool_get(pool, size);
                    if (block == NULL) {
                        CHECK_EQ(errno, ENOMEM);
                        refused++;
                        break;
                    }
                    memset(block, 1, size);
                    made++;
                }
                struct msf_mempool *another = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_HUGE_PAGES_ALLOC);
                if (another == NULL)
                    CHECK_EQ(errno, ENOMEM);
                msf_mempool_destroy(another);
            }
        }
        CHECK(refused > 0);
        CHECK(made > 0);
        msf_mempool_destroy(pool);
        _exit(check_failures != 0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
}

int main(void)
{
    sizes_without_end();
    addresses_of_others();
    tickets_that_are_made_up();
    threads_that_leave();
    no_memory();
    return check_failures != 0;
}
