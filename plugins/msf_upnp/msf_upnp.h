/*
 * What callers of the UPNP service need to know of it: one record, read by
 * UPNP_GET_PARAM and replaced by UPNP_SET_PARAM.
 */
#ifndef MSF_UPNP_H
#define MSF_UPNP_H

#include <msf_utils.h>

#define UPNP_NAME_LEN 32

/* On the wire: 36 bytes, no padding. */
struct upnp_param {
    u8 nat_enable;
    u8 discovery_enable;
    u8 reserved[2];
    s8 friend_name[UPNP_NAME_LEN]; /* ends with a NUL unless all 32 bytes are used */
} MSF_PACKED_MEMORY;

#endif
