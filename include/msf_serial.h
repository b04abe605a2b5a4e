/*
 * msf_serial.h - serial lines.
 */
#ifndef MSF_SERIAL_H
#define MSF_SERIAL_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __cplusplus
}
#endif

#endif /* MSF_SERIAL_H */
