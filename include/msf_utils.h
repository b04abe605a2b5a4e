/*
 * msf_utils.h - constants, small macros and the standard headers every service expects to come with them.
 *
 * Services of 2019 include this one header and then use stdio, string, errno, time... without naming
 * them: the list of standard headers below is part of the interface and is only ever added to.
 */
#ifndef MSF_UTILS_H
#define MSF_UTILS_H

#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "msf.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Truth, results, timeouts. */
#define MSF_FALSE 0
#define MSF_TRUE 1
#define MSF_OK 0
#define MSF_ERR (-1)

/* Timeouts are milliseconds. MSF_WAIT_FOREVER in a u32 field reads 0xffffffff. */
#define MSF_NO_WAIT 0
#define MSF_WAIT_FOREVER (-1)

#define MSF_INVALID_SOCKET (-1)
#define MSF_CONF_UNSET_UINT ((u32)-1)
#define MSF_INT32_LEN 11 /* characters of "-2147483648" */
#define MSF_INT64_LEN 20 /* characters of "-9223372036854775808" */

/* The June 2019 names of the above. C++ and C23 have true and false of their own. */
#define invalid_socket MSF_INVALID_SOCKET
#if !defined(__cplusplus) && (!defined(__STDC_VERSION__) || __STDC_VERSION__ < 202311L)
#ifndef true
#define true 1
#endif
#ifndef false
#define false 0
#endif
#endif

typedef void (*sighandler_t)(s32);

/* Attributes. MSF_UNUSED_CHECK means "may stay unused", as it did in 2019. */
#define MSF_PACKED_MEMORY __attribute__((__packed__))
#define MSF_CONST_CALL __attribute__((const))
#define MSF_UNUSED_CHECK __attribute__((unused))
#define MSF_ALWAYS_INLINE __attribute__((always_inline)) inline
#define MSF_ATTRIBUTE_WIKE __attribute__((weak))
#define MSF_STATIC static

#ifndef likely
#define likely(x) __builtin_expect(!!(x), 1)
#endif
#ifndef unlikely
#define unlikely(x) __builtin_expect(!!(x), 0)
#endif
#ifndef UNUSED
#define UNUSED(e) ((void)(e))
#endif
#define _ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Each argument is evaluated once. C only: C++ headers use these two words as function names. */
#ifndef __cplusplus
#ifndef min
#define min(x, y)                      \
    __extension__({                    \
        __typeof__(x) msf_min_x = (x); \
        __typeof__(y) msf_min_y = (y); \
        msf_min_x < msf_min_y ? msf_min_x : msf_min_y; \
    })
#endif
#ifndef max
#define max(x, y)                      \
    __extension__({                    \
        __typeof__(x) msf_max_x = (x); \
        __typeof__(y) msf_max_y = (y); \
        msf_max_x > msf_max_y ? msf_max_x : msf_max_y; \
    })
#endif
#endif

/* Swaps what two pointers of one type point at; also right when both are the same. */
#define MSF_SWAP(a, b)                  \
    do {                                \
        __typeof__(*(a)) msf_swapped = *(a); \
        *(a) = *(b);                    \
        *(b) = msf_swapped;             \
    } while (0)

/* MSF_ALIGN wants a power of two, MSF_ROUNDUP any positive step. */
#define MSF_ALIGN(size, to) (((size) + ((to) - 1)) & ~((to) - 1))
#define MSF_ROUNDUP(x, step) ((((x) + ((step) - 1)) / (step)) * (step))
#ifndef roundup
#define roundup(x, step) MSF_ROUNDUP(x, step)
#endif
#define MSF_ABS(value) (((value) >= 0) ? (value) : -(value))

#define MSF_TEST_BITS(mask, p) ((*(p)) & (mask))
#define MSF_CLR_BITS(mask, p) ((*(p)) &= ~(mask))
#define MSF_SET_BITS(mask, p) ((*(p)) |= (mask))
#define MSF_TEST_BIT(nr, p) ((*(p)) & (1U << (nr)))
#define MSF_CLR_BIT(nr, p) ((*(p)) &= ~(1U << (nr)))
#define MSF_SET_BIT(nr, p) ((*(p)) |= (1U << (nr)))

#if defined(htole16) && defined(htobe16)
#define cpu_to_le16(x) htole16(x)
#define cpu_to_le32(x) htole32(x)
#define le16_to_cpu(x) le16toh(x)
#define le32_to_cpu(x) le32toh(x)
#define cpu_to_be16(x) htobe16(x)
#define cpu_to_be32(x) htobe32(x)
#define be16_to_cpu(x) be16toh(x)
#define be32_to_cpu(x) be32toh(x)
#endif

/* Memory and strings: libc under the names of 2019. n of the *_TYPE pair is bytes, of the others a count. */
#define msf_memzero(buf, n) ((void)memset((buf), 0, (n)))
#define msf_memset(buf, c, n) ((void)memset((buf), (c), (n)))
#define msf_memcpy(dst, src, n) ((void)memcpy((dst), (src), (n)))
#define MSF_NEW(type, n) ((type *)malloc(sizeof(type) * (n)))
#define MSF_RENEW(p, type, n) ((type *)realloc((p), sizeof(type) * (n)))
#define MSF_NEWCLR(num, type, n) ((type *)calloc((num), sizeof(type) * (n)))
#define MSF_MALLOC_TYPE(type, n) ((type *)malloc(n))
#define MSF_CALLOC_TYPE(num, type, n) ((type *)calloc((num), (n)))

#define msf_tolower(c) tolower((unsigned char)(c))
#define msf_toupper(c) toupper((unsigned char)(c))
#define msf_isspace(c) isspace((unsigned char)(c))
#define msf_strncmp(a, b, n) strncmp((const s8 *)(a), (const s8 *)(b), (n))
#define msf_strcmp(a, b) strcmp((const s8 *)(a), (const s8 *)(b))
#define msf_strstr(a, b) strstr((const s8 *)(a), (const s8 *)(b))
#define msf_strchr(a, c) strchr((const s8 *)(a), (s32)(c))
#define msf_strlen(a) strlen((const s8 *)(a))
#define msf_snprintf snprintf

/* Release and forget. A descriptor below zero is left alone. */
#define sfree(p)      \
    do {              \
        free(p);      \
        (p) = NULL;   \
    } while (0)
#define sclose(fd)           \
    do {                     \
        if ((fd) >= 0) {     \
            (void)close(fd); \
            (fd) = -1;       \
        }                    \
    } while (0)
#define sfclose(fp)           \
    do {                      \
        if (fp) {             \
            (void)fclose(fp); \
            (fp) = NULL;      \
        }                     \
    } while (0)

/* A function that runs when its library is loaded / unloaded; its body follows. Levels start at 101. */
#define MSF_LIBRARY_INITIALIZER(func, level) \
    static void __attribute__((constructor(level))) func(void)
#define MSF_LIBRARY_FINALIZER(func) static void __attribute__((destructor)) func(void)

/*
 * Detaches the process from its terminal: two forks, a new session, umask 022. nochdir != 0 keeps the
 * working directory (else /), noclose != 0 keeps stdin, stdout and stderr (else /dev/null).
 * Returns 0 in the daemon; the calling process exits 0 as soon as the daemon exists. -1 and errno when the
 * process could not be detached (it then goes on in the foreground). Call it before any thread exists.
 */
MSF_EXPORT s32 daemonize(s32 nochdir, s32 noclose);

/*
 * Calls `handler` (or SIG_DFL, SIG_IGN) when the signal comes: interrupted system calls go on, and a handler may be
 * interrupted by its own signal. 0; -1 EINVAL no such signal, one that cannot be handled, or SIG_ERR.
 */
MSF_EXPORT s32 signal_handler(s32 sig, sighandler_t handler);

/*
 * The number at the beginning of the text, in base 10, up to the first white space behind it (white space before it and a sign may be
 * there). MSF_TRUE; MSF_FALSE with errno, and the value is left as it was: EINVAL no number, something behind it,
 * a minus where none can be, NULL; ERANGE the number does not fit.
 */
MSF_EXPORT u8 safe_strtoull(const s8 *text, u64 *value_out);
MSF_EXPORT u8 safe_strtoll(const s8 *text, s64 *value_out);
MSF_EXPORT u8 safe_strtoul(const s8 *text, u32 *value_out);
MSF_EXPORT u8 safe_strtol(const s8 *text, s32 *value_out);

#ifdef __cplusplus
}
#endif

#endif /* MSF_UTILS_H */
