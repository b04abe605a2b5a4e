/*
 * msf_os.h - the machine, its processors, where a process runs and how urgent it is.
 *
 * Threads are placed one by one with msf_thread.h; what the machine uses at the moment is told by msf_sysinfo.h, too.
 */
#ifndef MSF_OS_H
#define MSF_OS_H

#include <sys/resource.h>

#include "msf_thread.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifndef MB
#define MB (1024 * 1024)
#endif

/* Part of a processor's time between two looks. */
struct cpu_key {
    u64 ticks;    /* hundredths of a second */
    u32 permille; /* of the time that passed: 0 to 1000 */
};

/* What a processor has done since the machine came up, in hundredths of a second. */
struct cpu_snapshot {
    s8 cpuid[20]; /* "cpu" is the sum of all, "cpu3" one of them; "" the end */
    u64 user, nice, system, idle, iowait, irq, softirq, stealstolen, guest;
    u64 avg_all;    /* everything */
    u64 avg_user;   /* programs, nice or not */
    u64 avg_kernel; /* the kernel and interrupts */
    struct cpu_key k_cpu, k_user, k_system; /* since the look before this one: busy, programs, the kernel */
};

/* Two looks at the processors. Both arrays begin with the sum of all and have cpuconf + 1 places. */
struct cpu_stats {
    u32 snap_active; /* 1: snap_a is the later look, 2: snap_b; 0: nobody has looked yet */
    s32 interval_sec, interval_nsec; /* between the two */
    struct cpu_snapshot *snap_a, *snap_b;
};

/* In kB. */
struct msf_meminfo {
    s8 name1[20]; /* "MemTotal" */
    u64 total;
    s8 name2[20]; /* "MemFree" */
    u64 free;
    u32 used_rate; /* percent of total that cannot be had */
};

/* In MiB. */
struct msf_mem {
    u32 total, used, free, shared, buffers, cached, available;
};

/* The file system of /. */
struct msf_hdd {
    u64 total;     /* GiB */
    u32 used_rate; /* percent */
};

struct msf_os {
    u8 sysname[64], nodename[64], release[64], version[64], machine[64], domainname[65]; /* uname's */
    u32 cacheline_size, pagesize, pagesize_shift; /* bytes; pagesize is 1 << pagesize_shift */
    u32 pagenum_all, pagenum_ava;                 /* pages of memory, and those that are free */
    u64 memsize;                                  /* MiB */
    u32 cpuconf, cpuonline;                       /* processors there are, and that are on */
    u32 maxfileopen;                              /* descriptors a process may have */
    s32 maxsocket;                                /* the same for sockets: they are descriptors */
    u32 tickspersec, maxhostname, maxloginname;
    struct cpu_stats cpu;
    struct msf_meminfo meminfo;
    struct msf_mem mem;
    struct msf_hdd hdd;
    s32 en_numa; /* 1: more than one NUMA node */
    u32 numacnt; /* how many */
};

/*
 * The library's description of the machine: zeroes until msf_os_init. It is one for the process, and each of
 * the functions that fill it in changes it in place: let one thread do that. Never NULL but in a second copy of
 * the library; never to be freed.
 */
MSF_EXPORT struct msf_os *msf_get_os(void);

/* Fills in everything. 0, or -1 with errno (ENOENT /proc is not mounted). */
MSF_EXPORT s32 msf_os_init(void);

/* Fill in meminfo, mem, memsize and pagenum_*; hdd; cpuconf, cpuonline and the NUMA nodes. 0, or -1 with errno (ENOENT
 * /proc is not mounted). */
MSF_EXPORT s32 msf_get_meminfo(void);
MSF_EXPORT s32 msf_get_hdinfo(void);
MSF_EXPORT s32 msf_get_cpuinfo(void);

/* A first look at the processors' time. 0, or -1 with errno (ENOENT /proc is not mounted). */
MSF_EXPORT s32 msf_cpu_perf_init(void);

/* A further look: after it the k_ members of the later snapshot are about the time since the look before. 0, or -1 with
 * errno (EAGAIN there was no first look, ENOENT /proc is not mounted). */
MSF_EXPORT s32 msf_cpu_perf_collect(void);

/* The processor that runs the calling thread at this moment. */
MSF_EXPORT u32 msf_get_current_cpu(void);

/* The June 2019 names. */
#define msf_get_cpu() msf_get_current_cpu()
#define msf_cpuinfo() msf_get_cpuinfo()

/* Keeps the calling thread on one processor. 0, or -1 with errno: EINVAL (there is no such processor, it is off, or
 * the container does not have it). */
MSF_EXPORT s32 thread_pin_to_cpu(u32 cpu);

/* The same for every thread the process has, and those they start. 0, or -1 with errno: EINVAL; ENOENT /proc, which
 * lists the threads, is not mounted (then it is done for none). */
MSF_EXPORT s32 process_pin_to_cpu(s32 cpu);

/*
 * The nice value of the calling thread, -20 (most urgent) to 19, and of those it starts: call it first of all for the
 * whole process. 0, or -1 with errno: EINVAL (out of range), EACCES (so urgent a one is not for this user).
 */
MSF_EXPORT s32 msf_set_nice(s32 nice);

/*
 * Nice values, of whom is said by which (PRIO_PROCESS, PRIO_PGRP, PRIO_USER) and who (an id; 0 is the caller's). -1 is one,
 * too: set errno to 0 before. The value, or -1 with errno: EINVAL (which), ESRCH (nobody).
 */
MSF_EXPORT s32 msf_get_priority(s32 which, s32 who);

/* 0, or -1 with errno: EINVAL (which, or prio is not -20 to 19), ESRCH (nobody), EACCES (so urgent a one is not for this
 * user), EPERM (somebody else's process). */
MSF_EXPORT s32 msf_set_priority(s32 which, s32 who, s32 prio);

/* A processor's place in the machine. */
struct msf_cpu {
    u32 size;    /* sizeof(struct msf_cpu), set before the call */
    u32 number;
    u32 core;    /* cores are counted from 0, in the order of their first processor */
    u32 package; /* sockets are counted in the same way */
    u32 node;    /* the NUMA node, by the kernel's number */
    u32 allowed; /* 1: the calling thread may run there */
};

/* 0, or -1 with errno: EINVAL (cpu_out NULL or its size not set), ENOENT (no such processor, or it is off). */
MSF_EXPORT s32 msf_cpu_describe(u32 number, struct msf_cpu *cpu_out);

/*
 * The numbers of the processors that pin and place stand for (msf_thread.h), lowest first; of MSF_PIN_INHERIT those the
 * calling thread may use. Writes at most room of them. Their count, which may be more than room; -1 with errno: EINVAL (a
 * constant or place that does not exist, cpus_out NULL but room not 0).
 */
MSF_EXPORT s32 msf_cpu_list(s32 pin, u32 place, u32 *cpus_out, u32 room);

#ifdef __cplusplus
}
#endif

#endif /* MSF_OS_H */
