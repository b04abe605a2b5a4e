//! What happened to callers, counted, and how an answer is judged.

use super::task::{Outcome, Task};
use msf_wire::nmid::{NmidError, ToClient};
use std::fmt;
use std::time::{Duration, Instant};

/// Enough to see what is wrong; the rest is in the counts.
const COMPLAINTS: usize = 10;

/// A request on its way.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What it asks for.
    pub task: Task,
    /// Of which function.
    pub function: &'static str,
    /// Its arguments, byte for byte.
    pub params: Vec<u8>,
    /// When it was sent.
    pub at: Instant,
}

/// What a caller was told, in whatever protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A result that is complete in itself and belongs to the request as far as the protocol can say.
    Outcome(Outcome),
    /// The call has failed.
    Failed,
    /// Nobody has the function.
    Nobody,
    /// Too many wait already.
    Limited,
    /// Something that is not an answer to this request.
    Nonsense(String),
}

/// The counts of one caller or of all.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Requests sent.
    pub sent: u64,
    /// Right answers.
    pub right: u64,
    /// Failed at their deadline, as they had to.
    pub expired: u64,
    /// Failed though they need not have.
    pub failed: u64,
    /// Told that nobody has the function.
    pub nobody: u64,
    /// Told that too many wait already.
    pub limited: u64,
    /// Another one's answer, or none at all in an answer's place.
    pub wrong: u64,
    /// An answer that had been given before, or that nobody asked for.
    pub unasked: u64,
    /// No answer, though the deadline and the margin are over.
    pub unanswered: u64,
    /// Requests the caller gave up on, to make another.
    pub given_up: u64,
    /// Of those: the answer was on its way when the next request went out.
    pub crossed: u64,
    /// Requests whose caller left before the answer.
    pub left: u64,
    /// How long each answered request took.
    pub times: Vec<Duration>,
    /// The first few things that were wrong, in words.
    pub complaints: Vec<String>,
}

impl Tally {
    /// Counts what came of a request. `deadline` is that of its function.
    pub fn count(&mut self, asked: &Asked, told: Told, deadline: Duration) {
        let took = asked.at.elapsed();
        self.times.push(took);
        let outlived = asked.task.outlives(deadline);
        match told {
            Told::Outcome(outcome) if outcome == asked.task.outcome() && !outlived => self.right += 1,
            Told::Outcome(outcome) => {
                self.wrong += 1;
                self.complain(format!("{asked} was answered after {took:?} with {outcome}"));
            }
            Told::Nonsense(what) => {
                self.wrong += 1;
                self.complain(format!("{asked} was answered with {what}"));
            }
            // One millisecond for clocks that are not read at the same moment.
            Told::Failed if took + Duration::from_millis(1) >= deadline => self.expired += 1,
            Told::Failed => self.failed += 1,
            Told::Nobody => self.nobody += 1,
            Told::Limited => self.limited += 1,
        }
    }

    /// Nothing came.
    pub fn count_silence(&mut self, asked: &Asked) {
        self.unanswered += 1;
        self.complain(format!("{asked} was not answered within {:?}", asked.at.elapsed()));
    }

    /// Something came that nobody asked for.
    pub fn count_unasked(&mut self, what: String) {
        self.unasked += 1;
        self.complain(what);
    }

    fn complain(&mut self, what: String) {
        if self.complaints.len() < COMPLAINTS {
            self.complaints.push(what);
        }
    }

    /// Adds another caller's counts.
    pub fn add(&mut self, other: Tally) {
        let Tally { sent, right, expired, failed, nobody, limited, wrong, unasked, unanswered, .. } = other;
        self.sent += sent;
        self.right += right;
        self.expired += expired;
        self.failed += failed;
        self.nobody += nobody;
        self.limited += limited;
        self.wrong += wrong;
        self.unasked += unasked;
        self.unanswered += unanswered;
        self.given_up += other.given_up;
        self.crossed += other.crossed;
        self.left += other.left;
        self.times.extend(other.times);
        other.complaints.into_iter().for_each(|what| self.complain(what));
    }

    /// Every request that was sent has come to one end, whatever it was.
    pub fn adds_up(&self) -> bool {
        let answers = self.right + self.expired + self.failed + self.nobody + self.limited + self.wrong;
        self.sent == answers + self.unanswered + self.left + (self.given_up - self.crossed)
    }
}

impl Told {
    /// What a frame to an nmid client says about the request it is an answer to.
    pub fn of_frame(frame: Result<ToClient<'_>, NmidError>, asked: &Asked) -> Told {
        match frame {
            Ok(ToClient::Answer(answer)) => {
                if answer.function != asked.function.as_bytes() {
                    Told::Nonsense(format!("an answer of {}", String::from_utf8_lossy(answer.function)))
                } else if answer.params != asked.params {
                    Told::Nonsense(format!("the answer to {}", String::from_utf8_lossy(answer.params)))
                } else {
                    Told::of_ret(answer.ret)
                }
            }
            Ok(ToClient::Error) => Told::Failed,
            Ok(ToClient::CantDo) => Told::Nobody,
            Ok(ToClient::RateLimit) => Told::Limited,
            Ok(ToClient::Other(kind)) => Told::Nonsense(format!("a frame of type {kind}")),
            Err(e) => Told::Nonsense(e.to_string()),
        }
    }

    /// Whether nmid's frame for it does not say which request it belongs to.
    pub fn is_nameless(&self) -> bool {
        matches!(self, Told::Failed | Told::Nobody | Told::Limited)
    }

    /// What a RetStruct says.
    pub fn of_ret(ret: &[u8]) -> Told {
        match Outcome::of_ret(ret) {
            Some(outcome) => Told::Outcome(outcome),
            None => Told::Nonsense(format!("no RetStruct: {ret:x?}")),
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Task { client, seq, work, code, .. } = &self.task;
        write!(f, "{} asked by client {client}, request {seq} ({work:?}, code {code})", self.function)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nmid::task::{Form, Work};
    use msf_wire::nmid;

    const DEADLINE: Duration = Duration::from_secs(1);

    fn asked(seq: u64) -> Asked {
        let task = Task {
            nonce: 5,
            client: 3,
            seq,
            asked: 0,
            work: Work::For(Duration::ZERO),
            code: 0,
            padding: "p".to_owned(),
        };
        Asked { params: task.params(Form::Map), function: "Soak", at: Instant::now(), task }
    }

    fn counted(told: Told) -> Tally {
        let mut tally = Tally { sent: 1, ..Tally::default() };
        tally.count(&asked(1), told, DEADLINE);
        assert!(tally.adds_up());
        tally
    }

    fn told(answer: &nmid::Answer<'_>) -> Told {
        Told::of_frame(Ok(ToClient::Answer(*answer)), &asked(1))
    }

    #[test]
    fn the_answer_to_this_request_is_right_in_both_containers() {
        let asked = asked(1);
        for ret in [asked.task.outcome().as_map(), asked.task.outcome().as_array()] {
            let answer = nmid::Answer { function: b"Soak", params: &asked.params, ret: &ret };
            assert_eq!(counted(told(&answer)).right, 1);
        }
    }

    #[test]
    fn whatever_belongs_to_another_request_is_wrong() {
        let (this, other) = (asked(1), asked(2));
        let ret = this.task.outcome().as_map();
        let right = nmid::Answer { function: b"Soak", params: &this.params, ret: &ret };
        assert_eq!(counted(told(&nmid::Answer { function: b"SoakToo", ..right })).wrong, 1);
        assert_eq!(counted(told(&nmid::Answer { params: &other.params, ..right })).wrong, 1);
        assert_eq!(counted(told(&nmid::Answer { ret: &other.task.outcome().as_map(), ..right })).wrong, 1);
        assert_eq!(counted(told(&nmid::Answer { ret: b"", ..right })).wrong, 1);
    }

    #[test]
    fn a_failure_before_the_deadline_is_not_one_at_the_deadline() {
        assert_eq!(counted(Told::Failed).failed, 1);
        let mut tally = Tally { sent: 1, ..Tally::default() };
        tally.count(&asked(1), Told::Failed, Duration::ZERO);
        assert_eq!(tally.expired, 1);
    }

    #[test]
    fn an_answer_counted_twice_or_not_at_all_does_not_add_up() {
        let right = asked(1).task.outcome();
        let mut tally = counted(Told::Outcome(right.clone()));
        tally.count(&asked(1), Told::Outcome(right), DEADLINE);
        assert!(!tally.adds_up());
        assert!(!Tally { sent: 1, ..Tally::default() }.adds_up());
    }
}
