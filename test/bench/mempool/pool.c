/* pool.c - msf_mempool_get and msf_mempool_put: one pool, no handle but that. */
#define _GNU_SOURCE
#include <msf_mempool.h>

static struct msf_mempool *pool;

static void allocator_begin(void)
{
    pool = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_NONE);
    if (pool == NULL) {
        perror("msf_mempool_create_prv");
        exit(1);
    }
}

static void thread_begin(size_t length) { (void)length; }
static void thread_end(void) {}
static inline void *take(size_t length) { return msf_mempool_get(pool, length); }
static inline void give(void *block) { msf_mempool_put(pool, block); }

static void take_many(size_t length, void **blocks, int count)
{
    if (msf_mempool_get_bulk(pool, length, blocks, (size_t)count) != 0)
        abort();
}

static void give_many(void **blocks, int count)
{
    if (msf_mempool_put_bulk(pool, blocks, (size_t)count) != 0)
        abort();
}

#include "work.h"
