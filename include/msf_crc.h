/*
 * msf_crc.h - CRC-32 (that of Ethernet and zip) and CRC-64 (Jones, that of Redis): against accidents, not attackers.
 */
#ifndef MSF_CRC_H
#define MSF_CRC_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The CRC-32 of len bytes; 0xcbf43926 for "123456789". 0 for NULL. */
MSF_EXPORT u32 msf_compute_crc(const u8 *data, u32 len);

/*
 * The CRC-64 of len bytes that follow what had the CRC-64 crc (0: nothing); 0xe9c6d914c4b8d9ca for "123456789".
 * crc itself for NULL, and for a len beyond the address space.
 */
MSF_EXPORT uint64_t crc64(uint64_t crc, const unsigned char *data, uint64_t len);

#ifdef __cplusplus
}
#endif

#endif /* MSF_CRC_H */
