//! Everything that one process uses, look for look, held against its limits. Pure: what it uses and what time it is are
//! arguments, so an hour of load is tried in no time.
//!
//! A look costs what is asked for, so what is due is decided here as well: processor time is an average over its window,
//! growth is looked at once a part.

use super::limit::{Ladder, Level, Turn, step};
use super::trend::{Growth as Grown, Trend};
use msf_conf::daemon::{Bound, Bounds, Cpu, Growth};
use std::time::{Duration, Instant};

/// What is remembered between two looks.
#[derive(Debug, Default)]
pub struct Watch {
    /// How far each thing has come; outlives the process.
    ladders: [Ladder; ALL.len()],
    /// Processor time when its window began.
    busy: Option<(Instant, Duration)>,
    growing: Option<Growing>,
}

/// How its memory grows.
#[derive(Debug)]
struct Growing {
    trend: Trend,
    /// The lowest of this part, and when it is over.
    low: u64,
    ends: Instant,
    /// Before this nothing counts.
    warm: Instant,
}

/// What is looked at; also its place among the ladders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing {
    /// Memory in use.
    Rss,
    /// Growth of it.
    Growth,
    /// Processor time.
    Cpu,
    /// Open files.
    Fds,
    /// Threads.
    Threads,
}

/// What a process uses at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Bytes of memory.
    pub resident: u64,
    /// Processor time since it was started.
    pub busy: Duration,
    /// Threads.
    pub threads: u64,
    /// Open descriptors, if they were counted.
    pub fds: Option<u64>,
}

/// A change that a look has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Of what.
    pub thing: Thing,
    /// Which.
    pub turn: Turn,
    /// Its limit.
    pub bound: Bound,
    /// How much it is.
    pub value: u64,
    /// Of processor time, over how long.
    pub over: Option<Duration>,
    /// Of growth, how it was.
    pub grown: Option<Grown>,
}

impl Thing {
    /// Whether these say anything about it.
    pub fn is_limited_by(self, bounds: &Bounds) -> bool {
        match self {
            Thing::Rss => bounds.rss.is_some(),
            Thing::Growth => bounds.growth.is_some(),
            Thing::Cpu => bounds.cpu.is_some(),
            Thing::Fds => bounds.fds.is_some(),
            Thing::Threads => bounds.threads.is_some(),
        }
    }
}

impl Watch {
    /// Of a process of which somebody has been told already that these are above their limits.
    pub fn warned(things: impl Iterator<Item = Thing>) -> Watch {
        let mut watch = Watch::default();
        things.for_each(|thing| watch.ladders[thing as usize].level = Level::Warned);
        watch
    }

    /// Of the process that is started in its place, with what it has used already.
    pub fn of_successor(&self, bounds: &Bounds, busy: Option<Duration>, now: Instant) -> Watch {
        let growing = bounds.growth.map(|Growth { window, warm_up, .. }| {
            let (warm, part) = (now + warm_up, window / Growth::PARTS);
            Growing { trend: Trend::new(), low: u64::MAX, ends: now + part, warm }
        });
        let busy = bounds.cpu.and(busy).map(|busy| (now, busy));
        let of_successor = |thing: Thing| match thing.is_limited_by(bounds) {
            true => self.ladders[thing as usize].of_successor(),
            false => Ladder::default(),
        };
        Watch { ladders: ALL.map(of_successor), busy, growing }
    }

    /// One look at everything.
    pub fn see(&mut self, bounds: &Bounds, seen: &Seen, now: Instant) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut weigh = |thing: Thing, bound: Bound, value: u64, over, grown| {
            let ladder = &mut self.ladders[thing as usize];
            let (next, turn) = step(&bound, *ladder, value);
            *ladder = next;
            findings.extend(turn.map(|turn| Finding { thing, turn, bound, value, over, grown }));
        };
        if let Some(bound) = bounds.rss {
            weigh(Thing::Rss, bound, seen.resident, None, None);
        }
        if let Some(bound) = bounds.threads {
            weigh(Thing::Threads, bound, seen.threads, None, None);
        }
        if let (Some(Cpu { bound, window }), Some((since, before))) = (bounds.cpu, self.busy)
            // Looks are not quite on time, and a window must not become longer for it.
            && now.saturating_duration_since(since) + bounds.sample / 2 >= window
        {
            let (used, passed) = (seen.busy.saturating_sub(before), now.saturating_duration_since(since));
            let percent = used.as_nanos() * 100 / passed.as_nanos().max(1);
            weigh(Thing::Cpu, bound, u64::try_from(percent).unwrap_or(u64::MAX), Some(passed), None);
            self.busy = Some((now, seen.busy));
        }
        if let (Some(growth), Some(growing)) = (bounds.growth, &mut self.growing)
            && let Some(grown) = growing.see(&growth, seen.resident, now)
        {
            weigh(Thing::Growth, growth.bound, grown.map_or(0, |grown| grown.by), None, grown);
        }
        if let (Some(bound), Some(fds)) = (bounds.fds, seen.fds) {
            weigh(Thing::Fds, bound, fds, None, None);
        }
        findings
    }

    /// What is above its limits.
    pub fn above(&self) -> impl Iterator<Item = Thing> {
        ALL.into_iter().filter(|thing| self.ladders[*thing as usize].level > Level::Calm)
    }
}

impl Growing {
    /// Once a part: the growth, if there is any.
    fn see(&mut self, growth: &Growth, resident: u64, now: Instant) -> Option<Option<Grown>> {
        self.low = self.low.min(resident);
        if now < self.ends {
            return None;
        }
        if now >= self.warm {
            self.trend.push(self.low);
        }
        self.low = u64::MAX;
        // From now on, if looking was not possible for longer than a part.
        let part = growth.window / Growth::PARTS;
        self.ends = if now < self.ends + part { self.ends + part } else { now + part };
        Some(self.trend.growth())
    }
}

/// In the order of their places.
pub const ALL: [Thing; 5] = [Thing::Rss, Thing::Growth, Thing::Cpu, Thing::Fds, Thing::Threads];

#[cfg(test)]
mod tests;
