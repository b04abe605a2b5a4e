/*
 * msf.h - the root of every header of libmsf: integer names, attributes, feature switches, the version.
 *
 * One convention for every function of libmsf and libipc (doc/abi.md has the page):
 *   - s32 functions return 0 (or a count), or -1 with errno set;
 *   - pointer functions return NULL with errno set;
 *   - success leaves errno alone;
 *   - out-parameters come last, end in _out, and are written on success only;
 *   - what the library allocated, the library frees.
 */
#ifndef MSF_H
#define MSF_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The integer names of the 2019 API. s8 is plain char, so string literals are s8 arrays; on ARM plain
 * char is unsigned, so never keep a negative number in an s8. u64 is unsigned long where long has 64
 * bits (print it with %lu there) and unsigned long long elsewhere.
 */
typedef char s8;
typedef short s16;
typedef int s32;
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
#if defined(__LP64__) || defined(_LP64)
typedef long s64;
typedef unsigned long u64;
#else
__extension__ typedef long long s64;
__extension__ typedef unsigned long long u64;
#endif

/* Makes a symbol visible outside its shared object, also under -fvisibility=hidden. Write it before the
 * `struct msf_svc` variable of a plugin when the plugin is built that way. */
#if defined(__GNUC__)
#define MSF_EXPORT __attribute__((visibility("default")))
#define MSF_PRINTF(fmt_index, first_arg) __attribute__((format(printf, fmt_index, first_arg)))
#define MSF_NORETURN __attribute__((noreturn))
#else
#define MSF_EXPORT
#define MSF_PRINTF(fmt_index, first_arg)
#define MSF_NORETURN
#endif

/* What the 2019 sources test for with #if; every system we build for has all of them. */
#define MSF_HAVE_EPOLL 1
#define MSF_HAVE_EVENTFD 1
#define MSF_HAVE_SYS_EVENTFD_H 1
#define MSF_HAVE_UNIX_DOMAIN 1
#define MSF_HAVE_POSIX_SEM 1
#define MSF_HAVE_GCC_ATOMIC 1

/* The version of the headers a program was built with; msf_version() is that of the library it runs with. */
#define MSF_VERSION_MAJOR 0
#define MSF_VERSION_MINOR 1
#define MSF_VERSION_PATCH 0
#define MSF_VERSION_STRING "0.1.0"

/* "major.minor.patch" of the loaded library: static storage, never NULL. Any thread. */
MSF_EXPORT const s8 *msf_version(void);

#ifdef __cplusplus
}
#endif

#endif /* MSF_H */
