/*
 * ipc_agent.h - enough of an agent to misbehave with: frames in, frames out, one client at a time.
 */
#ifndef IPC_AGENT_H
#define IPC_AGENT_H

#include <sys/un.h>

#include "ipc_peer.h"

static inline void receive(int fd, void *data, size_t len)
{
    char *at = (char *)data;

    while (len > 0) {
        ssize_t count = read(fd, at, len);

        if (count <= 0)
            _exit(4);
        at += count;
        len -= (size_t)count;
    }
}

static inline void transmit(int fd, const void *data, size_t len, size_t piece)
{
    const char *at = (const char *)data;

    while (len > 0) {
        ssize_t count = write(fd, at, len < piece ? len : piece);

        if (count <= 0)
            _exit(5);
        at += count;
        len -= (size_t)count;
    }
}

static inline struct basic_head acknowledged(const struct basic_head *request)
{
    struct basic_head ack = *request;

    ack.srcid = request->dstid;
    ack.dstid = request->srcid;
    ack.opcode = RPC_ACK;
    ack.datalen = 0;
    ack.restlen = 0;
    return ack;
}

static inline int listening(const char *path)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    memset(&address, 0, sizeof(address));
    address.sun_family = AF_UNIX;
    strcpy(address.sun_path, path);
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 8) != 0)
        return -1;
    return fd;
}

/* Reads the login and says yes. */
static inline void welcome(int fd)
{
    struct basic_head head;
    struct login_pdu login;

    receive(fd, &head, sizeof(head));
    receive(fd, &login, sizeof(login));
    head = acknowledged(&head);
    transmit(fd, &head, sizeof(head), sizeof(head));
}

#endif /* IPC_AGENT_H */
