/*
 * msf_mempool.h - pools of equal blocks: 16 KiB, 64 KiB, 256 KiB and 1 MiB.
 *
 * A pool maps its blocks lazily; at most 24576 of each size. Any thread may allocate from and free to
 * one pool; nobody may be inside it when it is destroyed.
 */
#ifndef MSF_MEMPOOL_H
#define MSF_MEMPOOL_H

#include "msf_mem.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MSF_MEM_SLABS_NR 4 /* block sizes a new pool has */
#define MSF_MAX_SLABS_NR 6 /* block sizes a pool may have */

/*
 * Bits of `flags`. HUGE wins over NUMA, NUMA over REGULAR; none of the three means REGULAR. Huge pages
 * fall back to normal ones where the system has none.
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
 * calling thread's CPU. NULL and errno (EINVAL for a node that does not exist, ENOMEM).
 */
MSF_EXPORT struct msf_mempool *msf_mempool_create_prv(s32 nodeid, u32 flags);

/*
 * The smallest block of at least len bytes; when there is none left of that size, one of the next larger
 * size, unless the pool has USE_SMALLEST_SLAB. *mem is filled in. 0; -1 with errno EINVAL (NULL, or len is
 * 0 or above 1 MiB) or ENOMEM, and then addr, mr and priv are NULL and length is 0.
 */
MSF_EXPORT s32 msf_mempool_alloc(struct msf_mempool *pool, size_t len, struct msf_reg_mem *mem);

/* Gives a block back and empties *mem, so that a second free does nothing. NULL or an empty one is allowed. */
MSF_EXPORT void msf_mempool_free(struct msf_reg_mem *mem);

/* Prints a line per block size to stdout, between two rules of 48 dashes. NULL is allowed. */
MSF_EXPORT void msf_mempool_dump(struct msf_mempool *pool);

/* Frees the pool and every block of it, also those still handed out. NULL is allowed. */
MSF_EXPORT void msf_mempool_destroy(struct msf_mempool *pool);

#ifdef __cplusplus
}
#endif

#endif /* MSF_MEMPOOL_H */
