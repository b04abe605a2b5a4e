/*
 * msf_channel.h - commands, data and descriptors over a socket.
 */
#ifndef MSF_CHANNEL_H
#define MSF_CHANNEL_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __cplusplus
}
#endif

#endif /* MSF_CHANNEL_H */
