/*
 * msf_mempool.h - pools of equal blocks.
 *
 * A pool has slabs of large blocks (16 KiB, 64 KiB, 256 KiB and 1 MiB, and those you add), handed out with a description
 * each (msf_mempool_alloc), and small classes (32 B, 64 B ... 8 KiB), handed out as plain pointers from caches of the calling
 * thread (msf_mempool_get) or from a cache you hold (msf_memcache_get, the fastest). Everything is mapped when it is
 * needed and kept until the pool is destroyed. Blocks are not zeroed.
 *
 * Any thread may allocate from and free to one pool, and free what another has allocated; nobody may be inside a pool when it is
 * destroyed. What a thread's caches hold goes back to the pool when the thread ends. After fork the child has a copy
 * of the pool, less what the caches of its parent's other threads held; it must not use it when one of those may have
 * been inside. A copy of reserved huge pages takes as many again: when there are none left, the kernel ends the child by
 * SIGBUS where it touches what it or the parent has written to since. Make such pools behind the fork (daemonize is one).
 */
#ifndef MSF_MEMPOOL_H
#define MSF_MEMPOOL_H

#include "msf_mem.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MSF_MEM_SLABS_NR 4 /* slabs a new pool has */
#define MSF_MAX_SLABS_NR 6 /* slabs a pool may have; the small classes do not count */

/*
 * Bits of `flags`. HUGE wins over NUMA, NUMA over REGULAR; none of the three means REGULAR. Huge pages and the node are used
 * where the system has them; where not, normal pages are, and the log says so once for each pool.
 * The last value is 0x16 as in 2019, which overlaps HUGE and NUMA: only its bit 0x10 is looked at.
 */
enum msf_mempool_flag {
    MSF_MEMPOOL_FLAG_NONE = 0x00,
    MSF_MEMPOOL_FLAG_REG_MR = 0x01,
    MSF_MEMPOOL_FLAG_HUGE_PAGES_ALLOC = 0x02,
    MSF_MEMPOOL_FLAG_NUMA_ALLOC = 0x04,
    MSF_MEMPOOL_FLAG_REGULAR_PAGES_ALLOC = 0x08,
    MSF_MEMPOOL_FLAG_USE_SMALLEST_SLAB = 0x16
};

struct msf_mempool;

/*
 * A new pool. nodeid counts only with NUMA_ALLOC and without HUGE_PAGES_ALLOC; -1 is the node of the
 * calling thread's CPU. NULL and errno: EINVAL for a node that does not exist, ENOMEM (also when there are 16383 pools).
 */
MSF_EXPORT struct msf_mempool *msf_mempool_create_prv(s32 nodeid, u32 flags);

/*
 * Adds a slab: blocks of size bytes, min of them at once and at most max (1 to 32768), mapped quantum at a time (0: 128).
 * They begin at multiples of align, a power of two and a multiple of a pointer's size; 0 is a page for blocks of a
 * page and more, 64 for smaller ones. 0; -1 with errno EEXIST (there is one of that size), EINVAL (pool, or numbers that make
 * no sense), ENOMEM (no memory for min blocks, or MSF_MAX_SLABS_NR slabs are there).
 */
MSF_EXPORT s32 msf_mempool_add_slab(struct msf_mempool *pool, size_t size, size_t min, size_t max, size_t quantum,
                                    s32 align);

/*
 * Pools that this thread makes from now on belong to owner, a number of the program's own; 0, as at first, is nobody.
 * Returns the number before. For hosts that want to know what the parts of a program use.
 */
MSF_EXPORT u32 msf_mempool_owner(u32 owner);

/* How many bytes the pools of an owner have for their blocks, used or not. */
MSF_EXPORT u64 msf_mempool_owned(u32 owner);

/*
 * The smallest block of the slabs of at least len bytes; when there is none left of that size, one of the next larger
 * size, unless the pool has USE_SMALLEST_SLAB. *mem is filled in. 0; -1 with errno EINVAL (NULL, or len is
 * 0 or above the largest slab's size) or ENOMEM, and then addr, mr and priv are NULL and length is 0.
 */
MSF_EXPORT s32 msf_mempool_alloc(struct msf_mempool *pool, size_t len, struct msf_reg_mem *mem);

/* Gives a block back and empties *mem, so that a second free does nothing. NULL or an empty one is allowed. */
MSF_EXPORT void msf_mempool_free(struct msf_reg_mem *mem);

/*
 * A block of at least len bytes: of a small class up to 8192 bytes (there it begins at a multiple of its size, at most a
 * page), of a slab above. When a size is used up, the next larger one serves, unless the pool has USE_SMALLEST_SLAB.
 * NULL and errno: EINVAL (no such pool, len is 0 or above the largest slab's size) or ENOMEM.
 */
MSF_EXPORT void *msf_mempool_get(struct msf_mempool *pool, size_t len);

/*
 * Gives a block of msf_mempool_get back; NULL is allowed. 0; -1 with errno EINVAL when it is no block of this pool (an address
 * inside a block included) or, for blocks of slabs, not out. A second put of a small block is not noticed: the
 * block would be handed out twice. msf_mempool_stats shows such a mistake as used blocks that are fewer than yours.
 */
MSF_EXPORT s32 msf_mempool_put(struct msf_mempool *pool, void *block);

/*
 * n blocks of at least len bytes each into blocks_out, all or none (then they are NULL). 0; -1 with errno EINVAL (no such
 * pool, no such length, blocks_out is NULL) or ENOMEM.
 */
MSF_EXPORT s32 msf_mempool_get_bulk(struct msf_mempool *pool, size_t len, void **blocks_out, size_t n);

/*
 * Gives n blocks back, of any sizes. 0; -1 with errno EINVAL (no such pool, blocks is NULL, or one of them is not this pool's: the
 * others are given back).
 */
MSF_EXPORT s32 msf_mempool_put_bulk(struct msf_mempool *pool, void *const *blocks, size_t n);

/*
 * A cache of one small class that you hold yourself: one per thread and size, used by one thread at a time. Getting and
 * putting are a few instructions inside your program. Blocks may be put into another cache of the same class, or
 * given to msf_mempool_put, and the other way round.
 *
 * The layout is part of the ABI: fields are only ever appended, size tells how many the library knows. Nothing but the
 * functions below touches them.
 */
struct msf_memcache {
    u32 size;      /* the bytes of this struct, as the library has it */
    u32 count;     /* blocks at hand */
    u32 room;      /* blocks that fit before the pool is asked */
    u32 mask;      /* the bytes of a block less one: bits no block's address has */
    void **slots;  /* the blocks at hand, the last one put first */
    size_t first;  /* where the class begins, as a number */
    size_t span;   /* the bytes of the class */
};

/*
 * A cache of blocks of at least len bytes. NULL and errno: EINVAL (no such pool, len is 0 or above 8192) or ENOMEM.
 * It may outlive its pool: it is empty then.
 */
MSF_EXPORT struct msf_memcache *msf_memcache_new(struct msf_mempool *pool, size_t len);

/* Gives what is in the cache back to the pool, and frees it. NULL is allowed. */
MSF_EXPORT void msf_memcache_free(struct msf_memcache *cache);

/* What msf_memcache_get does when nothing is at hand: fetches blocks, and returns one. */
MSF_EXPORT void *msf_memcache_refill(struct msf_memcache *cache);

/* What msf_memcache_put does when there is no room, or the block looks wrong: -1 with errno EINVAL for one that is. */
MSF_EXPORT s32 msf_memcache_flush(struct msf_memcache *cache, void *block);

/* A block. NULL and errno: ENOMEM (the class is used up) or EINVAL (the pool is destroyed). cache is not NULL. */
static inline void *msf_memcache_get(struct msf_memcache *cache)
{
    u32 count = __atomic_load_n(&cache->count, __ATOMIC_RELAXED);

    if (unlikely(count == 0))
        return msf_memcache_refill(cache);
    __atomic_store_n(&cache->count, count - 1, __ATOMIC_RELAXED);
    return cache->slots[count - 1];
}

/*
 * Gives a block back; NULL is allowed. 0; -1 with errno EINVAL when its address is not one of this class and pool. A
 * second put of one block is not noticed, see msf_mempool_put.
 */
static inline s32 msf_memcache_put(struct msf_memcache *cache, void *block)
{
    size_t offset = (size_t)block - cache->first;
    u32 count = __atomic_load_n(&cache->count, __ATOMIC_RELAXED);

    if (unlikely(count >= cache->room || offset >= cache->span || (offset & cache->mask) != 0))
        return msf_memcache_flush(cache, block);
    cache->slots[count] = block;
    __atomic_store_n(&cache->count, count + 1, __ATOMIC_RELAXED);
    return 0;
}

/*
 * n blocks into blocks_out, all or none (then they are NULL). 0; -1 with errno EINVAL (cache or blocks_out is NULL, the
 * pool is destroyed) or ENOMEM.
 */
MSF_EXPORT s32 msf_memcache_get_bulk(struct msf_memcache *cache, void **blocks_out, size_t n);

/*
 * Gives n blocks back. 0; -1 with errno EINVAL (cache or blocks is NULL, or one of them is not of this class and pool: then
 * none is taken).
 */
MSF_EXPORT s32 msf_memcache_put_bulk(struct msf_memcache *cache, void *const *blocks, size_t n);

/* The figures of one size. Set size before the call; figures your header knows and the library does not stay 0. */
struct msf_mempool_slab {
    u32 size;      /* sizeof(struct msf_mempool_slab), set by the caller */
    u32 small;     /* 1: a small class, 0: a slab */
    u64 block;     /* the bytes of a block */
    u64 used;      /* blocks that are with their users */
    u64 cached;    /* free blocks in caches, and between them */
    u64 allocated; /* blocks there are, used or not */
    u64 max;       /* blocks there may be */
    u64 refills;   /* how often a cache came for blocks */
    u64 growths;   /* how often the pool asked the system for more */
};

/*
 * The figures of size number index, from 0: the small classes, then the slabs, each with the smallest first. While other
 * threads go on they need not belong together. 0; -1 with errno EINVAL (no such pool, NULL, size is less than 8) or
 * ENOENT (no size has this number: the last was index - 1).
 */
MSF_EXPORT s32 msf_mempool_stats(struct msf_mempool *pool, u32 index, struct msf_mempool_slab *slab_out);

/*
 * Prints a line per slab to stdout, between two rules of 48 dashes, and one for each small class that is in use. NULL
 * is allowed.
 */
MSF_EXPORT void msf_mempool_dump(struct msf_mempool *pool);

/*
 * Frees the pool and every block of it, also those still handed out; caches are empty from then on. NULL, and a pool
 * that is destroyed already, is allowed.
 */
MSF_EXPORT void msf_mempool_destroy(struct msf_mempool *pool);

#ifdef __cplusplus
}
#endif

#endif /* MSF_MEMPOOL_H */
