/*
 * msf_event.h - the event loop: one base, one thread that dispatches it, callbacks on descriptors.
 *
 * Readiness is level-triggered: a callback runs again on the next pass while its descriptor is still
 * ready. Unread data is delivered (read callback) before hang-up and errors (error callback).
 *
 * Threads: msf_event_base_dispatch and _wait run on one thread at a time (a second one gets -1, EBUSY), and may be
 * called again from inside a callback (8 deep, then -1, EDEADLK). msf_event_add, _del, _free, msf_event_base_signal
 * and _loopexit may be called from any thread, also from inside a callback, where an event may delete and free
 * itself; signal and loopexit also from a signal handler.
 *
 * Callbacks return: leaving one by pthread_exit, longjmp or a C++ exception ends the process. pthread_cancel of
 * the thread inside dispatch or wait takes effect when it has left.
 */
#ifndef MSF_EVENT_H
#define MSF_EVENT_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

struct msf_event_base;
struct msf_event;
struct msf_event_timer;

/*
 * The bits of 2019. No function takes them, then as now: what an event is interested in is what it has callbacks
 * for, it stays until it is deleted, and it is level-triggered.
 */
enum msf_event_flags {
    MSF_EVENT_TIMEOUT = 1,
    MSF_EVENT_READ = 2,
    MSF_EVENT_WRITE = 4,
    MSF_EVENT_SIGNAL = 8,
    MSF_EVENT_PERSIST = 16,
    MSF_EVENT_ET = 32,
    MSF_EVENT_FINALIZE = 64,
    MSF_EVENT_CLOSED = 128,
    MSF_EVENT_ERROR = 256,
    MSF_EVENT_EXCEPT = 512
} MSF_PACKED_MEMORY;

/* A new, empty base; NULL and errno (EMFILE, ENOMEM; EALREADY in a second copy of libmsf). */
MSF_EXPORT struct msf_event_base *msf_event_base_new(void);

/*
 * Ends the dispatch that runs, waits for it unless called from one of its own callbacks, and frees the
 * base. Its events are taken out but stay yours to free. NULL is allowed.
 */
MSF_EXPORT void msf_event_base_free(struct msf_event_base *base);

/*
 * Runs callbacks until msf_event_base_loopexit. A loopexit that came while nothing dispatched ends the
 * next dispatch at once; the one after that blocks again. Dispatching an empty base blocks.
 * Called from inside a callback it runs a loop of its own, which loopexit ends first.
 * 0, or -1 with errno (EINVAL NULL, EBUSY another thread is inside, EDEADLK too deep).
 */
MSF_EXPORT s32 msf_event_base_dispatch(struct msf_event_base *base);

/* One pass: waits without limit until something is ready or due or the base is signalled, runs what is.
 * 0, or -1 with errno as msf_event_base_dispatch. */
MSF_EXPORT s32 msf_event_base_wait(struct msf_event_base *base);

/* Wakes the thread inside dispatch (which goes on) or wait (which returns). NULL is ignored. */
MSF_EXPORT void msf_event_base_signal(struct msf_event_base *base);

/*
 * How many events are added, and how many timers run. Either may be NULL. Exact on the thread that dispatches; on another
 * one, what that has done to its timers a moment ago may be missing. 0; -1 EINVAL (base NULL).
 */
MSF_EXPORT s32 msf_event_base_count(struct msf_event_base *base, u32 *events_out, u32 *timers_out);

/* Makes dispatch return as soon as the callback that runs now, if any, has returned. NULL is ignored. */
MSF_EXPORT void msf_event_base_loopexit(struct msf_event_base *base);

/*
 * An event for fd. It is interested in what it has callbacks for; all of them get args. It stays armed
 * until msf_event_del, does nothing before msf_event_add, and does not own fd: delete the event before
 * closing the descriptor. error_cb runs on errors and hang-up; without one read_cb runs and sees end of
 * file. NULL and errno (EINVAL: no callback at all; ENOMEM).
 */
MSF_EXPORT struct msf_event *msf_event_new(s32 fd, void (*read_cb)(void *), void (*write_cb)(void *),
                                           void (*error_cb)(void *), void *args);

/*
 * Arms the event in the base. Adding it again is allowed and returns 0. -1 with errno: EINVAL (NULL, or
 * the event is in another base), EBADF (no open descriptor), EPERM (a regular file), EEXIST (another
 * event of this base has the descriptor), ENOSPC (a million events are in it).
 */
MSF_EXPORT s32 msf_event_add(struct msf_event_base *base, struct msf_event *ev);

/*
 * Takes the event out. No callback of it starts after this returns, and none is still running - unless
 * it is called from that very callback. Do not call it holding a lock the callback takes. 0; -1 with
 * errno (EINVAL NULL, ENOENT the event is not in this base).
 */
MSF_EXPORT s32 msf_event_del(struct msf_event_base *base, struct msf_event *ev);

/* Takes the event out if it is in a base and frees it. The descriptor stays open. NULL is allowed. */
MSF_EXPORT void msf_event_free(struct msf_event *ev);

/*
 * Timers of a base. Their callbacks run on the thread that dispatches (or waits on) the base, in the order in which
 * they are due. Time is monotonic and stands still while the machine is suspended. A timer is never early, and late by
 * up to 1.3 ms plus what callbacks take: started in a callback of the base, its delay counts from when that returns,
 * at the latest.
 *
 * Threads: all four functions may be called from any thread, also from inside callbacks, where a timer may start,
 * stop and free itself.
 */

/*
 * A timer of the base that does not run yet. cb gets args. It belongs to the caller, also after the base was freed.
 * NULL and errno (EINVAL: NULL base or cb; ENOMEM).
 */
MSF_EXPORT struct msf_event_timer *msf_event_timer_new(struct msf_event_base *base, void (*cb)(void *), void *args);

/*
 * Has the timer fire in delay_ms milliseconds (0: in the next pass of the loop), and then every interval_ms; once
 * when interval_ms is 0. If it runs already, it is stopped first: this is also how to postpone a timer. A cyclic
 * timer keeps its phase: firings that it misses because callbacks take too long are skipped. Delays that no clock
 * reaches are allowed. 0; -1 with errno (EINVAL: NULL, or the base was freed).
 */
MSF_EXPORT s32 msf_event_timer_start(struct msf_event_timer *timer, u64 delay_ms, u64 interval_ms);

/*
 * Stops the timer, whether it runs or not. No callback of it starts after this returns, and none is still running -
 * unless it is called from that very callback. Do not call it holding a lock the callback takes. 0; -1 with errno
 * (EINVAL: NULL).
 */
MSF_EXPORT s32 msf_event_timer_stop(struct msf_event_timer *timer);

/* Stops the timer, waiting as msf_event_timer_stop does, and frees it. NULL is allowed. */
MSF_EXPORT void msf_event_timer_free(struct msf_event_timer *timer);

/*
 * The timers of 2019: one set in the process, by number, with a thread of their own, on which the callbacks run. For
 * programs that have no loop. Any thread may call these functions, callbacks too.
 */
#define LIMIT_TIMER 1 /* runs exe_num times */
#define CYCLE_TIMER 2 /* runs for ever */

/*
 * Starts the thread. Does nothing when it runs already, so a library and its program may both call it. Threads do not
 * survive fork: the child calls it, too. 0; -1 with errno (EAGAIN: no thread to be had).
 */
MSF_EXPORT s32 msf_timer_init(void);

/*
 * Forgets all timers and ends the thread, whoever started it; waits for a callback that runs, unless called from it.
 * Nothing happens when it does not run.
 */
MSF_EXPORT void msf_timer_destroy(void);

/*
 * Calls fun(arg) in interval_ms milliseconds (0 counts as 1) and then again every interval_ms: exe_num times with
 * LIMIT_TIMER, for ever with CYCLE_TIMER (exe_num is ignored). A callback that returns 0 ends its timer, any other
 * result keeps it. Firings that are missed because callbacks take too long are skipped. Several timers may have the
 * same number.
 *
 * timer_id; -1 with errno: EINVAL (NULL fun, interval_ms below 0, another flag, exe_num below 1 with LIMIT_TIMER, the
 * timer_id 0xffffffff), ESRCH (the thread does not run: msf_timer_init first).
 */
MSF_EXPORT s32 msf_timer_add(u32 timer_id, s32 interval_ms, s32 (*fun)(void *), void *arg, s32 flag, s32 exe_num);

/*
 * How many timers have their function at an address of from or above, and below to: whether a library's code will still
 * be called. 0 also when the thread does not run.
 */
MSF_EXPORT s32 msf_timer_count(const void *from, const void *to);

/*
 * Removes every timer of this number. No callback of theirs starts after this returns, and none is still running -
 * unless it is called from that very callback. Do not call it holding a lock the callback takes. 0; -1 with errno
 * (ENOENT: no timer has the number; ESRCH: the thread does not run).
 */
MSF_EXPORT s32 msf_timer_remove(u32 timer_id);

#ifdef __cplusplus
}
#endif

#endif /* MSF_EVENT_H */
