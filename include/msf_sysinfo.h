/*
 * msf_sysinfo.h - what the machine and its processes use.
 */
#ifndef MSF_SYSINFO_H
#define MSF_SYSINFO_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __cplusplus
}
#endif

#endif /* MSF_SYSINFO_H */
