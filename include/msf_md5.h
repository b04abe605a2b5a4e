/*
 * msf_md5.h - MD5 (RFC 1321), for formats that want it. It protects nothing from an attacker: see msf_crypto.h.
 *
 * The context lies where the caller wants it and owns nothing. One thread uses a context at a time.
 */
#ifndef MSF_MD5_H
#define MSF_MD5_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MD5_DIGEST_BYTES 16
#define MD5_BLOCK_BYTES 64

struct md5_ctx {
    u32 block[16]; /* the beginning of a block, as bytes */
    u32 digest[4];
    u64 count; /* bytes so far */
};

/* Begins a digest. NULL is ignored. */
MSF_EXPORT void md5_init(struct md5_ctx *ctx);

/* Takes the next len bytes of the message in. A NULL ctx, or NULL data with a len, is ignored. */
MSF_EXPORT void md5_update(struct md5_ctx *ctx, const void *data, size_t len);

/* Writes the digest of all pieces and clears the context; md5_init begins the next. NULL is ignored. */
MSF_EXPORT void md5_final(struct md5_ctx *ctx, u8 out[MD5_DIGEST_BYTES]);

#ifdef __cplusplus
}
#endif

#endif /* MSF_MD5_H */
