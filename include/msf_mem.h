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
 * the log). Begins at a page. For a forked child see msf_mempool.h. NULL and errno EINVAL (size is 0) or ENOMEM. msf_free_huge_pages gives it back.
 */
MSF_EXPORT void *msf_malloc_huge_pages(size_t size);

/* Gives back what msf_malloc_huge_pages gave. NULL, and anything that is not (or no longer) its, is left alone. */
MSF_EXPORT void msf_free_huge_pages(void *memory);

/* ---- NUMA nodes ----
 *
 * Nodes have the kernel's numbers. A machine without NUMA is one node, 0. Where memory comes from is advice: where the system
 * knows no such policy (an emulator, a kernel without NUMA) or keeps it from us (a container), memory comes from anywhere, and
 * that is no failure. Any thread.
 */

/*
 * size zeroed bytes at a page, taken when they are first touched: from the node that touches them; from `node`; from the
 * node that runs the caller now; from all nodes in turn. NULL with errno: EINVAL (size 0, no such node), ENOMEM.
 * msf_numa_free gives it back, with the same size.
 */
MSF_EXPORT void *msf_numa_alloc(size_t size);
MSF_EXPORT void *msf_numa_alloc_onnode(size_t size, s32 node);
MSF_EXPORT void *msf_numa_alloc_local(size_t size);
MSF_EXPORT void *msf_numa_alloc_interleaved(size_t size);

/* Gives back what one of the four above gave. NULL and a size of 0 are left alone. */
MSF_EXPORT void msf_numa_free(void *memory, size_t size);

/* As msf_numa_alloc_onnode, but its size is kept: msf_numa_free_ptr gives it back. NULL with errno: EINVAL, ENOMEM. */
MSF_EXPORT void *msf_numa_alloc_page(size_t bytes, s32 node);

/* Gives back what msf_numa_alloc_page gave. NULL, and anything that is not (or no longer) its, is left alone. */
MSF_EXPORT void msf_numa_free_ptr(void *memory);

/* The node of a processor; -1 with errno: EINVAL (no such processor, or it is off). */
MSF_EXPORT s32 msf_numa_node_of_cpu(s32 cpu);

/* Keeps the calling thread on the processors of a node; -1: lets it run anywhere. 0, or -1 with errno: EINVAL (no such
 * node, it has no processors, or the container has none of them). */
MSF_EXPORT s32 msf_numa_run_on_node(s32 node);

/* The same for the node a processor belongs to. 0, or -1 with errno: EINVAL (no such processor, or it is off). */
MSF_EXPORT s32 msf_pin_to_node(s32 cpu);

/* Pages of memory that nobody has touched yet are to come from this node: those that have a byte in [memory, memory + size).
 * 0, or -1 with errno: EINVAL (memory NULL, size 0, no such node), EFAULT (nothing is mapped there). */
MSF_EXPORT s32 msf_numa_tonode_memory(void *memory, size_t size, s32 node);

/*
 * The processors of a node: bit n of *mask is processor n, *nr their number. Processors from 64 on are counted, but have no
 * bit: msf_cpu_list (msf_os.h) tells those, too. 0, or -1 with errno: EINVAL (mask or nr NULL, no such node).
 */
MSF_EXPORT s32 numa_node_to_cpusmask(int node, u64 *mask, s32 *nr);

/* The node the calling thread's new memory comes from: that of msf_numa_set_preferred, else the one that runs it now. */
MSF_EXPORT s32 msf_numa_preferred(void);

/* From now on the calling thread's new memory comes from `node` as long as it has any. 0, or -1 with errno: EINVAL (no
 * such node). */
MSF_EXPORT s32 msf_numa_set_preferred(s32 node);

/* From now on it comes from the node that runs the thread. 0. */
MSF_EXPORT s32 msf_numa_set_localalloc(void);

/* How many there are: processors the calling thread may use and nodes these are on; processors and nodes that are on; those the
 * machine may ever have. */
MSF_EXPORT s32 msf_numa_num_task_cpus(void);
MSF_EXPORT s32 msf_numa_num_task_nodes(void);
MSF_EXPORT s32 msf_numa_num_configured_cpus(void);
MSF_EXPORT s32 msf_numa_num_configured_nodes(void);
MSF_EXPORT s32 msf_numa_num_possible_cpus(void);
MSF_EXPORT s32 msf_numa_num_possible_nodes(void);

/* Bytes of memory of a node, and in *free_out (may be NULL) how many are free; -1 with errno: EINVAL (no such node). */
MSF_EXPORT s64 msf_numa_node_size(s32 node, s64 *free_out);

/* How far it is from node to node: 10 is the node itself, 20 twice as far; -1 with errno: EINVAL (no such node). */
MSF_EXPORT s32 msf_numa_distance(s32 from, s32 to);

#ifdef __cplusplus
}
#endif

#endif /* MSF_MEM_H */
