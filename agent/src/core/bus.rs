//! Events: who of one reactor wants which, and how many each has lost.
//!
//! Every reactor hears of every event and tells its own subscribers. One that has no room for an event loses it and
//! nobody else waits; how many it has lost it is told with the next one it gets, or as soon as it has read everything.

use super::message::Refusal;
use msf_wire::librpc::EVERY_EVENT;
use msf_wire::snapshot::{Damage, Reader, State, What, Writer};
use msf_wire::state;
use std::collections::{BTreeMap, BTreeSet};

/// See the module.
#[derive(Debug, Default)]
pub struct Bus {
    /// What each wants: never nothing.
    wanted: BTreeMap<Subscriber, BTreeSet<Vec<u8>>>,
    /// The same from the other side.
    names: BTreeMap<Vec<u8>, Vec<Subscriber>>,
    /// Of those who have not been told yet.
    lost: BTreeMap<Subscriber, u32>,
}

/// Somebody of this reactor who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subscriber {
    /// The peer of a session.
    Session(u32),
    /// An operator, by the number of his look.
    Operator(u32),
}

state! { enum Subscriber { 0 Session(token: u32), 1 Operator(number: u32) } }

impl Bus {
    /// From now on `who` is told of events called `name`; twice is once.
    ///
    /// # Errors
    /// [`Refusal::Busy`]: it wants [`MOST_NAMES`] already.
    pub fn subscribe(&mut self, who: Subscriber, name: &[u8]) -> Result<(), Refusal> {
        let wanted = self.wanted.entry(who).or_default();
        if wanted.contains(name) {
            return Ok(());
        }
        if wanted.len() >= MOST_NAMES {
            return Err(Refusal::Busy);
        }
        wanted.insert(name.to_vec());
        self.names.entry(name.to_vec()).or_default().push(who);
        Ok(())
    }

    /// It is no longer.
    pub fn unsubscribe(&mut self, who: Subscriber, name: &[u8]) {
        let Some(wanted) = self.wanted.get_mut(&who) else { return };
        wanted.remove(name);
        if wanted.is_empty() {
            self.wanted.remove(&who);
            self.lost.remove(&who);
        }
        self.strike(who, name);
    }

    /// It has gone.
    pub fn forget(&mut self, who: Subscriber) {
        let wanted = self.wanted.remove(&who).unwrap_or_default();
        wanted.iter().for_each(|name| self.strike(who, name));
        self.lost.remove(&who);
    }

    fn strike(&mut self, who: Subscriber, name: &[u8]) {
        let Some(all) = self.names.get_mut(name) else { return };
        all.retain(|other| *other != who);
        if all.is_empty() {
            self.names.remove(name);
        }
    }

    /// Everybody who is to be told of an event called `name`, each once.
    pub fn subscribers(&self, name: &[u8]) -> Vec<Subscriber> {
        let of = |name: &[u8]| self.names.get(name).map(Vec::as_slice).unwrap_or_default();
        let own = of(name);
        own.iter().chain(of(EVERY_EVENT).iter().filter(|who| !own.contains(who))).copied().collect()
    }

    /// It should have been told of something, and had no room.
    pub fn lose(&mut self, who: Subscriber) {
        let lost = self.lost.entry(who).or_default();
        *lost = lost.saturating_add(1);
    }

    /// How many it has lost since it was last told so, which it is now.
    pub fn take_lost(&mut self, who: Subscriber) -> u32 {
        self.lost.remove(&who).unwrap_or(0)
    }

    /// Those who have lost something and do not know.
    pub fn losers(&self) -> Vec<Subscriber> {
        self.lost.keys().copied().collect()
    }

    /// How many wants there are.
    pub fn len(&self) -> usize {
        self.wanted.values().map(BTreeSet::len).sum()
    }
}

/// What each wants, and what each has lost; the names follow from that.
impl State for Bus {
    fn save(&self, out: &mut Writer) {
        let wanted = self.wanted.iter();
        let wanted: Vec<(Subscriber, Vec<Vec<u8>>)> =
            wanted.map(|(who, names)| (*who, names.iter().cloned().collect())).collect();
        wanted.save(out);
        self.lost.save(out);
    }

    fn load(from: &mut Reader<'_>) -> Result<Bus, Damage> {
        let (wanted, lost) = <(Vec<(Subscriber, Vec<Vec<u8>>)>, BTreeMap<Subscriber, u32>)>::load(from)?;
        let mut bus = Bus { lost, ..Bus::default() };
        for (who, name) in wanted.iter().flat_map(|(who, names)| names.iter().map(|name| (*who, name))) {
            let entered = bus.subscribe(who, name);
            entered.map_err(|_| from.damage(What::Contradiction("a subscriber who wants too much")))?;
        }
        Ok(bus)
    }

    fn shape(out: &mut String) {
        <(Vec<(Subscriber, Vec<Vec<u8>>)>, BTreeMap<Subscriber, u32>)>::shape(out);
    }
}

/// So many names one subscriber may want.
pub const MOST_NAMES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Subscriber = Subscriber::Session(1);
    const TWO: Subscriber = Subscriber::Session(2);
    const OPERATOR: Subscriber = Subscriber::Operator(1);

    #[test]
    fn an_event_goes_once_to_each_who_wants_it_by_its_name_or_by_any() {
        let mut bus = Bus::default();
        for (who, name) in [(ONE, "a"), (ONE, "a"), (ONE, "*"), (TWO, "b"), (OPERATOR, "*")] {
            bus.subscribe(who, name.as_bytes()).unwrap();
        }
        assert_eq!(bus.subscribers(b"a"), [ONE, OPERATOR]);
        assert_eq!(bus.subscribers(b"b"), [TWO, ONE, OPERATOR]);
        assert_eq!(bus.len(), 4);
        bus.unsubscribe(ONE, b"*");
        bus.unsubscribe(TWO, b"a");
        assert_eq!((bus.subscribers(b"a"), bus.subscribers(b"c")), (vec![ONE, OPERATOR], vec![OPERATOR]));
    }

    #[test]
    fn who_has_gone_leaves_nothing_behind() {
        let mut bus = Bus::default();
        bus.subscribe(ONE, b"a").unwrap();
        bus.subscribe(TWO, b"a").unwrap();
        bus.lose(ONE);
        bus.forget(ONE);
        bus.lose(TWO);
        bus.unsubscribe(TWO, b"a");
        assert!(bus.names.is_empty() && bus.wanted.is_empty() && bus.lost.is_empty());
    }

    #[test]
    fn what_is_lost_is_told_once() {
        let mut bus = Bus::default();
        bus.subscribe(ONE, b"a").unwrap();
        bus.lose(ONE);
        bus.lose(ONE);
        assert_eq!(bus.losers(), [ONE]);
        assert_eq!((bus.take_lost(ONE), bus.take_lost(ONE)), (2, 0));
        assert!(bus.losers().is_empty());
    }

    #[test]
    fn one_subscriber_wants_so_many_names_and_no_more() {
        let mut bus = Bus::default();
        for number in 0..MOST_NAMES {
            bus.subscribe(ONE, format!("n{number}").as_bytes()).unwrap();
        }
        assert_eq!(bus.subscribe(ONE, b"x"), Err(Refusal::Busy));
        assert_eq!(bus.subscribe(ONE, b"n0"), Ok(()), "what it has it may ask for again");
        assert_eq!(bus.subscribe(TWO, b"x"), Ok(()));
        assert_eq!(bus.subscribers(b"x"), [TWO]);
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let mut bus = Bus::default();
        bus.subscribe(ONE, b"a").unwrap();
        bus.subscribe(OPERATOR, b"*").unwrap();
        bus.lose(ONE);
        let mut out = Writer::default();
        bus.save(&mut out);
        let mut other = Bus::load(&mut Reader::new(out.bytes(), Vec::new())).unwrap();
        assert_eq!(other.subscribers(b"a"), [ONE, OPERATOR]);
        assert_eq!(other.take_lost(ONE), 1);
    }
}
