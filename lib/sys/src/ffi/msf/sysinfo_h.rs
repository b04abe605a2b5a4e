//! `include/msf_sysinfo.h`.

use core::ffi::{c_char, c_int};
use libc::pid_t;

pub const MSF_CPU_ALL: u32 = 0xffff_ffff;
pub const MSF_COUNT_UNKNOWN: u32 = 0xffff_ffff;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_cpu_times {
    pub size: u32,
    pub cpu: u32,
    pub user_ms: u64,
    pub nice_ms: u64,
    pub system_ms: u64,
    pub idle_ms: u64,
    pub iowait_ms: u64,
    pub irq_ms: u64,
    pub softirq_ms: u64,
    pub steal_ms: u64,
    pub guest_ms: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_memory_usage {
    pub size: u32,
    pub used_permille: u32,
    pub total: u64,
    pub free: u64,
    pub available: u64,
    pub buffers: u64,
    pub cached: u64,
    pub shared: u64,
    pub swap_total: u64,
    pub swap_free: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_disk_usage {
    pub size: u32,
    pub used_permille: u32,
    pub block: u64,
    pub total: u64,
    pub free: u64,
    pub available: u64,
    pub files: u64,
    pub files_free: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_process_usage {
    pub size: u32,
    pub pid: c_int,
    pub parent: c_int,
    pub threads: u32,
    pub fds: u32,
    pub state: u32,
    pub rss: u64,
    pub shared: u64,
    pub vsize: u64,
    pub user_ms: u64,
    pub system_ms: u64,
    pub started_ms: u64,
    pub name: [c_char; 64],
}

unsafe extern "C" {
    pub fn msf_sysinfo_cpu(cpu: u32, times_out: *mut msf_cpu_times) -> c_int;
    pub fn msf_sysinfo_cpus(times_out: *mut msf_cpu_times, room: u32) -> c_int;
    pub fn msf_cpu_usage(before: *const msf_cpu_times, after: *const msf_cpu_times) -> c_int;
    pub fn msf_sysinfo_memory(usage_out: *mut msf_memory_usage) -> c_int;
    pub fn msf_sysinfo_disk(path: *const c_char, usage_out: *mut msf_disk_usage) -> c_int;
    pub fn msf_sysinfo_process(pid: pid_t, usage_out: *mut msf_process_usage) -> c_int;
}
