//! Addresses and names.

use super::{optional, text_of};
use crate::guard::{guard, guard_or, plain};
use msf_core::net::{self, Family};
use msf_core::sys::names;
use nix::errno::Errno;
use nix::sys::socket::{SockaddrIn, SockaddrIn6, SockaddrLike, SockaddrStorage};
use std::ffi::{c_char, c_int};
use std::net::{IpAddr, SocketAddr};

as_declared! {
    msf_isipaddr msf_sockaddr_cmp msf_sockaddr_port msf_get_sockaddr_by_host msf_get_ipaddr_by_host
    msf_host_addresses msf_get_hostname msf_get_dns get_ipaddr_by_intf
}

/// # Safety
/// `ip` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_isipaddr(ip: *const c_char, af_type: u32) -> c_int {
    // SAFETY: our caller's promise is the callee's.
    guard_or(0, || match (unsafe { text_of(ip) }.map(str::parse), af_type as c_int) {
        (Ok(Ok(IpAddr::V4(_))), libc::AF_INET | libc::AF_UNSPEC) => Ok(1),
        (Ok(Ok(IpAddr::V6(_))), libc::AF_INET6 | libc::AF_UNSPEC) => Ok(1),
        _ => Ok(0),
    })
}

/// # Safety
/// Each is null or as long as its family says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_sockaddr_cmp(sa1: *const libc::sockaddr, sa2: *const libc::sockaddr) -> c_int {
    guard_or(-1, || {
        // SAFETY: our caller's promise is the callee's.
        let one = unsafe { Address::read(sa1) }?;
        // SAFETY: our caller's promise is the callee's.
        Ok(c_int::from(one != unsafe { Address::read(sa2) }?))
    })
}

/// What is compared of an address.
#[derive(PartialEq)]
enum Address {
    Ip(IpAddr, u16, u32),
    Unix(Vec<u8>),
}

impl Address {
    /// # Safety
    /// `at` is null or as long as its family says.
    unsafe fn read(at: *const libc::sockaddr) -> Result<Address, Errno> {
        if at.is_null() {
            return Err(Errno::EINVAL);
        }
        // SAFETY: not null, and the family comes first in every address.
        let family = unsafe { at.cast::<libc::sa_family_t>().read_unaligned() };
        if c_int::from(family) == libc::AF_UNIX {
            // SAFETY: our caller says that it is as long as the family says.
            let path = unsafe { at.cast::<libc::sockaddr_un>().read_unaligned() }.sun_path;
            let path: Vec<u8> = path.iter().map(|letter| *letter as u8).collect();
            // The first byte of an abstract name is 0, and does not end it.
            let length = path.iter().skip(1).position(|letter| *letter == 0).map_or(path.len(), |at| at + 1);
            return Ok(Address::Unix(path.into_iter().take(length).collect()));
        }
        let length = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
        // SAFETY: it reads no more than the family has, which our caller says is there.
        match unsafe { names::address(at, length) } {
            Some(SocketAddr::V4(v4)) => Ok(Address::Ip((*v4.ip()).into(), v4.port(), 0)),
            Some(SocketAddr::V6(v6)) => Ok(Address::Ip((*v6.ip()).into(), v6.port(), v6.scope_id())),
            None => Err(Errno::EAFNOSUPPORT),
        }
    }
}

/// # Safety
/// `addr` is null or may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_sockaddr_port(addr: *const libc::sockaddr_storage) -> u16 {
    let length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: our caller's promise is the callee's.
    guard_or(0, || Ok(unsafe { names::address(addr.cast(), length) }.map_or(0, |address| address.port().to_be())))
}

/// # Safety
/// `host` is null or a C string, `addr` null or long enough for a `sockaddr_in6`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_get_sockaddr_by_host(host: *const c_char, addr: *mut libc::sockaddr) -> c_int {
    guard_or(-1, || {
        if addr.is_null() {
            return Err(Errno::EINVAL);
        }
        // SAFETY: our caller's promise is the callee's.
        match unsafe { preferred(host) }? {
            SocketAddr::V4(v4) => {
                // SAFETY: the caller's memory has room for more, as he says; he may have no more than this (see `preferred`).
                unsafe { addr.cast::<libc::sockaddr_in>().write_unaligned(*SockaddrIn::from(v4).as_ref()) };
                Ok(libc::AF_INET)
            }
            SocketAddr::V6(v6) => {
                // SAFETY: there is room for one, as the caller says.
                unsafe { addr.cast::<libc::sockaddr_in6>().write_unaligned(*SockaddrIn6::from(v6).as_ref()) };
                Ok(libc::AF_INET6)
            }
        }
    })
}

/// An IPv4 address, if there is one: 2019's callers have no room for the other.
///
/// # Safety
/// `host` is null or a C string.
unsafe fn preferred(host: *const c_char) -> Result<SocketAddr, Errno> {
    // SAFETY: our caller's promise is the callee's.
    let found = net::resolve(unsafe { text_of(host) }?, "", Family::Any).map_err(plain)?;
    let v4 = found.iter().find(|address| address.is_ipv4());
    v4.or(found.first()).copied().ok_or(Errno::ENOENT)
}

/// # Safety
/// `host` is null or a C string, `ip` null or `len` bytes long.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_get_ipaddr_by_host(host: *const c_char, ip: *mut c_char, len: c_int) -> c_int {
    guard(|| {
        // SAFETY: our caller's promise is the callee's.
        let found = unsafe { preferred(host) }?;
        // A link-local address leads nowhere without its interface.
        let text = match found {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
            found => found.ip().to_string(),
        };
        // SAFETY: our caller's promise is the callee's.
        unsafe { write(ip, len, &text) }
    })
}

/// # Safety
/// The names are null or C strings, `list_out` null or `count` addresses long.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_host_addresses(
    host: *const c_char,
    service: *const c_char,
    list_out: *mut libc::sockaddr_storage,
    count: u32,
) -> c_int {
    guard_or(-1, || {
        // SAFETY: our caller's promise is the callee's.
        let service = unsafe { optional(service) }?.unwrap_or("");
        // SAFETY: our caller's promise is the callee's.
        let found = net::resolve(unsafe { text_of(host) }?, service, Family::Any).map_err(plain)?;
        let found = found.into_iter().map(SockaddrStorage::from);
        // SAFETY: our caller's promise is the callee's.
        unsafe { super::link::fill(list_out, count, found.map(whole)) }
    })
}

fn whole(address: SockaddrStorage) -> libc::sockaddr_storage {
    // SAFETY: the struct is made of integers, for which zero is a value.
    let mut out: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let length = (address.len() as usize).min(size_of_val(&out));
    // SAFETY: `address` has `len` bytes, and `out` no fewer than are copied.
    unsafe { (&raw mut out).cast::<u8>().copy_from_nonoverlapping(address.as_ptr().cast(), length) };
    out
}

/// # Safety
/// `host` is null or `len` bytes long.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_get_hostname(host: *mut c_char, len: c_int) -> c_int {
    // SAFETY: our caller's promise is the callee's.
    guard(|| unsafe { write(host, len, &net::hostname().map_err(plain)?) })
}

/// # Safety
/// Both are null or 64 bytes long.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_get_dns(primary_dns: *mut c_char, second_dns: *mut c_char) -> c_int {
    guard(|| {
        if primary_dns.is_null() || second_dns.is_null() {
            return Err(Errno::EINVAL);
        }
        let mut servers = net::name_servers().map_err(plain)?.into_iter().map(|server| server.to_string());
        let (first, second) = (servers.next().ok_or(Errno::ENOENT)?, servers.next().unwrap_or_default());
        // SAFETY: our caller's promise is the callee's.
        unsafe { write(primary_dns, MAX_IPADDR_LEN, &first) }?;
        // SAFETY: our caller's promise is the callee's.
        unsafe { write(second_dns, MAX_IPADDR_LEN, &second) }
    })
}

/// # Safety
/// `interf` is null or a C string, `ip` null or `len` bytes long.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn get_ipaddr_by_intf(interf: *const c_char, ip: *mut c_char, len: c_int) -> c_int {
    guard(|| {
        // SAFETY: our caller's promise is the callee's.
        let found = net::interface_addresses(Some(unsafe { text_of(interf) }?)).map_err(plain)?;
        let v4 = found.iter().find(|one| one.address.is_ipv4());
        let best = v4.or(found.first()).ok_or(Errno::EADDRNOTAVAIL)?;
        // SAFETY: our caller's promise is the callee's.
        unsafe { write(ip, len, &best.address.to_string()) }
    })
}

/// Copies a text and its NUL. ENOSPC: there is no room, and nothing is written.
///
/// # Safety
/// `out` is null or `len` bytes long.
unsafe fn write(out: *mut c_char, len: c_int, text: &str) -> Result<(), Errno> {
    if out.is_null() {
        return Err(Errno::EINVAL);
    }
    if usize::try_from(len).map_or(true, |len| text.len() >= len) {
        return Err(Errno::ENOSPC);
    }
    // SAFETY: the text and one byte more fit into `len`, and that many may be written.
    unsafe { out.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), text.len()) };
    // SAFETY: as above.
    let end = unsafe { out.add(text.len()) };
    // SAFETY: as above.
    unsafe { end.write(0) };
    Ok(())
}

const MAX_IPADDR_LEN: c_int = crate::header::MAX_IPADDR_LEN;
