//! Listening for TCP and UDP: at an address, at a name, on an interface, or everywhere.

use super::host::{Family, resolve};
use super::interface::interface_index;
use super::option::SocketOption;
use crate::error::Error;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen as begin, socket};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

/// Listens for TCP on `port` (0: one the kernel chooses) with room for `backlog` connections nobody has accepted yet.
///
/// `place` is an address, a name, or an interface; `None` is everywhere, by IPv6 and IPv4 in one socket, and by IPv4
/// alone on machines without IPv6. The port of a listener that has just ended may be taken at once.
///
/// ```
/// let listener = msf_core::net::listen(Some("127.0.0.1"), 0, 128)?;
/// assert_ne!(listener.local_addr().unwrap().port(), 0);
/// # Ok::<(), msf_core::Error>(())
/// ```
pub fn listen(place: Option<&str>, port: u16, backlog: u32) -> Result<TcpListener, Error> {
    bound(place, port, SockType::Stream, backlog).map(TcpListener::from)
}

/// Receives UDP on `port`; `place` as for [`listen`].
pub fn bind_udp(place: Option<&str>, port: u16) -> Result<UdpSocket, Error> {
    bound(place, port, SockType::Datagram, 0).map(UdpSocket::from)
}

fn bound(place: Option<&str>, port: u16, kind: SockType, backlog: u32) -> Result<OwnedFd, Error> {
    let name = place.unwrap_or("*");
    let (addresses, device) = candidates(place, port)?;
    let mut last = Errno::EADDRNOTAVAIL;
    for address in addresses {
        match open(address, device, kind, backlog) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
        // Another family helps when this one is missing, not when the port is taken.
        if last != Errno::EAFNOSUPPORT && last != Errno::EADDRNOTAVAIL {
            break;
        }
    }
    Err(Error::place("listen on", format_args!("{name}:{port}"))(last))
}

/// What to try, and the interface to stay on.
fn candidates(place: Option<&str>, port: u16) -> Result<(Vec<SocketAddr>, Option<&str>), Error> {
    let everywhere = vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()];
    match place {
        None => Ok((everywhere, None)),
        Some(place) => match place.parse::<IpAddr>() {
            Ok(address) => Ok((vec![(address, port).into()], None)),
            Err(_) if interface_index(place).is_ok() => Ok((everywhere, Some(place))),
            Err(_) => Ok((resolve(place, &port.to_string(), Family::Any)?, None)),
        },
    }
}

fn open(address: SocketAddr, device: Option<&str>, kind: SockType, backlog: u32) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, None)?;
    let set = |option: SocketOption<'_>| option.set(&socket).map_err(|error| error.errno());
    if kind == SockType::Stream {
        set(SocketOption::ReuseAddress(true))?;
    }
    if address.is_ipv6() {
        // Whatever the system's default is: `[::]` serves both families, an address only its own.
        set(SocketOption::OnlyV6(!address.ip().is_unspecified()))?;
    }
    if let Some(device) = device {
        set(SocketOption::Device(device))?;
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    if kind == SockType::Stream {
        begin(&socket, room(backlog))?;
    }
    Ok(socket)
}

/// 0, and more than the kernel takes, are as much as it takes.
pub(super) fn room(backlog: u32) -> Backlog {
    match i32::try_from(backlog) {
        Ok(backlog @ 1..) => Backlog::new(backlog).unwrap_or(Backlog::MAXCONN),
        _ => Backlog::MAXCONN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn everywhere_is_both_families() {
        let listener = listen(None, 0, 0).unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect(("127.0.0.1", port)).unwrap();
        if listener.local_addr().unwrap().is_ipv6() {
            TcpStream::connect(("::1", port)).unwrap();
        }
    }

    #[test]
    fn a_taken_port_and_a_strange_place_are_told() {
        let listener = listen(Some("127.0.0.1"), 0, 5).unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = listen(Some("127.0.0.1"), port, 5).unwrap_err();
        assert_eq!(error.errno(), Errno::EADDRINUSE);
        assert!(error.to_string().starts_with(&format!("cannot listen on 127.0.0.1:{port}: ")), "{error}");
        assert_eq!(listen(Some("192.0.2.1"), 0, 5).unwrap_err().errno(), Errno::EADDRNOTAVAIL);
    }

    #[test]
    fn an_interface_is_a_place() {
        match bind_udp(Some("lo"), 0) {
            Ok(socket) => assert_ne!(socket.local_addr().unwrap().port(), 0),
            // Kernels before 5.7 want a privilege for it.
            Err(error) => assert_eq!(error.errno(), Errno::EPERM),
        }
    }
}
