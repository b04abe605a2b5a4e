/*
 * client.h - libipc: how a service calls others, and is called, through the agent.
 *
 * A process is one client: init logs in under an id, service makes calls, deinit logs out. When the
 * connection to the agent is lost, libipc connects and logs in again by itself, within 50 ms at first, backing
 * off to 2 s; calls made meanwhile fail at once with -1, ENOTCONN. libipc ignores SIGPIPE and touches no
 * other signal. Link with -lipc -lmsf.
 */
#ifndef MSF_CLIENT_H
#define MSF_CLIENT_H

#include <dirent.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "msf_atomic.h"
#include "msf_errno.h"
#include "msf_event.h"
#include "msf_list.h"
#include "msf_log.h"
#include "msf_mem.h"
#include "msf_mempool.h"
#include "msf_network.h"
#include "msf_thread.h"
#include "msf_utils.h"

#include "conn.h"
#include "protocol.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Who we are. Everything must be set; the strings are copied. */
struct client_param {
    u32 cid;        /* our service id, see protocol.h */
    const s8 *name; /* at most 31 bytes, e.g. "UPNP" */
    const s8 *host; /* LOCAL_HOST_V4, LOCAL_HOST_V6, "::1", or anything that starts with "127.0": the unix socket of the
                     * agent of this machine; anything else, also "localhost" and 127.1.2.3: the host of its TCP port */
    const s8 *port; /* for TCP a number from 1 to 65535 in text, e.g. "9999"; not looked at for the unix socket */
    srvcb req_scb;  /* somebody calls us */
    srvcb ack_scb;  /* an answer to a call made with MSF_NO_WAIT, or to one that neither sent nor wanted bytes */
};

/* client.state */
enum client_state {
    CLIENT_UNINIT = 0, /* not logged in: calls fail with ENOTCONN */
    CLIENT_INITED = 1
};

/* The client of this process. Programs may read it, and use evt_conn and the six handles below it for an
 * event loop of their own: libipc sets up evt_conn.fd (an eventfd nobody else reads) in init and leaves the
 * handles alone. */
struct client {
    msf_atomic_t stop_flag; /* 1 once client_agent_deinit has begun */
    msf_atomic_t state;     /* enum client_state */
    struct conn evt_conn;
    struct conn cli_conn;   /* the connection to the agent */
    pthread_t rx_tid;
    pthread_t tx_tid;
    struct msf_event_base *rx_evt_base;
    struct msf_event_base *tx_evt_base;
    struct msf_event *rx_evt;
    struct msf_event *tx_evt;
};

/* Never NULL; what it points at is zeroed before the first init. */
MSF_EXPORT extern struct client *rpc;

/* A log record under the client's own name. */
#define MSF_RPC_LOG(level, ...) msf_log_write(level, rpc->cli_conn.name, MSF_FUNC_FILE_LINE, __VA_ARGS__)

/*
 * Connects to the agent, logs in and returns once the agent has said yes. Waits for an agent that is not
 * there yet (client_agent_wait). 0; -1 with errno:
 *   EINVAL     a NULL in the parameters, a name of more than 31 bytes, an id that is the agent's, or a TCP host
 *              with a port that is no number from 1 to 65535
 *   EEXIST     another live process is logged in under this id
 *   EALREADY   this process has a client already
 *   EACCES     the agent refuses us for another reason, or closed the connection before it answered the login (a
 *              user it does not serve, no room for one more client): its log says which
 *   EPROTO     whoever listens there speaks something else
 *   ETIMEDOUT, ECONNREFUSED, ENOENT ...   no agent within the time, and why the last attempt failed
 * The log says where an agent was looked for.
 * After fork the child has no client: calls fail with ECHILD there until it calls init itself.
 */
MSF_EXPORT s32 client_agent_init(struct client_param *param);

/*
 * Logs out and ends libipc's threads; calls still waiting in other threads fail with -1, ECANCELED. Not
 * from inside a callback (-1, EDEADLK). 0; -1 ENOTCONN when there is no client. init may follow.
 */
MSF_EXPORT s32 client_agent_deinit(void);

/*
 * Makes one call. Any thread, also from inside a callback (where it goes on serving incoming requests while
 * it waits, at most 8 deep; then -1, EDEADLK).
 *   pdu->timeout MSF_NO_WAIT: 0 as soon as the request is queued; the answer goes to ack_scb.
 *   else: enum RPC_ERRCODE_ID (0 and up) when an answer came; *restload is written on RPC_EXEC_SUCC only;
 *   -2 with errno ETIMEDOUT when none came in time (a late one is dropped);
 *   -1 with errno: EINVAL NULL, or a length without its pointer; EMSGSIZE payload or restlen above the agent's
 *   limit (1 MiB unless configured); ENOTCONN not logged in; ECONNRESET the connection was lost while waiting (the
 *   request may have been carried out); EAGAIN (MSF_NO_WAIT only) too much waits to be sent already; ECANCELED
 *   client_agent_deinit was called meanwhile; ECHILD after fork; ENOMEM.
 * While 1024 requests, or 8 MiB of them, wait for their callbacks nothing more is read, and answers for other
 * threads wait, too.
 */
MSF_EXPORT s32 client_agent_service(struct basic_pdu *pdu);

/*
 * How long client_agent_init waits for the agent, in milliseconds; 0 makes one attempt. Default 5000, or
 * MSF_AGENT_WAIT_MS in the environment. For the next init; 0.
 */
MSF_EXPORT s32 client_agent_wait(u32 ms);

/*
 * Upgrade of a service: its connection, with the id that is logged in, passes to another process of the same user,
 * and neither the agent nor anybody who calls notices. channel is one end of a unix stream socket, which stays the
 * caller's; the successor calls client_agent_take_over on the other end, instead of client_agent_init, with the same
 * id. ms is how long all of it may take.
 *
 * client_agent_hand_over waits for the answers to calls under way, answers the requests that were read, and passes the
 * connection; requests that come meanwhile wait for the successor. Calls made meanwhile fail with ECANCELED, but for
 * those of callbacks. 0: this process has no client any more (no client_agent_deinit). -1 with errno, and it goes on
 * as before: ETIMEDOUT, ENOTCONN not logged in, ECONNRESET the other end was closed, EPROTO what came from there is
 * not the answer of a successor, EALREADY an init, deinit or hand-over is under way, EDEADLK called by a callback,
 * ECHILD after fork, or what the kernel says of the channel.
 *
 * client_agent_take_over: 0 logged in; -1 with errno: EINVAL as for client_agent_init, or the connection is another
 * id's; EALREADY, ETIMEDOUT, ECONNRESET, EPROTO as above; ENOMEM.
 */
MSF_EXPORT s32 client_agent_hand_over(s32 channel, u32 ms);
MSF_EXPORT s32 client_agent_take_over(struct client_param *param, s32 channel, u32 ms);

/*
 * Events: what somebody publishes under a name goes to all who have subscribed to it, in this process or another, in the
 * order in which he has published. A name is 1 to 64 visible characters of ASCII. The agent itself publishes
 * "component_online" when a service can be called and "component_offline" when it no longer can, msf_daemon the same of
 * processes; doc/events.md says what their data are.
 */
struct client_event {
    u32 size;       /* of this struct, as libipc knows it: later versions append */
    u32 from;       /* the service that has published it; RPC_MSG_SRV_ID is the agent */
    u32 lost;       /* more than 0: so many events were lost here, of whatever names, and name and data are NULL */
    u32 len;        /* bytes of data */
    const s8 *name;
    const s8 *data; /* with a NUL behind it that is not counted */
};

/* Nobody knows how many: the connection to the agent was lost and has been made anew. */
#define CLIENT_EVENTS_UNKNOWN 0xffffffff

/* Runs on libipc's callback thread, like the callbacks of client_param, and may do what those may. The event and what it
 * points at are libipc's, and gone when it returns. */
typedef void (*client_event_cb)(const struct client_event *event, void *arg);

/*
 * client_agent_subscribe: from here on callback(event, arg) is called for each event of this name; "*" stands for every
 * name. Any thread, also inside a callback. Who subscribes to component_online, or to it once more, is told first of the
 * services that are logged in already ("reason":"present"), and then of whatever happens behind that: nothing is missed
 * between the two. Several callbacks may want the same name; the same one with the same arg is there once. After a
 * reconnect libipc subscribes again by itself: callbacks get an event with lost = CLIENT_EVENTS_UNKNOWN, and then what a
 * new subscriber would.
 * A client that does not keep up loses events and is told how many; nobody waits for it.
 * 0: the agent has said yes; -1 with errno, and nothing is subscribed: EINVAL a NULL or no name; ENOSPC 64 names are
 * subscribed already, or the agent's memory is full; EOPNOTSUPP an agent that knows no events; ETIMEDOUT it does not answer
 * within 5 s; ENOTCONN, ECONNRESET, ECANCELED, EDEADLK, ECHILD as for client_agent_service.
 *
 * client_agent_unsubscribe: takes it back. No call of it is under way when this returns, but for the one it is called
 * from: what arg points at may be freed, a library with the callback unloaded. 0; -1 with errno: EINVAL; ENOENT there is no
 * such subscription; ENOTCONN no client; ECHILD. client_agent_deinit ends all of them.
 *
 * client_agent_publish: sends an event with len bytes of data, which are copied. 0 as soon as it is queued; -1 with
 * errno: EINVAL a NULL, or no name ("*" is none); EMSGSIZE, EAGAIN, ENOTCONN, ECANCELED, ECHILD as for a
 * client_agent_service with MSF_NO_WAIT.
 */
MSF_EXPORT s32 client_agent_subscribe(const s8 *name, client_event_cb callback, void *arg);
MSF_EXPORT s32 client_agent_unsubscribe(const s8 *name, client_event_cb callback, void *arg);
MSF_EXPORT s32 client_agent_publish(const s8 *name, const void *data, u32 len);

#ifdef __cplusplus
}
#endif

#endif /* MSF_CLIENT_H */
