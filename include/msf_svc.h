/*
 * msf_svc.h - what a service is, and loading one from a shared library.
 *
 * A plugin is a shared library that exports a variable of type struct msf_svc under its service name:
 *   struct msf_svc upnp = { .init = upnp_init, .start = upnp_start };
 * A program may also keep its services in a NULL-terminated array of struct msf_svc * and call the slots
 * itself. Any slot may be NULL: whoever calls one checks first.
 *
 * A service that wants to know more than that exports a struct msf_svc_ops called <svc_name>_ops instead; it is
 * looked for first. See the end of this file.
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

/*
 * A service with a context, its own configuration, and a state that outlives its code:
 *   MSF_EXPORT const struct msf_svc_ops upnp_ops = {
 *       .size = sizeof(struct msf_svc_ops), .abi = MSF_SVC_ABI, .init = upnp_init, .stop = upnp_stop };
 *
 * All calls of one service come from one thread, one after the other, and never while another one runs. Whatever
 * the two sides hand each other is in the structs below; no function of a library is needed.
 *
 * Every struct begins with its size, is only ever appended to, and what one side does not know is zero for it.
 */
#define MSF_SVC_ABI 1u   /* ops.abi: another number is another contract, and is refused */

#define MSF_SVC_LOOP 1u  /* ops.flags: ctx->base is wanted */

struct msf_event_base;

/* What a service is told of itself. It lives from init to the end of deinit. */
struct msf_svc_ctx {
    u32 size;                    /* sizeof(struct msf_svc_ctx) where the host was built */
    u32 generation;              /* 1; an upgrade's code has the next number */
    const s8 *name;              /* svc_name */
    const s8 *config;            /* its entry's "config" as JSON text; "{}" when there is none */
    struct msf_event_base *base; /* dispatched by the thread that makes the calls; NULL if not asked for */
    void *data;                  /* the service's own, NULL at first */
};

/* Bytes that a service hands over: put appends them, and returns 0, or -1 with errno ENOMEM. */
struct msf_svc_out {
    u32 size; /* sizeof(struct msf_svc_out) where the host was built */
    s32 (*put)(struct msf_svc_out *out, const void *data, size_t len);
};

static inline s32 msf_svc_put(struct msf_svc_out *out, const void *data, size_t len)
{
    return out->put(out, data, len);
}

/* A function that others may call by its name. 0, or below 0: what was put is then the reason, in words. */
struct msf_svc_function {
    const s8 *name; /* NULL ends the table */
    s32 (*run)(struct msf_svc_ctx *ctx, const void *params, size_t len, struct msf_svc_out *result);
    u32 flags;    /* 0 */
    u32 reserved; /* 0 */
};

/*
 * What a service offers. Slots return 0 or more for success, below 0 for failure (and errno, if it says more). Any
 * slot may be NULL: not offered.
 */
struct msf_svc_ops {
    u32 size;          /* sizeof(struct msf_svc_ops) where the plugin was built */
    u32 abi;           /* MSF_SVC_ABI */
    u32 flags;         /* MSF_SVC_LOOP or 0 */
    u32 state;         /* the version of what export_state writes */
    const s8 *version; /* of the service, for people */
    s32 (*init)(struct msf_svc_ctx *ctx);   /* gets ready; takes nothing that its predecessor may still hold */
    s32 (*start)(struct msf_svc_ctx *ctx);  /* goes to work */
    s32 (*stop)(struct msf_svc_ctx *ctx);   /* the reverse of start; start may follow again */
    s32 (*deinit)(struct msf_svc_ctx *ctx); /* the reverse of init: nothing is left afterwards */
    /* A command. result gets the answer, or for a number below 0 the reason. */
    s32 (*call)(struct msf_svc_ctx *ctx, const s8 *command, const void *params, size_t len, struct msf_svc_out *result);
    /*
     * The two halves of an upgrade, both between stop and start: the old code writes what it knows, the new code (after
     * its init) reads it. A number below 0 from either leaves the old code at work. version is the writer's ops.state;
     * it may be newer or older than the reader's.
     */
    s32 (*export_state)(struct msf_svc_ctx *ctx, struct msf_svc_out *state);
    s32 (*import_state)(struct msf_svc_ctx *ctx, u32 version, const void *state, size_t len);
    /* How it is: 0 well, below 0 not. What is put is shown to people. */
    s32 (*health)(struct msf_svc_ctx *ctx, struct msf_svc_out *text);
    const struct msf_svc_function *functions; /* tried by name before call; NULL: none */
};

#ifdef __cplusplus
}
#endif

#endif /* MSF_SVC_H */
