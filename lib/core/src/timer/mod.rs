//! Timers of one loop: who armed what for when. Owns no clock; time is an argument.
//!
//! A timer never fires early, and at most one tick (a quarter of a millisecond) late, to which the caller's own wait
//! adds. Timers fire in the order of their ticks, those of one tick in the order in which they were armed.

mod bits;
mod lists;
mod thread;
mod ticks;
mod wheel;

use std::time::Instant;

pub use thread::{Keep, TimerThread};
pub(crate) use ticks::{TICK, Ticks, nanoseconds, tick_not_before};
pub(crate) use wheel::{Tick, Wheel};

/// Names one armed timer: its slot, and how often that slot had been used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerId {
    slot: u32,
    generation: u32,
}

/// The armed timers.
///
/// ```
/// use msf_core::timer::Timers;
/// use std::time::{Duration, Instant};
///
/// let begin = Instant::now();
/// let mut timers = Timers::new(begin);
/// let soon = timers.arm(begin + Duration::from_millis(5), 1);
/// timers.arm(begin + Duration::from_millis(9), 2);
/// assert!(timers.disarm(soon));
/// assert_eq!(timers.expire(begin + Duration::from_millis(20)), Some(2));
/// assert_eq!(timers.expire(begin + Duration::from_millis(20)), None);
/// ```
#[derive(Debug)]
pub struct Timers {
    ticks: Ticks,
    wheel: Wheel<Key>,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    key: u64,
    /// How often the slot was given back.
    generation: u32,
}

impl Timers {
    /// None armed; `now` is where time begins.
    pub fn new(now: Instant) -> Timers {
        Timers { ticks: Ticks::new(now), wheel: Wheel::new() }
    }

    /// Arms a one-shot timer.
    pub fn arm(&mut self, at: Instant, key: u64) -> TimerId {
        let mut generation = 0;
        let slot = self.wheel.take(|old| {
            generation = old.map_or(0, |old| old.generation.wrapping_add(1));
            Key { key, generation }
        });
        self.wheel.start(slot, self.ticks.not_before(at));
        TimerId { slot, generation }
    }

    /// Disarms; false when it has fired or was disarmed before.
    pub fn disarm(&mut self, timer: TimerId) -> bool {
        let named = self.wheel.payload(timer.slot).is_some_and(|key| key.generation == timer.generation);
        if !named || !self.wheel.stop(timer.slot) {
            return false;
        }
        self.wheel.give_back(timer.slot);
        true
    }

    /// When the loop must look again; never later than the earliest timer, perhaps earlier.
    pub fn next(&self) -> Option<Instant> {
        self.wheel.next().map(|tick| self.ticks.instant(tick))
    }

    /// Takes out the key of the earliest timer due at `now`, to be called until it returns `None`. A timer armed
    /// meanwhile never fires before the next `now`, and one disarmed meanwhile never fires at all.
    pub fn expire(&mut self, now: Instant) -> Option<u64> {
        let slot = self.wheel.pop(self.ticks.passed(now))?;
        self.wheel.give_back(slot);
        self.wheel.payload(slot).map(|key| key.key)
    }

    /// How many are armed.
    pub fn len(&self) -> usize {
        self.wheel.running()
    }

    /// Whether none is armed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::time::Duration;

    /// A small generator with a seed (xorshift), so that a failure can be repeated.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        fn below(&mut self, limit: u64) -> u64 {
            self.next() % limit
        }

        /// Mostly short, sometimes minutes, seldom hours: every part of the wheel is met.
        fn delay(&mut self) -> Duration {
            let longest = [50_000, 2_000_000, 900_000_000, 40_000_000_000, 1_500_000_000_000, 90_000_000_000_000];
            let longest = longest[self.below(6) as usize];
            Duration::from_nanos(self.below(longest))
        }
    }

    const TICK_LENGTH: Duration = Duration::from_nanos(1 << TICK);

    fn all_due(timers: &mut Timers, now: Instant) -> Vec<u64> {
        std::iter::from_fn(|| timers.expire(now)).collect()
    }

    #[test]
    fn any_sequence_of_operations_does_what_a_naive_list_does() {
        let steps = if cfg!(miri) { 400 } else { 20_000 };
        for seed in 1..=(if cfg!(miri) { 1 } else { 8 }) {
            let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ seed);
            let begin = Instant::now();
            let (mut now, mut timers) = (begin, Timers::new(begin));
            let mut model: HashMap<u64, (Instant, TimerId)> = HashMap::new();
            for key in 0..steps {
                match random.below(4) {
                    0 | 1 => {
                        let at = now + random.delay();
                        model.insert(key, (at, timers.arm(at, key)));
                    }
                    2 => {
                        let victim = model.keys().nth(random.below(16) as usize).copied();
                        if let Some((_, id)) = victim.and_then(|key| model.remove(&key)) {
                            assert!(timers.disarm(id));
                            assert!(!timers.disarm(id));
                        }
                    }
                    _ => {
                        now += random.delay() / 16;
                        for key in all_due(&mut timers, now) {
                            let (at, id) = model.remove(&key).expect("fired, but not armed");
                            assert!(at <= now, "early by {:?}", at - now);
                            assert!(!timers.disarm(id));
                        }
                    }
                }
                assert_eq!(timers.len(), model.len());
                if let Some(earliest) = model.values().map(|(at, _)| *at).min() {
                    // Not more than a tick late, and the loop is told to look in time.
                    assert!(earliest + 2 * TICK_LENGTH > now, "seed {seed}: late by {:?}", now - earliest);
                    assert!(timers.next().expect("armed") <= earliest.max(now) + TICK_LENGTH);
                }
            }
        }
    }

    /// Ticks, and starts while they run: the wheel itself, of which `Timers` show but a part.
    #[test]
    fn timers_started_anew_fire_exactly_as_a_sorted_list_has_them() {
        let steps = if cfg!(miri) { 600 } else { 60_000 };
        for seed in 1..=(if cfg!(miri) { 1 } else { 6 }) {
            let mut random = Random(0x2545_F491_4F6C_DD1D ^ seed);
            let mut wheel = Wheel::new();
            let slots: Vec<u32> = (0..400u64).map(|payload| wheel.take(|_| payload)).collect();
            // By slot: the tick, and how many starts there had been.
            let mut model: HashMap<u32, (Tick, u64)> = HashMap::new();
            let mut now = 0;
            for started in 0..steps {
                let slot = slots[random.below(400) as usize];
                match random.below(16) {
                    0..10 => {
                        // Few ticks, so that many timers share one.
                        let at = now + 1 + random.delay().as_millis() as u64 / 8 * 8;
                        wheel.start(slot, at);
                        model.insert(slot, (at, started));
                    }
                    10..13 => assert_eq!(wheel.stop(slot), model.remove(&slot).is_some()),
                    _ => {
                        now += 1 + random.delay().as_millis() as u64 / 32;
                        let mut due: Vec<_> = model.iter().filter(|(_, (at, _))| *at <= now).collect();
                        due.sort_by_key(|(_, start)| **start);
                        let due: Vec<u32> = due.into_iter().map(|(slot, _)| *slot).collect();
                        model.retain(|_, (at, _)| *at > now);
                        assert_eq!(std::iter::from_fn(|| wheel.pop(now)).collect::<Vec<_>>(), due, "seed {seed}");
                    }
                }
                assert_eq!(wheel.running(), model.len());
                let earliest = model.values().map(|(at, _)| *at).min();
                assert!(wheel.next() <= earliest.map(|at| at.max(now + 4)) || earliest.is_none(), "seed {seed}");
                assert_eq!(wheel.next().is_none(), earliest.is_none());
            }
        }
    }

    #[test]
    fn a_loop_that_sleeps_until_next_fires_each_timer_within_a_tick() {
        let begin = Instant::now();
        let mut timers = Timers::new(begin);
        let mut random = Random(7);
        let count = if cfg!(miri) { 30 } else { 2000 };
        let at: Vec<_> = (0..count).map(|_| begin + random.delay()).collect();
        for (key, at) in at.iter().enumerate() {
            timers.arm(*at, key as u64);
        }
        let (mut fired, mut looks) = (0, 0);
        while let Some(now) = timers.next() {
            looks += 1;
            for key in all_due(&mut timers, now) {
                let late = now.checked_duration_since(at[key as usize]).expect("early");
                assert!(late <= TICK_LENGTH, "late by {late:?}");
                fired += 1;
            }
        }
        assert_eq!(fired, count);
        assert!(looks < 400 * count, "looked {looks} times for {count} timers");
    }

    #[test]
    fn timer_disarmed_by_the_handler_of_another_one_of_the_same_turn_does_not_fire() {
        let begin = Instant::now();
        let mut timers = Timers::new(begin);
        let at = begin + Duration::from_millis(3);
        timers.arm(at, 1);
        let second = timers.arm(at, 2);
        let now = begin + Duration::from_millis(9);
        assert_eq!(timers.expire(now), Some(1));
        assert!(timers.disarm(second));
        assert_eq!(timers.expire(now), None);
    }

    #[test]
    fn timer_armed_by_a_handler_for_at_once_waits_for_the_next_turn() {
        let begin = Instant::now();
        let mut timers = Timers::new(begin);
        timers.arm(begin, 1);
        let now = begin + Duration::from_millis(5);
        assert_eq!(timers.expire(now), Some(1));
        timers.arm(now, 2);
        timers.arm(begin, 3);
        assert_eq!(timers.expire(now), None);
        assert_eq!(all_due(&mut timers, now + TICK_LENGTH), [2, 3]);
    }

    #[test]
    fn timers_of_one_tick_fire_in_the_order_in_which_they_were_armed() {
        let begin = Instant::now();
        let mut timers = Timers::new(begin);
        let far = begin + Duration::from_secs(4000);
        for key in 0..50 {
            timers.arm(far, key);
        }
        timers.arm(begin + Duration::from_secs(1), 99);
        let fired = all_due(&mut timers, begin + Duration::from_secs(5000));
        assert_eq!(fired, [99].into_iter().chain(0..50).collect::<Vec<_>>());
    }

    #[test]
    fn time_beyond_every_clock_is_survived() {
        let begin = Instant::now();
        let mut timers = Timers::new(begin);
        let mut far = Duration::from_secs(u64::MAX / 4);
        while begin.checked_add(far).is_none() {
            far /= 2;
        }
        let id = timers.arm(begin + far, 1);
        assert!(timers.next().is_some());
        assert_eq!(timers.expire(begin + Duration::from_secs(3600)), None);
        assert!(timers.disarm(id));
        assert_eq!((timers.len(), timers.next()), (0, None));
    }
}
