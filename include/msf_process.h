/*
 * msf_process.h - what a process of services knows about itself: its description, places, name and lock.
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

#ifdef __cplusplus
}
#endif

#endif /* MSF_PROCESS_H */
