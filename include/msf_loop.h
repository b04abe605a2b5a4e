/*
 * msf_loop.h - jobs for an event base from any thread, and loops with a thread of their own.
 *
 * A job is a function and its argument, run once by the thread that dispatches the base. Jobs of one poster run in the
 * order of posting. Posting never blocks and never waits for the loop; while the loop is awake it costs no system call.
 *
 * Exactly one of a job's two functions is called, once: run on the loop's thread, or drop (if there is one) when the
 * base ends first: then on the loop's thread, or, for a job that was posted at that very moment, where the loop is freed.
 * A post that failed calls neither: arg is still the caller's.
 */
#ifndef MSF_LOOP_H
#define MSF_LOOP_H

#include "msf_event.h"

#ifdef __cplusplus
extern "C" {
#endif

struct msf_loop;
struct msf_loop_group;

/*
 * Has run(arg) called by the thread that dispatches the base (or will). Any thread, also that one and inside a
 * callback; not a signal handler. What is posted from inside a job runs in the next pass. drop may be NULL; it is
 * called where the base is freed. 0; -1 with errno: EINVAL (base or run NULL), EAGAIN (1024 jobs, or as many as
 * msf_loop_options says, wait), ESHUTDOWN (the loop has ended).
 */
MSF_EXPORT s32 msf_event_base_post(struct msf_event_base *base, void (*run)(void *), void (*drop)(void *), void *arg);

#define MSF_LOOP_PIN 1u /* stay on processor options.cpu */

/* How a loop is made. Zero what you do not set. */
struct msf_loop_options {
    u32 size;       /* sizeof(struct msf_loop_options) */
    u32 flags;      /* MSF_LOOP_PIN or 0 */
    u32 cpu;        /* with MSF_LOOP_PIN: the processor's number, as MSF_PIN_CPU takes it */
    u32 mailbox;    /* how many jobs may wait, at most 2^24; 0 means 1024 */
    const s8 *name; /* of the thread, NULL for "msf_loop"; the kernel shows 15 bytes. Copied. */
};

/*
 * A loop: a new event base and a thread that dispatches it. The thread has its creator's signal mask. options may be
 * NULL. NULL and errno: EINVAL (options; this process may not use processor options.cpu), EMFILE (no descriptor left), EAGAIN (no more threads), ENOMEM.
 */
MSF_EXPORT struct msf_loop *msf_loop_new(const struct msf_loop_options *options);

/*
 * A loop for a base that the calling thread dispatches itself, so that it can be found by msf_loop_current and posted
 * to like any other. Free it on this same thread, before the base. NULL and errno: EINVAL (NULL), EBUSY (this
 * thread has a loop).
 */
MSF_EXPORT struct msf_loop *msf_loop_adopt(struct msf_event_base *base);

/* The loop whose thread this is; NULL and ENOENT elsewhere. */
MSF_EXPORT struct msf_loop *msf_loop_current(void);

/* The loop's base, for its events. It belongs to the loop: never free it. NULL and EINVAL for NULL. */
MSF_EXPORT struct msf_event_base *msf_loop_base(struct msf_loop *loop);

/*
 * Posts to the loop, as msf_event_base_post does. 0; -1 with errno: EINVAL (loop or run NULL), EAGAIN (as many as may
 * wait are waiting), ESHUTDOWN (the loop has ended).
 */
MSF_EXPORT s32 msf_loop_post(struct msf_loop *loop, void (*run)(void *), void (*drop)(void *), void *arg);

/*
 * Ends the loop as soon as the callback or job that runs has returned; does not wait. Jobs that wait then are dropped
 * on the loop's thread: to have them run first, post a job that calls this. An adopted base's dispatch returns. 0; -1
 * EINVAL (NULL). Any thread.
 */
MSF_EXPORT s32 msf_loop_stop(struct msf_loop *loop);

/*
 * Waits until the loop's thread has ended; somebody has to stop it. 0; -1 with errno: EINVAL (NULL, an adopted base,
 * or it was joined already), EDEADLK (this is its thread), or why its dispatch failed.
 */
MSF_EXPORT s32 msf_loop_join(struct msf_loop *loop);

/*
 * Stops the loop, waits for its thread and frees it; an adopted base stays as it is. Its events stay yours to free.
 * From the loop's own callbacks it does not wait: the thread ends when the callback has returned. A loop of a group is
 * the group's, and stays. NULL is allowed.
 */
MSF_EXPORT void msf_loop_free(struct msf_loop *loop);

/*
 * Several loops, called name/0, name/1 and so on. count 0 means one for each processor that this process may use.
 * With MSF_LOOP_PIN each stays on one of those: the first on options.cpu or, if we may not use that, the next number
 * above, and so on, around. NULL and errno as msf_loop_new: EINVAL (also for more than 1024, and when there is no such
 * processor), EMFILE, EAGAIN, ENOMEM.
 */
MSF_EXPORT struct msf_loop_group *msf_loop_group_new(u32 count, const struct msf_loop_options *options);

/* How many loops it has; -1 EINVAL (NULL). */
MSF_EXPORT s32 msf_loop_group_count(struct msf_loop_group *group);

/* The loop number index, from 0; it belongs to the group. NULL and EINVAL (NULL, no such loop). */
MSF_EXPORT struct msf_loop *msf_loop_group_at(struct msf_loop_group *group, u32 index);

/* One loop after the other. Any thread. NULL and EINVAL (NULL). */
MSF_EXPORT struct msf_loop *msf_loop_group_next(struct msf_loop_group *group);

/* Always the same loop for the same key. Any thread. NULL and EINVAL (NULL). */
MSF_EXPORT struct msf_loop *msf_loop_group_for(struct msf_loop_group *group, u64 key);

/* Stops all of them, waits for them (but for the one that calls this) and frees them. NULL is allowed. */
MSF_EXPORT void msf_loop_group_free(struct msf_loop_group *group);

#ifdef __cplusplus
}
#endif

#endif /* MSF_LOOP_H */
