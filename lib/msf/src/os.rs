//! msf_os.h: the machine's description, places of threads, priorities.

use crate::cancel::Uncancelled;
use crate::guard::{guard, guard_or, guard_ptr, plain, system};
use crate::header::{MB, msf_cpu, msf_mem, msf_meminfo, msf_os};
use crate::look::{self, Looks};
use crate::sized::{Sized32, give};
use crate::thread::pin_of;
use msf_core::sys::sched::{self, Whose};
use msf_core::sys::{Machine, Topology, cpus};
use msf_core::sysinfo::{disk, memory};
use msf_core::thread::Pin;
use nix::errno::Errno;
use std::cell::UnsafeCell;
use std::ffi::{c_char, c_int};
use std::mem::MaybeUninit;
use std::sync::{Mutex, PoisonError};

as_declared! {
    msf_get_os msf_os_init msf_get_meminfo msf_get_hdinfo msf_get_cpuinfo msf_cpu_perf_init msf_cpu_perf_collect
    msf_get_current_cpu thread_pin_to_cpu process_pin_to_cpu msf_set_nice msf_get_priority msf_set_priority
    msf_cpu_describe msf_cpu_list
}

// SAFETY: numbers, the first of them the size.
unsafe impl Sized32 for msf_cpu {}

/// The description msf_os.h lends.
struct Description(UnsafeCell<MaybeUninit<msf_os>>);

// SAFETY: here it is only touched with `WRITER` held; by msf_os.h programs read it while none of its functions runs.
unsafe impl Sync for Description {}

static DESCRIPTION: Description = Description(UnsafeCell::new(MaybeUninit::zeroed()));
/// One at a time fills in the description. It keeps what belongs to it and C does not see.
static WRITER: Mutex<Looks> = Mutex::new(Looks::NONE);

/// Changes the description.
fn fill(change: impl FnOnce(&mut msf_os, &mut Looks) -> Result<(), Errno>) -> c_int {
    let _uncancelled = Uncancelled::begin();
    guard(|| {
        let mut looks = WRITER.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the static lives for ever, and all-zero, which it began as, is a valid value.
        let description = unsafe { &mut *DESCRIPTION.0.get().cast::<msf_os>() };
        change(description, &mut looks)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_get_os() -> *mut msf_os {
    guard_ptr(|| Ok(DESCRIPTION.0.get().cast()))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_os_init() -> c_int {
    fill(|os, looks| {
        system_into(os)?;
        memory_into(os)?;
        disk_into(os)?;
        processors_into(os)?;
        look::first(&mut os.cpu, os.cpuconf, looks)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_get_meminfo() -> c_int {
    fill(|os, _| memory_into(os))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_get_hdinfo() -> c_int {
    fill(|os, _| disk_into(os))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_get_cpuinfo() -> c_int {
    fill(|os, _| processors_into(os))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_cpu_perf_init() -> c_int {
    fill(|os, looks| {
        processors_into(os)?;
        look::first(&mut os.cpu, os.cpuconf, looks)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_cpu_perf_collect() -> c_int {
    fill(|os, looks| look::again(&mut os.cpu, looks))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_get_current_cpu() -> u32 {
    guard_or(0, || cpus::current().map_err(system))
}

#[unsafe(no_mangle)]
pub extern "C" fn thread_pin_to_cpu(cpu: u32) -> c_int {
    guard(|| Pin::Cpu(cpu).this_thread().map_err(system))
}

#[unsafe(no_mangle)]
pub extern "C" fn process_pin_to_cpu(cpu: c_int) -> c_int {
    let _uncancelled = Uncancelled::begin();
    guard(|| Pin::Cpu(u32::try_from(cpu).map_err(|_| Errno::EINVAL)?).process().map_err(system))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_set_nice(nice: c_int) -> c_int {
    guard(|| sched::set_priority(Whose::Process(0), nice).map_err(system))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_get_priority(which: c_int, who: c_int) -> c_int {
    guard_or(-1, || sched::priority(whose(which, who)?).map_err(system))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_set_priority(which: c_int, who: c_int, prio: c_int) -> c_int {
    guard(|| sched::set_priority(whose(which, who)?, prio).map_err(system))
}

/// # Safety
/// `cpu_out` is null or begins with its size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_cpu_describe(number: u32, cpu_out: *mut msf_cpu) -> c_int {
    let _uncancelled = Uncancelled::begin();
    guard(|| {
        let allowed = cpus::affinity(0).map_err(system)?.contains(number);
        let machine = Topology::read().map_err(system)?;
        let found = machine.cpu(number).ok_or(Errno::ENOENT)?;
        let (core, package, node) = (found.core, found.package, found.node);
        // SAFETY: the contract is our caller's.
        unsafe { give(cpu_out, &msf_cpu { size: 0, number, core, package, node, allowed: allowed.into() }) }
    })
}

/// # Safety
/// `cpus_out` is null or has room for `room` numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_cpu_list(pin: c_int, place: u32, cpus_out: *mut u32, room: u32) -> c_int {
    let _uncancelled = Uncancelled::begin();
    guard_or(-1, || {
        if cpus_out.is_null() && room > 0 {
            return Err(Errno::EINVAL);
        }
        let meant = pin_of(pin, place)?.map_or_else(|| cpus::affinity(0), |pin| pin.cpus()).map_err(system)?;
        for (index, cpu) in meant.iter().take(room as usize).enumerate() {
            // SAFETY: the index is below `room`, and our caller says that there is as much room.
            unsafe { cpus_out.wrapping_add(index).write(cpu) };
        }
        Ok(c_int::try_from(meant.len()).unwrap_or(c_int::MAX))
    })
}

fn whose(which: c_int, who: c_int) -> Result<Whose, Errno> {
    let user = libc::uid_t::try_from(who).map_err(|_| Errno::ESRCH);
    match u32::try_from(which) {
        Ok(libc::PRIO_PROCESS) => Ok(Whose::Process(who)),
        Ok(libc::PRIO_PGRP) => Ok(Whose::Group(who)),
        Ok(libc::PRIO_USER) => Ok(Whose::User(user?)),
        _ => Err(Errno::EINVAL),
    }
}

fn system_into(os: &mut msf_os) -> Result<(), Errno> {
    let machine = Machine::read().map_err(system)?;
    let texts = [&machine.system, &machine.node, &machine.release, &machine.version, &machine.machine];
    let places = [&mut os.sysname, &mut os.nodename, &mut os.release, &mut os.version, &mut os.machine];
    places.into_iter().zip(texts).for_each(|(place, text)| put(place, text));
    put(&mut os.domainname, &machine.domain);
    os.cacheline_size = machine.cache_line;
    (os.pagesize, os.pagesize_shift) = (machine.page, machine.page.trailing_zeros());
    os.maxfileopen = machine.descriptors;
    os.maxsocket = c_int::try_from(machine.descriptors).unwrap_or(c_int::MAX);
    (os.tickspersec, os.maxhostname, os.maxloginname) = (machine.ticks, machine.node_name, machine.login_name);
    Ok(())
}

fn memory_into(os: &mut msf_os) -> Result<(), Errno> {
    let found = memory::read().map_err(plain)?;
    let page = u64::from(Machine::read().map_err(system)?.page);
    let mib = |bytes: u64| (bytes / MB as u64) as u32;
    os.memsize = found.total / MB as u64;
    (os.pagenum_all, os.pagenum_ava) = ((found.total / page) as u32, (found.free / page) as u32);
    os.meminfo = msf_meminfo {
        name1: letters("MemTotal"),
        total: found.total / 1024,
        name2: letters("MemFree"),
        free: found.free / 1024,
        used_rate: percent(found.used_part()),
    };
    os.mem = msf_mem {
        total: mib(found.total),
        used: mib(found.total.saturating_sub(found.available)),
        free: mib(found.free),
        shared: mib(found.shared),
        buffers: mib(found.buffers),
        cached: mib(found.cached),
        available: mib(found.available),
    };
    Ok(())
}

fn disk_into(os: &mut msf_os) -> Result<(), Errno> {
    let found = disk::usage("/").map_err(plain)?;
    (os.hdd.total, os.hdd.used_rate) = (found.total >> 30, percent(found.used_part()));
    Ok(())
}

fn processors_into(os: &mut msf_os) -> Result<(), Errno> {
    let topology = Topology::read().map_err(system)?;
    os.cpuonline = topology.online().len() as u32;
    os.cpuconf = Machine::read().map_err(system)?.processors.max(os.cpuonline);
    os.numacnt = topology.nodes().count() as u32;
    os.en_numa = (os.numacnt > 1).into();
    Ok(())
}

/// As much of the text as fits before a NUL.
fn put(place: &mut [u8], text: &str) {
    place.fill(0);
    let room = place.len() - 1;
    place.iter_mut().take(room).zip(text.bytes()).for_each(|(letter, byte)| *letter = byte);
}

/// A short text in one of the description's arrays.
pub(crate) fn letters(text: &str) -> [c_char; 20] {
    let mut bytes = [0; 20];
    put(&mut bytes, text);
    bytes.map(|byte| byte as c_char)
}

fn percent(part: f64) -> u32 {
    (part * 100.0).round() as u32
}
