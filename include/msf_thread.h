/*
 * msf_thread.h - starting threads, where they run and how urgent they are; short names for pthread's locks.
 *
 * Any function may be called from any thread. A thread is named by its pthread_t, or where the kernel is asked by its
 * id (msf_gettid()), of which 0 is the calling thread's.
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

/* Where a thread runs. */
#define MSF_PIN_INHERIT 0  /* where the thread that starts it may run */
#define MSF_PIN_CPU 1      /* on processor `place` */
#define MSF_PIN_CORE 2     /* on the processors of core `place` (msf_os.h: struct msf_cpu) */
#define MSF_PIN_NODE 3     /* on the processors of NUMA node `place`; memory touched first then comes from there */
#define MSF_PIN_ANYWHERE 4 /* on all that are online */
#define MSF_PIN_EACH 5     /* pools only: each thread on another of the processors the caller may use */

/* How urgent a thread is. */
#define MSF_SCHED_INHERIT 0 /* as the thread that starts it */
#define MSF_SCHED_OTHER 1   /* as usual; `priority` is a nice value, -20 (most urgent) to 19 */
#define MSF_SCHED_BATCH 2   /* nobody waits for it; `priority` is a nice value */
#define MSF_SCHED_IDLE 3    /* when there is nothing better to do */
#define MSF_SCHED_FIFO 4    /* real time, `priority` 1 to 99, until it waits */
#define MSF_SCHED_RR 5      /* real time, `priority` 1 to 99, in turns with its equals */

#define MSF_THREAD_NAME_LEN 16 /* bytes of a thread's name and its NUL */

/* How a thread is to be. What is 0 is as in the thread that starts it, so
 * struct msf_thread_attr attr = { .size = sizeof(attr), .name = "reader" }; is a thread with a name. */
struct msf_thread_attr {
    u32 size;       /* sizeof(struct msf_thread_attr) */
    s32 pin;        /* MSF_PIN_* but EACH */
    u32 place;      /* of which processor, core or node */
    s32 sched;      /* MSF_SCHED_* */
    s32 priority;   /* what `sched` makes of it */
    u32 detached;   /* not 0: nobody joins it */
    size_t stack;   /* bytes, at least PTHREAD_STACK_MIN; 0: the usual 8 MiB */
    const s8 *name; /* at most 15 bytes; NULL: that of the thread that starts it */
};

/*
 * Starts a thread that runs func(arg), and waits until it is as attr says: if it cannot be, func does not run and
 * the failure is told here. SIGPIPE is blocked in the new thread. attr NULL is msf_pthread_spawn. tid_out may be NULL if
 * the thread is detached. 0, or -1 with errno: EINVAL (func or tid_out NULL, a size not set, a constant, place, stack or
 * priority that does not exist, no processor of it is to be had), ERANGE (the name is too long), EPERM (real time is not
 * for this user), EACCES (so urgent a nice value is not for this user), EAGAIN (no more threads).
 */
MSF_EXPORT s32 msf_thread_spawn(const struct msf_thread_attr *attr, void *(*func)(void *), void *arg, pthread_t *tid_out);

/*
 * Moves a thread: pin and place as in struct msf_thread_attr. Threads it starts later inherit that. 0, or -1 with errno:
 * EINVAL (a constant or place that does not exist, no processor of it is to be had), ESRCH (no such thread),
 * EPERM (a thread of somebody else).
 */
MSF_EXPORT s32 msf_thread_pin(pid_t tid, s32 pin, u32 place);

/* The same for a set of processors by their numbers, which may be above 63. As msf_thread_pin; EINVAL also for none. */
MSF_EXPORT s32 msf_thread_pin_cpus(pid_t tid, const u32 *cpus, u32 count);

/*
 * Changes how urgent a thread is: sched (not INHERIT) and priority as in struct msf_thread_attr. 0, or -1 with errno:
 * EINVAL (a constant or priority that does not exist), ESRCH (no such thread), EPERM (real time, or the thread of
 * somebody else, is not for this user), EACCES (so urgent a nice value is not for this user).
 */
MSF_EXPORT s32 msf_thread_sched_set(pid_t tid, s32 sched, s32 priority);

/* How urgent a thread is. 0, or -1 with errno: EINVAL (an out-parameter is NULL), ESRCH (no such thread). */
MSF_EXPORT s32 msf_thread_sched_get(pid_t tid, s32 *sched_out, s32 *priority_out);

/* Names a thread, as `ps -L` and `top -H` show it. 0, or -1 with errno: EINVAL (name NULL), ERANGE (more than 15 bytes). */
MSF_EXPORT s32 msf_thread_name_set(pthread_t tid, const s8 *name);

/* A thread's name. size is what name_out has room for. 0, or -1 with errno: EINVAL (name_out NULL), ERANGE (size below
 * MSF_THREAD_NAME_LEN). */
MSF_EXPORT s32 msf_thread_name_get(pthread_t tid, s8 *name_out, size_t size);

#define msf_sched_yield() sched_yield()
#define msf_gettid() syscall(SYS_gettid)
#define msf_getpid() getpid()
/* Names the calling thread; what is behind 15 bytes is cut off. */
#define msf_thread_name(name) prctl(PR_SET_NAME, name)

#define msf_spin_init(lock) pthread_spin_init(lock, 0)
#define msf_spin_lock(lock) pthread_spin_lock(lock)
#define msf_spin_unlock(lock) pthread_spin_unlock(lock)
#define msf_spin_destroy(lock) pthread_spin_destroy(lock)

#define msf_mutex_init(mutex) pthread_mutex_init(mutex, NULL)
#define msf_mutex_lock(mutex) pthread_mutex_lock(mutex)
#define msf_mutex_unlock(mutex) pthread_mutex_unlock(mutex)
#define msf_mutex_destroy(mutex) pthread_mutex_destroy(mutex)

#define msf_cond_init(cond) pthread_cond_init(cond, NULL)
#define msf_cond_signal(cond) pthread_cond_signal(cond)
#define msf_cond_broadcast(cond) pthread_cond_broadcast(cond)
#define msf_cond_wait(cond, mutex) pthread_cond_wait(cond, mutex)
#define msf_cond_destroy(cond) pthread_cond_destroy(cond)

#ifdef __cplusplus
}
#endif

#endif /* MSF_THREAD_H */
