/*
 * The one function of libmsf that takes `...`: it formats, and hands the text to log_text in log.rs.
 *
 * While log_text runs the thread cannot be cancelled: writing is a cancellation point, and a cancellation would
 * unwind through the Rust code that holds the logger's lock.
 */
#define _GNU_SOURCE /* strchrnul */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFUSED (-2)
#define HIDDEN __attribute__((visibility("hidden")))

HIDDEN int msf_log_wants(int level, const char *module);
HIDDEN int msf_log_quick(int level, const char *module, const char *func, const char *file, int line,
                         const char *text, size_t length);
HIDDEN int msf_log_text(int level, const char *module, const char *func, const char *file, int line,
                        const char *text, size_t length, int quick);
HIDDEN int msf_log_write_c(int level, const char *module, const char *func, const char *file, int line,
                           const char *fmt, ...);

static const char pairs[201] = "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
                               "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

enum { WIDEST = 24 }; /* more than any number has digits, with its sign */

/* Writes value at `at`, where WIDEST bytes are free. Decimal digits come in pairs: it is the division that costs. */
static char *number(char *at, unsigned long long value, int hex, int negative)
{
    char digits[2 * WIDEST];
    char *first = digits + WIDEST;
    size_t count;

    if (hex) {
        do {
            *--first = "0123456789abcdef"[value & 15];
            value >>= 4;
        } while (value != 0);
    } else {
        while (value >= 10) {
            first -= 2;
            memcpy(first, pairs + value % 100 * 2, 2);
            value /= 100;
        }
        if (value != 0 || first == digits + WIDEST) {
            *--first = (char)('0' + value);
        }
    }
    if (negative) {
        *--first = '-';
    }
    count = (size_t)(digits + WIDEST - first);
    /* What is behind the digits is overwritten by what comes next; a copy of known length is three moves. */
    memset(digits + WIDEST, 0, WIDEST);
    memcpy(at, first, WIDEST);
    return at + count;
}

/* Copies a few letters with two moves, which is less than a call costs. NULL when they do not fit. */
static inline char *letters_to(char *at, const char *end, const char *letters, size_t count)
{
    if (count > (size_t)(end - at)) {
        return NULL;
    }
    if (count - 4 <= 4) {
        memcpy(at, letters, 4);
        memcpy(at + count - 4, letters + count - 4, 4);
    } else if (count - 8 <= 8) {
        memcpy(at, letters, 8);
        memcpy(at + count - 8, letters + count - 8, 8);
    } else if (count > 16) {
        memcpy(at, letters, count);
    } else {
        for (size_t which = 0; which < count; which++) {
            at[which] = letters[which];
        }
    }
    return at + count;
}

static char *string(char *at, const char *end, const char *value)
{
    return value == NULL ? NULL : letters_to(at, end, value, strlen(value));
}

/*
 * What most records consist of, several times as fast as vsnprintf: %d %i %u %x (with l, ll, z), %s, %c and %%.
 * The length; -1 for everything else, and when it does not fit, which vsnprintf is then asked for.
 */
static int quick(char *text, const char *end, const char *fmt, va_list args)
{
    char *at = text;

    for (;; fmt++) {
        int size = 0; /* 1: long or size_t, 2: long long */

        const char *letters = fmt;

        fmt = strchrnul(fmt, '%');
        at = letters_to(at, end, letters, (size_t)(fmt - letters));
        /* One byte is kept for %c and %%. */
        if (at == NULL || at == end) {
            return -1;
        }
        if (*fmt == '\0') {
            return (int)(at - text);
        }
        for (fmt++; *fmt == 'l' && size < 2; fmt++) {
            size++;
        }
        if (*fmt == 'z' && size == 0 && sizeof(size_t) == sizeof(long)) {
            size = 1;
            fmt++;
        }
        if (*fmt == 'd' || *fmt == 'i') {
            long long value = size == 2 ? va_arg(args, long long) : size == 1 ? va_arg(args, long) : va_arg(args, int);
            unsigned long long amount = value < 0 ? 0 - (unsigned long long)value : (unsigned long long)value;

            at = end - at < WIDEST ? NULL : number(at, amount, 0, value < 0);
        } else if (*fmt == 'u' || *fmt == 'x') {
            unsigned long long value = size == 2   ? va_arg(args, unsigned long long)
                                       : size == 1 ? va_arg(args, unsigned long)
                                                   : va_arg(args, unsigned);

            at = end - at < WIDEST ? NULL : number(at, value, *fmt == 'x', 0);
        } else if (*fmt == 's' && size == 0) {
            at = string(at, end, va_arg(args, const char *));
        } else if (*fmt == 'c' && size == 0) {
            *at++ = (char)va_arg(args, int);
        } else if (*fmt == '%' && size == 0) {
            *at++ = '%';
        } else {
            return -1;
        }
        if (at == NULL) {
            return -1;
        }
    }
}

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
    if (!msf_log_wants(level, module)) {
        return 0;
    }
    va_start(args, fmt);
    length = quick(brief, brief + sizeof brief, fmt, args);
    va_end(args);
    if (length < 0) {
        va_start(args, fmt);
        length = vsnprintf(brief, sizeof brief, fmt, args);
        va_end(args);
    }
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
        result = msf_log_quick(level, module, func, file, line, text, (size_t)length);
        if (result != 0) {
            pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelled);
            result = msf_log_text(level, module, func, file, line, text, (size_t)length, result);
            pthread_setcancelstate(cancelled, &cancelled);
        }
    }
    if (text != brief) {
        free(text);
    }
    /* In a second copy of the library no call is served, and says so; otherwise errno stays the caller's. */
    errno = result == REFUSED ? EALREADY : before;
    return result == 0 ? 0 : -1;
}
