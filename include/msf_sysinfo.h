/*
 * msf_sysinfo.h - what the machine and its processes use: processors, memory, disks.
 *
 * Every call looks once, into /proc or the file system, and keeps nothing. Sizes are bytes, times are milliseconds (the
 * kernel counts in tens of them). Any thread.
 *
 * Each struct begins with its size, set by the caller before the call (e.g. `struct msf_memory_usage now = {
 * .size = sizeof(now) };`), so that programs and library may be of different versions: what the library does not
 * know is zeroed, what the program does not know is left out. All structs have the same layout on 32 and 64 bits.
 *
 * Errors: -1 with errno. EINVAL: NULL, or a size below 8. ENOENT: /proc is not mounted (all but msf_sysinfo_disk).
 */
#ifndef MSF_SYSINFO_H
#define MSF_SYSINFO_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

/* In place of a processor's number: the sum of all. */
#define MSF_CPU_ALL ((u32)-1)
/* In place of a count: it may not be told to us. */
#define MSF_COUNT_UNKNOWN ((u32)-1)

/* Where a processor's time went since the machine came up. */
struct msf_cpu_times {
    u32 size;
    u32 cpu;           /* its number, or MSF_CPU_ALL */
    u64 user_ms;       /* programs */
    u64 nice_ms;       /* programs that were nice */
    u64 system_ms;     /* the kernel */
    u64 idle_ms;       /* nothing */
    u64 iowait_ms;     /* nothing, while somebody waited for a disk */
    u64 irq_ms;        /* interrupts */
    u64 softirq_ms;    /* what interrupts had left to do */
    u64 steal_ms;      /* taken by the host we are a guest of */
    u64 guest_ms;      /* guests of ours, nice or not; part of user_ms and nice_ms, too */
};

/* What memory is used for. */
struct msf_memory_usage {
    u32 size;
    u32 used_permille; /* of total, what is in use and cannot be had: 0 to 1000 */
    u64 total;
    u64 free;          /* used for nothing at all */
    u64 available;     /* what programs could still get without swapping */
    u64 buffers;       /* buffers of disks */
    u64 cached;        /* contents of files */
    u64 shared;        /* shared memory and tmpfs */
    u64 swap_total;
    u64 swap_free;
};

/* How full a file system is. */
struct msf_disk_usage {
    u32 size;
    u32 used_permille; /* of what programs may use, as df prints it: 0 to 1000 */
    u64 block;         /* bytes of a block, the unit it is given out in */
    u64 total;
    u64 free;
    u64 available;     /* what is left for programs without special rights */
    u64 files;         /* how many files it can have; 0 where that is not limited */
    u64 files_free;    /* how many more */
};

/* What a process uses. */
struct msf_process_usage {
    u32 size;
    s32 pid;
    s32 parent;
    u32 threads;
    u32 fds;           /* descriptors it has open; MSF_COUNT_UNKNOWN: another user's, we may not look */
    u32 state;         /* a letter: 'R' running, 'S' sleeping, 'D' waiting for a disk, 'Z' ended ... */
    u64 rss;           /* bytes of memory in use */
    u64 shared;        /* how many of them may be shared with others */
    u64 vsize;         /* bytes of addresses */
    u64 user_ms;       /* processor time of its own */
    u64 system_ms;     /* processor time the kernel spent for it */
    u64 started_ms;    /* when it was started, since the machine came up: with the pid it names a process for good */
    s8 name[64];       /* its short name, NUL-terminated */
};

/* One processor (cpu is its number), or the sum of all (MSF_CPU_ALL). 0; -1 ENOENT: no such processor, or it is off. */
MSF_EXPORT s32 msf_sysinfo_cpu(u32 cpu, struct msf_cpu_times *times_out);

/*
 * Every processor that is on, of one and the same moment, by rising numbers (which may have gaps). The array has room
 * for `room` of them; the size of the first is that of all. How many there are, which may be more than there was
 * room for; room 0 (times_out may be NULL then) only counts.
 */
MSF_EXPORT s32 msf_sysinfo_cpus(struct msf_cpu_times *times_out, u32 room);

/* How busy a processor was between two looks at it: 0 to 1000. 0 when no time has passed. */
MSF_EXPORT s32 msf_cpu_usage(const struct msf_cpu_times *before, const struct msf_cpu_times *after);

/* 0. */
MSF_EXPORT s32 msf_sysinfo_memory(struct msf_memory_usage *usage_out);

/* The file system that `path` is in. 0; -1 ENOENT: no such path; ENOTDIR; EACCES. */
MSF_EXPORT s32 msf_sysinfo_disk(const s8 *path, struct msf_disk_usage *usage_out);

/* Process `pid`; 0 means the calling one. 0; -1 ESRCH: no such process. */
MSF_EXPORT s32 msf_sysinfo_process(pid_t pid, struct msf_process_usage *usage_out);

#ifdef __cplusplus
}
#endif

#endif /* MSF_SYSINFO_H */
