/*
 * msf_shmem.h - shared memory: segments, and a ring of messages in one. doc/shared-memory.md has examples and every byte.
 *
 * A segment is memory of a fixed size that several processes map. A ring lies in a segment and carries messages from one
 * producer to one consumer, in order, each delivered once. Blocks beside the ring change hands with a message, so large
 * payloads are not copied. A request and its answer are two rings. The layout is the same for 32- and 64-bit processes.
 *
 * Waits (`timeout`) are milliseconds: MSF_NO_WAIT (0) tries, MSF_WAIT_FOREVER (-1) waits until it can be done or the other
 * side is gone. A call that waits for a side that dies (of whatever) returns with EOWNERDEAD: after a few milliseconds
 * where the kernel tells of it, else (eventfds, emulators) about 100 ms later at most; of one that was closed, with EPIPE
 * at once (also with MSF_NO_WAIT, which never tells of a death). Both are told once per going and after everything that
 * was sent was received; the next call waits for a successor, who goes on where the last one stopped.
 *
 * Threads: a segment may be used by any; a side of a ring by one thread at a time. A child made by fork must not use
 * its parent's sides. Every function may fail with EALREADY (a second copy of libmsf).
 */
#ifndef MSF_SHMEM_H
#define MSF_SHMEM_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Shared memory as 2019 described it: set addr to NULL, size, and name to NULL or a name.
 * Without a name it is memory that children made by fork share. With one it is the segment of that name: made with
 * mode 0600 if it does not exist (exists becomes 0), else opened (exists becomes 1; it has to have at least that size).
 */
typedef struct ngx_shm_s {
    u8 *addr;       /* out: where it is, page-aligned, zeroed when new */
    size_t size;    /* in: bytes */
    s8 *name;       /* in: NULL or a name as for msf_shm_create; not kept */
    u32 exists;     /* out */
} ngx_shm_t;

/* 0, or -1 and errno: EINVAL (NULL, size 0, a name that is none, an existing one that is smaller), EPERM (an existing one
 * that is somebody else's, or that others may open), ENOMEM. */
MSF_EXPORT s32 ngx_shm_alloc(ngx_shm_t *shm);

/* Unmaps it and sets addr to NULL; a name stays until msf_shm_unlink. NULL, and memory that was freed, are ignored. */
MSF_EXPORT void ngx_shm_free(ngx_shm_t *shm);

#define msf_shm_t ngx_shm_t
#define msf_shm_alloc(shm) ngx_shm_alloc(shm)
#define msf_shm_free(shm) ngx_shm_free(shm)

/* ---- segments ---- */

struct msf_shm;

/*
 * A new segment of zeros without a name, whose size nobody can change (a memfd with F_SEAL_SHRINK, _GROW and _SEAL): pass
 * msf_shm_fd on. label is what /proc/PID/maps shows. Memory is taken when a page is first touched.
 * NULL and errno: EINVAL (NULL, 250 bytes of label or more, size 0), ENOMEM or EFBIG (too large), EMFILE.
 */
MSF_EXPORT struct msf_shm *msf_shm_new(const s8 *label, size_t size);

/*
 * A new segment of zeros with a name: one word of up to 200 bytes that does not begin with a dot; a leading slash is
 * allowed. It appears complete or not at all, its memory is reserved at once, mode (0600 to 0777) is what it says
 * whatever the umask, and it stays until it is unlinked.
 * NULL and errno: EINVAL, EEXIST, ENOSPC (not so much memory), EFBIG, EMFILE.
 */
MSF_EXPORT struct msf_shm *msf_shm_create(const s8 *name, size_t size, u32 mode);

/*
 * The segment with that name. It must belong to us or root and have no permission that is not in mode: 0600, unless
 * whoever else may write to it is trusted (he could cut the file, and we would die of SIGBUS). Links are not followed.
 * NULL and errno: EINVAL, ENOENT, ELOOP (a symbolic link), EISDIR (a folder), ENXIO (a socket), EPERM (owner, mode, or another kind
 * of file), EACCES, EMFILE.
 */
MSF_EXPORT struct msf_shm *msf_shm_open(const s8 *name, u32 mode);

/*
 * The segment behind a descriptor that somebody passed on (SCM_RIGHTS: msf_channel.h). The descriptor stays the caller's.
 * Accepted are memfds sealed against shrinking and growing, and regular files of ours or root's that nobody else may
 * write to. NULL and errno: EBADF, EPERM (any other), EINVAL (no bytes), EACCES (not for reading and writing), EMFILE.
 */
MSF_EXPORT struct msf_shm *msf_shm_attach(s32 fd);

/* Removes a name; who has the segment keeps it. 0, or -1 and errno: EINVAL, ENOENT, EACCES. */
MSF_EXPORT s32 msf_shm_unlink(const s8 *name);

/* Its memory, page-aligned, until msf_shm_close. NULL and EINVAL for NULL. */
MSF_EXPORT void *msf_shm_addr(const struct msf_shm *shm);

/* Its size in bytes; 0 and EINVAL for NULL. */
MSF_EXPORT size_t msf_shm_size(const struct msf_shm *shm);

/* Its descriptor, to be passed on; it is closed with the segment. -1 and EINVAL for NULL. */
MSF_EXPORT s32 msf_shm_fd(const struct msf_shm *shm);

/* Unmaps and frees it. Sides of a ring in it have mappings of their own and go on. NULL is ignored. */
MSF_EXPORT void msf_shm_close(struct msf_shm *shm);

/* ---- rings ---- */

/* Wake-up by eventfds, so that a ring can be an event source; else by a futex in the segment. */
#define MSF_SHMRING_EVENTFD 0x01

struct msf_shmring_config {
    u32 size;           /* sizeof(struct msf_shmring_config) */
    u32 flags;          /* MSF_SHMRING_EVENTFD or 0 */
    u32 capacity;       /* bytes for messages: rounded up to a power of two from 4 KiB to 1 GiB */
    u32 blocks;         /* blocks for large payloads: 0 to 65536 */
    u32 block_size;     /* bytes of each, rounded up to a multiple of 64; at most 1 GiB; 0 exactly when blocks is 0 */
};

struct msf_shmring;

/* The bytes a segment needs for such a ring; 0 and EINVAL for what no ring can be. */
MSF_EXPORT size_t msf_shmring_size(const struct msf_shmring_config *config);

/* Lays out an empty ring at the beginning of a segment. 0, or -1 and errno: EINVAL (NULL, what no ring can be, a segment
 * that is too small), EEXIST (it has one already). */
MSF_EXPORT s32 msf_shmring_format(struct msf_shm *shm, const struct msf_shmring_config *config);

/*
 * Takes the sending (receiving) side of the ring in a segment and goes on where a predecessor stopped. In a ring with
 * eventfds both sides are given the same two, made with EFD_NONBLOCK: data_fd tells the consumer of messages, space_fd
 * the producer of room; the caller keeps his descriptors. In any other both are -1.
 * NULL and errno: EINVAL (NULL, descriptors that do not fit the ring or that block), EBUSY (somebody has this side),
 * EPROTO (no ring in it, or a broken one), EBADF, EMFILE, ENOENT (/proc is not mounted).
 */
MSF_EXPORT struct msf_shmring *msf_shmring_producer(struct msf_shm *shm, s32 data_fd, s32 space_fd);
MSF_EXPORT struct msf_shmring *msf_shmring_consumer(struct msf_shm *shm, s32 data_fd, s32 space_fd);

/* Closes the side: the other one is told. NULL is ignored. */
MSF_EXPORT void msf_shmring_close(struct msf_shmring *ring);

/*
 * Sends a copy of len bytes. When it returns 0 the message will be received, even if we die at once.
 * -1 and errno: EAGAIN (no room, timeout 0), ETIMEDOUT, EMSGSIZE (longer than half the capacity less 16), EPIPE,
 * EOWNERDEAD, EPROTO (the other side broke the ring), EINVAL (NULL; not a producer).
 */
MSF_EXPORT s32 msf_shmring_send(struct msf_shmring *ring, const void *data, u32 len, s32 timeout);

/*
 * Copies the next message into buf (out of its block, if it came in one); how long it was, which may be 0.
 * -1 and errno: EAGAIN, ETIMEDOUT, EMSGSIZE (longer than len: it stays the next one), EPIPE, EOWNERDEAD, EPROTO,
 * EINVAL (NULL; not a consumer).
 */
MSF_EXPORT s32 msf_shmring_recv(struct msf_shmring *ring, void *buf, u32 len, s32 timeout);

/*
 * Room for a message of up to len bytes, to be written in place (aligned to 16), until it is committed or something else
 * is sent or reserved. NULL and errno as msf_shmring_send.
 */
MSF_EXPORT void *msf_shmring_reserve(struct msf_shmring *ring, u32 len, s32 timeout);

/* Sends len bytes of what was reserved. -1 and errno: EINVAL (NULL, nothing reserved), EMSGSIZE (more than that). */
MSF_EXPORT s32 msf_shmring_commit(struct msf_shmring *ring, u32 len);

/*
 * The next message in place (aligned to 16; in a block to 64) and its length, until it is released or taken. Looking
 * again shows the same one. A producer that is not trusted could change it meanwhile: copy what is to be judged.
 * NULL and errno as msf_shmring_recv; len_out may be NULL.
 */
MSF_EXPORT const void *msf_shmring_peek(struct msf_shmring *ring, s32 timeout, u32 *len_out);

/* The message that was looked at is received: its room and its block go back. -1 and EINVAL: NULL, or none was. */
MSF_EXPORT s32 msf_shmring_release(struct msf_shmring *ring);

/* ---- blocks: payloads that are not copied ---- */

/*
 * A free block of the ring (block_size bytes, aligned to 64), to be filled by the producer and sent or freed.
 * NULL and errno: EAGAIN, ETIMEDOUT (none came back), EPIPE, EOWNERDEAD, EINVAL (NULL; a ring without blocks).
 */
MSF_EXPORT void *msf_shmring_block(struct msf_shmring *ring, s32 timeout);

/*
 * Sends len bytes of a block without copying them. Then it is the consumer's; when this fails it still is ours.
 * -1 and errno as msf_shmring_send (EMSGSIZE: longer than the block), EINVAL also for a block that is not held.
 */
MSF_EXPORT s32 msf_shmring_send_block(struct msf_shmring *ring, void *block, u32 len, s32 timeout);

/* As msf_shmring_release, but the block of the message that was looked at is kept until it is freed. -1 and errno:
 * EINVAL (NULL, none was looked at), ENOMSG (it is not in a block; it stays the next one). */
MSF_EXPORT s32 msf_shmring_take(struct msf_shmring *ring);

/* The producer's: gives up a block that was not sent. The consumer's: gives a kept one back. -1 and EINVAL: not held. */
MSF_EXPORT s32 msf_shmring_free_block(struct msf_shmring *ring, void *block);

/* ---- what is known ---- */

#define MSF_SHMRING_NEVER 0     /* nobody has taken the other side yet */
#define MSF_SHMRING_HERE 1      /* somebody has it */
#define MSF_SHMRING_LEFT 2      /* it was closed */
#define MSF_SHMRING_DIED 3      /* whoever had it died */

/* One of the above about the other side; asks the kernel. -1 and EINVAL for NULL. */
MSF_EXPORT s32 msf_shmring_peer(struct msf_shmring *ring);

/*
 * How many messages were ever sent (a producer's), or the number behind the last one looked at (a consumer's; 0 before the
 * first, whose number is 0): messages are numbered for the ring's whole life, through all successors. 0 and EINVAL for NULL.
 */
MSF_EXPORT u64 msf_shmring_sequence(struct msf_shmring *ring);

/*
 * The descriptor to watch for reading in a ring with eventfds; the side keeps it. It is readable at first, and when
 * something comes, or the other side is closed, after a call with timeout 0 has failed with EAGAIN: so the callback tries
 * until EAGAIN, and learns of the closing by EPIPE. A side that dies does not ring; ask msf_shmring_peer from a timer.
 * -1 and EINVAL: NULL, or a ring without.
 */
MSF_EXPORT s32 msf_shmring_fd(struct msf_shmring *ring);

#ifdef __cplusplus
}
#endif

#endif /* MSF_SHMEM_H */
