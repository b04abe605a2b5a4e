/*
 * msf_md5.h - MD5.
 */
#ifndef MSF_MD5_H
#define MSF_MD5_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __cplusplus
}
#endif

#endif /* MSF_MD5_H */
