/*
 * msf_threadpool.h - threads that carry out what is queued.
 */
#ifndef MSF_THREADPOOL_H
#define MSF_THREADPOOL_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __cplusplus
}
#endif

#endif /* MSF_THREADPOOL_H */
