/*
 * nmid_client.h - libipc: calling functions that nmid workers offer, through msf_agent or any nmid broker.
 *
 * A program needs no msgpack library: nmid_params_* write what most functions expect, struct nmid_ret is what most
 * functions return. Link with -lipc -lmsf. A client has nothing to do with client.h: a process may have any number of
 * them, and need not be logged in.
 *
 * Results are as everywhere in libmsf (msf.h): 0 or a count, else -1 with errno; pointers, else NULL with errno. From every
 * function: EINVAL a NULL or an empty name, ECHILD the handle was made before fork by the parent, ENOMEM.
 * Strings and params that are handed in are copied; what a function returns is freed with the function named beside it.
 */
#ifndef MSF_NMID_CLIENT_H
#define MSF_NMID_CLIENT_H

#include "msf.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NMID_PORT 6808 /* of a broker that was not told another one */

/* How params are written. */
enum nmid_params_type {
    NMID_MSGPACK = 5, /* a map, see nmid_params_new */
    NMID_JSON = 6     /* an object, as text */
};

struct nmid_client;
struct nmid_params;

/* What a function returned. All pointers are the struct's own and end with it; msg and data are followed by a NUL. */
struct nmid_ret {
    u32 size;         /* sizeof(struct nmid_ret) of the library: members are only ever added */
    u32 is_struct;    /* 1: code, msg and data are the function's; 0: it returned something else, see raw */
    s64 code;         /* 0 is success; -1 when is_struct is 0 */
    const s8 *msg;    /* for people */
    const void *data; /* the result */
    const void *raw;  /* the whole of what came, unread */
    u32 data_len;
    u32 raw_len;
};

/* The end of a call made with nmid_client_do: error is 0 with a ret, else a number of errno (as nmid_client_call has
 * them, or ECANCELED) and ret is NULL. ret ends when the callback returns. */
typedef void (*nmid_answer_cb)(s32 error, const struct nmid_ret *ret, void *arg);

/*
 * A client of one broker. host: a name or address, NULL for 127.0.0.1, or the path of a unix socket (begins with '/');
 * port: 0 for NMID_PORT; not looked at for a path. Nothing is connected yet: every call connects if it has to, also after a
 * loss. End it with nmid_client_free.
 */
MSF_EXPORT struct nmid_client *nmid_client_new(const s8 *host, u16 port);

/*
 * How long later calls wait for their answer, in milliseconds, connecting included (resolving a host name is not); 0xffffffff
 * (MSF_WAIT_FOREVER) for ever. Default 35000, a little more than the broker's own deadline. 0 is EINVAL.
 */
MSF_EXPORT s32 nmid_client_timeout(struct nmid_client *client, u32 ms);

/*
 * Calls a function and waits. Any thread; calls of several threads on one client take turns, and the time of each begins
 * with its turn. A function without arguments: len 0, an empty map is sent. 0: the function was run and *ret_out is what
 * it returned, which may be a failure (ret->code); free it with nmid_ret_free. -1:
 *   ENOENT      no worker offers the function
 *   EAGAIN      the broker asks for fewer calls
 *   EIO         the broker answered ERROR: the function has failed without a result, or not ended within the broker's time
 *   ETIMEDOUT   no answer in time; the function may have run. A late answer is never taken for that of a later call: the
 *               connection is given up, and the next call makes a new one
 *   ECONNRESET  the connection was lost while waiting; the function may have run
 *   EPROTO      whoever listens there speaks something else
 *   ENOTCONN    no broker can be connected to; the log says why
 *   EMSGSIZE    more than 16 MiB
 *   EINVAL      also: an unknown params_type, or a length without its pointer
 */
MSF_EXPORT s32 nmid_client_call(struct nmid_client *client, const s8 *function, u32 params_type, const void *params,
                                u32 len, struct nmid_ret **ret_out);

/* NULL is fine. */
MSF_EXPORT void nmid_ret_free(struct nmid_ret *ret);

/*
 * The same without waiting: 0 means that done will be called, once. Such calls go over a connection of their own, one
 * after the other in the order in which they were made; the time of each begins with its turn. done runs on a thread of
 * the client (all signals blocked), or inside nmid_client_process once nmid_client_fd was called. It may make calls, and free
 * the client. -1: ENOBUFS 1024 calls wait already; EMSGSIZE, EINVAL as above.
 */
MSF_EXPORT s32 nmid_client_do(struct nmid_client *client, const s8 *function, u32 params_type, const void *params,
                              u32 len, nmid_answer_cb done, void *arg);

/*
 * For a program with a loop of its own (msf_event_add, poll ...): a descriptor that is readable while answers wait for
 * nmid_client_process. Call it before the first nmid_client_do. It is the client's: do not read or close it.
 */
MSF_EXPORT s32 nmid_client_fd(struct nmid_client *client);

/* Runs the callbacks of all calls that have ended, on this thread, without blocking; how many. */
MSF_EXPORT s32 nmid_client_process(struct nmid_client *client);

/*
 * Ends the client. Calls made with nmid_client_do that have not ended get their callbacks from here, with ECANCELED; no
 * callback runs after it has returned (but the one from inside which it was called). No other thread may be inside
 * nmid_client_call or nmid_client_process. NULL, and a client of the parent after fork, are passed over.
 */
MSF_EXPORT void nmid_client_free(struct nmid_client *client);

/*
 * A msgpack map of names and values, for NMID_MSGPACK; one thread at a time. nmid_params_data is what to call with: it
 * stays valid until the next add or free, and *len_out is its length.
 */
MSF_EXPORT struct nmid_params *nmid_params_new(void);
MSF_EXPORT s32 nmid_params_add_string(struct nmid_params *params, const s8 *key, const s8 *value);
MSF_EXPORT s32 nmid_params_add_int(struct nmid_params *params, const s8 *key, s64 value);
MSF_EXPORT s32 nmid_params_add_bytes(struct nmid_params *params, const s8 *key, const void *data, u32 len);
MSF_EXPORT const void *nmid_params_data(struct nmid_params *params, u32 *len_out);
MSF_EXPORT void nmid_params_free(struct nmid_params *params);

#ifdef __cplusplus
}
#endif

#endif /* MSF_NMID_CLIENT_H */
