/*
 * msf_time.h - clocks and times.
 */
#ifndef MSF_TIME_H
#define MSF_TIME_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __cplusplus
}
#endif

#endif /* MSF_TIME_H */
