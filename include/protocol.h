/*
 * protocol.h - what goes over the wire between services and the agent, and the request of libipc.
 *
 * A frame is struct basic_head (56 bytes, little-endian) and then datalen bytes of payload.
 */
#ifndef MSF_PROTOCOL_H
#define MSF_PROTOCOL_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RPC_VERSION 0x0100
#define RPC_VERINFO "libipc-1.0"
#define RPC_MAGIC 0x12345678

/* basic_head.opcode */
#define RPC_REQ 0x1
#define RPC_ACK 0x2
#define RPC_CANCEL 0x3
#define RPC_KALIVE 0x4 /* answered by an RPC_ACK with cmd 0 and the same seq */

/* Service ids. 0x01 to 0x10 are reserved; any other number may be used by a service of yours. */
#define RPC_DAEMON_ID 0x10 /* msf_daemon, where it publishes events */
#define RPC_DLNA_ID 0x11
#define RPC_UPNP_ID 0x12
#define RPC_HTTP_ID 0x13
#define RPC_DDNS_ID 0x14
#define RPC_SMTP_ID 0x15
#define RPC_STUN_ID 0x16
#define RPC_MOBILE_ID 0x17
#define RPC_STORAGE_ID 0x18
#define RPC_DATABASE_ID 0x19

/* The agent itself. */
#define RPC_MSG_SRV_ID 0xfffffff1
#define RPC_LOGIN_SRV_ID 0xfffffff2
#define RPC_IMAGE_SRV_ID 0xfffffff3
#define RPC_FUNCTION_SRV_ID 0xfffffff4 /* functions by name, see RPC_CALL_FUNCTION */
#define RPC_EVENT_SRV_ID 0xfffffff5    /* events, see RPC_PUBLISH */

/* Seconds. */
#define RPC_KEEP_ALIVE_SECS 60
#define RPC_KEEP_ALIVE_TIMEOUT_SECS (7 * 60 + 1)

/* basic_head.errcode, and what client_agent_service returns when an answer came. */
enum RPC_ERRCODE_ID {
    RPC_EXEC_SUCC = 0,
    RPC_LOGIN_FAIL = 1,   /* the id is taken, or the frame's srcid is not the sender's */
    RPC_PEER_OFFLINE = 2, /* nobody is logged in under dstid */
    RPC_PEER_BUSY = 3,    /* the service reads too slowly, or the agent is at its memory limit: try later */
    RPC_EXEC_FAIL = 4,    /* the service's callback returned less than 0, the function a code that is not 0 */
    RPC_DEADLINE = 5      /* nobody answered within the function's deadline */
};

/* basic_head.cmd: the first ten are for the agent or from it, the others are the services' own. */
enum RPC_COMMAND_ID {
    RPC_LOGIN = 0x01,
    RPC_LOGOUT = 0x02,
    RPC_TRANSMIT = 0x03,
    RPC_DEBUG_ON = 0x04,
    RPC_DEBUG_OFF = 0x05,
    RPC_CALL_FUNCTION = 0x06,
    RPC_SUBSCRIBE = 0x07,
    RPC_UNSUBSCRIBE = 0x08,
    RPC_PUBLISH = 0x09,
    RPC_EVENT = 0x0a,

    MOBILE_SET_PARAM = 0x10,
    MOBILE_GET_PARAM = 0x11,

    SMTP_SET_PARAM = 0x21,
    SMTP_GET_PARAM = 0x22,
    DDNS_SET_PARAM = 0x23,
    DDNS_GET_PARAM = 0x24,
    UPNP_SET_PARAM = 0x25,
    UPNP_GET_PARAM = 0x26,
    DLNA_SET_PARAM = 0x27,
    DLNA_GET_PARAM = 0x28,
    STUN_SET_PARAM = 0x29,
    STUN_GET_PARAM = 0x2a
};

/*
 * RPC_CALL_FUNCTION to RPC_FUNCTION_SRV_ID calls a function of an nmid worker, or a command of a service by its name.
 * The payload, little-endian: u32 flags, u32 type of the params (5 msgpack, 6 JSON), u32 length of the name, the name
 * without NUL, and the params up to the end. timeout is how long the caller waits. The answer:
 *   RPC_EXEC_SUCC     the function returned code 0; the payload is its data
 *   RPC_EXEC_FAIL     it returned another code and the payload is its message; or the code is 0 and there is no
 *                     payload: a malformed call, or params its worker cannot be given
 *   RPC_PEER_OFFLINE  nobody offers the function, or who was doing it died
 *   RPC_PEER_BUSY     too many wait for the function
 *   RPC_DEADLINE      nobody answered in time
 * The first four bytes of the answer's `reserved` hold the code (s32). With flag 1 the answer is RPC_EXEC_SUCC and the
 * payload all that the worker returned, whatever its code.
 */
#define RPC_CALL_RAW 0x1

/*
 * Events, by RPC_EVENT_SRV_ID. RPC_SUBSCRIBE and RPC_UNSUBSCRIBE have a name for payload: 1 to 64 visible characters of
 * ASCII, or "*" alone for all events. The payload of RPC_PUBLISH, little-endian: u32 length of the name, the name without
 * NUL, and the data up to the end. All three are answered when timeout is not 0, and when they are refused:
 *   RPC_EXEC_SUCC     done; a publication is on its way to all who want it
 *   RPC_EXEC_FAIL     that is no name, or no publication
 *   RPC_LOGIN_FAIL    a name that begins with component_, from who is neither root nor the agent's user
 *   RPC_PEER_BUSY     one client may want 64 names; or the agent's memory is full
 *   RPC_PEER_OFFLINE  an agent that knows no events
 * Whoever has subscribed gets each event as a request RPC_EVENT from RPC_EVENT_SRV_ID with timeout 0, which nobody
 * answers. Its payload is that of the publication; the first four bytes of `reserved` say how many events this client has
 * lost before it because it did not read, the last four which service has published it. Without payload it only says what
 * was lost. Whoever subscribes to component_online, or again, is told first which services are logged in.
 */

/* How a payload is written; the agent passes payloads on without looking. */
enum pack_type {
    packet_binary = 0,
    packet_json = 1
};

/* The header of every frame. */
struct basic_head {
    u32 version;  /* RPC_VERSION */
    u32 magic;    /* RPC_MAGIC */
    u32 srcid;    /* who sends */
    u32 dstid;    /* who shall get it */
    u32 opcode;   /* RPC_REQ ... */
    u32 cmd;
    u32 seq;      /* the requester's choice, echoed in the answer */
    u32 errcode;  /* enum RPC_ERRCODE_ID, in answers */
    u32 datalen;  /* bytes of payload behind this header */
    u32 restlen;  /* bytes of answer the requester wants; 0 in answers */
    u32 checksum; /* 0 */
    u32 timeout;  /* milliseconds; 0 nobody waits, 0xffffffff no limit; echoed in the answer */
    s8 reserved[8];
} MSF_PACKED_MEMORY;

/*
 * The payload of RPC_LOGIN. Who goes on with another process's connection sends it once more, and behind it its pid (u32)
 * and the inode of its /proc/self/ns/pid (u64).
 */
struct login_pdu {
    s8 name[32]; /* padded with NULs */
    s8 hash[32];
    u32 chap;
} MSF_PACKED_MEMORY;

/*
 * One call, for client_agent_service. Zero it first, then set dstid, cmd and what the call needs.
 * It never goes over the wire; it is packed because it was in 2019.
 */
struct basic_pdu {
    u32 dstid;     /* the service to call */
    u32 cmd;
    u32 timeout;   /* milliseconds, MSF_NO_WAIT or MSF_WAIT_FOREVER */
    s8 *payload;   /* sent with the request, paylen bytes; copied before the call returns */
    u32 paylen;
    s8 *restload;  /* gets the answer, restlen bytes: what it is shorter by is zeroed; NULL drops it */
    u32 restlen;
} MSF_PACKED_MEMORY;

#ifdef __cplusplus
}
#endif

#endif /* MSF_PROTOCOL_H */
