/*
 * msf_mem.h - memory by alignment, by page size and by NUMA node.
 *
 * Everything here may be called from any thread.
 */
#ifndef MSF_MEM_H
#define MSF_MEM_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a pool knows about memory it registered; never looked into from outside. */
struct msf_mr;

struct msf_reg_mem {
    void *addr;        /* the memory */
    size_t length;     /* the bytes that were asked for */
    struct msf_mr *mr; /* not NULL only in pools with MSF_MEMPOOL_FLAG_REG_MR */
    void *priv;        /* the library's own; NULL when there is nothing to free */
};

/* The size of a huge page. */
#define HUGE_PAGE_SZ (2 * 1024 * 1024)

/* Whether exactly one bit of n is set. */
static inline s32 is_power_of_2(u64 n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

/* free, and forget. */
#define msf_sfree(p) sfree(p)

/*
 * A buffer of size bytes that begins at a page, not zeroed: *mem is filled in. 0; -1 with errno EINVAL (mem is NULL, size
 * is 0) or ENOMEM, and then *mem is all zero. Give it back with msf_mem_free.
 */
MSF_EXPORT s32 msf_mem_alloc(size_t size, struct msf_reg_mem *mem);

/*
 * Gives a buffer of msf_mem_alloc back and empties *mem. 0; -1 with errno EINVAL when *mem holds none: NULL, given back
 * already, or a block of a pool (which is msf_mempool_free's).
 */
MSF_EXPORT s32 msf_mem_free(struct msf_reg_mem *mem);

/*
 * size bytes at a multiple of align, not zeroed, in *memory_out; free() gives them back. The result is the code itself, as
 * that of posix_memalign: 0, EINVAL (memory_out is NULL, align is no power of two or no multiple of a pointer's
 * size) or ENOMEM. errno is left alone.
 */
MSF_EXPORT s32 msf_memalign(void **memory_out, size_t align, size_t size);

/*
 * size zeroed bytes of the process's own, all of them there (populated), at a page. A size that is a multiple of HUGE_PAGE_SZ
 * gets huge pages when the system has them reserved; when not, transparent ones or normal ones. MSF_MMAP_FAILED
 * (not NULL) and errno EINVAL (size is 0) or ENOMEM. msf_mem_munmap gives it back, with the same size.
 */
MSF_EXPORT void *msf_mem_mmap(size_t size);

/* Unmaps what msf_mem_mmap mapped. 0; -1 with errno EINVAL (NULL, not at a page, size is 0). */
MSF_EXPORT s32 msf_mem_munmap(void *memory, size_t size);

#define MSF_MMAP(size) msf_mem_mmap(size)
#define MSF_MUNMAP(memory, size) msf_mem_munmap((memory), (size))
#define MSF_MMAP_FAILED ((void *)-1)

/* The June 2019 names. */
#define msf_mmap(size) msf_mem_mmap(size)
#define msf_munmap(memory, size) msf_mem_munmap((memory), (size))

/*
 * size zeroed bytes on huge pages when the system has them reserved, else on transparent or normal ones (said once in
 * the log). Begins at a page. NULL and errno EINVAL (size is 0) or ENOMEM. msf_free_huge_pages gives it back.
 */
MSF_EXPORT void *msf_malloc_huge_pages(size_t size);

/* Gives back what msf_malloc_huge_pages gave. NULL, and anything that is not (or no longer) its, is left alone. */
MSF_EXPORT void msf_free_huge_pages(void *memory);

/* ---- NUMA nodes ---- */

#ifdef __cplusplus
}
#endif

#endif /* MSF_MEM_H */
