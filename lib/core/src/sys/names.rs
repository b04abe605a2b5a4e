//! Names of hosts and services, asked of the C library: of its files, its DNS client, its other modules.

use nix::errno::Errno;
use std::ffi::CStr;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ptr;

/// What getaddrinfo knows of `host` (None: the addresses to listen on) and `service` (a number or a name of TCP's).
/// A name without an address is ENOENT, a resolver without an answer EAGAIN.
pub(crate) fn addresses(
    host: Option<&CStr>,
    service: Option<&CStr>,
    family: i32,
    flags: i32,
) -> Result<Vec<SocketAddr>, Errno> {
    // SAFETY: the struct is made of integers and pointers, for which zero is a value.
    let mut wanted: libc::addrinfo = unsafe { std::mem::zeroed() };
    wanted.ai_family = family;
    wanted.ai_socktype = libc::SOCK_STREAM;
    wanted.ai_flags = flags;
    let (host, service) = (host.map_or(ptr::null(), CStr::as_ptr), service.map_or(ptr::null(), CStr::as_ptr));
    let mut list = ptr::null_mut();
    // SAFETY: both texts are null or NUL-terminated, the two structs are locals.
    match unsafe { libc::getaddrinfo(host, service, &raw const wanted, &raw mut list) } {
        0 => {}
        code => return Err(errno(code)),
    }
    let mut found = Vec::new();
    let mut entry = list.cast_const();
    // SAFETY: an entry of the list is null at its end and valid before, until the list is freed below.
    while let Some(one) = unsafe { entry.as_ref() } {
        // SAFETY: getaddrinfo says that `ai_addrlen` bytes are there.
        found.extend(unsafe { address(one.ai_addr, one.ai_addrlen) });
        entry = one.ai_next;
    }
    // SAFETY: getaddrinfo made it, and no reference into it is left.
    unsafe { libc::freeaddrinfo(list) };
    Ok(found)
}

/// The address in a `sockaddr` of the C library's; None for families that are not IP, and for null.
///
/// # Safety
/// `at` is null or `length` bytes may be read from it.
pub unsafe fn address(at: *const libc::sockaddr, length: libc::socklen_t) -> Option<SocketAddr> {
    let length = length as usize;
    if at.is_null() || length < size_of::<libc::sa_family_t>() {
        return None;
    }
    // SAFETY: the family is the first member of every such struct, and that many bytes are there.
    let family = unsafe { at.cast::<libc::sa_family_t>().read_unaligned() };
    match i32::from(family) {
        libc::AF_INET if length >= size_of::<libc::sockaddr_in>() => {
            // SAFETY: the length says that a whole `sockaddr_in` is there, and any bytes are one.
            let v4 = unsafe { at.cast::<libc::sockaddr_in>().read_unaligned() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 if length >= size_of::<libc::sockaddr_in6>() => {
            // SAFETY: the length says that a whole `sockaddr_in6` is there, and any bytes are one.
            let v6 = unsafe { at.cast::<libc::sockaddr_in6>().read_unaligned() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

fn errno(code: i32) -> Errno {
    match code {
        libc::EAI_SYSTEM => Errno::last(),
        libc::EAI_AGAIN => Errno::EAGAIN,
        libc::EAI_MEMORY => Errno::ENOMEM,
        libc::EAI_SERVICE | libc::EAI_BADFLAGS | libc::EAI_SOCKTYPE => Errno::EINVAL,
        libc::EAI_FAMILY => Errno::EAFNOSUPPORT,
        // A host without such an address (EAI_NODATA, which libc does not name), or a name nobody knows.
        _ => Errno::ENOENT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_become_addresses() {
        let found = addresses(Some(c"127.0.0.1"), Some(c"80"), libc::AF_UNSPEC, 0).unwrap();
        assert_eq!(found, ["127.0.0.1:80".parse().unwrap()]);
        let found = addresses(Some(c"::1"), Some(c"9999"), libc::AF_INET6, 0).unwrap();
        assert_eq!(found, ["[::1]:9999".parse().unwrap()]);
    }

    #[test]
    fn what_has_no_address_says_so() {
        let numeric = libc::AI_NUMERICHOST;
        assert_eq!(addresses(Some(c"no number"), None, libc::AF_UNSPEC, numeric), Err(Errno::ENOENT));
        assert_eq!(addresses(Some(c"127.0.0.1"), Some(c"no-such-service"), libc::AF_UNSPEC, 0), Err(Errno::EINVAL));
    }
}
