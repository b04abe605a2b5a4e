//! The mind of a client: one login, the calls that wait for an answer, and what each frame means.
//!
//! Sans-IO: frames come in by [`Session::receive`], headers to send come out; the driver owns the socket, the payloads
//! and the clock. `T` is whatever the driver needs to find back who waits for an answer.
//!
//! Invariant: while the session is offline nobody waits ([`Session::lost`] hands every ticket back), so no answer of
//! an old connection can meet a call of a new one.

use msf_wire::librpc::{
    DEFAULT_PAYLOAD_LIMIT, Frame, Header, Heir, LOGIN_LEN, Login, cmd, errcode, id, opcode, timeout,
};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What is asked of whom.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Id of the service.
    pub dstid: u32,
    /// Command.
    pub cmd: u32,
    /// Bytes of payload the driver will send behind the header.
    pub datalen: u32,
    /// Bytes of answer wanted.
    pub restlen: u32,
    /// Milliseconds to wait, see [`msf_wire::librpc::timeout`].
    pub timeout: u32,
}

/// Why a call was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not logged in.
    Offline,
    /// The payload, or the answer wanted, is longer than the agent takes: so many bytes at most.
    TooLong(u32),
}

/// What a frame means.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a, T> {
    /// The agent has accepted us.
    LoggedIn,
    /// The agent has not: with [`errcode::LOGIN_FAIL`] the id is taken.
    LoginRefused(u32),
    /// The answer somebody waits for.
    Answer {
        /// Who.
        ticket: T,
        /// How it ended.
        errcode: u32,
        /// The bytes.
        body: &'a [u8],
    },
    /// The answer to a call nobody waits for, made with [`timeout::NO_WAIT`].
    Posted(Frame<'a>),
    /// An answer whose caller has given up, or that nobody asked for: to be dropped.
    Late(Header),
    /// Somebody calls us.
    Request(Frame<'a>),
    /// Something we have subscribed to was published: the payload is a [`msf_wire::librpc::Publication`]; or nothing,
    /// where the header alone says how many events were lost.
    Published(Frame<'a>),
    /// "Are you there?": send this header.
    Probe(Header),
    /// An opcode we do not know; a newer peer may send it.
    Unknown(Header),
}

/// See the module.
#[derive(Debug)]
pub struct Session<T> {
    id: u32,
    login: Login,
    state: State,
    limit: u32,
    seq: u32,
    pending: HashMap<u32, Pending<T>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Offline,
    LoggingIn { seq: u32 },
    Online,
}

#[derive(Debug)]
struct Pending<T> {
    ticket: T,
    deadline: Option<Instant>,
}

impl<T> Session<T> {
    /// A session that is offline; `name` is cut after 32 bytes.
    #[must_use]
    pub fn new(id: u32, name: &[u8]) -> Self {
        Self {
            id,
            login: Login::named(name),
            state: State::Offline,
            limit: DEFAULT_PAYLOAD_LIMIT,
            seq: 0,
            pending: HashMap::new(),
        }
    }

    /// On a new connection: what to send first. `seq` is anything; the answer must bring it back.
    pub fn login(&mut self, seq: u32) -> (Header, [u8; LOGIN_LEN]) {
        self.state = State::LoggingIn { seq };
        let head = Header { datalen: LOGIN_LEN as u32, ..Header::request(self.id, id::MSG_SRV, cmd::LOGIN, seq) };
        (head, self.login.encode())
    }

    /// What to send before leaving; the agent answers by closing the connection. From here on calls are refused.
    pub fn logout(&mut self) -> Header {
        self.state = State::Offline;
        Header::request(self.id, id::MSG_SRV, cmd::LOGOUT, self.next_seq())
    }

    /// The connection is gone: these waited, and will get no answer.
    pub fn lost(&mut self) -> Vec<T> {
        self.state = State::Offline;
        self.pending.drain().map(|(_, pending)| pending.ticket).collect()
    }

    /// True between the agent's yes and the loss of the connection.
    #[must_use]
    pub fn online(&self) -> bool {
        self.state == State::Online
    }

    /// The longest payload the agent takes, in bytes.
    #[must_use]
    pub const fn payload_limit(&self) -> u32 {
        self.limit
    }

    /// Whether nobody waits for an answer.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    /// The number of the last call.
    #[must_use]
    pub const fn seq(&self) -> u32 {
        self.seq
    }

    /// Goes on with the connection of another process, which was logged in and waited for nothing: the number of its
    /// last call, and the longest payload the agent takes.
    pub fn resume(&mut self, seq: u32, limit: u32) {
        self.state = State::Online;
        self.seq = seq;
        self.limit = limit;
    }

    /// After [`resume`](Self::resume): what to send so that the agent knows which process this is now. Its answer is to be
    /// dropped: it comes as [`Event::Late`].
    pub fn introduce(&mut self, heir: Heir) -> (Header, Vec<u8>) {
        let payload = [self.login.encode().as_slice(), &heir.encode()].concat();
        let head = Header::request(self.id, id::MSG_SRV, cmd::LOGIN, self.next_seq());
        (Header { datalen: payload.len() as u32, timeout: timeout::FOREVER, ..head }, payload)
    }

    /// A call somebody waits for: the header to send. Every ticket comes back exactly once, by an [`Event::Answer`],
    /// [`expire`](Self::expire), [`give_up`](Self::give_up) or [`lost`](Self::lost).
    ///
    /// # Errors
    /// See [`Refusal`]; the ticket is dropped.
    pub fn call(&mut self, call: &Call, ticket: T, now: Instant) -> Result<Header, Refusal> {
        let head = self.request(call)?;
        let deadline = (call.timeout != timeout::FOREVER)
            .then(|| now.checked_add(Duration::from_millis(call.timeout.into())))
            .flatten();
        self.pending.insert(head.seq, Pending { ticket, deadline });
        Ok(head)
    }

    /// A call nobody waits for: the header to send.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn post(&mut self, call: &Call) -> Result<Header, Refusal> {
        self.request(&Call { timeout: timeout::NO_WAIT, ..*call })
    }

    /// The caller does not wait any longer: its ticket, unless the answer has come already.
    pub fn give_up(&mut self, seq: u32) -> Option<T> {
        self.pending.remove(&seq).map(|pending| pending.ticket)
    }

    /// The next moment [`expire`](Self::expire) has something to say. Looks at every pending call: for drivers with a
    /// few of them; others keep their own deadlines and use [`give_up`](Self::give_up).
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.pending.values().filter_map(|pending| pending.deadline).min()
    }

    /// Those whose deadline has passed.
    pub fn expire(&mut self, now: Instant) -> Vec<T> {
        let late = |pending: &Pending<T>| pending.deadline.is_some_and(|deadline| deadline <= now);
        self.pending.extract_if(|_, pending| late(pending)).map(|(_, pending)| pending.ticket).collect()
    }

    /// Understands one frame.
    pub fn receive<'a>(&mut self, frame: Frame<'a>) -> Event<'a, T> {
        match frame.head.opcode {
            opcode::REQ if frame.head.srcid == id::EVENT_SRV && frame.head.cmd == cmd::EVENT => Event::Published(frame),
            opcode::REQ => Event::Request(frame),
            opcode::ACK => self.acknowledged(frame),
            opcode::KALIVE => {
                let probe = Header { cmd: cmd::NONE, ..frame.head };
                Event::Probe(probe.ack(errcode::EXEC_SUCC, 0))
            }
            _ => Event::Unknown(frame.head),
        }
    }

    fn acknowledged<'a>(&mut self, frame: Frame<'a>) -> Event<'a, T> {
        let head = frame.head;
        if self.is_login_answer(&head) {
            return self.login_answered(&head);
        }
        if head.timeout == timeout::NO_WAIT {
            return Event::Posted(frame);
        }
        match self.give_up(head.seq) {
            Some(ticket) => Event::Answer { ticket, errcode: head.errcode, body: frame.body },
            None => Event::Late(head),
        }
    }

    fn is_login_answer(&self, head: &Header) -> bool {
        let is_ours = head.srcid == id::MSG_SRV && head.dstid == self.id;
        self.state == State::LoggingIn { seq: head.seq } && is_ours && head.cmd == cmd::LOGIN
    }

    fn login_answered(&mut self, head: &Header) -> Event<'static, T> {
        if head.errcode != errcode::EXEC_SUCC {
            self.state = State::Offline;
            return Event::LoginRefused(head.errcode);
        }
        self.state = State::Online;
        self.limit = head.payload_limit();
        Event::LoggedIn
    }

    fn request(&mut self, call: &Call) -> Result<Header, Refusal> {
        if call.datalen.max(call.restlen) > self.limit {
            return Err(Refusal::TooLong(self.limit));
        }
        if !self.online() {
            return Err(Refusal::Offline);
        }
        let head = Header::request(self.id, call.dstid, call.cmd, self.next_seq());
        Ok(Header { datalen: call.datalen, restlen: call.restlen, timeout: call.timeout, ..head })
    }

    /// Counts from 1; after 2^32 calls it must not meet one that waits for ever.
    fn next_seq(&mut self) -> u32 {
        loop {
            self.seq = self.seq.wrapping_add(1);
            if !self.pending.contains_key(&self.seq) {
                return self.seq;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(head: Header) -> Frame<'static> {
        Frame { head, body: b"" }
    }

    fn online() -> Session<&'static str> {
        let mut session = Session::new(id::DLNA, b"DLNA");
        let (login, _) = session.login(101);
        assert_eq!(session.receive(ack(login.ack(0, 0))), Event::LoggedIn);
        session
    }

    fn call(timeout: u32) -> Call {
        Call { dstid: id::UPNP, cmd: cmd::UPNP_GET, datalen: 0, restlen: 36, timeout }
    }

    #[test]
    fn the_first_call_is_vector_3() {
        let head = online().call(&call(5000), "a", Instant::now()).unwrap();
        let expected = Header { restlen: 36, timeout: 5000, ..Header::request(0x11, 0x12, 0x26, 1) };
        assert_eq!(head, expected);
    }

    #[test]
    fn before_the_agent_has_said_yes_calls_are_refused() {
        let mut session = Session::new(id::DLNA, b"DLNA");
        assert_eq!(session.post(&call(0)), Err(Refusal::Offline));
        session.login(1);
        assert_eq!(session.call(&call(1), "a", Instant::now()), Err(Refusal::Offline));
    }

    #[test]
    fn a_refused_login_says_why_and_leaves_the_session_offline() {
        let mut session = Session::<()>::new(id::DLNA, b"DLNA");
        let (login, _) = session.login(101);
        let refused = session.receive(ack(login.ack(errcode::LOGIN_FAIL, 0)));
        assert_eq!(refused, Event::LoginRefused(errcode::LOGIN_FAIL));
        assert!(!session.online());
    }

    #[test]
    fn the_answer_to_another_login_is_not_ours() {
        let mut session = Session::<()>::new(id::DLNA, b"DLNA");
        let (login, _) = session.login(101);
        session.receive(ack(Header { seq: 100, ..login.ack(0, 0) }));
        assert!(!session.online());
        let to_another = ack(Header { dstid: id::UPNP, ..login.ack(errcode::LOGIN_FAIL, 0) });
        assert!(matches!(session.receive(to_another), Event::Posted(_)));
        assert_eq!(session.receive(ack(login.ack(0, 0))), Event::LoggedIn);
    }

    #[test]
    fn each_answer_finds_its_own_caller_whatever_the_order() {
        let mut session = online();
        let now = Instant::now();
        let heads = ["a", "b", "c"].map(|ticket| session.call(&call(1000), ticket, now).unwrap());
        for (head, ticket) in [(heads[2], "c"), (heads[0], "a"), (heads[1], "b")] {
            let event = session.receive(Frame { head: head.ack(0, 2), body: b"ok" });
            assert_eq!(event, Event::Answer { ticket, errcode: 0, body: b"ok" });
        }
    }

    #[test]
    fn a_late_or_doubled_answer_is_to_be_dropped() {
        let mut session = online();
        let head = session.call(&call(1000), "a", Instant::now()).unwrap();
        assert_eq!(session.give_up(head.seq), Some("a"));
        assert_eq!(session.receive(ack(head.ack(0, 0))), Event::Late(head.ack(0, 0)));
    }

    #[test]
    fn calls_expire_at_their_deadline_and_not_before() {
        let mut session = online();
        let now = Instant::now();
        session.call(&call(100), "soon", now).unwrap();
        session.call(&call(timeout::FOREVER), "never", now).unwrap();
        let deadline = session.next_deadline().unwrap();
        assert_eq!(deadline, now + Duration::from_millis(100));
        assert!(session.expire(deadline - Duration::from_nanos(1)).is_empty());
        assert_eq!(session.expire(deadline), ["soon"]);
        assert_eq!(session.next_deadline(), None);
    }

    #[test]
    fn a_loss_hands_every_ticket_back_and_refuses_new_calls() {
        let mut session = online();
        session.call(&call(timeout::FOREVER), "a", Instant::now()).unwrap();
        assert_eq!(session.lost(), ["a"]);
        assert_eq!(session.post(&call(0)), Err(Refusal::Offline));
    }

    #[test]
    fn the_answer_to_a_post_is_told_apart_by_its_echoed_timeout() {
        let mut session = online();
        let head = session.post(&call(77)).unwrap();
        assert_eq!(head.timeout, timeout::NO_WAIT);
        assert_eq!(session.receive(ack(head.ack(0, 0))), Event::Posted(ack(head.ack(0, 0))));
    }

    #[test]
    fn what_is_longer_than_the_agent_takes_is_refused() {
        let mut session = online();
        let long = DEFAULT_PAYLOAD_LIMIT + 1;
        assert_eq!(session.post(&Call { datalen: long, ..call(0) }), Err(Refusal::TooLong(DEFAULT_PAYLOAD_LIMIT)));
        assert_eq!(session.post(&Call { restlen: long, ..call(0) }), Err(Refusal::TooLong(DEFAULT_PAYLOAD_LIMIT)));
    }

    #[test]
    fn an_agent_may_tell_another_limit_in_its_login_answer() {
        let mut session = Session::<()>::new(id::DLNA, b"DLNA");
        let (login, _) = session.login(7);
        session.receive(ack(login.ack(0, 0).with_payload_limit(256)));
        assert_eq!(session.payload_limit(), 256);
    }

    #[test]
    fn a_probe_is_answered_with_cmd_0_and_its_seq() {
        let probe = Header { opcode: opcode::KALIVE, cmd: 9, ..Header::request(id::MSG_SRV, id::DLNA, 9, 11) };
        let Event::Probe(answer) = online().receive(ack(probe)) else { panic!("not taken for a probe") };
        assert_eq!((answer.opcode, answer.cmd, answer.seq), (opcode::ACK, 0, 11));
        assert_eq!((answer.srcid, answer.dstid), (id::DLNA, id::MSG_SRV));
    }

    #[test]
    fn an_heir_says_who_it_is_and_nobody_waits_for_the_answer() {
        let mut session = Session::<()>::new(id::DLNA, b"DLNA");
        session.resume(41, DEFAULT_PAYLOAD_LIMIT);
        let heir = Heir { pid: 7, space: 8 };
        let (head, payload) = session.introduce(heir);
        assert_eq!((head.seq, head.cmd, head.datalen as usize), (42, cmd::LOGIN, payload.len()));
        assert_eq!((Login::parse(&payload), Heir::parse(&payload)), (Ok(Login::named(b"DLNA")), Some(heir)));
        for code in [errcode::EXEC_SUCC, errcode::LOGIN_FAIL] {
            assert_eq!(session.receive(ack(head.ack(code, 0))), Event::Late(head.ack(code, 0)));
            assert!(session.online());
        }
    }

    #[test]
    fn an_event_is_no_request() {
        let head = Header::request(id::EVENT_SRV, id::DLNA, cmd::EVENT, 0);
        assert_eq!(online().receive(ack(head)), Event::Published(ack(head)));
        let request = Header { srcid: id::UPNP, ..head };
        assert_eq!(online().receive(ack(request)), Event::Request(ack(request)));
    }

    #[test]
    fn the_sequence_wraps_around_a_call_that_still_waits() {
        let mut session = online();
        let first = session.call(&call(timeout::FOREVER), "old", Instant::now()).unwrap();
        session.seq = u32::MAX;
        let seqs: Vec<u32> = (0..2).map(|_| session.post(&call(0)).unwrap().seq).collect();
        assert_eq!((first.seq, seqs), (1, vec![0, 2]));
    }
}
