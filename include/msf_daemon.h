/*
 * msf_daemon.h - how a supervisor of 2019 describes itself and its processes. The library reads none of it.
 */
#ifndef MSF_DAEMON_H
#define MSF_DAEMON_H

#include "msf_process.h"

#ifdef __cplusplus
extern "C" {
#endif

struct msf_daemon {
    u32 msf_state;
    s8 msf_author[32];
    s8 msf_version[32];
    s8 msf_desc[64];
    s8 *msf_conf;
    s8 *msf_name;
    u32 msf_proc_num;
    struct process_desc *msf_proc_desc; /* msf_proc_num of them */
};

#ifdef __cplusplus
}
#endif

#endif /* MSF_DAEMON_H */
