//! Messages with descriptors over a stream socket: what is on the way out, and what is on the way in.
//!
//! On the wire: five numbers of 32 bits in the machine's order (command, pid, slot, length of the data, number of
//! descriptors), one number of 32 bits per descriptor (what the sender calls it), the data. The descriptors travel with
//! the first byte. A reader asks for no byte behind the message it reads, so the next one keeps its descriptors.

use crate::sys::socket::receive;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// What has come.
#[derive(Debug, Default)]
pub struct Message {
    /// What it is about; 2019's commands are 1 to 5.
    pub command: u32,
    /// The sender's process, as the sender says ([`unix::peer`](super::unix::peer) is what the kernel says).
    pub pid: i32,
    /// A number of the sender's.
    pub slot: u32,
    /// What the sender calls each descriptor.
    pub labels: Vec<u32>,
    /// The data.
    pub data: Vec<u8>,
    /// The descriptors; whoever drops the message closes them.
    pub fds: Vec<OwnedFd>,
}

/// The first part of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// As in [`Message`].
    pub command: u32,
    /// As in [`Message`].
    pub pid: i32,
    /// As in [`Message`].
    pub slot: u32,
}

/// At most one message on its way out. What a full socket did not take is sent later.
#[derive(Debug, Default)]
pub struct Outbound {
    bytes: Vec<u8>,
    sent: usize,
}

impl Outbound {
    /// Whether nothing waits to be sent.
    pub fn is_idle(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// Sends a message whose descriptors are `fds`, each with its label. EAGAIN: the socket is full; while
    /// [`Outbound::is_idle`] the message was not taken, else the rest goes out by [`Outbound::flush`], which comes first.
    /// EMSGSIZE: more than [`MOST_FDS`] or [`MOST_DATA`].
    pub fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        head: Head,
        fds: &[(BorrowedFd<'_>, u32)],
        data: &[u8],
        flags: i32,
    ) -> Result<(), Errno> {
        self.flush(socket, flags)?;
        if fds.len() > MOST_FDS || data.len() > MOST_DATA {
            return Err(Errno::EMSGSIZE);
        }
        self.encode(head, fds, data);
        let raw: Vec<RawFd> = fds.iter().map(|(fd, _)| fd.as_raw_fd()).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let rights = if raw.is_empty() { &rights[..0] } else { &rights[..] };
        match send(socket, &self.bytes, rights, flags) {
            Ok(count) => self.sent = count,
            Err(error) => {
                self.forget();
                return Err(error);
            }
        }
        self.flush(socket, flags)
    }

    /// Sends what is left of the last message. EAGAIN: there is still something left. Any other error: the rest is
    /// given up, and with it the socket, whose reader is in the middle of a message.
    pub fn flush(&mut self, socket: BorrowedFd<'_>, flags: i32) -> Result<(), Errno> {
        while let Some(rest) = self.bytes.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match send(socket, rest, &[], flags) {
                Ok(count) => self.sent += count,
                Err(Errno::EAGAIN) => return Err(Errno::EAGAIN),
                Err(error) => {
                    self.forget();
                    return Err(error);
                }
            }
        }
        self.forget();
        Ok(())
    }

    fn forget(&mut self) {
        self.bytes.clear();
        self.sent = 0;
    }

    fn encode(&mut self, head: Head, fds: &[(BorrowedFd<'_>, u32)], data: &[u8]) {
        self.forget();
        let pid = u32::from_ne_bytes(head.pid.to_ne_bytes());
        for word in [head.command, pid, head.slot, data.len() as u32, fds.len() as u32] {
            self.bytes.extend(word.to_ne_bytes());
        }
        fds.iter().for_each(|(_, label)| self.bytes.extend(label.to_ne_bytes()));
        self.bytes.extend(data);
    }
}

fn send(socket: BorrowedFd<'_>, bytes: &[u8], with: &[ControlMessage<'_>], flags: i32) -> Result<usize, Errno> {
    let flags = MsgFlags::from_bits_retain(flags) | MsgFlags::MSG_NOSIGNAL;
    loop {
        match sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], with, flags, None) {
            Err(Errno::EINTR) => {}
            done => return done,
        }
    }
}

/// At most one message on its way in. What has come of it waits here for the rest.
#[derive(Debug, Default)]
pub struct Inbound {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
    /// Where the next message begins is not known any more.
    broken: Option<Errno>,
}

impl Inbound {
    /// The next message, with at most `room` descriptors; `None` when the peer has closed. EAGAIN: not all of it is here.
    ///
    /// Whatever else fails is said again by every later call, since where the next message would begin is unknown, and
    /// every descriptor that came is closed: EMSGSIZE (more data than [`MOST_DATA`], or more descriptors than there
    /// is room), EMFILE (more than this process may open), EPROTO (other descriptors than announced), ECONNRESET (the
    /// end in the middle), EPROTOTYPE (no stream socket), and what recvmsg says.
    pub fn read(&mut self, socket: BorrowedFd<'_>, room: usize, flags: i32) -> Result<Option<Message>, Errno> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let outcome = self.advance(socket, room, flags);
        if let Err(error) = outcome
            && error != Errno::EAGAIN
        {
            self.broken = Some(error);
            self.fds.clear();
        }
        outcome
    }

    fn advance(&mut self, socket: BorrowedFd<'_>, room: usize, flags: i32) -> Result<Option<Message>, Errno> {
        loop {
            let wanted = self.length(room)?;
            if self.bytes.len() == wanted {
                return self.finish().map(Some);
            }
            // No more at once than is plausible: a peer may announce what it never sends.
            let (old, step) = (self.bytes.len(), (wanted - self.bytes.len()).min(STEP));
            self.bytes.resize(old + step, 0);
            let outcome = receive(socket, &mut self.bytes[old..], flags);
            self.bytes.truncate(old + outcome.as_ref().map_or(0, |received| received.length));
            let received = match outcome {
                Err(Errno::EINTR) => continue,
                outcome => outcome?,
            };
            self.fds.extend(received.fds);
            if received.is_short_of_fds {
                return Err(Errno::EMFILE);
            }
            if received.is_cut {
                return Err(Errno::EPROTOTYPE);
            }
            match received.length {
                0 if self.bytes.is_empty() => return Ok(None),
                0 => return Err(Errno::ECONNRESET),
                _ if self.fds.len() > MOST_FDS => return Err(Errno::EPROTO),
                _ => {}
            }
        }
    }

    /// How long the message is, as far as can be told.
    fn length(&self, room: usize) -> Result<usize, Errno> {
        if self.bytes.len() < HEAD {
            return Ok(HEAD);
        }
        let (data, fds) = (self.word(3) as usize, self.word(4) as usize);
        if data > MOST_DATA || fds > room.min(MOST_FDS) {
            return Err(Errno::EMSGSIZE);
        }
        Ok(HEAD + fds * WORD + data)
    }

    fn word(&self, index: usize) -> u32 {
        let bytes = self.bytes.get(index * WORD..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    }

    fn finish(&mut self) -> Result<Message, Errno> {
        let count = self.word(4) as usize;
        if self.fds.len() != count {
            return Err(Errno::EPROTO);
        }
        let message = Message {
            command: self.word(0),
            pid: i32::from_ne_bytes(self.word(1).to_ne_bytes()),
            slot: self.word(2),
            labels: (0..count).map(|index| self.word(HEAD / WORD + index)).collect(),
            data: self.bytes.split_off(HEAD + count * WORD),
            fds: std::mem::take(&mut self.fds),
        };
        self.bytes.clear();
        Ok(message)
    }
}

/// As many descriptors as the kernel sends at once.
pub const MOST_FDS: usize = 253;
/// As many bytes as one message carries. More belongs into a memfd, whose descriptor is sent.
pub const MOST_DATA: usize = 1 << 20;

const WORD: usize = 4;
const HEAD: usize = 5 * WORD;
const STEP: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::{UnixDatagram, UnixStream};

    const ROOM: usize = MOST_FDS;

    fn head(data: u32, fds: u32) -> Vec<u8> {
        [7, 1, 2, data, fds].iter().flat_map(|word: &u32| word.to_ne_bytes()).collect()
    }

    #[test]
    fn every_split_of_a_message_gives_the_message() {
        let mut whole = head(5, 0);
        whole.extend(b"hello");
        for cut in 1..whole.len() {
            let (mut theirs, ours) = UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            let mut inbound = Inbound::default();
            theirs.write_all(&whole[..cut]).unwrap();
            assert_eq!(inbound.read(ours.as_fd(), ROOM, 0).unwrap_err(), Errno::EAGAIN);
            theirs.write_all(&whole[cut..]).unwrap();
            let message = inbound.read(ours.as_fd(), ROOM, 0).unwrap().unwrap();
            assert_eq!((message.command, message.slot, &message.data[..]), (7, 2, &b"hello"[..]));
            drop(theirs);
            assert!(inbound.read(ours.as_fd(), ROOM, 0).unwrap().is_none());
        }
    }

    #[test]
    fn an_end_in_the_middle_is_no_end() {
        for cut in 1..HEAD + 5 {
            let (mut theirs, ours) = UnixStream::pair().unwrap();
            let mut whole = head(5, 0);
            whole.extend(b"hello");
            theirs.write_all(&whole[..cut]).unwrap();
            drop(theirs);
            let mut inbound = Inbound::default();
            assert_eq!(inbound.read(ours.as_fd(), ROOM, 0).unwrap_err(), Errno::ECONNRESET);
            assert_eq!(inbound.read(ours.as_fd(), ROOM, 0).unwrap_err(), Errno::ECONNRESET);
        }
    }

    #[test]
    fn lies_about_lengths_are_refused_before_they_are_believed() {
        for (data, fds, wanted) in
            [(u32::MAX, 0, Errno::EMSGSIZE), (0, 4, Errno::EMSGSIZE), (0, u32::MAX, Errno::EMSGSIZE)]
        {
            let (mut theirs, ours) = UnixStream::pair().unwrap();
            theirs.write_all(&head(data, fds)).unwrap();
            assert_eq!(Inbound::default().read(ours.as_fd(), 3, 0).unwrap_err(), wanted);
        }
        let (mut theirs, ours) = UnixStream::pair().unwrap();
        theirs.write_all(&head(0, 1)).unwrap();
        theirs.write_all(&[0; WORD]).unwrap();
        assert_eq!(Inbound::default().read(ours.as_fd(), 3, 0).unwrap_err(), Errno::EPROTO);
    }

    #[test]
    fn descriptors_nobody_announced_are_closed() {
        let (theirs, ours) = UnixStream::pair().unwrap();
        let (end, other) = UnixStream::pair().unwrap();
        let rights = [end.as_raw_fd()];
        send(theirs.as_fd(), &head(0, 0), &[ControlMessage::ScmRights(&rights)], 0).unwrap();
        drop(end);
        assert_eq!(Inbound::default().read(ours.as_fd(), 3, 0).unwrap_err(), Errno::EPROTO);
        // Its last descriptor is closed when the other end says so.
        other.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        assert_eq!(std::io::Read::read(&mut &other, &mut [0]).unwrap(), 0);
    }

    #[test]
    fn datagrams_are_not_for_this() {
        let (theirs, ours) = UnixDatagram::pair().unwrap();
        let mut whole = head(5, 0);
        whole.extend(b"hello");
        theirs.send(&whole).unwrap();
        assert_eq!(Inbound::default().read(ours.as_fd(), ROOM, 0).unwrap_err(), Errno::EPROTOTYPE);
    }
}
