/*
 * msf_source.h - signals, ends of children and changes of files as events of a base.
 *
 * A source is made, started on a base, stopped, and freed, as an event is added, deleted and freed. Its callback
 * runs on the thread that dispatches the base. The functions may be called from any thread and from callbacks, where a
 * source may stop and free itself; what msf_event_add, _del and _free promise holds here as well.
 *
 * What happens while a source is not started is not lost: it is told after the next start.
 */
#ifndef MSF_SOURCE_H
#define MSF_SOURCE_H

#include <sys/inotify.h>

#include "msf_event.h"

#ifdef __cplusplus
extern "C" {
#endif

struct msf_source;

/*
 * Tells of a signal, once for each time it arrives (a standard signal that comes while the same one is pending is one).
 * From here until it is freed the signal does not do what it did by default, but a handler of yours is called as
 * before; with the last source of a signal goes our handler, and back comes what was there. Masks stay as they are:
 * where every thread has the signal blocked, it does not arrive. A forked child has what was there before. NULL and
 * errno: EINVAL (told NULL, no such signal, SIGKILL, SIGSTOP, or SIGSEGV, SIGBUS, SIGFPE, SIGILL), EMFILE, ENOMEM.
 */
MSF_EXPORT struct msf_source *msf_source_new_signal(s32 signo, void (*told)(s32 signo, void *arg), void *arg);

/*
 * Tells how a child of this process ended, once, and collects it: status is as waitpid gives it, or -1 when somebody
 * else collected it or SIGCHLD is ignored. The child may have ended already. No other child is waited for. After it
 * has told, the source is stopped for good. NULL and errno: EINVAL (ended NULL, pid 0 or less), ECHILD (no child of
 * this process), EMFILE, ENOMEM.
 */
MSF_EXPORT struct msf_source *msf_source_new_child(pid_t pid, void (*ended)(pid_t pid, s32 status, void *arg),
                                                   void *arg);

/*
 * Tells of changes to the files and folders given to msf_source_watch: the watch, what happened (IN_... of
 * <sys/inotify.h>), what connects the halves of a renaming, and the entry of the folder, or NULL. name is the library's
 * and gone when the callback returns. wd -1 with IN_Q_OVERFLOW: the kernel's queue was full, changes are missing. NULL
 * and errno: EINVAL (changed NULL), EMFILE (also: too many of these), ENOMEM.
 */
MSF_EXPORT struct msf_source *msf_source_new_inotify(
    void (*changed)(s32 wd, u32 mask, u32 cookie, const s8 *name, void *arg), void *arg);

/*
 * Watches what path names now; a file that is moved into its place later is another one, which a watch on the folder
 * tells. Watching the same file again replaces the mask. The watch's number, above 0; -1 with errno: EINVAL (NULL, not
 * an inotify source, mask 0), ENOENT (no such file), or as inotify_add_watch(2) says.
 */
MSF_EXPORT s32 msf_source_watch(struct msf_source *source, const s8 *path, u32 mask);

/* Ends a watch. What was noticed before is still told, and IN_IGNORED is the last of it. 0; -1 EINVAL (NULL, not an
 * inotify source, no such watch). */
MSF_EXPORT s32 msf_source_unwatch(struct msf_source *source, s32 wd);

/*
 * Starts it on a base; again on the same base is allowed. 0; -1 with errno: EINVAL (NULL, it is on another base, or
 * its child has ended), ENOSPC (a million events are in the base).
 */
MSF_EXPORT s32 msf_source_start(struct msf_event_base *base, struct msf_source *source);

/*
 * Stops it. No callback of it starts after this returns, and none is still running, unless it is called from that
 * very callback. 0; -1 with errno: EINVAL (NULL), ENOENT (it is not started on this base).
 */
MSF_EXPORT s32 msf_source_stop(struct msf_event_base *base, struct msf_source *source);

/* Stops it where it is started and frees it. NULL is allowed. */
MSF_EXPORT void msf_source_free(struct msf_source *source);

#ifdef __cplusplus
}
#endif

#endif /* MSF_SOURCE_H */
