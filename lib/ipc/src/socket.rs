//! The system calls of libipc: connecting, sending and receiving without blocking, and the two special descriptors.

use crate::errno::Errno;
use msf_client::{Place, Stream, trusted};
use std::ffi::c_int;
use std::io::{self, IoSlice};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::time::{Duration, Instant};

/// A non-blocking connection to the first address of the place that answers. Only TCP may take a moment: so long per
/// address. With it comes that address in words.
pub(crate) fn connect(place: &Place, patience: Duration) -> Result<(OwnedFd, String), Errno> {
    match place {
        Place::Local(sockets) => connect_local(sockets),
        Place::Remote { host, port } => {
            let stream = Stream::connect(place, patience).map_err(|(_, error)| error)?;
            stream.set_nonblocking()?;
            let socket: OwnedFd = match stream {
                Stream::Unix(stream) => stream.into(),
                Stream::Tcp(stream) => stream.into(),
            };
            // A host that was switched off says no goodbye, and somebody may be waiting for ever.
            set_option(&socket, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
            for (option, value) in KEEPALIVE {
                set_option(&socket, libc::IPPROTO_TCP, option, value)?;
            }
            Ok((socket, format!("{host} port {port}")))
        }
    }
}

/// Sends what the socket takes at once; 0 when it takes nothing now.
pub(crate) fn send(socket: BorrowedFd<'_>, parts: &[IoSlice<'_>]) -> Result<usize, Errno> {
    // SAFETY: a msghdr is numbers and pointers, for which zero is a value.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    // IoSlice is by its documentation the same as an iovec; sendmsg only reads them.
    message.msg_iov = parts.as_ptr().cast_mut().cast();
    message.msg_iovlen = parts.len() as _;
    retried(|| {
        // SAFETY: the message names `parts.len()` slices that live until the end of this function.
        unsafe { libc::sendmsg(socket.as_raw_fd(), &message, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) }
    })
    .or_else(|errno| if errno == Errno::AGAIN { Ok(0) } else { Err(errno) })
}

/// Receives what is there; `None` when nothing is, 0 at the end of the stream.
pub(crate) fn receive(socket: BorrowedFd<'_>, space: &mut [u8]) -> Result<Option<usize>, Errno> {
    let (start, len) = (space.as_mut_ptr().cast(), space.len());
    let count = retried(|| {
        // SAFETY: `space` is ours to write to for the whole of its length.
        unsafe { libc::recv(socket.as_raw_fd(), start, len, libc::MSG_DONTWAIT) }
    });
    match count {
        Ok(count) => Ok(Some(count)),
        Err(Errno::AGAIN) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// A copy of a descriptor of the program's, for the time of one call.
pub(crate) fn lent(fd: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: a number that is no open descriptor is an error; the copy is nobody's but ours.
    owned(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) })
}

/// Sends bytes over a unix stream socket, and a descriptor with the first of them.
pub(crate) fn pass(channel: BorrowedFd<'_>, bytes: &[u8], with: BorrowedFd<'_>, end: Instant) -> Result<(), Errno> {
    let mut control = [0_u64; CONTROL];
    let parts = [IoSlice::new(bytes)];
    // SAFETY: a msghdr is numbers and pointers, for which zero is a value.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = parts.as_ptr().cast_mut().cast();
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    // SAFETY: takes an int, gives an int.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(mem::size_of::<c_int>() as _) } as _;
    // SAFETY: the message has a control buffer with room for one header and one int.
    let header = unsafe { libc::CMSG_FIRSTHDR(&message) };
    // SAFETY: not null, since there is room for a header, and aligned as the buffer is.
    let header = unsafe { &mut *header };
    header.cmsg_level = libc::SOL_SOCKET;
    header.cmsg_type = libc::SCM_RIGHTS;
    // SAFETY: takes an int, gives an int.
    header.cmsg_len = unsafe { libc::CMSG_LEN(mem::size_of::<c_int>() as _) } as _;
    // SAFETY: the header lies in the control buffer; its data begins behind it.
    let place = unsafe { libc::CMSG_DATA(header) }.cast::<c_int>();
    // SAFETY: there is room for one int, aligned or not.
    unsafe { place.write_unaligned(with.as_raw_fd()) };
    let sent = loop {
        let sent = retried(|| {
            // SAFETY: the message names buffers that live until the end of this function.
            unsafe { libc::sendmsg(channel.as_raw_fd(), &message, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) }
        });
        match sent {
            Err(Errno::AGAIN) => await_readiness(channel, libc::POLLOUT, end)?,
            sent => break sent?,
        }
    };
    send_all(channel, bytes.get(sent..).unwrap_or_default(), end)
}

/// Sends all of it, until then.
pub(crate) fn send_all(channel: BorrowedFd<'_>, mut bytes: &[u8], end: Instant) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match send(channel, &[IoSlice::new(bytes)])? {
            0 => await_readiness(channel, libc::POLLOUT, end)?,
            count => bytes = bytes.get(count..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// Fills the space, until then; ECONNRESET when the other end closes before that.
pub(crate) fn receive_all(channel: BorrowedFd<'_>, mut space: &mut [u8], end: Instant) -> Result<(), Errno> {
    while !space.is_empty() {
        match receive(channel, space)? {
            None => await_readiness(channel, libc::POLLIN, end)?,
            Some(0) => return Err(Errno::CONNRESET),
            Some(count) => space = space.get_mut(count..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// The same, for bytes with whose first a descriptor comes. EPROTO: none has come, or more.
pub(crate) fn receive_passed(channel: BorrowedFd<'_>, space: &mut [u8], end: Instant) -> Result<OwnedFd, Errno> {
    let mut control = [0_u64; CONTROL];
    let mut part = libc::iovec { iov_base: space.as_mut_ptr().cast(), iov_len: 1 };
    // SAFETY: a msghdr is numbers and pointers, for which zero is a value.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    let count = loop {
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = mem::size_of_val(&control) as _;
        let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        let count = retried(|| {
            // SAFETY: the message names two buffers of ours with their lengths; the space has one byte at least.
            unsafe { libc::recvmsg(channel.as_raw_fd(), &mut message, flags) }
        });
        match count {
            Err(Errno::AGAIN) => await_readiness(channel, libc::POLLIN, end)?,
            count => break count?,
        }
    };
    if count == 0 {
        return Err(Errno::CONNRESET);
    }
    // SAFETY: the message has been filled by recvmsg and names a buffer that lives.
    let header = unsafe { libc::CMSG_FIRSTHDR(&message) };
    // SAFETY: null, or a header in the control buffer, which is aligned for it.
    let Some(header) = (unsafe { header.as_ref() }) else { return Err(Errno::PROTO) };
    // SAFETY: takes an int, gives an int.
    let one = libc::cmsghdr { cmsg_len: unsafe { libc::CMSG_LEN(mem::size_of::<c_int>() as _) } as _, ..*header };
    let is_rights = (header.cmsg_level, header.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS);
    if !is_rights || header.cmsg_len != one.cmsg_len {
        return Err(Errno::PROTO);
    }
    // SAFETY: the header lies in the control buffer; its data begins behind it.
    let place = unsafe { libc::CMSG_DATA(header) }.cast::<c_int>();
    // SAFETY: the header says that one int is there.
    let fd = owned(unsafe { place.read_unaligned() })?;
    receive_all(channel, space.get_mut(1..).unwrap_or_default(), end)?;
    Ok(fd)
}

/// Waits for room or bytes, until then. EINVAL: there is no such thing to be had from it.
fn await_readiness(channel: BorrowedFd<'_>, events: i16, end: Instant) -> Result<(), Errno> {
    let rest = end.saturating_duration_since(Instant::now());
    if rest.is_zero() {
        return Err(Errno::TIMEDOUT);
    }
    let mut look = libc::pollfd { fd: channel.as_raw_fd(), events, revents: 0 };
    let patience = c_int::try_from(rest.as_millis()).unwrap_or(c_int::MAX).max(1);
    // SAFETY: one pollfd of ours.
    unsafe { libc::poll(&mut look, 1, patience) };
    Ok(())
}

/// Waits for the socket to take bytes, for a moment at most. The number may have become somebody else's: nothing is
/// done but look, and the caller looks again at what he waits for.
pub(crate) fn await_room(socket: RawFd) {
    let mut look = libc::pollfd { fd: socket, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one pollfd of ours; a descriptor that is closed is an answer, not an error.
    unsafe { libc::poll(&mut look, 1, A_MOMENT) };
}

/// Whether the other end has closed, were there still bytes of his to read.
pub(crate) fn has_ended(socket: BorrowedFd<'_>) -> bool {
    let mut look = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLRDHUP, revents: 0 };
    // SAFETY: one pollfd of ours, and no wait.
    let seen = unsafe { libc::poll(&mut look, 1, 0) };
    seen == 1 && look.revents & (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) != 0
}

/// Ends both directions: whoever reads sees the end of the stream.
pub(crate) fn shutdown(socket: BorrowedFd<'_>) {
    // SAFETY: the descriptor is open; a socket that is not connected any more is an error nobody minds.
    unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_RDWR) };
}

/// An event counter at 0.
pub(crate) fn eventfd() -> Result<OwnedFd, Errno> {
    // SAFETY: plain numbers.
    owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })
}

/// An alarm clock that is not set.
pub(crate) fn timerfd() -> Result<OwnedFd, Errno> {
    // SAFETY: plain numbers.
    owned(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK) })
}

/// Sets the alarm clock, once, whatever it was set to before; `None` stops it.
pub(crate) fn set_alarm(clock: BorrowedFd<'_>, after: Option<Duration>) {
    // SAFETY: an itimerspec is numbers, for which zero is a value.
    let mut setting: libc::itimerspec = unsafe { mem::zeroed() };
    if let Some(after) = after {
        // Zero would stop it.
        let after = after.max(Duration::from_nanos(1));
        setting.it_value.tv_sec = after.as_secs() as _;
        setting.it_value.tv_nsec = after.subsec_nanos() as _;
    }
    // SAFETY: the clock is a timerfd, the setting is read only, the old one is not asked for.
    unsafe { libc::timerfd_settime(clock.as_raw_fd(), 0, &setting, ptr::null_mut()) };
}

/// After the alarm, or a count: level-triggered readiness ends when its number is read.
pub(crate) fn clear_count(counter: impl AsFd) {
    let mut count = [0_u8; 8];
    // SAFETY: eight bytes of ours.
    unsafe { libc::read(counter.as_fd().as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
}

/// Makes an event counter readable.
pub(crate) fn count_up(counter: impl AsFd) {
    let one = 1_u64.to_ne_bytes();
    // SAFETY: eight bytes of ours. A counter that is full is readable already.
    unsafe { libc::write(counter.as_fd().as_raw_fd(), one.as_ptr().cast(), one.len()) };
}

/// The most telling failure wins: that a socket is not there is news only when none is.
fn connect_local(sockets: &[PathBuf]) -> Result<(OwnedFd, String), Errno> {
    let mut failure = Errno(libc::ENOENT);
    for path in sockets.iter().filter(|path| trusted(path)) {
        match connect_unix(path) {
            Ok(socket) => return Ok((socket, path.display().to_string())),
            Err(errno) if failure.0 == libc::ENOENT => failure = errno,
            Err(_) => {}
        }
    }
    Err(failure)
}

fn connect_unix(path: &Path) -> Result<OwnedFd, Errno> {
    // SAFETY: a sockaddr_un is numbers, for which zero is a value.
    let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let name = path.as_os_str().as_bytes();
    // One byte must stay for the NUL.
    if name.len() >= address.sun_path.len() || name.contains(&0) {
        return Err(Errno(libc::ENAMETOOLONG));
    }
    for (place, byte) in address.sun_path.iter_mut().zip(name) {
        *place = *byte as _;
    }
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: plain numbers.
    let socket = owned(unsafe { libc::socket(libc::AF_UNIX, kind, 0) })?;
    let length = mem::size_of::<libc::sockaddr_un>() as libc::socklen_t;
    retried(|| {
        // SAFETY: the address is complete and of the length given.
        unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length) as isize }
    })?;
    Ok(socket)
}

fn set_option(socket: &OwnedFd, level: c_int, option: c_int, value: c_int) -> Result<(), Errno> {
    let length = mem::size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the value is an int, and so long.
    match unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length) } {
        0 => Ok(()),
        _ => Err(Errno::last()),
    }
}

fn owned(fd: c_int) -> Result<OwnedFd, Errno> {
    if fd < 0 {
        return Err(Errno::last());
    }
    // SAFETY: the kernel has just made it, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The result of a call that a signal may interrupt.
fn retried(mut call: impl FnMut() -> isize) -> Result<usize, Errno> {
    loop {
        match usize::try_from(call()) {
            Ok(count) => return Ok(count),
            Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Errno::last()),
        }
    }
}

/// Words of a control buffer: one header, and a few descriptors more than there should be.
const CONTROL: usize = 8;
/// Milliseconds.
const A_MOMENT: c_int = 50;
/// When TCP asks a silent peer whether it lives: after so many seconds, so often, so many times.
const KEEPALIVE: [(c_int, c_int); 3] = [(libc::TCP_KEEPIDLE, 5), (libc::TCP_KEEPINTVL, 1), (libc::TCP_KEEPCNT, 3)];
