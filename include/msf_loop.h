/*
 * msf_loop.h - loops with a thread of their own.
 */
#ifndef MSF_LOOP_H
#define MSF_LOOP_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __cplusplus
}
#endif

#endif /* MSF_LOOP_H */
