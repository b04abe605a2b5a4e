/*
 * msf_sha1.h - SHA-1 (RFC 3174), for formats that want it. It protects nothing from an attacker: see msf_crypto.h.
 *
 * The context lies where the caller wants it and owns nothing. One thread uses a context at a time.
 */
#ifndef MSF_SHA1_H
#define MSF_SHA1_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SHA1_DIGEST_BYTES 20
#define SHA1_BLOCK_BYTES 64

struct sha1_ctx {
    u32 digest[5];
    u32 block[16]; /* the beginning of a block, as bytes */
    u64 count; /* bytes so far */
};

/* Begins a digest. NULL is ignored. */
MSF_EXPORT void sha1_init(struct sha1_ctx *ctx);

/* Takes the next len bytes of the message in. A NULL ctx, or NULL data with a len, is ignored. */
MSF_EXPORT void sha1_update(struct sha1_ctx *ctx, const void *data, size_t len);

/* Writes the digest of all pieces and clears the context; sha1_init begins the next. NULL is ignored. */
MSF_EXPORT void sha1_final(struct sha1_ctx *ctx, u8 out[SHA1_DIGEST_BYTES]);

#ifdef __cplusplus
}
#endif

#endif /* MSF_SHA1_H */
