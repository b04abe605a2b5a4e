/*
 * msf_os.h - the machine, its processors, priorities.
 */
#ifndef MSF_OS_H
#define MSF_OS_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __cplusplus
}
#endif

#endif /* MSF_OS_H */
