//! Whole pages of memory near a NUMA node: for what one thread on that node works with.

use crate::sys::node;
use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::slice;

/// Where the pages are to come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Near {
    /// The node of whichever thread touches a page first: what the kernel does by itself.
    User,
    /// The node that runs the calling thread now.
    Here,
    /// This node, as long as it has memory.
    Node(u32),
    /// All nodes in turn: for what threads on all nodes use.
    All,
}

/// Zeroed memory, unmapped when dropped. Its pages are taken from the node when they are touched.
///
/// On a machine with one node, and where the system knows no NUMA policy, it is memory like any other.
///
/// ```
/// use msf_core::mem::{Near, Pages};
///
/// let mut table = Pages::new(1 << 20, Near::Here)?;
/// table.bytes_mut()[7] = 1;
/// assert_eq!(table.bytes()[..8], [0, 0, 0, 0, 0, 0, 0, 1]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Pages {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: pages are a range of addresses that belongs to its owner; no thread is special to it.
unsafe impl Send for Pages {}
// SAFETY: shared pages can only be read.
unsafe impl Sync for Pages {}

impl Pages {
    /// Maps `length` bytes, rounded up to whole pages. Fails with EINVAL for a length of 0 or a node the machine does not
    /// have, ENOMEM when there is no room.
    pub fn new(length: usize, near: Near) -> io::Result<Pages> {
        let node = match near {
            Near::Here => Some(node::current()),
            Near::Node(number) => Some(number),
            Near::User | Near::All => None,
        };
        if node.is_some_and(|number| !node::exists(number)) {
            return Err(Errno::EINVAL.into());
        }
        let length = NonZeroUsize::new(length).ok_or(Errno::EINVAL)?;
        let (protection, flags) = (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_PRIVATE);
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let start = unsafe { mmap_anonymous(None, length, protection, flags) }?.cast::<u8>();
        let pages = Pages { start, length: length.get() };
        match node {
            Some(number) => node::tolerant(node::prefer(pages.start, pages.length, number))?,
            None if near == Near::All => node::tolerant(node::interleave(pages.start, pages.length))?,
            None => {}
        }
        Ok(pages)
    }

    /// The memory.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping has this length, is initialised (zeroes), and lives as long as we do; nobody writes while it is lent.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }

    /// The memory, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `bytes`, and the exclusive borrow makes us the only ones to look.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }

    /// Where it begins: at a page.
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// How many bytes were asked for; never 0.
    #[allow(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Gives the memory out of the hands of Rust; [`Pages::from_raw`] takes it back.
    pub fn into_raw(self) -> (NonNull<u8>, usize) {
        let parts = (self.start, self.length);
        std::mem::forget(self);
        parts
    }

    /// Takes back what [`Pages::into_raw`] gave out.
    ///
    /// # Safety
    /// The two came from one call of `into_raw`, and are not taken back twice.
    pub unsafe fn from_raw(start: NonNull<u8>, length: usize) -> Pages {
        Pages { start, length }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new`, has this length, and its owner is gone.
        let _ = unsafe { munmap(self.start.cast(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_zeroed_and_writable_wherever_it_comes_from() {
        for near in [Near::User, Near::Here, Near::Node(node::current()), Near::All] {
            let mut pages = Pages::new(10_000, near).unwrap();
            assert!(pages.len() == 10_000 && pages.bytes().iter().all(|&byte| byte == 0), "{near:?}");
            pages.bytes_mut().fill(7);
            let (start, length) = pages.into_raw();
            // SAFETY: it was given out on the line above.
            let pages = unsafe { Pages::from_raw(start, length) };
            assert_eq!(pages.bytes()[9_999], 7);
        }
    }

    #[test]
    fn nothing_and_nowhere_are_refused() {
        for (length, near) in [(0, Near::User), (1, Near::Node(900)), (1, Near::Node(u32::MAX))] {
            assert_eq!(Pages::new(length, near).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        }
        assert_eq!(Pages::new(usize::MAX / 8 * 7, Near::User).unwrap_err().raw_os_error(), Some(libc::ENOMEM));
    }
}
