//! msf_sysinfo.h: what the machine and its processes use.

use crate::guard::{bytes, guard, guard_or, plain};
use crate::header::{
    MSF_COUNT_UNKNOWN, MSF_CPU_ALL, msf_cpu_times, msf_disk_usage, msf_memory_usage, msf_process_usage,
};
use crate::sized::{Sized32, give, take};
use msf_core::sysinfo::{cpu, disk, memory, process};
use nix::errno::Errno;
use std::ffi::{OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

as_declared! {
    msf_sysinfo_cpu msf_sysinfo_cpus msf_cpu_usage msf_sysinfo_memory msf_sysinfo_disk msf_sysinfo_process
}

// SAFETY: numbers and characters, the first of them the size.
unsafe impl Sized32 for msf_cpu_times {}
// SAFETY: as above.
unsafe impl Sized32 for msf_memory_usage {}
// SAFETY: as above.
unsafe impl Sized32 for msf_disk_usage {}
// SAFETY: as above.
unsafe impl Sized32 for msf_process_usage {}

/// # Safety
/// `times_out` is null or begins with its size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_sysinfo_cpu(number: u32, times_out: *mut msf_cpu_times) -> c_int {
    guard(|| {
        let found = cpu::read().map_err(plain)?;
        let times = if number == MSF_CPU_ALL { Some(&found.all) } else { found.of(number) };
        // SAFETY: the contract is our caller's.
        unsafe { give(times_out, &times_in_c(number, times.ok_or(Errno::ENOENT)?)) }
    })
}

/// # Safety
/// `times_out` has room for `room` structs, of the size the first one says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_sysinfo_cpus(times_out: *mut msf_cpu_times, room: u32) -> c_int {
    guard_or(-1, || {
        let found = cpu::read().map_err(plain)?;
        // SAFETY: the contract is our caller's.
        let stride = if room == 0 { 0 } else { unsafe { take(times_out) }?.size };
        for (at, (number, times)) in found.each.iter().take(room as usize).enumerate() {
            let place = times_out.wrapping_byte_add(at * stride as usize);
            // SAFETY: below `room`, so inside the array; only the first one's size has to be set.
            unsafe { place.cast::<u32>().write(stride) };
            // SAFETY: as above.
            unsafe { give(place, &times_in_c(*number, times)) }?;
        }
        Ok(c_int::try_from(found.each.len()).unwrap_or(c_int::MAX))
    })
}

/// # Safety
/// Both are null or begin with their size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_cpu_usage(before: *const msf_cpu_times, after: *const msf_cpu_times) -> c_int {
    guard_or(-1, || {
        // SAFETY: the contract is our caller's.
        let before = times_of(&unsafe { take(before) }?);
        // SAFETY: as above.
        let after = times_of(&unsafe { take(after) }?);
        Ok(permille(after.busy_since(&before)).cast_signed())
    })
}

/// # Safety
/// `usage_out` is null or begins with its size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_sysinfo_memory(usage_out: *mut msf_memory_usage) -> c_int {
    guard(|| {
        let found = memory::read().map_err(plain)?;
        let usage = msf_memory_usage {
            size: 0,
            used_permille: permille(found.used_part()),
            total: found.total,
            free: found.free,
            available: found.available,
            buffers: found.buffers,
            cached: found.cached,
            shared: found.shared,
            swap_total: found.swap_total,
            swap_free: found.swap_free,
        };
        // SAFETY: the contract is our caller's.
        unsafe { give(usage_out, &usage) }
    })
}

/// # Safety
/// `path` is null or NUL-terminated, `usage_out` is null or begins with its size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_sysinfo_disk(path: *const c_char, usage_out: *mut msf_disk_usage) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's.
        let found = disk::usage(OsStr::from_bytes(unsafe { bytes(path) }?)).map_err(plain)?;
        let usage = msf_disk_usage {
            size: 0,
            used_permille: permille(found.used_part()),
            block: found.block,
            total: found.total,
            free: found.free,
            available: found.available,
            files: found.files,
            files_free: found.files_free,
        };
        // SAFETY: the contract is our caller's.
        unsafe { give(usage_out, &usage) }
    })
}

/// # Safety
/// `usage_out` is null or begins with its size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_sysinfo_process(pid: libc::pid_t, usage_out: *mut msf_process_usage) -> c_int {
    guard(|| {
        let found = if pid == 0 { process::current() } else { process::of(pid) }.map_err(plain)?;
        // SAFETY: the contract is our caller's.
        unsafe { give(usage_out, &process_in_c(&found)) }
    })
}

fn times_in_c(number: u32, times: &cpu::Times) -> msf_cpu_times {
    msf_cpu_times {
        size: 0,
        cpu: number,
        user_ms: ms(times.user),
        nice_ms: ms(times.nice),
        system_ms: ms(times.system),
        idle_ms: ms(times.idle),
        iowait_ms: ms(times.iowait),
        irq_ms: ms(times.irq),
        softirq_ms: ms(times.softirq),
        steal_ms: ms(times.steal),
        guest_ms: ms(times.guest + times.guest_nice),
    }
}

fn times_of(times: &msf_cpu_times) -> cpu::Times {
    cpu::Times {
        user: Duration::from_millis(times.user_ms),
        nice: Duration::from_millis(times.nice_ms),
        system: Duration::from_millis(times.system_ms),
        idle: Duration::from_millis(times.idle_ms),
        iowait: Duration::from_millis(times.iowait_ms),
        irq: Duration::from_millis(times.irq_ms),
        softirq: Duration::from_millis(times.softirq_ms),
        steal: Duration::from_millis(times.steal_ms),
        ..cpu::Times::default()
    }
}

fn process_in_c(found: &process::Process) -> msf_process_usage {
    let mut name = [0; 64];
    // The last one stays NUL.
    for (to, from) in name.iter_mut().take(63).zip(found.name.bytes()) {
        *to = from as c_char;
    }
    msf_process_usage {
        size: 0,
        pid: found.pid,
        parent: found.parent,
        threads: found.threads,
        fds: found.descriptors.unwrap_or(MSF_COUNT_UNKNOWN),
        state: u32::from(found.state),
        rss: found.resident,
        shared: found.shared,
        vsize: found.addresses,
        user_ms: ms(found.user),
        system_ms: ms(found.system),
        started_ms: ms(found.started),
        name,
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn permille(part: f64) -> u32 {
    (part * 1000.0).round() as u32
}
