//! The mind of a caller: which answer belongs to which request, on a protocol whose answers carry no number.
//!
//! Answers bear at most the function's name, refusals not even that. So there is one request under way at a time, and
//! the next frame is its answer. From that follows what a caller must do who has waited long enough: *whatever* comes
//! later on that connection could be the late answer or the next one's, and a broker may as well never send the late
//! one. No reading of frames can tell. So a core that has given up is spent, and its connection is to be closed, which
//! also tells the broker that nobody waits any more.

use super::Fault;
use msf_wire::nmid::{DEFAULT_PAYLOAD_LIMIT, DoJob, Frame, Params, ToClient, conn};
use std::time::Instant;

/// See the module. One core lives as long as one connection.
#[derive(Debug)]
pub struct ClientCore {
    waiting: Option<Waiting>,
    spent: bool,
    limit: u32,
}

#[derive(Debug)]
struct Waiting {
    function: Vec<u8>,
    deadline: Option<Instant>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// The worker's result; by convention a RetStruct in msgpack.
    Ret(&'a [u8]),
    /// The broker says ERROR.
    Error,
    /// Nobody offers the function.
    NoWorker,
    /// Too much is asked for.
    RateLimited,
}

/// Why a request was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// One is under way.
    Busy,
    /// Nothing that comes on this connection can be trusted any more: make a new one.
    Spent,
    /// Its payload is longer than this many bytes.
    TooLarge(u32),
}

impl ClientCore {
    /// For a new connection to a broker that takes payloads of up to `limit` bytes.
    #[must_use]
    pub const fn new(limit: u32) -> Self {
        Self { waiting: None, spent: false, limit }
    }

    /// The longest payload, both ways.
    #[must_use]
    pub const fn payload_limit(&self) -> u32 {
        self.limit
    }

    /// Begins a request: appends its frame to `out`.
    ///
    /// # Errors
    /// See [`Refusal`]; then nothing was appended.
    pub fn request(
        &mut self,
        function: &[u8],
        params: Params<'_>,
        deadline: Option<Instant>,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        if self.spent {
            return Err(Refusal::Spent);
        }
        if self.waiting.is_some() {
            return Err(Refusal::Busy);
        }
        let length = REQUEST_WORDS.saturating_add(function.len()).saturating_add(params.bytes.len());
        if length > self.limit as usize {
            return Err(Refusal::TooLarge(self.limit));
        }
        DoJob { function, params }.append_to(out);
        self.waiting = Some(Waiting { function: function.to_owned(), deadline });
        Ok(())
    }

    /// Takes a frame of the broker. `None`: it concerns nobody.
    ///
    /// # Errors
    /// The connection is to be closed.
    pub fn receive<'a>(&mut self, frame: &Frame<'a>) -> Result<Option<Outcome<'a>>, Fault> {
        if frame.conn != conn::SERVER {
            return Ok(None);
        }
        let outcome = match ToClient::parse(frame)? {
            ToClient::Other(_) => return Ok(None),
            ToClient::Answer(answer) => match &self.waiting {
                Some(waiting) if waiting.function != answer.function => {
                    self.spent = true;
                    return Err(Fault::Stray(answer.function.to_owned()));
                }
                _ => Outcome::Ret(answer.ret),
            },
            ToClient::Error => Outcome::Error,
            ToClient::CantDo => Outcome::NoWorker,
            ToClient::RateLimit => Outcome::RateLimited,
        };
        // An answer nobody waits for: how many more are under way, nobody knows.
        self.spent |= self.waiting.is_none();
        Ok(self.waiting.take().map(|_| outcome))
    }

    /// When the request under way will have waited long enough.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.waiting.as_ref().and_then(|waiting| waiting.deadline)
    }

    /// Gives the request up whose time is over; true if there was one. The connection is to be closed.
    pub fn expire(&mut self, now: Instant) -> bool {
        self.next_deadline().is_some_and(|deadline| deadline <= now) && self.give_up()
    }

    /// Gives the request under way up; true if there was one. The connection is to be closed.
    pub fn give_up(&mut self) -> bool {
        self.spent |= self.waiting.is_some();
        self.waiting.take().is_some()
    }

    /// Whether the next request needs a new connection.
    #[must_use]
    pub const fn is_spent(&self) -> bool {
        self.spent
    }
}

impl Default for ClientCore {
    fn default() -> Self {
        Self::new(DEFAULT_PAYLOAD_LIMIT)
    }
}

/// The four words of a request's payload, in bytes.
const REQUEST_WORDS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use msf_wire::nmid::{Answer, NmidError, Step, decode, pdt};
    use std::time::Duration;

    const EMPTY_MAP: Params<'static> = Params::untyped(b"\x80");

    fn asked(function: &[u8], deadline: Option<Instant>) -> ClientCore {
        let mut core = ClientCore::default();
        core.request(function, EMPTY_MAP, deadline, &mut Vec::new()).unwrap();
        core
    }

    fn bare(kind: u32) -> Frame<'static> {
        Frame { conn: conn::SERVER, kind, body: b"" }
    }

    fn answer(function: &[u8], ret: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        Answer { function, params: b"\x80", ret }.append_to(&mut bytes);
        bytes
    }

    fn received(core: &mut ClientCore, bytes: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let Ok(Step::Frame(frame, _)) = decode(bytes, 1024) else { panic!("not a frame") };
        Ok(core.receive(&frame)?.map(|outcome| match outcome {
            Outcome::Ret(ret) => ret.to_owned(),
            other => panic!("{other:?}"),
        }))
    }

    #[test]
    fn the_next_answer_is_the_requests() {
        let mut core = asked(b"F", None);
        assert_eq!(core.request(b"F", EMPTY_MAP, None, &mut Vec::new()), Err(Refusal::Busy));
        assert_eq!(received(&mut core, &answer(b"F", b"ret")), Ok(Some(b"ret".to_vec())));
        assert_eq!(core.request(b"G", EMPTY_MAP, None, &mut Vec::new()), Ok(()));
    }

    #[test]
    fn refusals_have_names() {
        for (kind, outcome) in
            [(pdt::ERROR, Outcome::Error), (pdt::CANT_DO, Outcome::NoWorker), (pdt::RATE_LIMIT, Outcome::RateLimited)]
        {
            assert_eq!(asked(b"F", None).receive(&bare(kind)), Ok(Some(outcome)));
        }
    }

    #[test]
    fn what_a_broker_does_not_say_to_a_client_is_ignored() {
        let mut core = asked(b"F", None);
        for kind in [0, pdt::OK, pdt::NO_JOB, pdt::S_HEARTBEAT_PONG, 99] {
            assert_eq!(core.receive(&bare(kind)), Ok(None));
        }
        let from_a_worker = Frame { conn: conn::WORKER, ..bare(pdt::ERROR) };
        assert_eq!(core.receive(&from_a_worker), Ok(None));
        assert_eq!(core.receive(&bare(pdt::ERROR)), Ok(Some(Outcome::Error)));
    }

    #[test]
    fn a_result_of_another_function_ends_the_connection() {
        let mut core = asked(b"F", None);
        assert_eq!(received(&mut core, &answer(b"G", b"")), Err(Fault::Stray(b"G".to_vec())));
        assert!(core.is_spent());
    }

    #[test]
    fn wrong_lengths_in_a_result_end_the_connection() {
        let frame = Frame { conn: conn::SERVER, kind: pdt::S_RETURN_DATA, body: &[0xff; 20] };
        let expected = NmidError::Lengths { kind: pdt::S_RETURN_DATA, len: 20 };
        assert_eq!(asked(b"F", None).receive(&frame), Err(Fault::Frame(expected)));
    }

    #[test]
    fn who_has_given_up_takes_no_more_requests_on_that_connection() {
        let now = Instant::now();
        let mut core = asked(b"F", Some(now + Duration::from_secs(1)));
        assert!(!core.expire(now));
        assert!(core.expire(now + Duration::from_secs(1)));
        assert_eq!(core.request(b"F", EMPTY_MAP, None, &mut Vec::new()), Err(Refusal::Spent));
        assert_eq!(received(&mut core, &answer(b"F", b"late")), Ok(None));
    }

    #[test]
    fn an_answer_nobody_asked_for_spends_the_connection() {
        let mut core = ClientCore::default();
        assert_eq!(core.receive(&bare(pdt::ERROR)), Ok(None));
        assert!(core.is_spent());
    }

    #[test]
    fn what_is_too_long_is_refused_before_it_is_written() {
        let (mut core, mut out) = (ClientCore::new(20), Vec::new());
        assert_eq!(core.request(b"1234", EMPTY_MAP, None, &mut out), Err(Refusal::TooLarge(20)));
        assert!(out.is_empty());
        assert_eq!(core.request(b"123", EMPTY_MAP, None, &mut out), Ok(()));
    }
}
