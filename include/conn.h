/*
 * conn.h - the outside of a connection of libipc.
 */
#ifndef MSF_CONN_H
#define MSF_CONN_H

#include "msf_list.h"
#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MAX_CONN_NAME 32
#define MAX_CONN_IOV_SLOT 8
#define MAX_CONN_CMD_NUM 64

/*
 * A request or an answer came in. As req_scb: with a payload, data holds its len bytes; without one, data
 * is a zeroed buffer of the len bytes the caller wants, to be filled in. 0 or more sends the answer; below 0
 * tells a caller who waits RPC_EXEC_FAIL, and others nothing. As ack_scb: data (may be NULL) and len are the
 * answer's payload. data is the library's and is gone when the callback returns. Callbacks run one at a time
 * on a thread of libipc and may call client_agent_service.
 */
typedef s32 (*srvcb)(s8 *data, u32 len, u32 cmd);

/* Read-only for programs. */
struct conn {
    s32 fd; /* -1 while there is none; 0, like everything here, before the first init */
    u32 cid;
    u32 state;
    s8 name[MAX_CONN_NAME]; /* terminated */
};

#ifdef __cplusplus
}
#endif

#endif /* MSF_CONN_H */
