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

/* One pass: waits without limit until something is ready or the base is signalled, runs what is. 0 / -1. */
MSF_EXPORT s32 msf_event_base_wait(struct msf_event_base *base);

/* Wakes the thread inside dispatch (which goes on) or wait (which returns). NULL is ignored. */
MSF_EXPORT void msf_event_base_signal(struct msf_event_base *base);

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

#ifdef __cplusplus
}
#endif

#endif /* MSF_EVENT_H */
