/*
 * msf_config.h - the June 2019 name of msf.h. Sources of that time include it for the feature switches.
 */
#ifndef MSF_CONFIG_H
#define MSF_CONFIG_H

#include "msf.h"

#endif /* MSF_CONFIG_H */
