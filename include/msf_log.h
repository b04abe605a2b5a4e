/*
 * msf_log.h - the log of the process.
 *
 * There is one log per process, shared by the program, its plugins and libipc. A record is one line:
 *   [2026-11-21 18:19:54][MODULE][DEBUG][function path/file.c:813] text[pid:13962,tid:13962]
 * Records of level INFO go to the file only; FATAL, ERROR, WARN and DEBUG are copied to stderr too.
 * The file is renamed to x.log.1, .2 ... when it is full (10 MiB and five files unless msf_log_limit
 * says otherwise). Every function here may be called from any thread, and after fork.
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
 * Returns 0: also when the record was filtered by its level, and before a log is open (the record is
 * dropped). -1 when mod or fmt is NULL, or the write failed. errno is the same after the call as before,
 * whatever it returns, so it may be logged first and looked at later (alone a second copy of libmsf sets
 * EALREADY). func and file may be NULL. A level
 * below DBG_FATAL counts as DBG_FATAL, one above DBG_INFO as DBG_INFO. Newlines inside the text are
 * written so that a record stays one line.
 */
MSF_EXPORT s32 msf_log_write(s32 level, const s8 *mod, const s8 *func, const s8 *file, s32 line,
                             const s8 *fmt, ...) MSF_PRINTF(6, 7);

/*
 * Opens log_path for appending as the log of this process and makes the folders it needs (0755; the file
 * is 0644). A log that was open before is closed first; opening the same path again changes nothing.
 * 0, or -1 with errno (EINVAL for NULL or "").
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

/* Writes out and closes the log; records after it are dropped until the next msf_log_init. */
MSF_EXPORT void msf_log_free(void);

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
