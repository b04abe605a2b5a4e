/*
 * Slabs of one's own, and what a pool tells about itself.
 */
#include <stdint.h>

#include <msf_mempool.h>

#include "check.h"

static struct msf_mempool *pool;

static struct msf_mempool_slab at(u32 index)
{
    struct msf_mempool_slab slab = { .size = sizeof slab };

    CHECK_EQ(msf_mempool_stats(pool, index, &slab), 0);
    return slab;
}

static void added(void)
{
    static const u64 sizes[] = { 5000, 16384, 65536, 262144, 1048576, 3000000 };
    struct msf_reg_mem mem[4], large;
    char *first, *second;

    pool = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_USE_SMALLEST_SLAB);
    CHECK_EQ(MSF_MEM_SLABS_NR, 4);
    CHECK_EQ(MSF_MAX_SLABS_NR, 6);
    CHECK_EQ(msf_mempool_add_slab(pool, 3000000, 0, 2, 1, 0), 0);
    CHECK_EQ(msf_mempool_add_slab(pool, 5000, 2, 3, 1, 8192), 0);
    for (u32 i = 0; i < 6; i++)
        CHECK_EQ(at(9 + i).block, sizes[i]);
    CHECK(at(9).allocated == 2 && at(9).max == 3 && at(9).used == 0 && at(9).small == 0);
    CHECK(at(14).allocated == 0 && at(14).max == 2);

    for (int i = 0; i < 3; i++) {
        CHECK_EQ(msf_mempool_alloc(pool, 4500, &mem[i]), 0);
        CHECK_EQ((uintptr_t)mem[i].addr % 8192, 0);
        memset(mem[i].addr, i, 5000);
    }
    first = mem[0].addr;
    second = mem[1].addr;
    CHECK(first[4999] == 0 && second[0] == 1);
    CHECK_FAILS(msf_mempool_alloc(pool, 4500, &mem[3]), ENOMEM);
    CHECK(mem[3].addr == NULL && mem[3].length == 0 && mem[3].mr == NULL && mem[3].priv == NULL);
    CHECK_EQ(at(9).used, 3);
    msf_mempool_free(&mem[1]);
    CHECK_EQ(at(9).used, 2);
    CHECK_EQ(msf_mempool_alloc(pool, 2000000, &large), 0);
    CHECK_EQ(large.length, 2000000);
    memset(large.addr, 1, 2000000);
    CHECK_FAILS(msf_mempool_alloc(pool, 3000001, &mem[3]), EINVAL);
    CHECK_FAILS(msf_mempool_alloc(pool, 0, &mem[3]), EINVAL);
    CHECK_FAILS(msf_mempool_alloc(NULL, 1, &mem[3]), EINVAL);
    CHECK_FAILS(msf_mempool_alloc(pool, 1, NULL), EINVAL);
    CHECK_FAILS(msf_mempool_add_slab(pool, 7000, 0, 2, 1, 0), ENOMEM); /* six are there */
    msf_mempool_destroy(pool);
}

static void refused(void)
{
    pool = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_NONE);
    CHECK_FAILS(msf_mempool_add_slab(pool, 16384, 0, 2, 1, 0), EEXIST);
    CHECK_FAILS(msf_mempool_add_slab(pool, 5000, 0, 2, 1, 48), EINVAL);
    CHECK_FAILS(msf_mempool_add_slab(pool, 5000, 0, 2, 1, 2), EINVAL);
    CHECK_FAILS(msf_mempool_add_slab(pool, 5000, 0, 2, 1, -8), EINVAL);
    CHECK_FAILS(msf_mempool_add_slab(pool, 0, 0, 2, 1, 0), EINVAL);
    CHECK_FAILS(msf_mempool_add_slab(pool, 5000, 3, 2, 1, 0), EINVAL);
    CHECK_FAILS(msf_mempool_add_slab(pool, 5000, 0, 0, 1, 0), EINVAL);
    CHECK_FAILS(msf_mempool_add_slab(pool, 5000, 0, 32769, 1, 0), EINVAL);
    CHECK_FAILS(msf_mempool_add_slab(NULL, 5000, 0, 2, 1, 0), EINVAL);
    CHECK_FAILS(msf_mempool_add_slab(pool, SIZE_MAX / 2 + 1, 1, 2, 1, 0), ENOMEM);
    CHECK_EQ(msf_mempool_add_slab(pool, 5000, 0, 2, 1, 0), 0); /* none of those took a place */
    msf_mempool_destroy(pool);
    CHECK_NULL(msf_mempool_create_prv(1000, MSF_MEMPOOL_FLAG_NUMA_ALLOC), EINVAL);
}

static void too_many(void)
{
    static struct msf_mempool *pools[16384];
    int count = 0;

    while (count < 16384 && (pools[count] = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_NONE)) != NULL)
        count++;
    CHECK_EQ(count, 16383);
    CHECK_NULL(msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_NONE), ENOMEM);
    while (count-- > 0)
        msf_mempool_destroy(pools[count]);
}

/* 2019's numbers: HUGE and NUMA are in the last one by mistake, and stay without effect there. */
static void flags(void)
{
    enum msf_mempool_flag all = MSF_MEMPOOL_FLAG_USE_SMALLEST_SLAB;

    CHECK_EQ(all, 0x16);
    CHECK(MSF_MEMPOOL_FLAG_NONE == 0 && MSF_MEMPOOL_FLAG_REG_MR == 1 && MSF_MEMPOOL_FLAG_HUGE_PAGES_ALLOC == 2);
    CHECK(MSF_MEMPOOL_FLAG_NUMA_ALLOC == 4 && MSF_MEMPOOL_FLAG_REGULAR_PAGES_ALLOC == 8);
}

static void figures(void)
{
    struct { struct msf_mempool_slab known; u64 later; } newer;
    struct { u32 size, small; u64 block, untouched; } older = { 16, 0, 0, 4711 };
    struct msf_mempool_slab slab;
    void *block;

    pool = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_NONE);
    for (u32 i = 0; i < 9; i++)
        CHECK(at(i).small == 1 && at(i).block == (u64)32 << i && at(i).allocated == 0 && at(i).max >= 256);
    block = msf_mempool_get(pool, 32);
    slab = at(0);
    CHECK_EQ(slab.used, 1);
    CHECK_EQ(slab.used + slab.cached, slab.allocated);
    CHECK(slab.refills == 1 && slab.growths == 1);
    CHECK_EQ(msf_mempool_put(pool, block), 0);

    /* A program of an earlier header, and one of a later. */
    CHECK_EQ(msf_mempool_stats(pool, 1, (struct msf_mempool_slab *)(void *)&older), 0);
    CHECK(older.size == 16 && older.block == 64 && older.untouched == 4711);
    memset(&newer, 0xff, sizeof newer);
    newer.known.size = sizeof newer;
    CHECK_EQ(msf_mempool_stats(pool, 1, &newer.known), 0);
    CHECK(newer.known.block == 64 && newer.later == 0);

    slab.size = 4;
    CHECK_FAILS(msf_mempool_stats(pool, 0, &slab), EINVAL);
    slab.size = sizeof slab;
    CHECK_FAILS(msf_mempool_stats(pool, 0, NULL), EINVAL);
    CHECK_FAILS(msf_mempool_stats(NULL, 0, &slab), EINVAL);
    CHECK_FAILS(msf_mempool_stats(pool, 13, &slab), ENOENT);
    msf_mempool_destroy(pool);
}

int main(void)
{
    added();
    refused();
    too_many();
    flags();
    figures();
    return check_verdict();
}
