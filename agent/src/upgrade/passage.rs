//! The way of a snapshot over a unix stream: its seal, its descriptors in batches, its bytes; and then single words.
//!
//! Whoever reads or writes here waits, but never for ever: the streams have a time limit, and nothing is longer than
//! what was announced before it.

use msf_core::sys::receive;
use msf_wire::snapshot::{Damage, Reader, SEAL_LEN, Seal, State, Writer};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::slice;

/// What one thread has saved: the bytes, and how many descriptors are its own.
pub type Part = (Vec<u8>, u32);

/// The same with the descriptors, in the other process.
pub type Came = (Vec<u8>, Vec<OwnedFd>);

/// What could not be handed on.
#[derive(Debug)]
pub enum Broken {
    /// The stream has failed.
    Stream(io::Error),
    /// What came is damaged.
    Damage(Damage),
    /// It has another layout.
    Version(u32, u32),
    /// So many descriptors came, of so many.
    Descriptors(usize, usize),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Stream(error) => write!(f, "the connection to the other process: {error}"),
            Broken::Damage(damage) => damage.fmt(f),
            Broken::Version(found, wanted) => write!(f, "the snapshot has layout {found}; {wanted} was expected"),
            Broken::Descriptors(came, all) => write!(f, "{came} of {all} descriptors have come; see ulimit -n"),
        }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Broken {
        Broken::Stream(error)
    }
}

impl From<Damage> for Broken {
    fn from(damage: Damage) -> Broken {
        Broken::Damage(damage)
    }
}

/// Sends the parts, and the descriptors of all of them in their order.
///
/// # Errors
/// The stream has failed.
pub fn send(stream: &mut UnixStream, layout: u32, parts: &Vec<Part>, descriptors: &[RawFd]) -> Result<(), Broken> {
    let mut out = Writer::default();
    parts.save(&mut out);
    stream.write_all(&Seal::of(layout, out.bytes(), descriptors.len()).encode())?;
    for batch in descriptors.chunks(BATCH) {
        send_batch(stream, batch)?;
    }
    Ok(stream.write_all(out.bytes())?)
}

fn send_batch(stream: &UnixStream, batch: &[RawFd]) -> io::Result<()> {
    let (byte, rights) = ([IoSlice::new(&[0])], [ControlMessage::ScmRights(batch)]);
    loop {
        match sendmsg::<()>(stream.as_raw_fd(), &byte, &rights, MsgFlags::MSG_NOSIGNAL, None) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Receives what was sent: each part with its descriptors.
///
/// # Errors
/// It has not come whole, or is no snapshot of ours.
pub fn receive_all(stream: &mut UnixStream, layout: u32) -> Result<Vec<Came>, Broken> {
    let mut seal = [0; SEAL_LEN];
    stream.read_exact(&mut seal)?;
    let seal = Seal::parse(&seal)?;
    if seal.version != layout {
        return Err(Broken::Version(seal.version, layout));
    }
    let mut descriptors = receive_descriptors(stream, seal.descriptors as usize)?;
    let mut bytes = Vec::new();
    // Grows with what comes, not with what is announced.
    if Read::by_ref(stream).take(seal.length).read_to_end(&mut bytes)? as u64 != seal.length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    seal.check(&bytes)?;
    let mut from = Reader::new(&bytes, Vec::new());
    let parts = Vec::<Part>::load(&mut from)?;
    from.end()?;
    if parts.iter().map(|(_, own)| *own as usize).sum::<usize>() != descriptors.len() {
        return Err(Broken::Descriptors(descriptors.len(), parts.iter().map(|(_, own)| *own as usize).sum()));
    }
    let mut own = |count: u32| descriptors.drain(..count as usize).collect();
    Ok(parts.into_iter().map(|(bytes, count)| (bytes, own(count))).collect())
}

fn receive_descriptors(stream: &UnixStream, count: usize) -> Result<Vec<OwnedFd>, Broken> {
    let mut descriptors = Vec::new();
    while descriptors.len() < count {
        let before = descriptors.len();
        let received = loop {
            match receive(stream.as_fd(), &mut [0], 0) {
                Err(Errno::EINTR) => {}
                outcome => break outcome.map_err(io::Error::from)?,
            }
        };
        descriptors.extend(received.fds);
        let batch = (count - before).min(BATCH);
        if received.length == 0 || received.is_short_of_fds || descriptors.len() != before + batch {
            return Err(Broken::Descriptors(descriptors.len(), count));
        }
    }
    Ok(descriptors)
}

/// A word between the two, with what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// The new one has everything.
    Ready,
    /// It could not use it: why.
    Refused(String),
    /// It is the agent now.
    Go,
    /// It is not: the old one goes on.
    No(String),
}

msf_wire::state! { enum Word { 1 Ready, 2 Refused(why: String), 3 Go, 4 No(why: String) } }

/// Says a word.
///
/// # Errors
/// The stream has failed.
pub fn say(stream: &mut UnixStream, word: &Word) -> Result<(), Broken> {
    let mut out = Writer::default();
    word.save(&mut out);
    let length = out.bytes().len() as u32;
    Ok(stream.write_all(&[&length.to_le_bytes(), out.bytes()].concat())?)
}

/// Hears one.
///
/// # Errors
/// None has come, or something else.
pub fn hear(stream: &mut UnixStream) -> Result<Word, Broken> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0; (u32::from_le_bytes(length) as usize).min(LONGEST_WORD)];
    stream.read_exact(&mut bytes)?;
    let mut from = Reader::new(&bytes, Vec::new());
    let word = Word::load(&mut from)?;
    from.end()?;
    Ok(word)
}

/// Whether the other end is open.
pub fn is_open(stream: &UnixStream) -> bool {
    let mut look = PollFd::new(stream.as_fd(), PollFlags::empty());
    let looked = poll(slice::from_mut(&mut look), PollTimeout::ZERO).is_ok();
    looked && !look.revents().is_some_and(|seen| seen.intersects(PollFlags::POLLHUP | PollFlags::POLLERR))
}

/// The kernel takes 253 at once.
const BATCH: usize = 200;
const LONGEST_WORD: usize = 4096;

#[cfg(test)]
mod tests {
    use super::super::VERSION;
    use super::*;
    use std::fs::File;
    use std::thread;

    fn open(count: usize) -> Vec<File> {
        (0..count).map(|_| File::open("/dev/null").unwrap()).collect()
    }

    fn sent(parts: Vec<Part>, files: &[File]) -> UnixStream {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let numbers: Vec<RawFd> = files.iter().map(AsRawFd::as_raw_fd).collect();
        thread::scope(|scope| {
            let sender = scope.spawn(move || send(&mut ours, VERSION, &parts, &numbers));
            sender.join().unwrap().unwrap();
        });
        theirs
    }

    #[test]
    fn parts_come_with_their_own_descriptors_however_many() {
        let files = open(450);
        let mut stream = sent(vec![(b"one".to_vec(), 3), (Vec::new(), 0), (b"three".to_vec(), 447)], &files);
        let parts = receive_all(&mut stream, VERSION).unwrap();
        let told: Vec<(&[u8], usize)> = parts.iter().map(|(bytes, own)| (bytes.as_slice(), own.len())).collect();
        assert_eq!(told, [(b"one".as_slice(), 3), (b"".as_slice(), 0), (b"three".as_slice(), 447)]);
    }

    #[test]
    fn a_snapshot_that_does_not_come_whole_is_refused_wherever_it_ends() {
        let files = open(2);
        let mut stream = sent(vec![(b"one".to_vec(), 2)], &files);
        let mut whole = Vec::new();
        stream.read_to_end(&mut whole).unwrap();
        for length in 0..whole.len() {
            let (mut ours, mut theirs) = UnixStream::pair().unwrap();
            ours.write_all(&whole[..length]).unwrap();
            drop(ours);
            assert!(receive_all(&mut theirs, VERSION).is_err(), "{length} of {}", whole.len());
        }
        // The bytes alone, without the descriptors, are not enough either.
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        ours.write_all(&whole).unwrap();
        assert!(matches!(receive_all(&mut theirs, VERSION), Err(Broken::Descriptors(0, 2))));
    }

    #[test]
    fn another_layout_is_named() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        ours.write_all(&Seal::of(VERSION + 1, b"", 0).encode()).unwrap();
        let why = receive_all(&mut theirs, VERSION).unwrap_err().to_string();
        assert_eq!(why, format!("the snapshot has layout {}; {VERSION} was expected", VERSION + 1));
    }

    #[test]
    fn a_word_is_heard_as_it_was_said() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        for word in [Word::Ready, Word::Refused("x".to_owned()), Word::Go, Word::No("y".to_owned())] {
            say(&mut ours, &word).unwrap();
            assert_eq!(hear(&mut theirs).unwrap(), word);
        }
        ours.write_all(&[255; 4]).unwrap();
        drop(ours);
        assert!(hear(&mut theirs).is_err());
    }
}
