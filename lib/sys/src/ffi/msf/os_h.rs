//! `include/msf_os.h`.

use core::ffi::{c_char, c_int};

pub const MB: c_int = 1_048_576;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct cpu_key {
    pub ticks: u64,
    pub permille: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct cpu_snapshot {
    pub cpuid: [c_char; 20],
    pub user: u64,
    pub nice: u64,
    pub system: u64,
    pub idle: u64,
    pub iowait: u64,
    pub irq: u64,
    pub softirq: u64,
    pub stealstolen: u64,
    pub guest: u64,
    pub avg_all: u64,
    pub avg_user: u64,
    pub avg_kernel: u64,
    pub k_cpu: cpu_key,
    pub k_user: cpu_key,
    pub k_system: cpu_key,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct cpu_stats {
    pub snap_active: u32,
    pub interval_sec: c_int,
    pub interval_nsec: c_int,
    pub snap_a: *mut cpu_snapshot,
    pub snap_b: *mut cpu_snapshot,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_meminfo {
    pub name1: [c_char; 20],
    pub total: u64,
    pub name2: [c_char; 20],
    pub free: u64,
    pub used_rate: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_mem {
    pub total: u32,
    pub used: u32,
    pub free: u32,
    pub shared: u32,
    pub buffers: u32,
    pub cached: u32,
    pub available: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_hdd {
    pub total: u64,
    pub used_rate: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_os {
    pub sysname: [u8; 64],
    pub nodename: [u8; 64],
    pub release: [u8; 64],
    pub version: [u8; 64],
    pub machine: [u8; 64],
    pub domainname: [u8; 65],
    pub cacheline_size: u32,
    pub pagesize: u32,
    pub pagesize_shift: u32,
    pub pagenum_all: u32,
    pub pagenum_ava: u32,
    pub memsize: u64,
    pub cpuconf: u32,
    pub cpuonline: u32,
    pub maxfileopen: u32,
    pub maxsocket: c_int,
    pub tickspersec: u32,
    pub maxhostname: u32,
    pub maxloginname: u32,
    pub cpu: cpu_stats,
    pub meminfo: msf_meminfo,
    pub mem: msf_mem,
    pub hdd: msf_hdd,
    pub en_numa: c_int,
    pub numacnt: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_cpu {
    pub size: u32,
    pub number: u32,
    pub core: u32,
    pub package: u32,
    pub node: u32,
    pub allowed: u32,
}

unsafe extern "C" {
    pub fn msf_get_os() -> *mut msf_os;
    pub fn msf_os_init() -> c_int;
    pub fn msf_get_meminfo() -> c_int;
    pub fn msf_get_hdinfo() -> c_int;
    pub fn msf_get_cpuinfo() -> c_int;
    pub fn msf_cpu_perf_init() -> c_int;
    pub fn msf_cpu_perf_collect() -> c_int;
    pub fn msf_get_current_cpu() -> u32;
    pub fn thread_pin_to_cpu(cpu: u32) -> c_int;
    pub fn process_pin_to_cpu(cpu: c_int) -> c_int;
    pub fn msf_set_nice(nice: c_int) -> c_int;
    pub fn msf_get_priority(which: c_int, who: c_int) -> c_int;
    pub fn msf_set_priority(which: c_int, who: c_int, prio: c_int) -> c_int;
    pub fn msf_cpu_describe(number: u32, cpu_out: *mut msf_cpu) -> c_int;
    pub fn msf_cpu_list(pin: c_int, place: u32, cpus_out: *mut u32, room: u32) -> c_int;
}
