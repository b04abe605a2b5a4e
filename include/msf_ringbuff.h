/*
 * msf_ringbuff.h - a ring of bytes.
 */
#ifndef MSF_RINGBUFF_H
#define MSF_RINGBUFF_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __cplusplus
}
#endif

#endif /* MSF_RINGBUFF_H */
