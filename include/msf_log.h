/*
 * msf_log.h - the log of the process.
 *
 * There is one log per process, shared by the program, its plugins and libipc. A record is one line:
 *   [2026-11-21 18:19:54][MODULE][DEBUG][function path/file.c:813] text[pid:13962,tid:13962]
 * Records of level INFO go to the file only; FATAL, ERROR, WARN and DEBUG are copied to stderr too.
 * The file is renamed to x.log.1, .2 ... when it is full (10 MiB and five files unless msf_log_limit
 * says otherwise). Every function here may be called from any thread, and after fork.
 *
 * A call puts its record into a ring of the calling thread and returns; a thread of the log writes it to the
 * file a few milliseconds later. The rings lie in a file in /dev/shm (MSF_LOG_RING_DIR; beside the log where
 * neither can be had), so a process that is killed loses nothing: what is left is written when that log is
 * opened next, by any program of the same user.
 * A FATAL record is in the file when its call returns; exit and msf_log_free write out what there is.
 *
 * An operator sets these for any program; what the program sets itself comes later and wins:
 *   MSF_LOG_LEVEL=INFO,NET=DEBUG   MSF_LOG_MODE=ring|direct   MSF_LOG_POLICY=block|drop   MSF_LOG_RING=65536
 *   MSF_LOG_OUTPUTS=journal,syslog=/dev/log,syslog5424=/dev/log,json=/var/log/x.jsonl
 */
#ifndef MSF_LOG_H
#define MSF_LOG_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A larger number is more verbose; DEBUG ranks above INFO here, and always did. */
enum LOG_LEVEL {
    DBG_FATAL = 0,
    DBG_ERROR = 1,
    DBG_WARN = 2,
    DBG_DEBUG = 3,
    DBG_INFO = 4,
    DBG_MAX = 5 /* one past the last level */
};

/* The three arguments in the middle of msf_log_write. */
#define MSF_FUNC_FILE_LINE __func__, __FILE__, __LINE__

/*
 * Writes one record; mod is the module's name, fmt and what follows are printf's. A service wraps it:
 *   #define UPNP_LOG(level, ...) msf_log_write(level, "UPNP", MSF_FUNC_FILE_LINE, __VA_ARGS__)
 * Returns 0 when the record is on its way (in the file, in direct mode): also when it was filtered by its
 * level, and before a log is open (the record is dropped). -1 when mod or fmt is NULL, when there was no
 * room (MSF_LOG_DROP), when the write failed (direct mode), or in a signal handler that interrupted the
 * logging of its own thread (the record goes to stderr then, with [? for its time). errno is the same after the call as before, whatever it returns, so it may be
 * logged first and looked at later (alone a second copy of libmsf sets EALREADY). func and file may be NULL.
 * A level below DBG_FATAL counts as DBG_FATAL, one above DBG_INFO as DBG_INFO. Newlines inside the text are
 * written so that a record stays one line.
 * A signal handler may call it, in ring mode, for a level other than DBG_FATAL, a text below 1024 bytes made of
 * %d %i %u %x (with l, ll, z) %s %c, on a thread that has logged before since the log was opened (since the fork,
 * since msf_log_ring or msf_log_mode): then no memory is asked for and no lock is taken, also when the ring is
 * full. The first record of a thread, and what is larger, may meet a lock that the interrupted code holds.
 */
MSF_EXPORT s32 msf_log_write(s32 level, const s8 *mod, const s8 *func, const s8 *file, s32 line,
                             const s8 *fmt, ...) MSF_PRINTF(6, 7);

/*
 * Opens log_path for appending as the log of this process and makes the folders it needs (0755; the file
 * is 0644). A log that was open before is closed first; opening the same path again changes nothing.
 * 0, or -1 with errno (EINVAL for NULL or ""; else as mkdir(2) or open(2) say).
 */
MSF_EXPORT s32 msf_log_init(const s8 *log_path);

/*
 * Opens LOGDIR/<name>.log (msf_log_dir in msf_process.h) unless a log is open already: 0 in both cases.
 * For libraries that want a log without taking the program's away. -1 with errno; EINVAL when name is
 * NULL, empty or holds a slash.
 */
MSF_EXPORT s32 msf_log_init_default(const s8 *name);

/* Opens the file again by its path, after logrotate has moved it. 0; -1 ENOENT when no log is open. */
MSF_EXPORT s32 msf_log_reopen(void);

/* Rotates at `bytes` (at least 4096) and keeps `files` old files (0 to 99). 0; -1 EINVAL. */
MSF_EXPORT s32 msf_log_limit(u64 bytes, u32 files);

/* Drops records whose level is above `level` from now on (DBG_FATAL ... DBG_INFO). 0; -1 EINVAL. */
MSF_EXPORT s32 msf_log_level(s32 level);

/*
 * Gives the records whose mod is `mod` a level of their own, whatever msf_log_level says; level -1: no longer.
 * 0; -1 EINVAL, ENOSPC (64 modules have had one).
 */
MSF_EXPORT s32 msf_log_module_level(const s8 *mod, s32 level);

/* Writes out and closes the log and its outputs; records after it are dropped until the next msf_log_init. */
MSF_EXPORT void msf_log_free(void);

/* How records reach the file. */
enum MSF_LOG_MODE {
    MSF_LOG_RING = 0,  /* through the ring of the calling thread; the norm */
    MSF_LOG_DIRECT = 1 /* with the call, which tells whether it worked; no thread, no ring */
};

/* What happens to a record that finds its ring full. */
enum MSF_LOG_POLICY {
    MSF_LOG_BLOCK = 0, /* the caller waits until there is room: nothing is lost; the norm */
    MSF_LOG_DROP = 1   /* it is dropped, and a record in the log tells how many were */
};

/* Places for records beside the file; at most one of each is open. */
enum MSF_LOG_OUTPUT {
    MSF_LOG_JSON = 0,       /* a file, one JSON object per line, rotated like the log */
    MSF_LOG_SYSLOG = 1,     /* a datagram socket, RFC 3164, what most listeners at /dev/log expect */
    MSF_LOG_SYSLOG5424 = 2, /* a datagram socket, RFC 5424 */
    MSF_LOG_JOURNAL = 3     /* systemd's journal in its native protocol */
};

/* What the log of this process has done. `size` is the caller's, the rest is filled in. */
struct msf_log_stats {
    u32 size;      /* sizeof(struct msf_log_stats) */
    u32 rings;     /* rings in use: threads that log, or did once */
    u64 written;   /* records in the file */
    u64 dropped;   /* records that found their ring full (MSF_LOG_DROP) */
    u64 lost;      /* records that could not be written, to a full disk for one */
    u64 recovered; /* records of killed processes that this one has written */
    u64 refused;   /* records that an output did not take */
};

/* Switches between MSF_LOG_RING and MSF_LOG_DIRECT; nothing is lost on the way. 0; -1 EINVAL. */
MSF_EXPORT s32 msf_log_mode(s32 mode);

/* MSF_LOG_BLOCK or MSF_LOG_DROP from now on. 0; -1 EINVAL. */
MSF_EXPORT s32 msf_log_policy(s32 policy);

/*
 * Sets the size of each thread's ring: 16384 to 4194304 bytes, rounded up to a power of two (65536 unless
 * changed). A process has at most 64 rings; further threads share one. 0; -1 EINVAL.
 */
MSF_EXPORT s32 msf_log_ring(u32 bytes);

/* Returns when every record written before is in the file; with no log open there is none. 0; -1 EDEADLK as msf_log_write
 * in a handler. */
MSF_EXPORT s32 msf_log_flush(void);

/*
 * Gives every later record to one more place: where is a file (MSF_LOG_JSON), or a socket, NULL for the usual
 * one (/dev/log, /run/systemd/journal/socket). One of the same kind that was open is closed. Nobody is waited
 * for there: a datagram that its listener does not take is counted (`refused`). 0, or -1 with errno: EINVAL, or
 * why the place cannot be reached (ENOENT, ECONNREFUSED ...).
 */
MSF_EXPORT s32 msf_log_output(s32 output, const s8 *where);

/* Ends what msf_log_output began. 0; -1 EINVAL, ENOENT (it was not open). */
MSF_EXPORT s32 msf_log_output_end(s32 output);

/*
 * Writes to the log at log_path what killed processes have left for it, without opening it for this process
 * (msf_log_init does the same for its own). The number of records; -1 with errno (EINVAL for NULL or "").
 */
MSF_EXPORT s32 msf_log_recover(const s8 *log_path);

/* Fills in *stats_out, as much of it as its size says; with no log open, what has been since the process began. 0; -1 EINVAL (NULL, or a
 * size below 8). */
MSF_EXPORT s32 msf_log_stats(struct msf_log_stats *stats_out);

/*
 * Terminal colours, for literals: BOLD YELLOW "text" NONE. The words are common, so C++ gets them only
 * with MSF_LOG_COLORS defined before this header, and C can refuse them with MSF_NO_LOG_COLORS.
 */
#if (!defined(__cplusplus) || defined(MSF_LOG_COLORS)) && !defined(MSF_NO_LOG_COLORS)
#define NONE "\033[0m"
#define BLACK "\033[0;30m"
#define L_BLACK "\033[1;30m"
#define RED "\033[0;31m"
#define L_RED "\033[1;31m"
#define GREEN "\033[0;32m"
#define L_GREEN "\033[1;32m"
#define BROWN "\033[0;33m"
#define YELLOW "\033[1;33m"
#define BLUE "\033[0;34m"
#define L_BLUE "\033[1;34m"
#define PURPLE "\033[0;35m"
#define L_PURPLE "\033[1;35m"
#define CYAN "\033[0;36m"
#define L_CYAN "\033[1;36m"
#define GRAY "\033[0;37m"
#define WHITE "\033[1;37m"
#define BOLD "\033[1m"
#define UNDERLINE "\033[4m"
#define BLINK "\033[5m"
#define REVERSE "\033[7m"
#define HIDE "\033[8m"
#define CLEAR "\033[2J"
#define CLRLINE "\r\033[K"
#endif

#ifdef __cplusplus
}
#endif

#endif /* MSF_LOG_H */
