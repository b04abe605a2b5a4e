/*
 * msf_thread.h - starting threads, and short names for pthread's locks.
 */
#ifndef MSF_THREAD_H
#define MSF_THREAD_H

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void *(*pfn_msf_thrd)(void *);

/*
 * Starts a joinable thread that runs func(arg); *tid is written on success only. SIGPIPE is blocked in
 * the new thread, the caller's signal mask stays as it was. 0, or -1 with errno (EINVAL tid or func
 * NULL, EAGAIN no more threads).
 */
MSF_EXPORT s32 msf_pthread_spawn(pthread_t *tid, void *(*func)(void *), void *arg);

/* The June 2019 name. */
#define pthread_spawn(tid, func, arg) msf_pthread_spawn(tid, func, arg)

#define msf_sched_yield() sched_yield()
#define msf_gettid() syscall(SYS_gettid)
#define msf_getpid() getpid()
#define msf_thread_name(name) prctl(PR_SET_NAME, name)

#define msf_spin_init(lock) pthread_spin_init(lock, 0)
#define msf_spin_lock(lock) pthread_spin_lock(lock)
#define msf_spin_unlock(lock) pthread_spin_unlock(lock)

#define msf_mutex_init(mutex) pthread_mutex_init(mutex, NULL)
#define msf_mutex_lock(mutex) pthread_mutex_lock(mutex)
#define msf_mutex_unlock(mutex) pthread_mutex_unlock(mutex)

#define msf_cond_init(cond) pthread_cond_init(cond, NULL)
#define msf_cond_signal(cond) pthread_cond_signal(cond)
#define msf_cond_wait(cond, mutex) pthread_cond_wait(cond, mutex)

#ifdef __cplusplus
}
#endif

#endif /* MSF_THREAD_H */
