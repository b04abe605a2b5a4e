//! Options of sockets: one value each, set by one method, so that a list of them can be applied.

use crate::error::Error;
use crate::sys::socket;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// One option and its value. [`SocketOption::set`] sets it.
///
/// ```
/// use msf_core::net::SocketOption::{CloseOnExec, NoDelay, NonBlocking};
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// for option in [NonBlocking(true), CloseOnExec(true), NoDelay(true)] {
///     option.set(&listener)?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketOption<'a> {
    /// Calls that would wait fail with EAGAIN instead.
    NonBlocking(bool),
    /// A program that is executed does not get the socket.
    CloseOnExec(bool),
    /// The port of a listener that has just ended may be taken at once.
    ReuseAddress(bool),
    /// Several sockets may have one port and share what comes in.
    ReusePort(bool),
    /// Closing waits so long for unsent data; zero throws it away and resets the connection. `None`: the kernel sends
    /// it afterwards.
    Linger(Option<Duration>),
    /// A silent peer is asked whether it lives.
    KeepAlive(Option<KeepAlive>),
    /// How long one sending or receiving call may wait; `None` for ever.
    Timeout(Option<Duration>),
    /// Small TCP segments are sent at once.
    NoDelay(bool),
    /// Only whole TCP segments are sent until this is taken back.
    Cork(bool),
    /// A TCP listener takes data with the first packet, with so many handshakes open at most.
    FastOpen(u32),
    /// A TCP listener gives out connections when data has come, or after so many seconds.
    DeferAccept(u32),
    /// An IPv6 socket does not serve IPv4.
    OnlyV6(bool),
    /// Datagrams may go to broadcast addresses.
    Broadcast(bool),
    /// Room for what is sent; the kernel doubles it, and cuts it at its own limit.
    SendBuffer(u32),
    /// Room for what is received; the kernel doubles it, and cuts it at its own limit.
    ReceiveBuffer(u32),
    /// Only packets through this interface; "" for all.
    Device(&'a str),
    /// The class of service in every packet, 0 to 63.
    Dscp(u8),
    /// Takes part in a multicast group.
    Join(Group),
    /// Takes part no longer.
    Leave(Group),
    /// Multicast goes out through the interface with this number.
    MulticastInterface(u32),
    /// How many routers multicast passes.
    MulticastHops(u8),
    /// Multicast comes back to listeners on this machine.
    MulticastLoop(bool),
}

/// When a silent TCP peer is asked, and when it is given up. All in seconds, the kernel's smallest unit here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Silence before the first question.
    pub idle: u32,
    /// Silence between questions.
    pub interval: u32,
    /// Questions without an answer that end the connection.
    pub count: u32,
}

/// A multicast group on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its address: 224.0.0.0/4 or ff00::/8.
    pub address: IpAddr,
    /// The interface's number ([`interface_index`](super::interface_index)); 0 lets the routing table choose.
    pub interface: u32,
}

impl SocketOption<'_> {
    /// Sets it.
    pub fn set(self, socket: impl AsFd) -> Result<(), Error> {
        self.apply(socket.as_fd()).map_err(Error::system(self.doing()))
    }

    fn doing(self) -> &'static str {
        use SocketOption as Is;
        match self {
            Is::NonBlocking(_) => "set O_NONBLOCK",
            Is::CloseOnExec(_) => "set FD_CLOEXEC",
            Is::ReuseAddress(_) => "set SO_REUSEADDR",
            Is::ReusePort(_) => "set SO_REUSEPORT",
            Is::Linger(_) => "set SO_LINGER",
            Is::KeepAlive(_) => "set SO_KEEPALIVE",
            Is::Timeout(_) => "set a socket's timeouts",
            Is::NoDelay(_) => "set TCP_NODELAY",
            Is::Cork(_) => "set TCP_CORK",
            Is::FastOpen(_) => "set TCP_FASTOPEN",
            Is::DeferAccept(_) => "set TCP_DEFER_ACCEPT",
            Is::OnlyV6(_) => "set IPV6_V6ONLY",
            Is::Broadcast(_) => "set SO_BROADCAST",
            Is::SendBuffer(_) => "set SO_SNDBUF",
            Is::ReceiveBuffer(_) => "set SO_RCVBUF",
            Is::Device(_) => "bind a socket to an interface",
            Is::Dscp(_) => "set a socket's class of service",
            Is::Join(_) => "join a multicast group",
            Is::Leave(_) => "leave a multicast group",
            Is::MulticastInterface(_) => "choose the interface for multicast",
            Is::MulticastHops(_) => "set how far multicast goes",
            Is::MulticastLoop(_) => "set whether multicast comes back",
        }
    }

    fn apply(self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        use SocketOption as Is;
        use libc::{IPPROTO_TCP, SOL_SOCKET};
        match self {
            Is::NonBlocking(on) => status_flag(fd, on),
            Is::CloseOnExec(on) => descriptor_flag(fd, on),
            Is::ReuseAddress(on) => number(fd, SOL_SOCKET, libc::SO_REUSEADDR, on.into()),
            Is::ReusePort(on) => number(fd, SOL_SOCKET, libc::SO_REUSEPORT, on.into()),
            Is::Broadcast(on) => number(fd, SOL_SOCKET, libc::SO_BROADCAST, on.into()),
            Is::SendBuffer(bytes) => number(fd, SOL_SOCKET, libc::SO_SNDBUF, clamped(bytes)),
            Is::ReceiveBuffer(bytes) => number(fd, SOL_SOCKET, libc::SO_RCVBUF, clamped(bytes)),
            // The kernel would cut it, and take another interface's name for ours.
            Is::Device(name) if name.len() >= libc::IFNAMSIZ => Err(Errno::ENODEV),
            Is::Device(name) => socket::set_option(fd, SOL_SOCKET, libc::SO_BINDTODEVICE, name.as_bytes()),
            Is::NoDelay(on) => number(fd, IPPROTO_TCP, libc::TCP_NODELAY, on.into()),
            Is::Cork(on) => number(fd, IPPROTO_TCP, libc::TCP_CORK, on.into()),
            Is::FastOpen(queue) => number(fd, IPPROTO_TCP, libc::TCP_FASTOPEN, clamped(queue)),
            Is::DeferAccept(seconds) => number(fd, IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, clamped(seconds)),
            Is::OnlyV6(on) => number(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, on.into()),
            Is::Linger(after) => linger(fd, after),
            Is::KeepAlive(times) => keep_alive(fd, times),
            Is::Timeout(longest) => timeout(fd, longest),
            Is::Dscp(class) => dscp(fd, class),
            Is::Join(group) => membership(fd, group, libc::IP_ADD_MEMBERSHIP, libc::IPV6_ADD_MEMBERSHIP),
            Is::Leave(group) => membership(fd, group, libc::IP_DROP_MEMBERSHIP, libc::IPV6_DROP_MEMBERSHIP),
            Is::MulticastInterface(index) => multicast_interface(fd, index),
            Is::MulticastHops(hops) => by_family(fd, libc::IP_MULTICAST_TTL, libc::IPV6_MULTICAST_HOPS, hops.into()),
            Is::MulticastLoop(on) => by_family(fd, libc::IP_MULTICAST_LOOP, libc::IPV6_MULTICAST_LOOP, on.into()),
        }
    }
}

fn number(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> Result<(), Errno> {
    socket::set_option(fd, level, name, &value.to_ne_bytes())
}

fn clamped(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn status_flag(fd: BorrowedFd<'_>, on: bool) -> Result<(), Errno> {
    let before = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    let mut after = before;
    after.set(OFlag::O_NONBLOCK, on);
    if after != before {
        fcntl(fd, FcntlArg::F_SETFL(after))?;
    }
    Ok(())
}

fn descriptor_flag(fd: BorrowedFd<'_>, on: bool) -> Result<(), Errno> {
    let mut flags = FdFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFD)?);
    flags.set(FdFlag::FD_CLOEXEC, on);
    fcntl(fd, FcntlArg::F_SETFD(flags)).map(drop)
}

fn linger(fd: BorrowedFd<'_>, after: Option<Duration>) -> Result<(), Errno> {
    let seconds = after.map_or(0, |after| clamped(u32::try_from(after.as_secs()).unwrap_or(u32::MAX)));
    let value = [i32::from(after.is_some()).to_ne_bytes(), seconds.to_ne_bytes()];
    socket::set_option(fd, libc::SOL_SOCKET, libc::SO_LINGER, value.as_flattened())
}

fn keep_alive(fd: BorrowedFd<'_>, times: Option<KeepAlive>) -> Result<(), Errno> {
    if let Some(KeepAlive { idle, interval, count }) = times {
        number(fd, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, clamped(idle))?;
        number(fd, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, clamped(interval))?;
        number(fd, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, clamped(count))?;
    }
    number(fd, libc::SOL_SOCKET, libc::SO_KEEPALIVE, times.is_some().into())
}

fn timeout(fd: BorrowedFd<'_>, longest: Option<Duration>) -> Result<(), Errno> {
    // A time that rounds to zero would mean "for ever".
    let longest = longest.map_or(Duration::ZERO, |longest| longest.max(Duration::from_micros(1)));
    let seconds = libc::time_t::try_from(longest.as_secs()).unwrap_or(libc::time_t::MAX);
    let value = TimeVal::new(seconds, longest.subsec_micros() as libc::suseconds_t);
    setsockopt(&fd, sockopt::SendTimeout, &value)?;
    setsockopt(&fd, sockopt::ReceiveTimeout, &value)
}

/// AF_INET or AF_INET6; other families have none of the options that ask.
fn family(fd: BorrowedFd<'_>) -> Result<i32, Errno> {
    match socket::option(fd, libc::SOL_SOCKET, libc::SO_DOMAIN)? {
        family @ (libc::AF_INET | libc::AF_INET6) => Ok(family),
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

fn by_family(fd: BorrowedFd<'_>, v4: i32, v6: i32, value: i32) -> Result<(), Errno> {
    match family(fd)? {
        libc::AF_INET => number(fd, libc::IPPROTO_IP, v4, value),
        _ => number(fd, libc::IPPROTO_IPV6, v6, value),
    }
}

fn dscp(fd: BorrowedFd<'_>, class: u8) -> Result<(), Errno> {
    if class > 63 {
        return Err(Errno::EINVAL);
    }
    // The two bits below belong to congestion notification.
    let value = i32::from(class) << 2;
    if family(fd)? == libc::AF_INET6 {
        number(fd, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, value)?;
    }
    // An IPv6 socket that serves IPv4 as well takes it from here.
    number(fd, libc::IPPROTO_IP, libc::IP_TOS, value)
}

fn membership(fd: BorrowedFd<'_>, group: Group, v4: i32, v6: i32) -> Result<(), Errno> {
    if !group.address.is_multicast() {
        return Err(Errno::EINVAL);
    }
    match group.address {
        // struct ip_mreqn: group, address of the interface (not used), its number.
        IpAddr::V4(address) => {
            let value = [address.octets(), [0; 4], group.interface.to_ne_bytes()];
            socket::set_option(fd, libc::IPPROTO_IP, v4, value.as_flattened())
        }
        // struct ipv6_mreq: group, number of the interface.
        IpAddr::V6(address) => {
            let mut value = [0; 20];
            value[..16].copy_from_slice(&address.octets());
            value[16..].copy_from_slice(&group.interface.to_ne_bytes());
            socket::set_option(fd, libc::IPPROTO_IPV6, v6, &value)
        }
    }
}

fn multicast_interface(fd: BorrowedFd<'_>, index: u32) -> Result<(), Errno> {
    match family(fd)? {
        libc::AF_INET => {
            let value = [[0; 4], [0; 4], index.to_ne_bytes()];
            socket::set_option(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, value.as_flattened())
        }
        _ => number(fd, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF, clamped(index)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn options_can_be_read_back_from_the_kernel() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fd = listener.as_fd();
        SocketOption::KeepAlive(Some(KeepAlive { idle: 7, interval: 3, count: 4 })).set(fd).unwrap();
        assert_eq!(socket::option(fd, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE), Ok(7));
        assert_eq!(socket::option(fd, libc::IPPROTO_TCP, libc::TCP_KEEPCNT), Ok(4));
        SocketOption::Dscp(46).set(fd).unwrap();
        assert_eq!(socket::option(fd, libc::IPPROTO_IP, libc::IP_TOS), Ok(46 << 2));
        SocketOption::DeferAccept(1).set(fd).unwrap();
        assert!(socket::option(fd, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT).unwrap() > 0);
    }

    #[test]
    fn what_does_not_fit_the_socket_is_refused() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let errno = |option: SocketOption<'_>| option.set(&udp).unwrap_err().errno();
        assert_eq!(errno(SocketOption::Dscp(64)), Errno::EINVAL);
        assert_eq!(errno(SocketOption::Device("nosuch0")), Errno::ENODEV);
        let group = Group { address: "10.0.0.1".parse().unwrap(), interface: 0 };
        assert_eq!(errno(SocketOption::Join(group)), Errno::EINVAL);
        let (unix, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
        let error = SocketOption::MulticastHops(1).set(&unix).unwrap_err();
        assert_eq!(error.errno(), Errno::EAFNOSUPPORT);
        assert!(error.to_string().starts_with("cannot set how far multicast goes: "), "{error}");
    }
}
