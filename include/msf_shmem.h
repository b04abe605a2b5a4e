/*
 * msf_shmem.h - shared memory, and a ring of messages in it.
 */
#ifndef MSF_SHMEM_H
#define MSF_SHMEM_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __cplusplus
}
#endif

#endif /* MSF_SHMEM_H */
