//! `include/msf_list.h`.

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct list_head {
    pub next: *mut list_head,
    pub prev: *mut list_head,
}
