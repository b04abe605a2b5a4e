/*
 * ipc_peer.h - what the programs about libipc share: services in processes of their own, and short calls.
 */
#ifndef IPC_PEER_H
#define IPC_PEER_H

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <client.h>

#include "check.h"

#define ID_A 0x41
#define ID_B 0x42

/* Logs in to the local agent. */
static inline s32 log_in(u32 id, const s8 *name, srvcb on_request, srvcb on_answer)
{
    struct client_param param;

    memset(&param, 0, sizeof(param));
    param.cid = id;
    param.name = name;
    param.host = LOCAL_HOST_V4;
    param.port = LOCAL_PORT;
    param.req_scb = on_request;
    param.ack_scb = on_answer;
    return client_agent_init(&param);
}

static inline s32 call(u32 to, u32 cmd, void *payload, u32 paylen, void *answer, u32 restlen, u32 timeout)
{
    struct basic_pdu pdu;

    memset(&pdu, 0, sizeof(pdu));
    pdu.dstid = to;
    pdu.cmd = cmd;
    pdu.timeout = timeout;
    pdu.payload = (s8 *)payload;
    pdu.paylen = paylen;
    pdu.restload = (s8 *)answer;
    pdu.restlen = restlen;
    return client_agent_service(&pdu);
}

/* For who is not called, or expects no answers. */
static inline s32 nothing(s8 *data, u32 len, u32 cmd)
{
    (void)data;
    (void)len;
    (void)cmd;
    return 0;
}

/* Answers with every bit turned. */
static inline s32 invert(s8 *data, u32 len, u32 cmd)
{
    u32 i;

    (void)cmd;
    for (i = 0; i < len; i++)
        data[i] = (s8)~data[i];
    return 0;
}

/* Starts a process that runs body(arg), which calls ready() once; returns when it has. To be called before this
 * process has a client of its own. */
static int ready_pipe[2] = { -1, -1 };

static inline void ready(int verdict)
{
    char byte = (char)verdict;

    if (write(ready_pipe[1], &byte, 1) != 1)
        _exit(3);
    close(ready_pipe[1]);
}

static inline pid_t peer(void (*body)(void *), void *arg)
{
    char verdict = 1;
    pid_t pid;

    if (pipe(ready_pipe) != 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ready_pipe[0]);
        body(arg);
        _exit(check_verdict());
    }
    close(ready_pipe[1]);
    if (read(ready_pipe[0], &verdict, 1) != 1 || verdict != 0)
        fprintf(stderr, "the process of the peer did not get ready\n");
    CHECK_EQ(verdict, 0);
    close(ready_pipe[0]);
    return pid;
}

static inline void end_peer(pid_t pid)
{
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
}

/* A peer that is logged in under an id and serves until it is killed. */
struct service {
    u32 id;
    srvcb on_request;
};

static inline void serve(void *arg)
{
    struct service *service = (struct service *)arg;

    ready(log_in(service->id, "PEER", service->on_request, nothing) != 0);
    for (;;)
        pause();
}

#endif /* IPC_PEER_H */
