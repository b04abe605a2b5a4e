/*
 * msf_cpu.h - the June 2019 name of msf_os.h.
 */
#ifndef MSF_CPU_H
#define MSF_CPU_H

#include "msf_os.h"

#endif /* MSF_CPU_H */
