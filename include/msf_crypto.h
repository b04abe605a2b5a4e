/*
 * msf_crypto.h - SHA-256 (FIPS 180-4), HMAC (RFC 2104), comparing secrets, base64 (RFC 4648).
 *
 * Functions may be called from any thread; one msf_digest is used by one thread at a time. Data of length 0 may be
 * NULL. MD5, SHA-1 and CRCs have headers of their own.
 */
#ifndef MSF_CRYPTO_H
#define MSF_CRYPTO_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MSF_SHA256_BYTES 32
#define MSF_HMAC_SHA256_BYTES 32
#define MSF_HMAC_SHA1_BYTES 20

/* What msf_digest_new makes. */
#define MSF_DIGEST_SHA256 1
#define MSF_DIGEST_HMAC_SHA256 2
#define MSF_DIGEST_HMAC_SHA1 3 /* for protocols that want it */

/* The SHA-256 of len bytes. 0; -1 with errno (EINVAL: NULL). */
MSF_EXPORT s32 msf_sha256(const void *data, size_t len, u8 out[MSF_SHA256_BYTES]);

/* The HMAC of len bytes under a key of any length. 0; -1 with errno (EINVAL: NULL). */
MSF_EXPORT s32 msf_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                               u8 out[MSF_HMAC_SHA256_BYTES]);
MSF_EXPORT s32 msf_hmac_sha1(const void *key, size_t key_len, const void *data, size_t len,
                             u8 out[MSF_HMAC_SHA1_BYTES]);

/* A message taken in piece by piece. */
struct msf_digest;

/*
 * A digest of nothing yet. kind is one of MSF_DIGEST_*; the key is copied, and must be NULL with key_len 0 for
 * MSF_DIGEST_SHA256. NULL and errno (EINVAL: another kind, NULL with a length, or a key for SHA-256).
 */
MSF_EXPORT struct msf_digest *msf_digest_new(s32 kind, const void *key, size_t key_len);

/* Takes the next len bytes of the message in. 0; -1 with errno (EINVAL: NULL). */
MSF_EXPORT s32 msf_digest_update(struct msf_digest *digest, const void *data, size_t len);

/*
 * Writes the digest of all pieces into out and begins anew, under the same key. The number of bytes written; -1 with
 * errno (EINVAL: NULL; ENOSPC: size is less than the digest's bytes; nothing has happened then).
 */
MSF_EXPORT s32 msf_digest_final(struct msf_digest *digest, u8 *out, size_t size);

/* Frees it. NULL is allowed. */
MSF_EXPORT void msf_digest_free(struct msf_digest *digest);

/*
 * Whether len bytes are the same; the time depends on len only, not on where they differ. 1 or 0; -1 with errno
 * (EINVAL: NULL).
 */
MSF_EXPORT s32 msf_crypto_equal(const void *one, const void *other, size_t len);

/* What msf_base64_encode needs for n bytes, the NUL included; what msf_base64_decode needs at most for n characters. */
#define MSF_BASE64_ENCODED(n) (((size_t)(n) + 2) / 3 * 4 + 1)
#define MSF_BASE64_DECODED(n) ((size_t)(n) / 4 * 3)

/*
 * Writes len bytes as base64 (alphabet with + and /, padded with =, no line breaks) and a NUL into text, which may be
 * where data is. The number of characters without the NUL; -1 with errno (EINVAL: NULL; ENOSPC: size is less than
 * MSF_BASE64_ENCODED(len)).
 */
MSF_EXPORT ssize_t msf_base64_encode(const void *data, size_t len, s8 *text, size_t size);

/*
 * Writes the bytes that len characters of base64 stand for into out, which may be larger, and where text is. The number
 * of bytes; -1 with errno (EINVAL: NULL, a character that does not belong there (line breaks neither), padding that is missing or
 * too much, or bits behind the end; ENOSPC: the bytes are more than size). After a failure out may have been written to.
 */
MSF_EXPORT ssize_t msf_base64_decode(const s8 *text, size_t len, void *out, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* MSF_CRYPTO_H */
