//! msf_mem.h, its NUMA part: memory of a node, and threads beside it.

use crate::cancel::Uncancelled;
use crate::guard::{guard, guard_or, guard_ptr, system};
use msf_core::mem::{Near, Pages};
use msf_core::sys::{CpuSet, Topology, cpus, node};
use msf_core::thread::{self, Pin};
use nix::errno::Errno;
use std::ffi::{c_int, c_void};
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

as_declared! {
    msf_numa_alloc msf_numa_alloc_onnode msf_numa_alloc_local msf_numa_alloc_interleaved msf_numa_free msf_numa_alloc_page
    msf_numa_free_ptr msf_numa_node_of_cpu msf_numa_run_on_node msf_pin_to_node msf_numa_tonode_memory
    numa_node_to_cpusmask msf_numa_preferred msf_numa_set_preferred msf_numa_set_localalloc msf_numa_num_task_cpus
    msf_numa_num_task_nodes msf_numa_num_configured_cpus msf_numa_num_configured_nodes msf_numa_num_possible_cpus
    msf_numa_num_possible_nodes msf_numa_node_size msf_numa_distance
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_numa_alloc(size: usize) -> *mut c_void {
    guard_ptr(|| lent(size, Near::User))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_numa_alloc_onnode(size: usize, node: c_int) -> *mut c_void {
    guard_ptr(|| lent(size, Near::Node(number(node)?)))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_numa_alloc_local(size: usize) -> *mut c_void {
    guard_ptr(|| lent(size, Near::Here))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_numa_alloc_interleaved(size: usize) -> *mut c_void {
    let _uncancelled = Uncancelled::begin();
    guard_ptr(|| lent(size, Near::All))
}

/// # Safety
/// `memory` and `size` are null and anything, or what a function above gave and was given, given back once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_numa_free(memory: *mut c_void, size: usize) {
    guard_or((), || {
        if let Some(start) = NonNull::new(memory.cast::<u8>()).filter(|_| size > 0) {
            // SAFETY: the contract is our caller's.
            drop(unsafe { Pages::from_raw(start, size) });
        }
        Ok(())
    });
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_numa_alloc_page(bytes: usize, node: c_int) -> *mut c_void {
    guard_ptr(|| {
        let pages = Pages::new(bytes, Near::Node(number(node)?)).map_err(system)?;
        let start = pages.start().as_ptr();
        KEPT.lock().unwrap_or_else(PoisonError::into_inner).push(pages);
        Ok(start.cast())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_numa_free_ptr(memory: *mut c_void) {
    guard_or((), || {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = kept.iter().position(|pages| pages.start().addr().get() == memory.addr()) {
            kept.swap_remove(place);
        }
        Ok(())
    });
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_numa_node_of_cpu(cpu: c_int) -> c_int {
    let _uncancelled = Uncancelled::begin();
    guard_or(-1, || node_of(cpu).map(u32::cast_signed))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_numa_run_on_node(node: c_int) -> c_int {
    let _uncancelled = Uncancelled::begin();
    guard(|| {
        let pin = if node == -1 { Pin::Anywhere } else { Pin::Node(number(node)?) };
        pin.this_thread().map_err(system)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_pin_to_node(cpu: c_int) -> c_int {
    let _uncancelled = Uncancelled::begin();
    guard(|| Pin::Node(node_of(cpu)?).this_thread().map_err(system))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_numa_tonode_memory(memory: *mut c_void, size: usize, node: c_int) -> c_int {
    guard(|| {
        let (start, node) = (NonNull::new(memory.cast::<u8>()).ok_or(Errno::EINVAL)?, number(node)?);
        if size == 0 || !node::exists(node) {
            return Err(Errno::EINVAL);
        }
        node::tolerant(node::prefer_around(start, size, node))
    })
}

/// # Safety
/// `mask` and `nr` are null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn numa_node_to_cpusmask(node: c_int, mask: *mut u64, nr: *mut c_int) -> c_int {
    let _uncancelled = Uncancelled::begin();
    guard(|| {
        if mask.is_null() || nr.is_null() {
            return Err(Errno::EINVAL);
        }
        let cpus = Topology::read().map_err(system)?.node_cpus(number(node)?).cloned().ok_or(Errno::EINVAL)?;
        // SAFETY: not null (checked above), and our caller says that it may be written.
        unsafe { mask.write(cpus.iter().filter(|&cpu| cpu < u64::BITS).fold(0, |bits, cpu| bits | 1 << cpu)) };
        // SAFETY: as above.
        unsafe { nr.write(cpus.len() as c_int) };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_numa_preferred() -> c_int {
    guard_or(-1, || Ok(node::preferred().ok().flatten().unwrap_or_else(node::current).cast_signed()))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_numa_set_preferred(node: c_int) -> c_int {
    guard(|| thread::prefer_node(Some(number(node)?)).map_err(system))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_numa_set_localalloc() -> c_int {
    guard(|| thread::prefer_node(None).map_err(system))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_numa_num_task_cpus() -> c_int {
    counted(|| Ok(cpus::affinity(0).map_err(system)?.len()))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_numa_num_task_nodes() -> c_int {
    counted(|| {
        let (machine, allowed) = (Topology::read().map_err(system)?, cpus::affinity(0).map_err(system)?);
        let ours = |node: &u32| machine.node_cpus(*node).is_some_and(|cpus| !cpus.common(&allowed).is_empty());
        Ok(machine.nodes().filter(ours).count())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_numa_num_configured_cpus() -> c_int {
    counted(|| Ok(Topology::read().map_err(system)?.online().len()))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_numa_num_configured_nodes() -> c_int {
    counted(|| Ok(node::online().len()))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_numa_num_possible_cpus() -> c_int {
    counted(|| cpus::possible().map(|cpus: CpuSet| cpus.len()).map_err(system))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_numa_num_possible_nodes() -> c_int {
    counted(|| Ok(node::possible().len()))
}

/// # Safety
/// `free_out` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_numa_node_size(node: c_int, free_out: *mut i64) -> i64 {
    let _uncancelled = Uncancelled::begin();
    guard_or(-1, || {
        let (total, free) = node::memory(number(node)?).ok_or(Errno::EINVAL)?;
        if !free_out.is_null() {
            // SAFETY: not null, and our caller says that it may be written.
            unsafe { free_out.write(free.cast_signed()) };
        }
        Ok(total.cast_signed())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_numa_distance(from: c_int, to: c_int) -> c_int {
    let _uncancelled = Uncancelled::begin();
    guard_or(-1, || node::distance(number(from)?, number(to)?).map(u32::cast_signed).ok_or(Errno::EINVAL))
}

fn lent(size: usize, near: Near) -> Result<*mut c_void, Errno> {
    let (start, _) = Pages::new(size, near).map_err(system)?.into_raw();
    Ok(start.as_ptr().cast())
}

fn number(node: c_int) -> Result<u32, Errno> {
    u32::try_from(node).map_err(|_| Errno::EINVAL)
}

fn node_of(cpu: c_int) -> Result<u32, Errno> {
    thread::node_of(number(cpu)?).map_err(system)?.ok_or(Errno::EINVAL)
}

fn counted(count: impl FnOnce() -> Result<usize, Errno>) -> c_int {
    let _uncancelled = Uncancelled::begin();
    guard_or(-1, || count().map(|count| c_int::try_from(count).unwrap_or(c_int::MAX)))
}

/// What `msf_numa_alloc_page` gave: its counterpart is told no size. They are few and large.
static KEPT: Mutex<Vec<Pages>> = Mutex::new(Vec::new());
