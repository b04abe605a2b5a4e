//! A connection to another process on this machine that carries descriptors as well as data.

use super::message::{Head, Inbound, MOST_FDS, Message, Outbound};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// Messages of a command, data and descriptors, over a unix stream socket. The socket may be non-blocking and watched by
/// a reactor: then calls fail with `WouldBlock` instead of waiting, and lose nothing.
///
/// ```
/// use msf_core::net::Channel;
/// use std::io::{Read, Write};
/// use std::os::fd::AsFd;
///
/// let (mut ours, mut theirs) = Channel::pair()?;
/// let (reader, mut writer) = std::io::pipe()?;
/// ours.send(1, b"a pipe for you", &[reader.as_fd()])?;
/// writer.write_all(b"through it")?;
/// drop(writer);
///
/// let message = theirs.receive()?.expect("not closed");
/// assert_eq!((message.command, &message.data[..]), (1, &b"a pipe for you"[..]));
/// let mut text = String::new();
/// std::fs::File::from(message.fds.into_iter().next().unwrap()).read_to_string(&mut text)?;
/// assert_eq!(text, "through it");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
    inbound: Inbound,
    outbound: Outbound,
}

impl Channel {
    /// A channel over a connected unix stream socket.
    pub fn new(socket: impl Into<OwnedFd>) -> Channel {
        Channel { socket: socket.into(), inbound: Inbound::default(), outbound: Outbound::default() }
    }

    /// Both ends of a new connection; one is to be inherited by a child, or sent through another channel.
    pub fn pair() -> io::Result<(Channel, Channel)> {
        UnixStream::pair().map(|(one, other)| (Channel::new(one), Channel::new(other)))
    }

    /// Sends a message; `fds` stay the caller's and may be closed afterwards.
    ///
    /// `WouldBlock`: the socket is full and the message was not taken. When only its end did not fit, the message is
    /// taken, and [`Channel::flush`] (or the next `send`) sends the rest: see [`Channel::is_flushed`].
    pub fn send(&mut self, command: u32, data: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let named: Vec<_> = fds.iter().copied().zip(0..).collect();
        let head = Head { command, pid: std::process::id() as i32, slot: 0 };
        // Else a full socket would look as if it had taken this message.
        self.flush()?;
        match self.outbound.send(self.socket.as_fd(), head, &named, data, 0) {
            Err(nix::errno::Errno::EAGAIN) if !self.outbound.is_idle() => Ok(()),
            outcome => Ok(outcome?),
        }
    }

    /// Sends what the socket did not take before.
    pub fn flush(&mut self) -> io::Result<()> {
        Ok(self.outbound.flush(self.socket.as_fd(), 0)?)
    }

    /// Whether all that was taken is with the kernel. If not: watch for room to write, and [`Channel::flush`].
    pub fn is_flushed(&self) -> bool {
        self.outbound.is_idle()
    }

    /// The next message; `None` when the peer has closed. `WouldBlock`: it is not here, or not all of it. After any
    /// other error the peer cannot be understood any more: drop the channel.
    pub fn receive(&mut self) -> io::Result<Option<Message>> {
        Ok(self.inbound.read(self.socket.as_fd(), MOST_FDS, 0)?)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MOST_DATA, SocketOption};
    use super::*;

    fn nonblocking_pair() -> (Channel, Channel) {
        let (one, other) = Channel::pair().unwrap();
        SocketOption::NonBlocking(true).set(&one).unwrap();
        SocketOption::NonBlocking(true).set(&other).unwrap();
        (one, other)
    }

    #[test]
    fn a_message_larger_than_the_socket_arrives_whole_and_once() {
        let (mut ours, mut theirs) = nonblocking_pair();
        let data: Vec<u8> = (0..MOST_DATA).map(|index| (index % 251) as u8).collect();
        let (one, _other) = UnixStream::pair().unwrap();
        ours.send(3, &data, &[one.as_fd(), one.as_fd()]).unwrap();
        assert!(!ours.is_flushed());
        assert_eq!(ours.send(4, b"", &[]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let message = loop {
            match theirs.receive() {
                Ok(message) => break message.unwrap(),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
            let _ = ours.flush();
        };
        assert_eq!((message.command, message.fds.len(), message.labels), (3, 2, vec![0, 1]));
        assert!(message.data == data);
        assert!(ours.is_flushed());
    }

    #[test]
    fn a_full_socket_takes_a_message_or_does_not() {
        let (mut ours, mut theirs) = nonblocking_pair();
        let mut taken = 0u32;
        while ours.send(taken, &[0; 3000], &[]).is_ok() {
            taken += 1;
        }
        let mut come = 0;
        while let Ok(Some(message)) = theirs.receive() {
            assert_eq!((message.command, message.data.len()), (come, 3000));
            come += 1;
            let _ = ours.flush();
        }
        assert_eq!(come, taken);
    }

    #[test]
    fn too_much_is_refused_before_anything_is_sent() {
        let (mut ours, mut theirs) = nonblocking_pair();
        let (one, _other) = UnixStream::pair().unwrap();
        let many = vec![one.as_fd(); MOST_FDS + 1];
        assert_eq!(ours.send(1, b"", &many).unwrap_err().raw_os_error(), Some(libc::EMSGSIZE));
        assert_eq!(ours.send(1, &vec![0; MOST_DATA + 1], &[]).unwrap_err().raw_os_error(), Some(libc::EMSGSIZE));
        assert_eq!(theirs.receive().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        ours.send(1, b"", &many[..MOST_FDS]).unwrap();
        assert_eq!(theirs.receive().unwrap().unwrap().fds.len(), MOST_FDS);
    }
}
