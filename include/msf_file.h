/*
 * msf_file.h - files, pid files, mappings.
 */
#ifndef MSF_FILE_H
#define MSF_FILE_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __cplusplus
}
#endif

#endif /* MSF_FILE_H */
