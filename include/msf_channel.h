/*
 * msf_channel.h - commands, data and descriptors to another process on this machine, over a unix stream socket.
 *
 * A channel holds one message: the one to be written, or the last one read. It serves one socket and one direction; two
 * processes that talk both ways have two channels each. One thread at a time uses it.
 *
 * Descriptors that were added stay the caller's and may be closed when msf_write_channel has returned 0. Descriptors
 * that were read are the channel's until they are taken (msf_channel_take, or by writing -1 over fd_arr[i]); the next
 * read, reset or free closes those that were not.
 */
#ifndef MSF_CHANNEL_H
#define MSF_CHANNEL_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MSF_CMD_OPEN_CHANNEL 1
#define MSF_CMD_CLOSE_CHANNEL 2
#define MSF_CMD_QUIT 3
#define MSF_CMD_TERMINATE 4
#define MSF_CMD_REOPEN 5

/* What one message holds at most. More data belongs into a memfd, whose descriptor is sent. */
#define MSF_CHANNEL_MAX_FDS 253
#define MSF_CHANNEL_MAX_DATA 1048576

/* What is sent first. cmd, pid and slot are the writer's to fill in; what a reader finds there is what the writer said. */
struct msf_channel_hdr {
    u32 cmd;
    pid_t pid;
    u32 slot;
    u32 data_len; /* bytes of data (msf_channel_put, msf_channel_data) */
    u32 fd_num;   /* descriptors in fd_arr */
};

struct msf_channel {
    struct msf_channel_hdr hdr;
    u32 snd_flag; /* flags for sendmsg(2); MSG_DONTWAIT never waits. MSG_NOSIGNAL is always set */
    u32 rcv_flag; /* flags for recvmsg(2) */
    u32 cur_pos;  /* descriptors in fd_arr, as hdr.fd_num */
    u32 *fd_idx;  /* what the writer calls each of them; msf_add_channel counts from 0 */
    s32 *fd_arr;  /* the descriptors; room for as many as msf_new_channel was told */
};

/* A channel with room for fd_num descriptors (0 is allowed). NULL and errno: EINVAL more than MSF_CHANNEL_MAX_FDS. */
MSF_EXPORT struct msf_channel *msf_new_channel(u32 fd_num);

/* Adds a descriptor to the message. One for which there is no room is logged, and makes the write fail with EMSGSIZE. */
MSF_EXPORT void msf_add_channel(struct msf_channel *ch, s32 fd);

/* Sets the data of the message, which is copied. 0; -1 and errno: EINVAL NULL, EMSGSIZE more than MSF_CHANNEL_MAX_DATA. */
MSF_EXPORT s32 msf_channel_put(struct msf_channel *ch, const void *data, u32 len);

/*
 * Sends the message. 0 when all of it is with the kernel. EAGAIN (the number, errno is left alone) when a non-blocking socket
 * is full: call it again, with the same channel, when there is room; it goes on where it was. -1 and errno: EINVAL NULL, EBADF,
 * EMSGSIZE too many descriptors were added, EPIPE nobody reads; after a failure in the middle the socket is of no use.
 */
MSF_EXPORT s32 msf_write_channel(s32 fd, struct msf_channel *ch);

/*
 * Receives a message. Its length in bytes, header and all; 0 when the peer has closed. EAGAIN (the number, 11, which no message
 * is long) when not all of it is here yet: call it again, with the same channel. -1 and errno: EINVAL NULL, EBADF, EMSGSIZE
 * more descriptors than there is room or too much data, EMFILE more than this process may open, EPROTO other descriptors
 * than announced, ECONNRESET the end in the middle, EPROTOTYPE no stream socket. After a failure every descriptor that came
 * is closed, and the channel reads no more: close the socket too.
 */
MSF_EXPORT s32 msf_read_channel(s32 fd, struct msf_channel *ch);

/* The data of the message, hdr.data_len bytes, until the next put, read, reset or free. NULL and errno: EINVAL NULL. */
MSF_EXPORT const void *msf_channel_data(const struct msf_channel *ch);

/* Takes a descriptor that was read: it is the caller's now. -1 and errno: EINVAL NULL, ENOENT there is none (any more). */
MSF_EXPORT s32 msf_channel_take(struct msf_channel *ch, u32 index);

/* Empties the message: no command, data or descriptors. NULL is ignored. */
MSF_EXPORT void msf_channel_reset(struct msf_channel *ch);

/* Frees the channel, and closes what was read and not taken. NULL is allowed. */
MSF_EXPORT void msf_free_channel(struct msf_channel *ch);

#ifdef __cplusplus
}
#endif

#endif /* MSF_CHANNEL_H */
