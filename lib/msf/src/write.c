/*
 * The one function of libmsf that takes `...`: it formats, and hands the text to log_text in log.rs.
 *
 * While it runs the thread cannot be cancelled: writing is a cancellation point, and a cancellation would
 * unwind through the Rust code that holds the logger's lock.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define REFUSED (-2)
#define HIDDEN __attribute__((visibility("hidden")))

HIDDEN int msf_log_text(int level, const char *module, const char *func, const char *file, int line,
                        const char *text, size_t length);
HIDDEN int msf_log_write_c(int level, const char *module, const char *func, const char *file, int line,
                           const char *fmt, ...);

int msf_log_write_c(int level, const char *module, const char *func, const char *file, int line,
                    const char *fmt, ...)
{
    char brief[1024];
    char *text = brief;
    int length, result, cancelled, before = errno;
    va_list args;

    if (module == NULL || fmt == NULL) {
        return -1;
    }
    va_start(args, fmt);
    length = vsnprintf(brief, sizeof brief, fmt, args);
    va_end(args);
    if (length >= (int)sizeof brief) {
        /* The text is not cut. Without memory for all of it, its beginning is better than nothing. */
        text = malloc((size_t)length + 1);
        if (text != NULL) {
            errno = before; /* for %m */
            va_start(args, fmt);
            length = vsnprintf(text, (size_t)length + 1, fmt, args);
            va_end(args);
        } else {
            text = brief;
            length = (int)sizeof brief - 1;
        }
    }
    result = -1;
    if (length >= 0) {
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelled);
        result = msf_log_text(level, module, func, file, line, text, (size_t)length);
        pthread_setcancelstate(cancelled, &cancelled);
    }
    if (text != brief) {
        free(text);
    }
    /* In a second copy of the library no call is served, and says so; otherwise errno stays the caller's. */
    errno = result == REFUSED ? EALREADY : before;
    return result == 0 ? 0 : -1;
}
