/*
 * msf_crypto.h - SHA-256, HMAC, base64.
 */
#ifndef MSF_CRYPTO_H
#define MSF_CRYPTO_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __cplusplus
}
#endif

#endif /* MSF_CRYPTO_H */
