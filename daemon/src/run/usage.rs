//! How much of the machine a process that is up uses, held against its `limits` every `sample_ms`, at the same moments
//! for all.

use super::driver::{Driver, Due, Key, MODULE, Timer};
use super::health::{after, shared};
use super::remedy::Trouble;
use crate::face::status::span;
use crate::law::alarm::Kind;
use crate::law::limit::{Ladder, Level as Rung, Turn, step};
use crate::law::trend::{Growth as Grown, Trend};
use msf_conf::daemon::{Bound, Bounds, Cpu, Growth};
use msf_core::event::Reactor;
use msf_core::log;
use msf_core::log::Level;
use msf_core::sysinfo::gauge::{Gauge, Reading};
use std::time::{Duration, Instant};

/// How one process is looked at.
#[derive(Debug, Default)]
pub struct Usage {
    gauge: Option<Gauge>,
    next: Option<Timer>,
    /// How far each thing has come; outlives the process.
    ladders: [Ladder; THINGS],
    /// Processor time when its window began.
    busy: Option<(Instant, Duration)>,
    growing: Option<Growing>,
    /// Its descriptors cannot be counted, and that was said.
    is_closed: bool,
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
enum Thing {
    Rss,
    Growth,
    Cpu,
    Fds,
    Threads,
}

/// One thing as it is now, and what is to be said of it.
struct Look {
    thing: Thing,
    bound: Bound,
    value: u64,
    more: String,
}

impl Usage {
    /// What is above its limits.
    pub fn shown(&self) -> Vec<&'static str> {
        let things = [Thing::Rss, Thing::Growth, Thing::Cpu, Thing::Fds, Thing::Threads];
        let above = things.into_iter().filter(|thing| self.ladders[*thing as usize].level > Rung::Calm);
        above.map(Thing::key).collect()
    }
}

impl Thing {
    /// As in the configuration.
    fn key(self) -> &'static str {
        match self {
            Thing::Rss => "rss_bytes",
            Thing::Growth => "rss_growth",
            Thing::Cpu => "cpu_percent",
            Thing::Fds => "fds",
            Thing::Threads => "threads",
        }
    }

    fn alarm(self) -> Kind {
        match self {
            Thing::Rss => Kind::Memory,
            Thing::Growth => Kind::MemoryTrend,
            Thing::Cpu => Kind::Cpu,
            Thing::Fds => Kind::Files,
            Thing::Threads => Kind::Threads,
        }
    }

    fn of(self, value: u64) -> String {
        match self {
            Thing::Rss => format!("uses {}", bytes(value)),
            Thing::Growth => format!("has grown by {}", bytes(value)),
            Thing::Cpu => format!("uses {value} % of a processor"),
            Thing::Fds => format!("has {value} descriptors open"),
            Thing::Threads => format!("has {value} threads"),
        }
    }

    fn limit(self, value: u64) -> String {
        match self {
            Thing::Rss | Thing::Growth => bytes(value),
            Thing::Cpu => format!("{value} %"),
            Thing::Fds | Thing::Threads => value.to_string(),
        }
    }
}

impl Driver {
    /// The process is up.
    pub(super) fn begin_usage(&mut self, reactor: &mut Reactor, key: Key) {
        let now = Instant::now();
        let Some(service) = self.roll.get_mut(key) else { return };
        let bounds = service.entry.bounds.clone();
        let ladders = service.usage.ladders.map(Ladder::of_successor);
        service.usage = Usage::default();
        let Some(pid) = service.pid().filter(|_| !bounds.is_empty()) else { return };
        let gauge = match Gauge::open(pid) {
            Ok(gauge) => gauge,
            // It has ended; that will be dealt with in a moment.
            Err(e) => return log!(Level::Debug, MODULE, "{}: cannot be looked at: {e}", service.name()),
        };
        let growing = bounds.growth.map(|Growth { window, warm_up, .. }| {
            let (warm, part) = (now + warm_up, window / Growth::PARTS);
            Growing { trend: Trend::new(), low: u64::MAX, ends: now + part, warm }
        });
        let busy = bounds.cpu.and_then(|_| Some((now, gauge.look().ok()?.busy)));
        service.usage = Usage { gauge: Some(gauge), ladders, growing, busy, ..Usage::default() };
        self.look_at(reactor, key, now + bounds.sample / 2, bounds.sample);
    }

    /// It is no longer up, or has other limits.
    pub(super) fn end_usage(&mut self, reactor: &mut Reactor, key: Key) {
        let Some(service) = self.roll.get_mut(key) else { return };
        service.usage.gauge = None;
        let timer = service.usage.next.take();
        timer.into_iter().for_each(|timer| self.disarm(reactor, timer));
    }

    fn look_at(&mut self, reactor: &mut Reactor, key: Key, earliest: Instant, every: Duration) {
        let timer = self.arm_at(reactor, shared(self.since, earliest, every), Due::Sample(key));
        if let Some(service) = self.roll.get_mut(key) {
            service.usage.next = timer;
        }
    }

    /// A process is to be looked at.
    pub(super) fn sample(&mut self, reactor: &mut Reactor, key: Key) {
        let now = Instant::now();
        let Some(service) = self.roll.get_mut(key) else { return };
        let bounds = service.entry.bounds.clone();
        let looks = match service.usage.look(&bounds, now) {
            Ok(looks) => looks,
            Err(why) => {
                log!(Level::Warn, MODULE, "{}: its descriptors cannot be counted: {why}", service.name());
                Vec::new()
            }
        };
        self.look_at(reactor, key, after(now, bounds.sample), bounds.sample);
        for look in looks {
            self.weigh(reactor, key, &look);
        }
    }

    fn weigh(&mut self, reactor: &mut Reactor, key: Key, look: &Look) {
        let Look { thing, bound, value, more } = look;
        let Some(service) = self.roll.get_mut(key) else { return };
        let Some(ladder) = service.usage.ladders.get_mut(*thing as usize) else { return };
        let (next, turn) = step(bound, *ladder, *value);
        *ladder = next;
        let trouble = |limit: Option<u64>| {
            let limit = thing.limit(limit.unwrap_or_default());
            Trouble {
                kind: thing.alarm(),
                text: format!("{}, the limit is {limit} ({}){more}", thing.of(*value), thing.key()),
            }
        };
        match turn {
            None => {}
            Some(Turn::Warn) => self.warn(reactor, key, &trouble(bound.warn)),
            Some(Turn::Act) => self.remedy(reactor, key, &trouble(bound.act), bound.deed),
            Some(Turn::Calm) => {
                let text = format!("{} again, which is below its limit ({})", thing.of(*value), thing.key());
                self.recovered(reactor, key, Trouble { kind: thing.alarm(), text });
            }
        }
    }
}

impl Usage {
    /// Everything that is due. An error is said once.
    fn look(&mut self, bounds: &Bounds, now: Instant) -> Result<Vec<Look>, String> {
        let mut looks = Vec::new();
        let Some(gauge) = &mut self.gauge else { return Ok(looks) };
        // One that has ended, and is about to be collected, has nothing to be looked at.
        let Ok(seen) = gauge.look() else { return Ok(looks) };
        let mut add = |thing, bound, value, more| looks.push(Look { thing, bound, value, more });
        if let Some(bound) = bounds.rss {
            add(Thing::Rss, bound, seen.resident, String::new());
        }
        if let Some(bound) = bounds.threads {
            add(Thing::Threads, bound, seen.threads, String::new());
        }
        if let (Some(Cpu { bound, window }), Some((since, before))) = (bounds.cpu, self.busy)
            // Looks are not quite on time, and a window must not become longer for it.
            && now.saturating_duration_since(since) + bounds.sample / 2 >= window
        {
            let (used, passed) = (seen.busy.saturating_sub(before), now.saturating_duration_since(since));
            let percent = used.as_nanos() * 100 / passed.as_nanos().max(1);
            add(Thing::Cpu, bound, u64::try_from(percent).unwrap_or(u64::MAX), format!(", over {}", span(passed)));
            self.busy = Some((now, seen.busy));
        }
        if let (Some(growth), Some(growing)) = (bounds.growth, &mut self.growing)
            && let Some(grown) = growing.see(&growth, &seen, now)
        {
            let by = grown.map_or(0, |grown| grown.by);
            let more = grown.map_or_else(String::new, |grown| forecast(bounds, &growth, &grown, seen.resident));
            add(Thing::Growth, growth.bound, by, more);
        }
        if let Some(bound) = bounds.fds.filter(|_| !self.is_closed) {
            match gauge.descriptors() {
                Ok(count) => add(Thing::Fds, bound, count, String::new()),
                Err(_) if gauge.look().is_err() => {}
                Err(e) => {
                    self.is_closed = true;
                    return Err(e.to_string());
                }
            }
        }
        Ok(looks)
    }
}

impl Growing {
    /// Once a part: the growth, if there is any.
    fn see(&mut self, growth: &Growth, seen: &Reading, now: Instant) -> Option<Option<Grown>> {
        self.low = self.low.min(seen.resident);
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

/// Within what time it has grown, how sure that is, and when it will be too large.
fn forecast(bounds: &Bounds, growth: &Growth, grown: &Grown, resident: u64) -> String {
    let time = |parts: u64| {
        let parts = u32::try_from(parts).unwrap_or(u32::MAX);
        span((growth.window / Growth::PARTS).checked_mul(parts).unwrap_or(Duration::MAX))
    };
    let limit = bounds.rss.and_then(|bound| bound.act.or(bound.warn));
    let until = limit.and_then(|limit| Some((limit, grown.until(resident, limit)?)));
    let end =
        until.map_or_else(String::new, |(limit, parts)| format!("; at this rate {} in {}", bytes(limit), time(parts)));
    format!(", within {} and with a confidence of {} %{end}", time(grown.parts), grown.confidence)
}

fn bytes(count: u64) -> String {
    match count {
        0..0x2800 => format!("{count} bytes"),
        0x2800..0xa0_0000 => format!("{} KiB", count >> 10),
        _ => format!("{} MiB", count >> 20),
    }
}

const THINGS: usize = 5;
