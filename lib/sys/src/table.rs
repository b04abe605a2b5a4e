//! The table of a service in a loaded library: found, and looked at before anything in it is called.

use std::ffi::c_void;
use std::fmt;
use std::io;
use std::mem::offset_of;
use std::ptr::{self, NonNull};

use crate::ffi::msf as c;
use crate::library::Library;

/// What a library exports for a service.
pub(crate) enum Offer {
    /// `<svc_name>_ops`, as much of it as both sides know; the rest is zero.
    Ops(c::msf_svc_ops),
    /// 2019's `<svc_name>`.
    Slots(NonNull<c::msf_svc>),
}

/// Why a service cannot be used.
#[derive(Debug)]
pub enum Unusable {
    /// The library has neither of the two symbols.
    NoSymbol,
    /// Its table is of another contract.
    Abi(u32),
    /// Its table says that it has this many bytes, and the least are that many.
    Size(u32, usize),
    /// Its table says that it has this many bytes, and its variable has that many.
    Lies(u32, u64),
    /// Its context could not be made.
    System(io::Error),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::NoSymbol => write!(f, "there is no such symbol"),
            Unusable::Abi(abi) => write!(f, "its abi is {abi}; expected MSF_SVC_ABI, which is {}", c::MSF_SVC_ABI),
            Unusable::Size(size, least) => {
                write!(f, "its size is {size}; expected sizeof(struct msf_svc_ops), which is {least} at least")
            }
            Unusable::Lies(size, has) => write!(f, "its size is {size}; the variable has {has} bytes"),
            Unusable::System(e) => write!(f, "it cannot be given a context: {e}"),
        }
    }
}

/// The table of `name`; the one with a context comes first.
pub(crate) fn find(library: &Library, name: &str, has: Option<u64>) -> Result<Offer, Unusable> {
    if let Some(symbol) = library.symbol(&format!("{name}_ops")) {
        // SAFETY: a variable of that name is a `struct msf_svc_ops`, says the header; where the file tells its size, what it
        // says itself is held against that.
        return unsafe { ops(symbol, has) }.map(Offer::Ops);
    }
    library.symbol(name).map(|symbol| Offer::Slots(symbol.cast())).ok_or(Unusable::NoSymbol)
}

/// # Safety
/// `symbol` is aligned as a `struct msf_svc_ops`, and as many bytes may be read there as its first member says.
unsafe fn ops(symbol: NonNull<c_void>, has: Option<u64>) -> Result<c::msf_svc_ops, Unusable> {
    // SAFETY: our caller's promise; every table has these two.
    let [size, abi] = unsafe { symbol.cast::<[u32; 2]>().read() };
    if abi != c::MSF_SVC_ABI {
        return Err(Unusable::Abi(abi));
    }
    if (size as usize) < LEAST {
        return Err(Unusable::Size(size, LEAST));
    }
    if let Some(has) = has.filter(|has| u64::from(size) > *has) {
        return Err(Unusable::Lies(size, has));
    }
    // SAFETY: all bits zero is a table that offers nothing.
    let mut known: c::msf_svc_ops = unsafe { std::mem::zeroed() };
    let bytes = (size as usize).min(size_of::<c::msf_svc_ops>());
    // SAFETY: as many bytes are in both.
    unsafe { ptr::copy_nonoverlapping(symbol.as_ptr().cast::<u8>(), (&raw mut known).cast::<u8>(), bytes) };
    Ok(known)
}

/// The table's first edition, up to its last slot then.
const LEAST: usize = offset_of!(c::msf_svc_ops, functions) + size_of::<usize>();
