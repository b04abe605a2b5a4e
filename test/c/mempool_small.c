/*
 * The pool's plain pointers: blocks that do not overlap, aligned, of every size; freed by whichever thread; what is not the
 * pool's is refused; and nothing is lost with a thread.
 */
#include <stdint.h>

#include <msf_mempool.h>
#include <msf_thread.h>

#include "check.h"
#include "mempool_figures.h"

#define MANY 300

static void sizes(void)
{
    static const size_t wanted[] = { 1, 32, 33, 100, 1000, 1024, 1025, 8192, 8193, 100000, 1048576 };
    struct msf_mempool *pool = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_NONE);
    unsigned char *blocks[11][20];

    for (int i = 0; i < 11; i++)
        for (int j = 0; j < 20; j++) {
            size_t align = 32;

            while (align < wanted[i] && align < 4096)
                align *= 2;
            errno = 4711;
            blocks[i][j] = msf_mempool_get(pool, wanted[i]);
            CHECK(blocks[i][j] != NULL && errno == 4711);
            CHECK_EQ((uintptr_t)blocks[i][j] % align, 0);
            memset(blocks[i][j], i * 20 + j, wanted[i]);
        }
    for (int i = 0; i < 11; i++)
        for (int j = 0; j < 20; j++) {
            CHECK(blocks[i][j][0] == i * 20 + j && blocks[i][j][wanted[i] - 1] == i * 20 + j);
            CHECK_EQ(msf_mempool_put(pool, blocks[i][j]), 0);
        }
    CHECK_NULL(msf_mempool_get(pool, 0), EINVAL);
    CHECK_NULL(msf_mempool_get(pool, 1048577), EINVAL);
    CHECK_NULL(msf_mempool_get(NULL, 1), EINVAL);
    CHECK_EQ(msf_mempool_put(pool, NULL), 0);
    msf_mempool_destroy(pool);
    CHECK_NULL(msf_mempool_get(pool, 100), EINVAL);
}

static void foreign(void)
{
    struct msf_mempool *pool = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_NONE);
    struct msf_mempool *other = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_NONE);
    static const size_t wanted[] = { 100, 20000 };
    char local[64];

    for (int i = 0; i < 2; i++) {
        char *block = msf_mempool_get(pool, wanted[i]);
        void *theirs = msf_mempool_get(other, wanted[i]);

        CHECK_FAILS(msf_mempool_put(pool, theirs), EINVAL);
        CHECK_FAILS(msf_mempool_put(pool, block + 8), EINVAL);
        CHECK_FAILS(msf_mempool_put(pool, local), EINVAL);
        CHECK_FAILS(msf_mempool_put(NULL, block), EINVAL);
        CHECK_EQ(msf_mempool_put(pool, block), 0);
        CHECK_EQ(msf_mempool_put(other, theirs), 0);
    }
    /* A block of a slab is known to be free. */
    {
        void *block = msf_mempool_get(pool, 20000);

        CHECK_EQ(msf_mempool_put(pool, block), 0);
        CHECK_FAILS(msf_mempool_put(pool, block), EINVAL);
    }
    msf_mempool_destroy(pool);
    msf_mempool_destroy(other);
}

static void bulk(void)
{
    struct msf_mempool *pool = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_NONE);
    void *blocks[MANY], *mixed[3];
    char local[64];

    CHECK_EQ(msf_mempool_get_bulk(pool, 200, blocks, MANY), 0);
    for (int i = 0; i < MANY; i++) {
        CHECK(blocks[i] != NULL);
        memset(blocks[i], i, 200);
    }
    for (int i = 0; i < MANY; i++)
        CHECK_EQ(((unsigned char *)blocks[i])[199], i % 256);
    CHECK_EQ(figures(pool, 256).used, MANY);
    CHECK_EQ(msf_mempool_put_bulk(pool, blocks, MANY), 0);
    CHECK_EQ(figures(pool, 256).used, 0);
    CHECK_EQ(msf_mempool_get_bulk(pool, 200, blocks, 0), 0);
    CHECK_EQ(msf_mempool_put_bulk(pool, blocks, 0), 0);

    mixed[0] = msf_mempool_get(pool, 32);
    mixed[1] = local;
    mixed[2] = msf_mempool_get(pool, 20000);
    CHECK_FAILS(msf_mempool_put_bulk(pool, mixed, 3), EINVAL);
    CHECK_EQ(figures(pool, 32).used + figures(pool, 65536).used, 0);

    CHECK_FAILS(msf_mempool_get_bulk(NULL, 200, blocks, 1), EINVAL);
    CHECK_FAILS(msf_mempool_get_bulk(pool, 200, NULL, 1), EINVAL);
    CHECK_FAILS(msf_mempool_get_bulk(pool, 2000000, blocks, 2), EINVAL);
    CHECK(blocks[0] == NULL && blocks[1] == NULL);
    CHECK_FAILS(msf_mempool_put_bulk(NULL, blocks, 1), EINVAL);
    CHECK_FAILS(msf_mempool_put_bulk(pool, NULL, 1), EINVAL);
    CHECK_FAILS(msf_mempool_get_bulk(pool, 200, blocks, SIZE_MAX), EINVAL);
    CHECK_FAILS(msf_mempool_put_bulk(pool, blocks, SIZE_MAX), EINVAL);
    msf_mempool_destroy(pool);
}

/* A slab that is used up: the next larger size serves, or nothing does. */
static void used_up(void)
{
    struct msf_mempool *pool = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_USE_SMALLEST_SLAB);
    void *blocks[5], *one;

    CHECK_EQ(msf_mempool_add_slab(pool, 2000000, 0, 3, 1, 0), 0);
    for (int i = 0; i < 3; i++)
        CHECK((blocks[i] = msf_mempool_get(pool, 1500000)) != NULL);
    CHECK_NULL(msf_mempool_get(pool, 1500000), ENOMEM);
    CHECK_EQ(msf_mempool_put(pool, blocks[0]), 0);
    CHECK_FAILS(msf_mempool_get_bulk(pool, 1500000, blocks + 3, 2), ENOMEM);
    CHECK(blocks[3] == NULL && blocks[4] == NULL);
    one = msf_mempool_get(pool, 1500000);
    CHECK(one == blocks[0]);
    msf_mempool_destroy(pool);
}

static struct msf_mempool *shared;

static void *takes(void *arg)
{
    void **blocks = arg;

    for (int i = 0; i < MANY; i++) {
        blocks[i] = msf_mempool_get(shared, 64);
        if (blocks[i] == NULL)
            return arg;
        memset(blocks[i], i, 64);
    }
    return NULL;
}

/* A thread takes and ends; another gives back and ends: all of it is free, and used again. */
static void threads(void)
{
    void *blocks[MANY], *result;
    struct msf_mempool_slab slab;
    pthread_t thread;

    shared = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_NONE);
    for (int turn = 0; turn < 50; turn++) {
        CHECK_EQ(msf_pthread_spawn(&thread, takes, blocks), 0);
        CHECK(pthread_join(thread, &result) == 0 && result == NULL);
        CHECK_EQ(figures(shared, 64).used, MANY);
        for (int i = 0; i < MANY; i++) {
            CHECK_EQ(((unsigned char *)blocks[i])[63], i % 256);
            CHECK_EQ(msf_mempool_put(shared, blocks[i]), 0);
        }
        CHECK_EQ(figures(shared, 64).used, 0);
    }
    slab = figures(shared, 64);
    CHECK(slab.allocated <= 2 * MANY + 256);
    CHECK_EQ(slab.cached, slab.allocated);
    CHECK(slab.refills > 0 && slab.growths > 0);
    msf_mempool_destroy(shared);
}

int main(void)
{
    sizes();
    foreign();
    bulk();
    used_up();
    threads();
    return check_verdict();
}
