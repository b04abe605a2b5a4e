/*
 * msf_crc.h - CRC-32 and CRC-64.
 */
#ifndef MSF_CRC_H
#define MSF_CRC_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __cplusplus
}
#endif

#endif /* MSF_CRC_H */
