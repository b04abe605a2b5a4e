//! One connection on the control socket: a request arrives, an answer leaves, at once or later, whole or line by line.
//!
//! Nobody is waited for. What cannot be written now waits in an outbox; of a stream it is bounded, and who is too slow
//! for it is broken off.

use msf_core::event::{Interest, Reactor, Token};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

/// How it went, for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Done.
    Done,
    /// Not done.
    Failed,
    /// The request makes no sense.
    Wrong,
    /// There is no process of that name.
    Unknown,
    /// It has not come to pass in time.
    Late,
}

/// What became of a request, with text for whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// How it went.
    pub verdict: Verdict,
    /// Whole lines.
    pub text: String,
}

/// What comes behind an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The end.
    End,
    /// Nothing, until we end.
    Linger,
    /// Lines, as they come.
    Stream,
}

/// A connection.
#[derive(Debug)]
pub struct Conversation {
    stream: UnixStream,
    heard: Vec<u8>,
    to_say: Vec<u8>,
    stage: Stage,
    since: Instant,
    /// Bytes that came behind the request.
    ignored: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The request is on its way.
    Hearing,
    /// It is here; its answer will come.
    Asked,
    /// The answer is, or was, on its way.
    Answered(Then),
}

/// What a conversation needs next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing, until the peer moves.
    Wait,
    /// An answer to this line.
    Answer(String),
    /// To be forgotten.
    End,
}

impl Verdict {
    /// The word for it.
    pub fn word(self) -> &'static str {
        VERDICTS.iter().find(|(verdict, _, _)| *verdict == self).map_or("", |(_, word, _)| word)
    }

    /// The verdict of that word.
    pub fn from_word(word: &str) -> Option<Verdict> {
        VERDICTS.iter().find(|(_, known, _)| *known == word).map(|(verdict, _, _)| *verdict)
    }

    /// The exit status of the command that asked.
    pub fn code(self) -> u8 {
        VERDICTS.iter().find(|(verdict, _, _)| *verdict == self).map_or(1, |(_, _, code)| *code)
    }
}

impl Reply {
    /// Done.
    pub fn done(text: impl Into<String>) -> Reply {
        Reply { verdict: Verdict::Done, text: text.into() }
    }

    /// Not done, and why.
    pub fn failed(text: impl Into<String>) -> Reply {
        Reply { verdict: Verdict::Failed, text: text.into() }
    }
}

impl From<Result<String, String>> for Reply {
    fn from(answer: Result<String, String>) -> Reply {
        answer.map_or_else(Reply::failed, Reply::done)
    }
}

impl Conversation {
    /// With whoever has connected.
    pub fn new(stream: UnixStream) -> io::Result<Conversation> {
        stream.set_nonblocking(true)?;
        let (heard, to_say, since) = (Vec::new(), Vec::new(), Instant::now());
        Ok(Conversation { stream, heard, to_say, stage: Stage::Hearing, since, ignored: 0 })
    }

    /// The user at the other end, if he may not be heard.
    pub fn stranger(&self) -> io::Result<Option<u32>> {
        let uid = getsockopt(&self.stream, PeerCredentials)?.uid();
        Ok((uid != 0 && uid != geteuid().as_raw()).then_some(uid))
    }

    /// When it began; `None` when it is for the peer to wait, for which our patience is endless.
    pub fn patience_since(&self) -> Option<Instant> {
        match self.stage {
            Stage::Hearing | Stage::Answered(Then::End) => Some(self.since),
            Stage::Asked | Stage::Answered(Then::Linger | Then::Stream) => None,
        }
    }

    /// Begins to watch it under `token`.
    pub fn watch(&self, reactor: &Reactor, token: Token) -> io::Result<()> {
        reactor.watch(&self.stream, token, Interest::BOTH)
    }

    /// Reads and writes as far as it goes.
    pub fn go_on(&mut self) -> io::Result<Next> {
        let ended = self.read()?;
        match self.stage {
            Stage::Hearing => self.request(ended),
            // He may have closed his side and still read.
            Stage::Asked => Ok(if ended && self.is_gone() { Next::End } else { Next::Wait }),
            Stage::Answered(then) => {
                self.write()?;
                let over = ended && (self.is_gone() || then == Then::End && self.to_say.is_empty());
                Ok(if over { Next::End } else { Next::Wait })
            }
        }
    }

    fn request(&mut self, ended: bool) -> io::Result<Next> {
        if let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
            self.stage = Stage::Asked;
            let line = String::from_utf8_lossy(&self.heard[..end]).into_owned();
            self.heard = Vec::new();
            return Ok(Next::Answer(line));
        }
        if self.heard.len() > LONGEST {
            return Err(io::Error::new(ErrorKind::InvalidData, "no end of line in the first bytes of a request"));
        }
        Ok(if ended { Next::End } else { Next::Wait })
    }

    /// Whether nobody is left who could read.
    fn is_gone(&self) -> bool {
        let mut fds = [PollFd::new(self.stream.as_fd(), PollFlags::empty())];
        let asked = poll(&mut fds, PollTimeout::ZERO);
        asked.is_ok() && fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP))
    }

    /// Answers.
    pub fn answer(&mut self, reply: &Reply, then: Then) -> io::Result<()> {
        self.to_say = format!("{}\n{}", reply.verdict.word(), reply.text).into_bytes();
        self.stage = Stage::Answered(then);
        self.write()
    }

    /// Adds lines to a stream.
    pub fn add(&mut self, lines: &str) -> io::Result<()> {
        self.to_say.extend_from_slice(lines.as_bytes());
        self.write()?;
        match self.to_say.len() {
            waiting if waiting > OUTBOX => Err(io::Error::other("reads too slowly what comes")),
            _ => Ok(()),
        }
    }

    /// True at the peer's end. What comes after a request is of no interest; whoever goes on and on is not listened to.
    fn read(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 512];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Ok(true),
                Ok(len) if self.stage != Stage::Hearing => self.ignored += len,
                Ok(len) => self.heard.extend_from_slice(&bytes[..len]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) => return Err(e),
            }
            if self.heard.len() > LONGEST {
                return Ok(false);
            }
            if self.ignored > LONGEST {
                return Err(io::Error::new(ErrorKind::InvalidData, "goes on talking behind its request"));
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let mut said = 0;
        let written = loop {
            let left = &self.to_say[said..];
            if left.is_empty() {
                break Ok(());
            }
            match self.stream.write(left) {
                Ok(more) => said += more,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(e) => break Err(e),
            }
        };
        self.to_say.drain(..said);
        if written.is_ok() && self.to_say.is_empty() && self.stage == Stage::Answered(Then::End) {
            // The peer closes when he has read to the end, which is the end of the conversation.
            self.stream.shutdown(Shutdown::Write)?;
        }
        written
    }
}

const VERDICTS: &[(Verdict, &str, u8)] = &[
    (Verdict::Done, "ok", 0),
    (Verdict::Failed, "failed", 1),
    (Verdict::Wrong, "wrong", 2),
    (Verdict::Unknown, "unknown", 3),
    (Verdict::Late, "late", 4),
];
/// A request longer than this is none; a thousand names fit.
const LONGEST: usize = 64 << 10;
/// What may wait for a slow reader of a stream, beside what the kernel keeps for him.
const OUTBOX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Conversation, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Conversation::new(ours).unwrap(), theirs)
    }

    #[test]
    fn a_request_may_come_in_pieces_and_the_answer_ends_with_the_stream() {
        let (mut conversation, mut peer) = pair();
        for piece in [&b"sta"[..], b"tus"] {
            peer.write_all(piece).unwrap();
            assert_eq!(conversation.go_on().unwrap(), Next::Wait);
        }
        peer.write_all(b"\n").unwrap();
        assert_eq!(conversation.go_on().unwrap(), Next::Answer("status".to_owned()));
        conversation.answer(&Reply::done("fine\n"), Then::End).unwrap();
        let mut answer = String::new();
        peer.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "ok\nfine\n");
        drop(peer);
        assert_eq!(conversation.go_on().unwrap(), Next::End);
    }

    #[test]
    fn a_lingering_answer_leaves_the_connection_open() {
        let (mut conversation, mut peer) = pair();
        conversation.answer(&Reply::failed("no"), Then::Linger).unwrap();
        let mut answer = [0; 9];
        peer.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"failed\nno");
        peer.set_nonblocking(true).unwrap();
        assert_eq!(peer.read(&mut answer).unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(conversation);
        assert_eq!(peer.read(&mut answer).unwrap(), 0);
    }

    #[test]
    fn who_waits_may_close_his_side_and_is_forgotten_when_he_has_gone() {
        let (mut conversation, mut peer) = pair();
        peer.write_all(b"wait\tone\n").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(conversation.go_on().unwrap(), Next::Answer("wait\tone".to_owned()));
        assert_eq!(conversation.go_on().unwrap(), Next::Wait);
        drop(peer);
        assert_eq!(conversation.go_on().unwrap(), Next::End);
    }

    #[test]
    fn who_does_not_read_a_stream_is_broken_off_and_costs_no_more_than_the_outbox() {
        let (mut conversation, _peer) = pair();
        conversation.answer(&Reply::done(""), Then::Stream).unwrap();
        let line = "x".repeat(1000);
        let mut added = 0;
        while conversation.add(&line).is_ok() {
            added += line.len();
            assert!(conversation.to_say.len() <= OUTBOX && added < 4 << 20);
        }
        assert!(added > OUTBOX);
    }

    #[test]
    fn a_peer_that_never_ends_its_line_is_cut_off() {
        let (mut conversation, mut peer) = pair();
        peer.write_all(&[b'x'; LONGEST + 1]).unwrap();
        assert!(conversation.go_on().is_err());
    }

    #[test]
    fn who_goes_on_talking_behind_a_request_is_cut_off() {
        let (mut conversation, mut peer) = pair();
        peer.write_all(b"wait\tone\n").unwrap();
        assert_eq!(conversation.go_on().unwrap(), Next::Answer("wait\tone".to_owned()));
        for _ in 0..LONGEST / 1024 {
            peer.write_all(&[b'x'; 1024]).unwrap();
            assert_eq!(conversation.go_on().unwrap(), Next::Wait);
        }
        peer.write_all(b"x").unwrap();
        assert!(conversation.go_on().is_err());
    }

    #[test]
    fn every_verdict_has_a_word_and_a_code_of_its_own() {
        for (code, (verdict, word, number)) in VERDICTS.iter().enumerate() {
            assert_eq!((Verdict::from_word(word), verdict.word(), verdict.code()), (Some(*verdict), *word, *number));
            assert_eq!(usize::from(*number), code);
        }
    }

    #[test]
    fn we_are_no_stranger_to_ourselves() {
        assert_eq!(pair().0.stranger().unwrap(), None);
    }
}
