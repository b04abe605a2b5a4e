//! What a handle must be before it is used: not null, and made in this process.
//!
//! A child process has the memory of its parent's handles but not their threads, and their locks may be held by nobody who
//! could let go. So in the child each is recognised by the process id it was made under and left alone, for ever; its
//! sockets are closed there as the fork returns, so that a broker sees the parent's death when it dies.

use crate::errno::Errno;
use msf_client::nmid::take_open_sockets;
use std::process;

/// Something C holds by a pointer to `Face`, an opaque type of the header.
pub(super) trait Handle: Sized {
    type Face;

    /// The process that made it.
    fn owner(&self) -> u32;
}

/// Gives it to C.
pub(super) fn lend<T: Handle>(handle: T) -> *mut T::Face {
    Box::into_raw(Box::new(handle)).cast()
}

/// # Safety
/// `face` is null or came from [`lend`] of the same type and is not freed before `'a` ends.
pub(super) unsafe fn borrow<'a, T: Handle + 'a>(face: *const T::Face) -> Result<&'a T, Errno> {
    // SAFETY: null, or a live `T` behind its face, by the caller's word.
    let handle = unsafe { face.cast::<T>().as_ref() }.ok_or(Errno::INVAL)?;
    if handle.owner() == process::id() { Ok(handle) } else { Err(Errno::CHILD) }
}

/// Takes it back from C; `None` for null and in a child, where it stays as it is.
///
/// # Safety
/// `face` is null or came from [`lend`] of the same type, is not freed, and nobody uses it any more.
pub(super) unsafe fn take<T: Handle>(face: *mut T::Face) -> Option<Box<T>> {
    // SAFETY: the caller's promise includes that of `borrow`.
    unsafe { borrow::<T>(face) }.ok()?;
    // SAFETY: not null, as was just seen; it came out of a Box in `lend` and is not freed, by the caller's word.
    Some(unsafe { Box::from_raw(face.cast::<T>()) })
}

/// On the only thread of a child, before `fork` returns there: takes neither lock nor memory.
pub(crate) fn in_the_child() {
    for fd in take_open_sockets() {
        // SAFETY: the child's copy of a descriptor whose owner, a handle of the parent, nobody in the child will touch.
        unsafe { libc::close(fd) };
    }
}
