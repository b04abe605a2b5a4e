//! The stack on which a thread hears of a fault when its own has overflowed.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// Registered for the thread that made it, until it is dropped.
#[derive(Debug)]
pub struct Stack {
    memory: Vec<MaybeUninit<u8>>,
}

impl Stack {
    /// For the calling thread; `None` when it has one already that is large enough. Threads of Rust's have one that is not.
    pub fn new() -> io::Result<Option<Stack>> {
        // What the kernel saves of a processor's registers, and what the handler needs.
        // SAFETY: asks for a number; 0 where the kernel does not say.
        let least = unsafe { libc::getauxval(AT_MINSIGSTKSZ) } as usize;
        let (size, there) = (least.max(libc::MINSIGSTKSZ) + HANDLER, now()?);
        if there.ss_flags & libc::SS_DISABLE == 0 && there.ss_size >= size {
            return Ok(None);
        }
        let stack = Stack { memory: vec![MaybeUninit::uninit(); size] };
        let given =
            libc::stack_t { ss_sp: stack.memory.as_ptr().cast_mut().cast(), ss_flags: 0, ss_size: stack.memory.len() };
        // SAFETY: the memory is this thread's until `drop` takes it back.
        match unsafe { libc::sigaltstack(&raw const given, ptr::null_mut()) } {
            0 => Ok(Some(stack)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// In the thread that made it, at its end.
impl Drop for Stack {
    fn drop(&mut self) {
        if now().is_ok_and(|now| now.ss_sp.cast_const() == self.memory.as_ptr().cast()) {
            let none = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
            // SAFETY: this thread's stack is ours, and not in use: no handler runs while we do.
            unsafe { libc::sigaltstack(&raw const none, ptr::null_mut()) };
        }
    }
}

fn now() -> io::Result<libc::stack_t> {
    let mut now = MaybeUninit::uninit();
    // SAFETY: only asks; `now` has room for the answer.
    match unsafe { libc::sigaltstack(ptr::null(), now.as_mut_ptr()) } {
        // SAFETY: the call has written it.
        0 => Ok(unsafe { now.assume_init() }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Of <linux/auxvec.h>; the C libraries' headers do not all have it.
const AT_MINSIGSTKSZ: libc::c_ulong = 51;
const HANDLER: usize = 24 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regress_a_stack_that_is_too_small_for_the_handler_is_replaced_and_a_large_one_stays() {
        // Rust has given this thread one of its own.
        assert!(now().unwrap().ss_size < HANDLER);
        let own = Stack::new().unwrap().unwrap();
        assert!(now().unwrap().ss_size > HANDLER);
        assert!(Stack::new().unwrap().is_none());
        drop(own);
        assert_ne!(now().unwrap().ss_flags & libc::SS_DISABLE, 0);
        assert!(Stack::new().unwrap().is_some());
    }
}
