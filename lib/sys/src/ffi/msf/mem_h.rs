//! `include/msf_mem.h`.

use core::ffi::{c_int, c_void};
use core::marker::{PhantomData, PhantomPinned};
use libc::size_t;

pub const HUGE_PAGE_SZ: c_int = 2097152;

/// Opaque: only ever behind a pointer.
#[repr(C)]
pub struct msf_mr {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_reg_mem {
    pub addr: *mut c_void,
    pub length: size_t,
    pub mr: *mut msf_mr,
    pub r#priv: *mut c_void,
}

unsafe extern "C" {
    pub fn msf_mem_alloc(size: size_t, mem: *mut msf_reg_mem) -> c_int;
    pub fn msf_mem_free(mem: *mut msf_reg_mem) -> c_int;
    pub fn msf_memalign(memory_out: *mut *mut c_void, align: size_t, size: size_t) -> c_int;
    pub fn msf_mem_mmap(size: size_t) -> *mut c_void;
    pub fn msf_mem_munmap(memory: *mut c_void, size: size_t) -> c_int;
    pub fn msf_malloc_huge_pages(size: size_t) -> *mut c_void;
    pub fn msf_free_huge_pages(memory: *mut c_void);
}

// NUMA nodes.
unsafe extern "C" {
    pub fn msf_numa_alloc(size: size_t) -> *mut c_void;
    pub fn msf_numa_alloc_onnode(size: size_t, node: c_int) -> *mut c_void;
    pub fn msf_numa_alloc_local(size: size_t) -> *mut c_void;
    pub fn msf_numa_alloc_interleaved(size: size_t) -> *mut c_void;
    pub fn msf_numa_free(memory: *mut c_void, size: size_t);
    pub fn msf_numa_alloc_page(bytes: size_t, node: c_int) -> *mut c_void;
    pub fn msf_numa_free_ptr(memory: *mut c_void);
    pub fn msf_numa_node_of_cpu(cpu: c_int) -> c_int;
    pub fn msf_numa_run_on_node(node: c_int) -> c_int;
    pub fn msf_pin_to_node(cpu: c_int) -> c_int;
    pub fn msf_numa_tonode_memory(memory: *mut c_void, size: size_t, node: c_int) -> c_int;
    pub fn numa_node_to_cpusmask(node: c_int, mask: *mut u64, nr: *mut c_int) -> c_int;
    pub fn msf_numa_preferred() -> c_int;
    pub fn msf_numa_set_preferred(node: c_int) -> c_int;
    pub fn msf_numa_set_localalloc() -> c_int;
    pub fn msf_numa_num_task_cpus() -> c_int;
    pub fn msf_numa_num_task_nodes() -> c_int;
    pub fn msf_numa_num_configured_cpus() -> c_int;
    pub fn msf_numa_num_configured_nodes() -> c_int;
    pub fn msf_numa_num_possible_cpus() -> c_int;
    pub fn msf_numa_num_possible_nodes() -> c_int;
    pub fn msf_numa_node_size(node: c_int, free_out: *mut i64) -> i64;
    pub fn msf_numa_distance(from: c_int, to: c_int) -> c_int;
}
