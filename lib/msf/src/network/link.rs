//! Interfaces, how they change, and ping.

use super::{give, optional, text_of};
use crate::guard::{guard, guard_or, guard_ptr, plain};
use crate::header as h;
use msf_core::net::{self, InterfaceAddress, LinkEvent, Links};
use nix::errno::Errno;
use std::ffi::{c_char, c_int};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

as_declared! {
    msf_interface_list msf_interface_addresses msf_netlink_open msf_netlink_fd msf_netlink_next msf_netlink_close
    msf_ping msf_ping_host
}

/// # Safety
/// `list_out` is null or `count` long.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_interface_list(list_out: *mut h::msf_interface, count: u32) -> c_int {
    guard_or(-1, || {
        let found = net::interfaces().map_err(plain)?.into_iter().map(|one| {
            let mut mac = [0; 8];
            mac[..6].copy_from_slice(&one.mac.unwrap_or_default());
            let (index, flags, is_up) = (one.index, one.flags, one.is_up().into());
            h::msf_interface { index, flags, is_up, name: cut(&one.name), mac, reserved: [0; 4] }
        });
        // SAFETY: our caller's promise is the callee's.
        unsafe { fill(list_out, count, found) }
    })
}

/// # Safety
/// `interf` is null or a C string, `list_out` null or `count` long.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_interface_addresses(
    interf: *const c_char,
    list_out: *mut h::msf_interface_address,
    count: u32,
) -> c_int {
    guard_or(-1, || {
        // SAFETY: our caller's promise is the callee's.
        let found = net::interface_addresses(unsafe { optional(interf) }?).map_err(plain)?.into_iter().map(|one| {
            let (family, prefix, address) = told(&one);
            h::msf_interface_address {
                index: one.index,
                family,
                prefix,
                name: cut(&one.name),
                address,
                reserved: [0; 4],
            }
        });
        // SAFETY: our caller's promise is the callee's.
        unsafe { fill(list_out, count, found) }
    })
}

fn told(one: &InterfaceAddress) -> (c_int, u32, [c_char; 64]) {
    let family = match one.address {
        IpAddr::V4(_) => libc::AF_INET,
        IpAddr::V6(_) => libc::AF_INET6,
    };
    (family, one.prefix.into(), cut(&one.address.to_string()))
}

/// Writes as many as there is room for, and counts them all.
///
/// # Safety
/// `list` is null or `count` long.
pub(super) unsafe fn fill<T>(list: *mut T, count: u32, found: impl Iterator<Item = T>) -> Result<c_int, Errno> {
    if list.is_null() && count > 0 {
        return Err(Errno::EINVAL);
    }
    let mut all = 0;
    for one in found {
        if all < count as usize {
            // SAFETY: `all` is below `count`, and that many may be written.
            let place = unsafe { list.add(all) };
            // SAFETY: as above.
            unsafe { place.write(one) };
        }
        all += 1;
    }
    Ok(c_int::try_from(all).unwrap_or(c_int::MAX))
}

/// A text in a field of its own length, with its NUL. The kernel's names and addresses always fit.
fn cut<const N: usize>(text: &str) -> [c_char; N] {
    let mut field = [0; N];
    for (place, letter) in field.iter_mut().take(N - 1).zip(text.bytes()) {
        *place = letter as c_char;
    }
    field
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_netlink_open() -> *mut h::msf_netlink {
    guard_ptr(|| Ok(Box::into_raw(Box::new(Links::new().map_err(plain)?)).cast()))
}

/// # Safety
/// `links` is null or open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_netlink_fd(links: *const h::msf_netlink) -> c_int {
    // SAFETY: our caller's promise: null, or the box that `msf_netlink_open` made.
    guard_or(-1, || match unsafe { links.cast::<Links>().as_ref() } {
        Some(links) => Ok(links.as_fd().as_raw_fd()),
        None => Err(Errno::EINVAL),
    })
}

/// # Safety
/// `links` is null or open, and nobody else is inside it; `event_out` is null or as long as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_netlink_next(links: *mut h::msf_netlink, event_out: *mut h::msf_netlink_event) -> c_int {
    guard_or(-1, || {
        // SAFETY: our caller's promise: null, or the box that `msf_netlink_open` made.
        let links = unsafe { links.cast::<Links>().as_mut() }.ok_or(Errno::EINVAL)?;
        // SAFETY: our caller's promise is the callee's.
        let size = unsafe { size_of_sized(event_out.cast()) }?;
        if size < 16 {
            return Err(Errno::EINVAL);
        }
        let Some(event) = links.next().map_err(plain)? else { return Ok(0) };
        let event = h::msf_netlink_event { size: size as u32, ..described(event) };
        // SAFETY: our caller says that so much may be written.
        unsafe { copy_sized(event_out.cast(), size, &event) };
        Ok(1)
    })
}

/// The first member of a struct that says how long it is.
///
/// # Safety
/// `at` is null or may be read.
pub(crate) unsafe fn size_of_sized(at: *const u32) -> Result<usize, Errno> {
    if at.is_null() {
        return Err(Errno::EINVAL);
    }
    // SAFETY: not null, and our caller says that it may be read.
    Ok(unsafe { at.read() } as usize)
}

/// As much of `value` as the caller's struct, compiled from another header perhaps, has room for.
///
/// # Safety
/// `size` bytes may be written at `out`.
pub(crate) unsafe fn copy_sized<T: Copy>(out: *mut u8, size: usize, value: &T) {
    // SAFETY: no more than there is on either side.
    unsafe { out.copy_from_nonoverlapping((&raw const *value).cast(), size.min(size_of::<T>())) };
}

fn described(event: LinkEvent) -> h::msf_netlink_event {
    let mut out = h::msf_netlink_event {
        size: 0,
        kind: 0,
        index: 0,
        flags: 0,
        name: [0; 16],
        prefix: 0,
        family: 0,
        address: [0; 64],
    };
    let (kind, link, address) = match event {
        LinkEvent::Added(link) => (h::MSF_LINK_ADDED, Some(link), None),
        LinkEvent::Up(link) => (h::MSF_LINK_UP, Some(link), None),
        LinkEvent::Down(link) => (h::MSF_LINK_DOWN, Some(link), None),
        LinkEvent::Changed(link) => (h::MSF_LINK_CHANGED, Some(link), None),
        LinkEvent::Removed(link) => (h::MSF_LINK_REMOVED, Some(link), None),
        LinkEvent::AddressAdded(address) => (h::MSF_LINK_ADDRESS_ADDED, None, Some(address)),
        LinkEvent::AddressRemoved(address) => (h::MSF_LINK_ADDRESS_REMOVED, None, Some(address)),
        LinkEvent::Lost => (h::MSF_LINK_LOST, None, None),
    };
    out.kind = kind as u32;
    if let Some(link) = link {
        (out.index, out.flags, out.name) = (link.index, link.flags, cut(&link.name));
    }
    if let Some(one) = address {
        (out.index, out.name) = (one.index, cut(&one.name));
        (out.family, out.prefix, out.address) = told(&one);
    }
    out
}

/// # Safety
/// `links` is null or open, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_netlink_close(links: *mut h::msf_netlink) {
    guard(|| {
        if !links.is_null() {
            // SAFETY: it came from `msf_netlink_open`'s box, and is freed once, as our caller promises.
            drop(unsafe { Box::from_raw(links.cast::<Links>()) });
        }
        Ok(())
    });
}

/// # Safety
/// `host` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_ping(host: *const c_char) -> c_int {
    // SAFETY: our caller's promise is the callee's.
    unsafe { msf_ping_host(host, 1000, std::ptr::null_mut()) }
}

/// # Safety
/// `host` is null or a C string, `us_out` null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_ping_host(host: *const c_char, timeout_ms: u32, us_out: *mut u32) -> c_int {
    guard(|| {
        // SAFETY: our caller's promise is the callee's.
        let host = unsafe { text_of(host) }?;
        let answer = net::ping(host, Duration::from_millis(timeout_ms.into())).map_err(plain)?;
        // SAFETY: our caller's promise is the callee's.
        unsafe { give(us_out, u32::try_from(answer.after.as_micros()).unwrap_or(u32::MAX)) };
        Ok(())
    })
}
