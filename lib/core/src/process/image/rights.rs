//! Who the program is to be: its user, and the capabilities that it keeps.

use super::{Image, address, call};
use crate::process::identity::Identity;
use libc::{c_int, c_long};

impl Image<'_> {
    /// What is not kept can never be had again; and what is kept outlives the change of user.
    pub(super) fn bound_capabilities(&self) -> Result<(), c_int> {
        let Some(kept) = self.capabilities else { return Ok(()) };
        for number in 0..64 {
            if kept & (1 << number) != 0 {
                continue;
            }
            // SAFETY: numbers only.
            match unsafe { call(libc::SYS_prctl, [c_long::from(libc::PR_CAPBSET_DROP), number]) } {
                Ok(_) => {}
                // Behind the last one.
                Err(libc::EINVAL) => break,
                // Whoever may not do this can still forbid that anything is gained by exec.
                Err(libc::EPERM) => {
                    // SAFETY: numbers only.
                    unsafe { call(libc::SYS_prctl, [c_long::from(libc::PR_SET_NO_NEW_PRIVS), 1]) }?;
                    break;
                }
                Err(errno) => return Err(errno),
            }
        }
        // SAFETY: numbers only.
        unsafe { call(libc::SYS_prctl, [c_long::from(libc::PR_SET_KEEPCAPS), 1]) }.map(drop)
    }

    pub(super) fn take_capabilities(&self) -> Result<(), c_int> {
        let Some(kept) = self.capabilities else { return Ok(()) };
        let (low, high) = (kept as u32, (kept >> 32) as u32);
        // Effective, permitted, inheritable; the lower and then the upper 32 of each.
        let (head, sets) = ([CAPABILITY_VERSION, 0], [low, low, low, high, high, high]);
        // SAFETY: the kernel reads two numbers of 32 bits, and for this version six.
        unsafe { call(libc::SYS_capset, [address(head.as_ptr()), address(sets.as_ptr())]) }?;
        for number in 0..64 {
            if kept & (1 << number) != 0 {
                let raise = [c_long::from(libc::PR_CAP_AMBIENT), c_long::from(libc::PR_CAP_AMBIENT_RAISE), number];
                // SAFETY: numbers only; the rest are the zeroes the kernel wants.
                unsafe { call(libc::SYS_prctl, raise) }?;
            }
        }
        Ok(())
    }

    /// System calls, not the C library's functions: those would change every thread of a process, of the parent's.
    pub(super) fn identify(&self) -> Result<(), c_int> {
        let Some(Identity { uid, gid, groups }) = self.identity else { return Ok(()) };
        let list = [groups.len() as c_long, address(groups.as_ptr()), 0, 0];
        // SAFETY: the kernel reads as many numbers as the list has.
        unsafe { call(SETGROUPS, list) }?;
        let (uid, gid) = (c_long::from(uid.cast_signed()), c_long::from(gid.cast_signed()));
        // SAFETY: numbers only.
        unsafe { call(SETRESGID, [gid, gid, gid, 0]) }?;
        // SAFETY: numbers only.
        unsafe { call(SETRESUID, [uid, uid, uid, 0]) }.map(drop)
    }
}

/// On 32-bit ARM the plain names are calls of 16 bits.
#[cfg(target_arch = "arm")]
const IDENTITY_CALLS: [c_long; 3] = [libc::SYS_setgroups32, libc::SYS_setresgid32, libc::SYS_setresuid32];
#[cfg(not(target_arch = "arm"))]
const IDENTITY_CALLS: [c_long; 3] = [libc::SYS_setgroups, libc::SYS_setresgid, libc::SYS_setresuid];
const SETGROUPS: c_long = IDENTITY_CALLS[0];
const SETRESGID: c_long = IDENTITY_CALLS[1];
const SETRESUID: c_long = IDENTITY_CALLS[2];

/// Sets of 64.
const CAPABILITY_VERSION: u32 = 0x2008_0522;
