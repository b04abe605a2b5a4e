/*
 * msf_process.h - a process of services: its description, places, name and lock, its user and limits; and starting,
 * finding and awaiting others.
 *
 * Any thread, unless said otherwise. -1 comes with errno.
 */
#ifndef MSF_PROCESS_H
#define MSF_PROCESS_H

#include "msf_svc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One byte wide. */
enum process_state {
    PROCESS_STATE_DOWN = 0,
    PROCESS_STATE_STARTING = 1,
    PROCESS_STATE_UP = 2,
    PROCESS_STATE_STOPPING = 3
} MSF_PACKED_MEMORY;

/* The process and its services. msf_shell fills in what its JSON file says; a program of its own may fill
 * in what it likes. The library reads none of it. */
struct process {
    enum process_state proc_state;
    pid_t pid;
    u32 role;
    u32 worker_processes;
    s8 *working_directory;
    s32 channel[2];
    s8 *username;
    uid_t user;
    gid_t group;
    s32 priority;
    s32 cpu_affinity;
    s32 cpu_affinity_id;
    u32 coredump;
    s8 *core_file;
    s8 *lock_file;
    s32 rlimit_nofile;
    s32 rlimit_core;
    s8 proc_name[32];
    s8 proc_author[32];
    s8 proc_desc[32];
    s8 proc_version[32];
    s32 logfd;
    s8 *confile;
    s32 proc_signo;
    s32 proc_daemon;
    u32 proc_upgrade;
    u32 terminate;
    u32 quit;
    u32 fault_times;
    u32 alarm_times;
    u32 alarm_state;
    u32 start_times;
    u32 proc_svc_num;
    struct svcinst *proc_svcs; /* proc_svc_num of them */
};

/* Points at a zeroed struct process inside libmsf from the first moment on, so it is never NULL; a
 * program may point it at one of its own. */
MSF_EXPORT extern struct process *g_proc;

/*
 * The run directory: sockets, pid files, locks. MSF_RUN_DIR, else /run/msf for root, else
 * $XDG_RUNTIME_DIR/msf, else /tmp/msf-<uid> (0700, owner checked): the first that may be created is, and
 * its path is written to path_out. 0; -1 with errno (EINVAL NULL, ERANGE size is too small, EACCES none
 * may be created).
 */
MSF_EXPORT s32 msf_run_dir(s8 *path_out, size_t size);

/* The log directory, created if need be: MSF_LOG_DIR, else /var/log/msf for root, else <run dir>/log. */
MSF_EXPORT s32 msf_log_dir(s8 *path_out, size_t size);

/*
 * Claims `name` for this process: locks <run dir>/<name>.lock and writes <run dir>/<name>.pid. Both stay
 * until msf_process_release or the end of the process, however it ends. 0, also when this process holds it
 * already; -1 EALREADY when another live process does - then, alone of all failures, *holder_out is written: its pid,
 * or 0 when it cannot be told. holder_out may be NULL. EINVAL: name NULL, empty, above
 * 200 bytes, with a slash or a dot in front.
 */
MSF_EXPORT s32 msf_process_claim(const s8 *name, pid_t *holder_out);

/* Gives a claim back and removes its two files. 0; -1 ENOENT when this process does not hold it. */
MSF_EXPORT s32 msf_process_release(const s8 *name);

/* The pid that holds the claim on `name`; -1 ESRCH when nobody does. */
MSF_EXPORT pid_t msf_process_holder(const s8 *name);

/*
 * What ps shows for this process, e.g. "msf_shell: upnp". A title longer than the original arguments and
 * environment is cut. The short name (/proc/PID/comm) stays. 0; -1 with errno.
 */
MSF_EXPORT s32 msf_process_title(const s8 *title);

/*
 * Into the background, as daemonize of msf_utils.h, but the calling process is kept waiting until the background
 * process calls msf_process_ready: then it exits 0, or 1 when that ends without having called. 0 in the background
 * process; -1 with errno when it could not be made. Claims go along. Call it before any thread exists.
 */
#define MSF_DAEMON_KEEP_FOLDER 1 /* stay in this folder instead of / */
#define MSF_DAEMON_KEEP_FILES 2  /* keep stdin, stdout and stderr instead of /dev/null */
MSF_EXPORT s32 msf_process_daemonize(u32 flags);

/* Lets the process that waits for us exit with 0. 0; -1 EALREADY when nobody waits (any more). */
MSF_EXPORT s32 msf_process_ready(void);

/* The file this process was made from, as a path. 0; -1 EINVAL NULL, ERANGE it does not fit. */
MSF_EXPORT s32 msf_get_process_name(s8 name[256]);

/*
 * The pid of the process called `name`: by its short name, its file or its command line's program (without
 * folders). Of several the lowest, the caller included. -1 ESRCH nobody is called so, EINVAL NULL or empty.
 */
MSF_EXPORT pid_t msf_getpid_by_name(const s8 *name);

/*
 * Makes this process run as proc->username, with his groups, and writes his numbers to user and group; without a
 * username as user and group say, and nothing happens when both are 0. All threads, for good. 0; -1 EINVAL NULL or
 * no such user, EPERM we are not root.
 */
MSF_EXPORT s32 msf_set_user(struct process *proc);

/*
 * Sets how many descriptors this process may have (rlimit_nofile, if above 0) and how many bytes a core dump (rlimit_core,
 * if not below 0); a hard limit in the way is raised. 0; -1 EINVAL NULL, EPERM raising it takes root.
 */
MSF_EXPORT s32 msf_set_rlimit(const struct process *proc);

/*
 * Locks /var/run/<name>, or the file of that name in the run directory where that may not be written, until this process
 * ends. `mode` means nothing. MSF_TRUE; MSF_FALSE with errno: EWOULDBLOCK it is locked (also by this process), EINVAL
 * NULL, empty or with a slash, others when the file cannot be opened. msf_process_claim tells more.
 */
MSF_EXPORT s32 process_try_lock(const s8 *name, u32 mode);

/*
 * From now on whoever started this process (msf_daemon: MSF_CRASH_SOCKET, else NOTIFY_SOCKET) is told the moment it begins
 * to crash (SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP), and so need not wait until its core is written. What
 * the program does with these signals must be settled before; it happens as it would without this call. Also gives
 * the calling thread a stack on which that works when its own has overflowed: call it in every thread that should have
 * one. 0; -1 ENOENT nobody wants to know, ENAMETOOLONG.
 */
MSF_EXPORT s32 msf_crash_notify(void);

/* A program to be started, as in 2019. */
struct process_desc {
    pid_t proc_pid;     /* written by process_spwan */
    s64 proc_age;       /* the rest is the caller's own */
    s32 proc_fd;
    s32 restart_times;
    u32 proc_idx;
    s8 proc_name[MSF_MAX_NAME_LEN];
    s8 proc_path[MSF_MAX_PATH_LEN];
    s8 proc_conf[MSF_MAX_PATH_LEN];
};

/*
 * Starts `proc_path -c proc_conf` (without a proc_conf, `proc_path` alone) in a session of its own, as nobody's child: it
 * need not be waited for. Its input is /dev/null, output and error are ours, no other descriptor, default signals.
 * Its pid, also in proc_pid: then it is the program already. 0 no process could be made; -1 EINVAL NULL or an empty path,
 * or why the program could not be executed (ENOENT, EACCES ...).
 */
MSF_EXPORT pid_t process_spwan(struct process_desc *desc);

/* What a plan's descriptors and limits are made of. */
#define MSF_FD_NULL (-1) /* /dev/null, for the numbers 0, 1 and 2 */
struct msf_process_fd {
    s32 fd;             /* of ours; stays ours, and may be close-on-exec */
    s32 number;         /* the program's; 0, 1 and 2 are its input, output and error */
};

#define MSF_LIMIT_NONE ((u64)-1)
struct msf_process_limit {
    u64 soft;           /* MSF_LIMIT_NONE: no limit */
    u64 hard;
    s32 resource;       /* RLIMIT_NOFILE, RLIMIT_CORE ... of <sys/resource.h> */
};

#define MSF_SPAWN_SESSION 1   /* leads a session of its own, without a terminal */
#define MSF_SPAWN_OUR_GROUP 2 /* stays in our process group: a Ctrl-C meant for us reaches it */
#define MSF_SPAWN_DETACHED 4  /* nobody's child: need not, and cannot, be waited for */
#define MSF_SPAWN_IDS 8       /* uid and gid hold, without further groups */

/*
 * How to start a program. Zero is the default of every member but size and path: our environment and folder, the name as
 * only argument, /dev/null as input, our output and error and no other descriptor, a process group of its own. Signals
 * have their default effect and none is blocked, whatever we have done with them.
 */
struct msf_process_plan {
    u32 size;                               /* sizeof(struct msf_process_plan) */
    u32 flags;                              /* MSF_SPAWN_* */
    const s8 *path;                         /* the program; without a slash it is looked for in PATH */
    s8 *const *argv;                        /* ends with NULL; the first is the name it is told */
    s8 *const *envp;                        /* ends with NULL; "KEY=value" each */
    const s8 *folder;                       /* where it works */
    const s8 *user;                         /* whom it runs as, with his groups; takes root */
    const struct msf_process_fd *fds;       /* fd_count of them */
    const struct msf_process_limit *limits; /* limit_count of them */
    const u32 *cpus;                        /* numbers of the processors it may use, cpu_count of them */
    u32 fd_count;
    u32 limit_count;
    u32 cpu_count;
    s32 nice;                               /* how much nicer than we are */
    uid_t uid;                              /* with MSF_SPAWN_IDS */
    gid_t gid;
};

/*
 * Starts a program. Its pid, and it is the program by then; the caller waits for it, unless it is detached. -1: EINVAL a
 * plan that can mean nothing (no path, an unknown flag or user, an empty argv, "KEY" without "="), EBADF one of the fds is
 * not open, or why the program could not become what the plan says (ENOENT, EACCES, EPERM ...).
 */
MSF_EXPORT pid_t msf_process_spawn(const struct msf_process_plan *plan);

/*
 * Waits until the child `pid` has ended, at most timeout_ms (MSF_NO_WAIT, MSF_WAIT_FOREVER), and releases its pid. Its status is
 * waitpid's (WIFEXITED, WEXITSTATUS, WTERMSIG ...); status_out may be NULL. 0; -1 ETIMEDOUT it goes on,
 * ECHILD it is no child of ours, or was waited for already.
 */
MSF_EXPORT s32 msf_process_wait(pid_t pid, s32 timeout_ms, s32 *status_out);

#ifdef __cplusplus
}
#endif

#endif /* MSF_PROCESS_H */
