/*
 * A million operations grow nothing once a pool is warm: neither what it says it has, nor what the process occupies.
 */
/* no qemu: it measures what the process occupies, and the emulator is part of that */
#include <msf_mempool.h>
#include <msf_thread.h>

#include "check.h"

#define LIVE 512
#define OPERATIONS 1000000

static struct msf_mempool *pool;

/* Kilobytes the process occupies. */
static long resident(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = 0;

    if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1)
        CHECK(!"a figure in /proc/self/statm");
    if (file != NULL)
        fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static u64 allocated(void)
{
    struct msf_mempool_slab slab = { .size = sizeof slab };
    u64 sum = 0;

    for (u32 i = 0; msf_mempool_stats(pool, i, &slab) == 0; i++)
        sum += slab.allocated * slab.block;
    return sum;
}

static u64 used(void)
{
    struct msf_mempool_slab slab = { .size = sizeof slab };
    u64 sum = 0;

    for (u32 i = 0; msf_mempool_stats(pool, i, &slab) == 0; i++)
        sum += slab.used;
    return sum;
}

/* The same sizes in the same order each time: what is out at any moment is the same, too. */
static void *operations(void *arg)
{
    static __thread void *live[LIVE];
    struct msf_memcache *cache = msf_memcache_new(pool, 100);
    unsigned state = 1;

    for (long i = 0; i < *(long *)arg / 2; i++) {
        unsigned place = (state = state * 1103515245u + 12345u) >> 16 & (LIVE - 1);

        if (msf_mempool_put(pool, live[place]) != 0)
            break;
        live[place] = place % 4 == 0 ? msf_memcache_get(cache) : msf_mempool_get(pool, place * 40 + 1);
        if (live[place] == NULL)
            break;
        *(unsigned *)live[place] = place;
    }
    for (unsigned i = 0; i < LIVE; i++) {
        if (live[i] != NULL && *(unsigned *)live[i] != i)
            CHECK(!"a block that is its owner's alone");
        CHECK_EQ(msf_mempool_put(pool, live[i]), 0);
        live[i] = NULL;
    }
    msf_memcache_free(cache);
    return NULL;
}

static void run(long count, int threads)
{
    pthread_t ids[4];

    for (int i = 0; i < threads; i++)
        CHECK_EQ(msf_pthread_spawn(&ids[i], operations, &count), 0);
    for (int i = 0; i < threads; i++)
        CHECK_EQ(pthread_join(ids[i], NULL), 0);
}

int main(void)
{
    u64 there;
    long kilobytes;

    pool = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_NONE);
    run(100000, 1);
    run(100000, 1);
    there = allocated();
    kilobytes = resident();
    run(OPERATIONS, 1);
    for (int i = 0; i < 20; i++)
        run(OPERATIONS / 20, 1); /* threads that come and go */
    CHECK_EQ(used(), 0);
    CHECK_EQ(allocated(), there);
    /* What the sanitizers keep of freed memory and of threads is theirs. */
#if defined(__SANITIZE_ADDRESS__)
    CHECK(resident() - kilobytes < 16384);
#else
    CHECK(resident() - kilobytes < 256);
#endif
    /* Two at a time: how they meet differs, so there is some room; but it is not room that grows with the operations. */
    run(OPERATIONS, 2);
    there = allocated();
    run(OPERATIONS, 2);
    CHECK(allocated() <= there + there / 2);
    CHECK_EQ(used(), 0);
    msf_mempool_destroy(pool);
    return check_verdict();
}
