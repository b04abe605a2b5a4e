/*
 * msf_sha1.h - SHA-1.
 */
#ifndef MSF_SHA1_H
#define MSF_SHA1_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __cplusplus
}
#endif

#endif /* MSF_SHA1_H */
