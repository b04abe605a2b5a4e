//! Structs that begin with their size: program and library may be of different versions, and each knows only its own.

use nix::errno::Errno;
use std::mem::MaybeUninit;
use std::ptr;

/// A struct of the headers that begins with `u32 size`.
///
/// # Safety
/// `repr(C)`, the first member is that `u32`, and all bits zero is a value of it.
pub(crate) unsafe trait Sized32: Copy {}

/// Fills in the caller's struct but for its size: as much as he knows of, and zeroes for what we do not know.
///
/// # Safety
/// `out` is null or begins with a `u32` that says how many bytes may be written there.
pub(crate) unsafe fn give<T: Sized32>(out: *mut T, value: &T) -> Result<(), Errno> {
    // SAFETY: the contract is our caller's.
    let size = unsafe { size_of_his(out) }?;
    let known = size.min(size_of::<T>());
    let out = out.cast::<u8>();
    // SAFETY: behind the size there are `size` - 4 bytes, and `size` is at least 8.
    let members = unsafe { out.add(HEAD) };
    // SAFETY: our value is longer than its size member, too.
    let ours = unsafe { ptr::from_ref(value).cast::<u8>().add(HEAD) };
    // SAFETY: `known` bytes are in both structs; the caller's is not ours.
    unsafe { ptr::copy_nonoverlapping(ours, members, known - HEAD) };
    // SAFETY: known <= size.
    let rest = unsafe { out.add(known) };
    // SAFETY: as many bytes are left in the caller's.
    unsafe { ptr::write_bytes(rest, 0, size - known) };
    Ok(())
}

/// The caller's struct as one of ours: zeroes for what he does not know of.
///
/// # Safety
/// `given` is null or begins with a `u32` that says how many bytes may be read there.
pub(crate) unsafe fn take<T: Sized32>(given: *const T) -> Result<T, Errno> {
    // SAFETY: the contract is our caller's.
    let size = unsafe { size_of_his(given) }?;
    let mut ours = MaybeUninit::<T>::zeroed();
    // SAFETY: as many bytes are in both.
    unsafe { ptr::copy_nonoverlapping(given.cast::<u8>(), ours.as_mut_ptr().cast(), size.min(size_of::<T>())) };
    // SAFETY: all bits zero is a value, and what was copied over them is the caller's value.
    Ok(unsafe { ours.assume_init() })
}

/// # Safety
/// `given` is null or begins with a `u32`.
unsafe fn size_of_his<T>(given: *const T) -> Result<usize, Errno> {
    if given.is_null() {
        return Err(Errno::EINVAL);
    }
    // SAFETY: not null; the caller vouches for the rest.
    let size = unsafe { given.cast::<u32>().read() } as usize;
    if size < LEAST { Err(Errno::EINVAL) } else { Ok(size) }
}

const HEAD: usize = size_of::<u32>();
/// Less than this has no member beside its size: nobody has set it.
const LEAST: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Three {
        size: u32,
        members: [u32; 3],
    }
    // SAFETY: numbers, the first of them the size.
    unsafe impl Sized32 for Three {}

    #[test]
    fn an_older_caller_gets_less_and_a_newer_one_zeroes() {
        let ours = Three { size: 16, members: [1, 2, 3] };
        let mut his = [12u32, 9, 9, 9, 9, 9];
        // SAFETY: 12 bytes are there.
        unsafe { give(his.as_mut_ptr().cast(), &ours) }.unwrap();
        assert_eq!(his, [12, 1, 2, 9, 9, 9]);
        his[0] = 20;
        // SAFETY: 20 bytes are there.
        unsafe { give(his.as_mut_ptr().cast(), &ours) }.unwrap();
        assert_eq!(his, [20, 1, 2, 3, 0, 9]);
    }

    #[test]
    fn what_an_older_caller_does_not_know_is_zero_here() {
        let his = [12u32, 7, 8, 9];
        // SAFETY: 12 bytes are there.
        let ours: Three = unsafe { take(his.as_ptr().cast()) }.unwrap();
        assert_eq!((ours.size, ours.members), (12, [7, 8, 0]));
    }

    #[test]
    fn a_size_that_nobody_has_set_is_refused() {
        let mut his = Three { size: 0, members: [0; 3] };
        // SAFETY: a null, and a struct of ours.
        assert_eq!(unsafe { give(ptr::null_mut(), &his) }, Err(Errno::EINVAL));
        let value = his;
        // SAFETY: as above.
        assert_eq!(unsafe { give(&raw mut his, &value) }, Err(Errno::EINVAL));
        // SAFETY: as above.
        assert!(unsafe { take(&raw const his) }.is_err());
    }
}
