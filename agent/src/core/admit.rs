//! What is let in: limits, and the one decision each of them asks for.

use super::message::{Moment, Refusal};
pub use msf_conf::agent::{Order as AnswerOrder, Rewrite};

/// How much the agent takes. In bytes, if not said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest payload.
    pub payload: u32,
    /// A service with this much in its outbox gets no new requests.
    pub outbox_soft: usize,
    /// A peer with more than this in its outbox is cut.
    pub outbox_hard: usize,
    /// With this much buffered in all sessions together, new requests are refused.
    pub memory: u64,
    /// Unanswered requests one service may have.
    pub pending: usize,
    /// Milliseconds a connection may stay without a login; zero: for ever.
    pub login: u64,
    /// For nmid's peers.
    pub nmid: Nmid,
    /// For HTTP's.
    pub http: Http,
}

/// How HTTP's peers are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http {
    /// Longest request line with all headers, in bytes.
    pub head: usize,
    /// Longest body, in bytes.
    pub body: usize,
    /// Milliseconds a head may take from its first byte on.
    pub head_wait: u32,
    /// Milliseconds a body may take.
    pub body_wait: u32,
    /// Milliseconds a connection may stay without a request.
    pub idle: u32,
}

/// How nmid's peers are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nmid {
    /// Longest payload, in bytes.
    pub payload: u32,
    /// Milliseconds after which a worker that has not shown its generation is taken for one of today.
    pub settle: u32,
    /// What a client may expect that asks again before it has been answered.
    pub order: AnswerOrder,
    /// Two requests of one client within so many milliseconds are no retry.
    pub gap: u32,
    /// Milliseconds between two answers to a client that may not find the second one behind the first.
    pub pace: u32,
    /// Milliseconds after which an answer is too old for a client of today; zero: never.
    pub stale: u32,
    /// Whether serial workers are asked if their function has failed.
    pub probe: bool,
    /// Whose results are rewritten.
    pub rewrite: Rewrite,
}

#[cfg(test)]
impl Http {
    /// What holds unless somebody writes otherwise.
    pub const USUAL: Http = Http { head: 16 << 10, body: 16 << 20, head_wait: 10_000, body_wait: 30_000, idle: 75_000 };
}

#[cfg(test)]
impl Nmid {
    /// What holds unless somebody writes otherwise.
    pub const USUAL: Nmid = Nmid {
        payload: 16 << 20,
        settle: 300,
        order: AnswerOrder::Auto,
        gap: 25,
        pace: 2,
        stale: 0,
        probe: false,
        rewrite: Rewrite::G0,
    };
}

/// Whether a request of `frame` bytes may enter an outbox that holds `queued`, with `buffered` in the whole agent.
pub fn call(limits: &Limits, queued: usize, frame: usize, buffered: u64) -> Result<(), Refusal> {
    let over = queued >= limits.outbox_soft.max(1)
        || queued + frame > limits.outbox_hard
        || buffered + frame as u64 > limits.memory;
    if over { Err(Refusal::Busy) } else { Ok(()) }
}

/// The same for an event. It gets half of what a request may: events never keep requests out.
pub fn event(limits: &Limits, queued: usize, frame: usize, buffered: u64) -> Result<(), Refusal> {
    call(&Limits { outbox_soft: limits.outbox_soft / 2, ..*limits }, queued, frame, buffered)
}

/// Whether a stranger who came at `since` has had his time to log in.
pub fn overstayed(limits: &Limits, since: Moment, now: Moment) -> bool {
    limits.login > 0 && now.0 >= since.0 + limits.login
}

/// Whether an answer of `frame` bytes may enter an outbox that holds `queued`; if not, the peer does not read and is
/// to be cut. With the whole agent over its ceiling, that is whoever has more waiting than his `share` of it: nobody
/// can make the agent grow by asking and not reading, and those who read go on.
pub fn reply(limits: &Limits, queued: usize, frame: usize, buffered: u64, share: u64) -> bool {
    let fits = queued + frame <= limits.outbox_hard;
    let fair = buffered + frame as u64 <= limits.memory || queued as u64 <= share;
    queued == 0 || (fits && fair)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        payload: 100,
        outbox_soft: 1000,
        outbox_hard: 4000,
        memory: 10_000,
        pending: 5,
        login: 0,
        nmid: Nmid::USUAL,
        http: Http::USUAL,
    };

    #[test]
    fn a_service_over_its_soft_cap_gets_no_requests_but_a_caller_gets_its_answers() {
        assert_eq!(call(&LIMITS, 999, 156, 0), Ok(()));
        assert_eq!(call(&LIMITS, 1000, 56, 0), Err(Refusal::Busy));
        assert!(reply(&LIMITS, 3844, 156, 0, 0));
        assert!(!reply(&LIMITS, 3845, 156, 0, 0));
    }

    #[test]
    fn events_leave_room_for_requests() {
        assert_eq!(event(&LIMITS, 499, 156, 0), Ok(()));
        assert_eq!(event(&LIMITS, 500, 56, 0), Err(Refusal::Busy));
        assert_eq!(call(&LIMITS, 655, 156, 0), Ok(()));
    }

    #[test]
    fn above_the_ceiling_requests_are_refused() {
        assert_eq!(call(&LIMITS, 0, 56, 9_945), Err(Refusal::Busy));
        assert_eq!(call(&LIMITS, 0, 56, 9_944), Ok(()));
    }

    #[test]
    fn a_stranger_has_his_time_and_with_zero_all_of_it() {
        let limits = Limits { login: 50, ..LIMITS };
        assert!(!overstayed(&limits, Moment(100), Moment(149)) && overstayed(&limits, Moment(100), Moment(150)));
        assert!(!overstayed(&LIMITS, Moment(0), Moment(u64::MAX)));
    }

    #[test]
    fn an_empty_outbox_takes_any_answer() {
        assert!(reply(&LIMITS, 0, 1 << 20, 0, 0));
    }

    #[test]
    fn above_the_ceiling_who_has_more_than_his_share_waiting_is_cut() {
        assert!(reply(&LIMITS, 500, 100, 9_900, 400));
        assert!(!reply(&LIMITS, 500, 100, 9_901, 400));
        assert!(reply(&LIMITS, 400, 100, 9_901, 400));
    }
}
