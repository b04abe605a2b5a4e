/*
 * For answer.py: a service that answers with its pid, and one who calls it over and over and says when that changes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <client.h>

#define SERVICE 0x51
#define CALLER 0x52

static s32 nothing(s8 *data, u32 len, u32 cmd)
{
    (void)data;
    (void)len;
    (void)cmd;
    return 0;
}

static s32 tells_pid(s8 *data, u32 len, u32 cmd)
{
    s32 pid = (s32)getpid();

    (void)cmd;
    if (len >= sizeof(pid))
        memcpy(data, &pid, sizeof(pid));
    return 0;
}

static s32 come_in(u32 id, const s8 *name, srvcb called)
{
    struct client_param param;

    memset(&param, 0, sizeof(param));
    param.cid = id;
    param.name = name;
    param.host = LOCAL_HOST_V4;
    param.port = LOCAL_PORT;
    param.req_scb = called;
    param.ack_scb = nothing;
    return client_agent_init(&param);
}

static uint64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void be_ready(void)
{
    const char *fd = getenv("MSF_READY_FD");

    if (fd && write(atoi(fd), "\n", 1) != 1)
        perror("MSF_READY_FD");
}

/* One line for every answer that is another one's than the last, or the first after calls that failed. */
static void watch(void)
{
    s32 last = 0;

    for (;;) {
        s32 pid = 0;
        struct basic_pdu pdu;

        memset(&pdu, 0, sizeof(pdu));
        pdu.dstid = SERVICE;
        pdu.cmd = 0x31;
        pdu.timeout = 100;
        pdu.payload = (s8 *)&pid;
        pdu.paylen = sizeof(pid);
        pdu.restload = (s8 *)&pid;
        pdu.restlen = sizeof(pid);
        if (client_agent_service(&pdu) != RPC_EXEC_SUCC)
            pid = 0;
        if (pid && pid != last)
            printf("%" PRIu64 " %d\n", now(), (int)pid);
        fflush(stdout);
        last = pid;
        usleep(200);
    }
}

int main(int argc, char **argv)
{
    int calls = argc > 1 && strcmp(argv[1], "watch") == 0;

    if (come_in(calls ? CALLER : SERVICE, calls ? "CALLER" : "ANSWER", calls ? nothing : tells_pid) != 0) {
        perror("answer");
        return 1;
    }
    be_ready();
    if (calls)
        watch();
    for (;;)
        pause();
}
