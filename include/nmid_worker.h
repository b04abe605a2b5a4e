/*
 * nmid_worker.h - libipc: offering functions to nmid clients, through msf_agent or any nmid broker.
 *
 *   struct nmid_worker *worker = nmid_worker_new("shouter");
 *   nmid_worker_add_server(worker, NULL, 0);
 *   nmid_worker_add_function(worker, "ToUpper", to_upper, NULL);
 *   nmid_worker_run(worker);
 *
 * A worker keeps itself connected: it registers its name and its functions with every broker it was told of, sends the
 * heartbeats, and connects again (within 10 ms at first, backing off to 2 s) when a connection is lost. What happens is in
 * the log, under the worker's name. Conventions and common errors are those of nmid_client.h. Any thread may call any function
 * with a worker, nmid_worker_free excepted.
 */
#ifndef MSF_NMID_WORKER_H
#define MSF_NMID_WORKER_H

#include "msf.h"
#include "nmid_client.h"

#ifdef __cplusplus
extern "C" {
#endif

struct nmid_worker;
struct nmid_job;

/*
 * Runs a job: reads it with nmid_job_*, answers with nmid_job_reply, returns 0. One that returns another number without
 * having replied with a code that is not 0 is answered with that number as its code; one that returns 0 without having replied,
 * with code 500. The job ends when the function returns. All signals are blocked on the threads of a worker.
 */
typedef s32 (*nmid_function)(struct nmid_job *job, void *arg);

/* A worker under a name of its own, which operators see. End it with nmid_worker_free. */
MSF_EXPORT struct nmid_worker *nmid_worker_new(const s8 *name);

/* Adds a broker, as nmid_client_new has it. A worker may serve several. EALREADY once the worker was started. */
MSF_EXPORT s32 nmid_worker_add_server(struct nmid_worker *worker, const s8 *host, u16 port);

/* Adds a function; one of the same name is replaced. EALREADY once the worker was started. */
MSF_EXPORT s32 nmid_worker_add_function(struct nmid_worker *worker, const s8 *name, nmid_function run, void *arg);

/*
 * How many functions may run at the same time, 1 to 1024; default 1, so that a function that was written for one thread
 * stays right. (msf_agent sends a worker one job at a time unless it is configured to send more.) EALREADY once the worker
 * was started.
 */
MSF_EXPORT s32 nmid_worker_concurrency(struct nmid_worker *worker, u32 threads);

/* Serves on threads of the worker's own. EALREADY it was started; EDESTADDRREQ it has no server; EAGAIN no thread. */
MSF_EXPORT s32 nmid_worker_start(struct nmid_worker *worker);

/* The same, and waits until another thread calls nmid_worker_close. */
MSF_EXPORT s32 nmid_worker_run(struct nmid_worker *worker);

/*
 * The same for a program with a loop of its own, in which its functions are to run: a descriptor that is readable while
 * jobs wait for nmid_worker_process. It is the worker's: do not read or close it. Called again it is the same one.
 */
MSF_EXPORT s32 nmid_worker_fd(struct nmid_worker *worker);

/* Runs the functions of all jobs that wait, on this thread; how many. EBADF: the worker was not started by
 * nmid_worker_fd; EDEADLK: from inside one of its functions. */
MSF_EXPORT s32 nmid_worker_process(struct nmid_worker *worker);

/* Waits, at most so many milliseconds, until every broker knows every function; how many brokers do. ENOTCONN: the worker
 * is not started, or closed. */
MSF_EXPORT s32 nmid_worker_ready(struct nmid_worker *worker, u32 ms);

/*
 * Leaves without losing a job: takes the functions back, lets jobs that have come be finished (those for nmid_worker_process in
 * here), closes the connections. ETIMEDOUT: a function still ran after so many milliseconds; its answer is lost, and it may
 * still use its arg. ENOTCONN: not started, or closed already. EDEADLK: from inside a function of this worker.
 */
MSF_EXPORT s32 nmid_worker_close(struct nmid_worker *worker, u32 ms);

/* Ends the worker, at once if it was not closed. Not from inside its functions, and not before nmid_worker_run has returned.
 * NULL, and a worker of the parent after fork, are passed over. */
MSF_EXPORT void nmid_worker_free(struct nmid_worker *worker);

/* The name under which the function was called, for one function behind several names. */
MSF_EXPORT const s8 *nmid_job_function(struct nmid_job *job);

/* The params as the caller wrote them; *len_out is their length. Never NULL but for a NULL. */
MSF_EXPORT const void *nmid_job_params(struct nmid_job *job, u32 *len_out);

/* NMID_MSGPACK or NMID_JSON; a careless client may have sent another number. */
MSF_EXPORT s32 nmid_job_params_type(struct nmid_job *job);

/*
 * The value under key when the params are a map of texts and numbers, in msgpack or JSON alike; numbers and truth values
 * as text. It lives as long as the job. ENOENT: there is none, or it is a map or a list; EILSEQ: it has a NUL inside.
 */
MSF_EXPORT const s8 *nmid_job_string(struct nmid_job *job, const s8 *key);

/* The answer: code 0 is success; msg (NULL: empty) is for people; data are the result. Copied. EALREADY: there is one. */
MSF_EXPORT s32 nmid_job_reply(struct nmid_job *job, s64 code, const s8 *msg, const void *data, u32 len);

#ifdef __cplusplus
}
#endif

#endif /* MSF_NMID_WORKER_H */
