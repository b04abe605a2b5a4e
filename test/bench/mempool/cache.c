/* cache.c - msf_memcache_get and msf_memcache_put: one pool, and a cache for each thread. */
#define _GNU_SOURCE
#include <msf_mempool.h>

static struct msf_mempool *pool;
static __thread struct msf_memcache *cache;

static void allocator_begin(void)
{
    pool = msf_mempool_create_prv(-1, MSF_MEMPOOL_FLAG_NONE);
    if (pool == NULL) {
        perror("msf_mempool_create_prv");
        exit(1);
    }
}

static void thread_begin(size_t length)
{
    cache = msf_memcache_new(pool, length);
    if (cache == NULL) {
        perror("msf_memcache_new");
        exit(1);
    }
}

static void thread_end(void) { msf_memcache_free(cache); }
static inline void *take(size_t length) { (void)length; return msf_memcache_get(cache); }
static inline void give(void *block) { msf_memcache_put(cache, block); }

static void take_many(size_t length, void **blocks, int count)
{
    (void)length;
    if (msf_memcache_get_bulk(cache, blocks, (size_t)count) != 0)
        abort();
}

static void give_many(void **blocks, int count)
{
    if (msf_memcache_put_bulk(cache, blocks, (size_t)count) != 0)
        abort();
}

#include "work.h"
