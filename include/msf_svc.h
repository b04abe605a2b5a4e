/*
 * msf_svc.h - what a service is, and loading one from a shared library.
 *
 * A plugin is a shared library that exports a variable of type struct msf_svc under its service name:
 *   struct msf_svc upnp = { .init = upnp_init, .start = upnp_start };
 * A program may also keep its services in a NULL-terminated array of struct msf_svc * and call the slots
 * itself. Any slot may be NULL: whoever calls one checks first.
 */
#ifndef MSF_SVC_H
#define MSF_SVC_H

#include <dlfcn.h>

#include "msf_log.h"
#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MSF_DLHANDLE void *
#define MSF_DLOPEN_L(name) dlopen((name), RTLD_LAZY | RTLD_GLOBAL)
#define MSF_DLOPEN_N(name) dlopen((name), RTLD_NOW)
#define MSF_DLSYM(handle, symbol) dlsym((handle), (symbol))
#define MSF_DLCLOSE(handle) dlclose(handle)
#define MSF_DLERROR() dlerror()

#define MSF_MAX_NAME_LEN 64    /* bytes of a service name, its NUL included */
#define MSF_MAX_PATH_LEN 4096  /* bytes of a path, its NUL included */
#define MSF_MAX_DEPLIB_NUM 8

/* 0 or more is success, below 0 failure. data and len mean what the two sides agreed on; the shell passes
 * NULL and 0. */
typedef s32 (*svc_func)(void *data, u32 len);

/* The shell calls init of every service in the order of its file, then start of every service; on the
 * way down stop and deinit, in reverse. The last three slots are for the services' own use. */
struct msf_svc {
    svc_func init;
    svc_func deinit;
    svc_func start;
    svc_func stop;
    svc_func get_param;
    svc_func set_param;
    svc_func msg_handler;
};

typedef struct msf_svc msf_plugin;
typedef struct msf_svc msf_module;

/* One loaded service. The caller fills svc_name and svc_lib (a path, or a bare file name for the
 * loader's own search) and zeroes the rest; the library fills svc_handle and svc_cb. */
struct svcinst {
    u32 state; /* enum svcinst_state */
    s8 svc_name[MSF_MAX_NAME_LEN];
    s8 svc_lib[MSF_MAX_PATH_LEN];
    u32 svc_deplib_num;
    s8 *svc_deplib[MSF_MAX_DEPLIB_NUM]; /* libraries loaded before svc_lib; the strings stay the caller's */
    void *svc_handle;
    struct msf_svc *svc_cb;
};

/* svcinst.state */
enum svcinst_state {
    SVCINST_EMPTY = 0,
    SVCINST_LOADED = 1
};

/*
 * Loads svc_deplib and svc_lib and finds the variable named svc_name; none of its slots is called.
 * 0; -1 with errno and one log record that names file and symbol: EINVAL (NULL, or an empty or
 * unterminated name), ENOENT (no such library), ELIBBAD (it cannot be loaded), ESRCH (it has no such
 * symbol), EALREADY (loaded already). After a failure svc_handle and svc_cb are NULL.
 * Not for two threads on one svcinst at a time.
 */
MSF_EXPORT s32 msf_svcinst_init(struct svcinst *svc);

/*
 * Unloads what msf_svcinst_init loaded. Call the service's stop and deinit first, and let its threads
 * end: its code is unmapped. 0; -1 EINVAL (NULL, or nothing is loaded).
 */
MSF_EXPORT s32 msf_svcinst_deinit(struct svcinst *svc);

/*
 * Loads a library (a path, or a bare file name for the loader's own search); MSF_DLCLOSE gives it back. NULL with
 * errno and a log record that says why: EINVAL (NULL or ""), ENOENT (no such library), ELIBBAD (it cannot be loaded).
 */
MSF_EXPORT void *msf_load_dynamic(const s8 *path);

/* The address of a symbol in what msf_load_dynamic or MSF_DLOPEN gave. NULL with errno and a log record: EINVAL (NULL),
 * ESRCH (no such symbol). */
MSF_EXPORT void *msf_load_symbol(void *handle, const s8 *symbol);

#define MSF_SVC_NOT_FOUND 401

/* Stands in for a slot that is NULL: a log record that names it, and MSF_SVC_NOT_FOUND. */
static inline s32 msf_svc_stub(const s8 *func, ...)
{
    msf_log_write(DBG_ERROR, "MSF", MSF_FUNC_FILE_LINE, "%s is not there", func);
    return MSF_SVC_NOT_FOUND;
}

/* Calls a function that may be missing, such as a slot: MFS_FUNCHK(svc->svc_cb->start, NULL, 0). The name is 2019's. */
#define MFS_FUNCHK(func, ...) ((func) ? (func)(__VA_ARGS__) : msf_svc_stub(#func, __VA_ARGS__))

#ifdef __cplusplus
}
#endif

#endif /* MSF_SVC_H */
