//! Connecting by name: every address of the host is tried, in its turn, until one answers.

use super::host::{Family, resolve};
use crate::error::Error;
use nix::errno::Errno;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// A TCP connection to `host` at `service` (see [`resolve`]), made within `longest` if that is given. The error is that
/// of the last address tried.
///
/// ```no_run
/// use std::time::Duration;
/// let stream = msf_core::net::connect("gateway.lan", "9999", Some(Duration::from_secs(3)))?;
/// # Ok::<(), msf_core::Error>(())
/// ```
pub fn connect(host: &str, service: &str, longest: Option<Duration>) -> Result<TcpStream, Error> {
    let end = longest.map(|longest| Instant::now() + longest);
    let mut last = Errno::ENOENT;
    for address in resolve(host, service, Family::Any)? {
        match reach(address, end) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = errno(&error),
        }
    }
    Err(Error::place("connect to", format_args!("{host}:{service}"))(last))
}

fn reach(address: SocketAddr, end: Option<Instant>) -> io::Result<TcpStream> {
    let Some(end) = end else { return TcpStream::connect(address) };
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    TcpStream::connect_timeout(&address, left)
}

/// A UDP socket whose peer is `host` at `service`: what others send does not reach it.
pub fn connect_udp(host: &str, service: &str) -> Result<UdpSocket, Error> {
    let mut last = Errno::ENOENT;
    for address in resolve(host, service, Family::Any)? {
        let here: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        match UdpSocket::bind(here).and_then(|socket| socket.connect(address).map(|()| socket)) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = errno(&error),
        }
    }
    Err(Error::place("connect to", format_args!("{host}:{service}"))(last))
}

/// std makes up the error of a time that ran out.
pub(super) fn errno(error: &io::Error) -> Errno {
    match (error.raw_os_error(), error.kind()) {
        (Some(number), _) => Errno::from_raw(number),
        (None, io::ErrorKind::TimedOut) => Errno::ETIMEDOUT,
        (None, io::ErrorKind::InvalidInput) => Errno::EINVAL,
        (None, _) => Errno::EIO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_listener_is_reached_and_a_closed_port_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let stream = connect("127.0.0.1", &port, Some(Duration::from_secs(5))).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
        drop(listener);
        let error = connect("127.0.0.1", &port, None).unwrap_err();
        assert_eq!(error.errno(), Errno::ECONNREFUSED);
        assert!(error.to_string().starts_with("cannot connect to 127.0.0.1:"), "{error}");
    }

    #[test]
    fn no_time_is_a_time_that_ran_out() {
        assert_eq!(connect("127.0.0.1", "1", Some(Duration::ZERO)).unwrap_err().errno(), Errno::ETIMEDOUT);
    }

    #[test]
    fn datagrams_go_to_the_connected_peer() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = connect_udp("127.0.0.1", &server.local_addr().unwrap().port().to_string()).unwrap();
        client.send(b"hello").unwrap();
        let mut buffer = [0; 16];
        assert_eq!(server.recv_from(&mut buffer).unwrap(), (5, client.local_addr().unwrap()));
    }
}
