//! Where a message goes: the decisions of one reactor.
//!
//! A request is looked up where its caller lives ([`Dispatch::route`]) and entered where its service lives
//! ([`Dispatch::enter`]); its answer is settled there too ([`Dispatch::settle`]), so a service's death is known in the
//! same place as everybody who waits for it ([`Dispatch::left`]).

use super::hash::Mix;
use super::message::{Address, Envelope, Moment, Patience, Refusal};
use super::pending::{Ledger, Settled};
use super::routes::Routes;
use crate::observe::counter::Counters;
use crate::observe::traffic::Protocol;
use msf_wire::snapshot::{Damage, Reader, State, Writer};
use std::collections::HashMap;
use std::sync::Arc;

/// One reactor's share of the broker.
#[derive(Debug)]
pub struct Dispatch {
    routes: Arc<Routes>,
    /// By session of the service.
    ledgers: HashMap<u32, Ledger, Mix>,
    mix: Mix,
    me: u16,
    counters: Arc<[Counters]>,
    draining: bool,
    /// The time that latencies are told by.
    micros: u64,
}

impl Dispatch {
    /// Knows nobody yet; counts in the set of reactor `me`.
    pub fn new(seed: u64, me: u16, counters: Arc<[Counters]>) -> Dispatch {
        let mix = Mix::new(seed);
        let routes = Arc::new(Routes::none(seed));
        Dispatch { routes, ledgers: HashMap::with_hasher(mix), mix, me, counters, draining: false, micros: 0 }
    }

    fn counts(&self) -> &Counters {
        // One set per reactor is what whoever built us promised.
        &self.counters[usize::from(self.me)]
    }

    /// It is so many microseconds after some beginning.
    pub fn tell_time(&mut self, micros: u64) {
        self.micros = micros;
    }

    /// From now on `routes` hold.
    pub fn adopt(&mut self, routes: Arc<Routes>) {
        self.routes = routes;
    }

    /// The routes that hold.
    pub fn routes(&self) -> &Arc<Routes> {
        &self.routes
    }

    /// From now on every request is refused.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// The session a request goes to.
    pub fn route(&self, call: &Envelope) -> Result<Address, Refusal> {
        if self.draining {
            return Err(Refusal::Offline);
        }
        self.routes.find(call.to).ok_or(Refusal::Offline)
    }

    /// Notes that `caller` waits for `service`, of which `most` may.
    pub fn enter(
        &mut self,
        service: u32,
        caller: Address,
        call: &Envelope,
        most: usize,
        now: Moment,
    ) -> Result<(), Refusal> {
        if call.patience == Patience::None {
            return Ok(());
        }
        let ledger = self.ledgers.entry(service).or_insert_with(|| Ledger::new(self.mix));
        if ledger.len() >= most {
            return Err(Refusal::Busy);
        }
        ledger.enter(caller, call, now, self.micros);
        Ok(())
    }

    /// Where the answer that came from `service` goes; `None` when nobody may have it, which is counted.
    pub fn settle(&mut self, service: u32, reply: &Envelope, now: Moment) -> Option<Address> {
        if reply.patience == Patience::None {
            let found = self.routes.find(reply.to);
            if found.is_none() {
                self.counts().dropped_undeliverable.count();
            }
            return found;
        }
        let settled = self.ledgers.get_mut(&service).map_or(Settled::Late, |ledger| ledger.settle(reply, now));
        match settled {
            Settled::Due(caller, since) => {
                self.counts().protocols[Protocol::Librpc].latency.observe(self.micros.saturating_sub(since));
                Some(caller)
            }
            Settled::Late => {
                self.counts().dropped_late.count();
                None
            }
        }
    }

    /// A session has ended: everybody who waited for it, to be told.
    pub fn left(&mut self, session: u32, now: Moment) -> impl Iterator<Item = (Address, Envelope)> + use<> {
        self.ledgers.remove(&session).into_iter().flat_map(move |ledger| ledger.close(now))
    }

    /// Whether anybody waits for a session of this reactor.
    pub fn is_awaited(&self, now: Moment) -> bool {
        self.ledgers.values().any(|ledger| ledger.is_awaited(now))
    }

    /// Whether anybody waits for this session.
    pub fn is_awaited_of(&self, session: u32, now: Moment) -> bool {
        self.ledgers.get(&session).is_some_and(|ledger| ledger.is_awaited(now))
    }

    /// How many entries all ledgers have.
    pub fn pending(&self) -> usize {
        self.ledgers.values().map(Ledger::len).sum()
    }

    /// Appends who waits for whom.
    pub fn save(&self, out: &mut Writer) {
        self.ledgers.save(out);
    }

    /// Goes on with what another process has saved.
    ///
    /// # Errors
    /// Whatever is not what [`Dispatch::save`] writes.
    pub fn resume(&mut self, from: &mut Reader<'_>) -> Result<(), Damage> {
        self.ledgers = State::load(from)?;
        Ok(())
    }

    /// Appends how it is laid out.
    #[cfg(test)]
    pub fn shape(out: &mut String) {
        msf_wire::snapshot::shape_of(|dispatch: &Dispatch| &dispatch.ledgers, out);
    }

    /// Forgets what nobody waits for any longer.
    pub fn sweep(&mut self, now: Moment) {
        let routes = Arc::clone(&self.routes);
        let lives = |id, address| routes.find(id) == Some(address);
        let expired = self.ledgers.values_mut().map(|ledger| ledger.sweep(now, lives)).sum();
        self.counts().expired.add(expired);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::routes::Tables;

    const SERVICE: Address = Address { reactor: 0, session: 2 };
    const CALLER: Address = Address { reactor: 0, session: 1 };

    fn dispatch() -> (Dispatch, Arc<[Counters]>) {
        let counters: Arc<[Counters]> = Arc::new([Counters::default()]);
        let mut dispatch = Dispatch::new(1, 0, Arc::clone(&counters));
        let services = [(0x11, CALLER), (0x12, SERVICE)].map(|(id, address)| (id, address, Vec::new())).to_vec();
        dispatch.adopt(Arc::new(Routes::none(1).succeed(Tables { services, ..Tables::default() })));
        (dispatch, counters)
    }

    fn call(seq: u32, patience: Patience) -> Envelope {
        Envelope { from: 0x11, to: 0x12, command: 0x26, seq, patience }
    }

    fn reply(seq: u32, patience: Patience) -> Envelope {
        Envelope { from: 0x12, to: 0x11, command: 0x26, seq, patience }
    }

    #[test]
    fn an_id_nobody_serves_is_offline() {
        let (dispatch, _) = dispatch();
        assert_eq!(dispatch.route(&call(1, Patience::None)), Ok(SERVICE));
        assert_eq!(dispatch.route(&Envelope { to: 0x17, ..call(1, Patience::None) }), Err(Refusal::Offline));
    }

    #[test]
    fn while_draining_everybody_is_offline() {
        let (mut dispatch, _) = dispatch();
        dispatch.drain();
        assert_eq!(dispatch.route(&call(1, Patience::Forever)), Err(Refusal::Offline));
    }

    #[test]
    fn an_asynchronous_answer_goes_by_the_routes_and_leaves_no_entry() {
        let (mut dispatch, counters) = dispatch();
        dispatch.enter(2, CALLER, &call(1, Patience::None), 9, Moment(0)).unwrap();
        assert_eq!(dispatch.pending(), 0);
        assert_eq!(dispatch.settle(2, &reply(1, Patience::None), Moment(0)), Some(CALLER));
        let gone = Envelope { to: 0x99, ..reply(1, Patience::None) };
        assert_eq!(dispatch.settle(2, &gone, Moment(0)), None);
        assert_eq!(counters[0].dropped_undeliverable.value(), 1);
    }

    #[test]
    fn an_answer_nobody_asked_for_is_late() {
        let (mut dispatch, counters) = dispatch();
        assert_eq!(dispatch.settle(2, &reply(1, Patience::Millis(5)), Moment(0)), None);
        assert_eq!(counters[0].dropped_late.value(), 1);
    }

    #[test]
    fn an_answer_from_another_session_than_the_one_asked_is_nobodys() {
        let (mut dispatch, _) = dispatch();
        dispatch.enter(2, CALLER, &call(1, Patience::Forever), 9, Moment(0)).unwrap();
        assert_eq!(dispatch.settle(3, &reply(1, Patience::Forever), Moment(0)), None);
        assert_eq!(dispatch.settle(2, &reply(1, Patience::Forever), Moment(0)), Some(CALLER));
    }

    #[test]
    fn a_service_with_too_many_unanswered_requests_is_busy() {
        let (mut dispatch, _) = dispatch();
        for seq in 0..3 {
            dispatch.enter(2, CALLER, &call(seq, Patience::Forever), 3, Moment(0)).unwrap();
        }
        assert_eq!(dispatch.enter(2, CALLER, &call(3, Patience::Forever), 3, Moment(0)), Err(Refusal::Busy));
        assert_eq!(dispatch.left(2, Moment(0)).count(), 3);
        assert_eq!(dispatch.left(2, Moment(0)).count(), 0);
    }
}
