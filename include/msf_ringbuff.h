/*
 * msf_ringbuff.h - a ring of bytes: first in, first out, of a fixed size.
 *
 * One thread at a time uses a ring; two need a lock of theirs (between processes there is msf_shmem.h).
 */
#ifndef MSF_RINGBUFF_H
#define MSF_RINGBUFF_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

/* To be looked at only: the functions below write it. */
struct ringbuffer {
    void *buffer;      /* length bytes */
    s32 length;        /* one more than fit: full and empty look different */
    size_t start, end; /* where the first unread byte is, and where the next one written will be */
};

/* A ring for size bytes. NULL and errno: EINVAL (size is less than 1 or INT_MAX) or ENOMEM. rb_destroy frees it. */
MSF_EXPORT struct ringbuffer *rb_create(s32 size);

/* Frees the ring and what is in it. NULL is allowed. */
MSF_EXPORT void rb_destroy(struct ringbuffer *rb);

/* Writes all len bytes, and returns len; or nothing: -1 with errno ENOSPC (less room) or EINVAL (NULL). */
MSF_EXPORT ssize_t rb_write(struct ringbuffer *rb, const void *buf, size_t len);

/* Reads at most len bytes, and returns how many there were: 0 when the ring is empty. -1 with errno EINVAL (NULL). */
MSF_EXPORT ssize_t rb_read(struct ringbuffer *rb, void *buf, size_t len);

/*
 * A copy of all unread bytes, which stay in the ring; free() gives it back. Their number is in *len_out. NULL with errno
 * ENODATA (the ring is empty; *len_out is 0), EINVAL (NULL) or ENOMEM.
 */
MSF_EXPORT void *rb_dump(struct ringbuffer *rb, size_t *len_out);

/* Forgets all unread bytes. NULL is allowed. */
MSF_EXPORT void rb_cleanup(struct ringbuffer *rb);

#ifdef __cplusplus
}
#endif

#endif /* MSF_RINGBUFF_H */
