/*
 * msf_sem.h - semaphores with exact timeouts.
 */
#ifndef MSF_SEM_H
#define MSF_SEM_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __cplusplus
}
#endif

#endif /* MSF_SEM_H */
