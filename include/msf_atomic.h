/*
 * msf_atomic.h - a 32-bit number several threads may touch, and the operations on it.
 *
 * Everything is sequentially consistent. The pointers may also point at plain u32.
 */
#ifndef MSF_ATOMIC_H
#define MSF_ATOMIC_H

#include "msf.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef volatile u32 msf_atomic_t;

/* Sets *p to new_value if it is old_value; non-zero when it did. */
#define msf_atomic_cmp_set(p, old_value, new_value) __sync_bool_compare_and_swap((p), (old_value), (new_value))
/* add and sub give the new value, fetch_add and fetch_sub the one before. */
#define msf_atomic_add(p, n) __atomic_add_fetch((p), (n), __ATOMIC_SEQ_CST)
#define msf_atomic_sub(p, n) __atomic_sub_fetch((p), (n), __ATOMIC_SEQ_CST)
#define msf_atomic_fetch_add(p, n) __atomic_fetch_add((p), (n), __ATOMIC_SEQ_CST)
#define msf_atomic_fetch_sub(p, n) __atomic_fetch_sub((p), (n), __ATOMIC_SEQ_CST)
#define msf_atomic_get(p, dst) ((dst) = __atomic_load_n((p), __ATOMIC_SEQ_CST))
#define msf_memory_barrier() __sync_synchronize()

#if defined(__i386__) || defined(__x86_64__)
#define msf_cpu_pause() __builtin_ia32_pause()
#elif defined(__aarch64__) || (defined(__ARM_ARCH) && __ARM_ARCH >= 7)
#define msf_cpu_pause() __asm__ __volatile__("yield" ::: "memory")
#else
#define msf_cpu_pause() __asm__ __volatile__("" ::: "memory")
#endif

/* A lock that never waits: non-zero when it was free and is now ours. */
#define msf_trylock(lock) msf_atomic_cmp_set((lock), 0, 1)
#define msf_unlock(lock) __atomic_store_n((lock), 0, __ATOMIC_SEQ_CST)

/* Counts holders of something: one more, one less; the new value. Whoever brings it to 0 is the last. */
static inline u32 refcount_incr(u32 *count)
{
    return msf_atomic_add(count, 1u);
}

static inline u32 refcount_decr(u32 *count)
{
    return msf_atomic_sub(count, 1u);
}

#ifdef __cplusplus
}
#endif

#endif /* MSF_ATOMIC_H */
