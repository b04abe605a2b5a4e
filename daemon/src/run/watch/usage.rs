//! How much of the machine a process that is up uses, held against its `limits` every `sample_ms`, at the same moments
//! for all.

use super::health::{after, shared};
use crate::face::status::span;
use crate::law::alarm::{Kind, Raised};
use crate::law::limit::Turn;
use crate::law::trend::Growth as Grown;
use crate::law::watch::{ALL, Finding, Seen, Thing, Watch};
use crate::run::driver::{Driver, Due, Key, MODULE, Timer};
use crate::run::remedy::Trouble;
use msf_conf::daemon::{Bounds, Growth};
use msf_core::event::Reactor;
use msf_core::log;
use msf_core::log::Level;
use msf_core::sysinfo::gauge::Gauge;
use std::time::{Duration, Instant};

/// How one process is looked at.
#[derive(Debug, Default)]
pub struct Usage {
    gauge: Option<Gauge>,
    next: Option<Timer>,
    watch: Watch,
    /// Bytes of memory at the last look.
    resident: u64,
    /// Its descriptors cannot be counted, and that was said.
    is_closed: bool,
    /// A signal was ending it at the last look.
    is_dying: bool,
}

impl Usage {
    /// Of one that is adopted, of which these alarms are open.
    pub fn of_alarms(open: &[Raised]) -> Usage {
        let told = ALL.into_iter().filter(|thing| open.iter().any(|(kind, _)| *kind == thing.alarm()));
        Usage { watch: Watch::warned(told), ..Usage::default() }
    }

    /// What is above its limits.
    pub fn shown(&self) -> Vec<&'static str> {
        self.watch.above().map(Thing::key).collect()
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

    /// What an alarm of this kind is about.
    pub fn of_alarm(kind: Kind) -> Option<Thing> {
        ALL.into_iter().find(|thing| thing.alarm() == kind)
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
    pub(in crate::run) fn begin_usage(&mut self, reactor: &mut Reactor, key: Key) {
        let now = Instant::now();
        let Some(service) = self.roll.get_mut(key) else { return };
        let before = service.usage.take().map(|usage| usage.watch).unwrap_or_default();
        let Some(bounds) = service.entry.bounds.clone() else { return };
        // What was said of the one before holds until this one has been looked at.
        let watch = before.of_successor(&bounds, None, now);
        service.usage = Some(Box::new(Usage { watch, ..Usage::default() }));
        let Some(pid) = service.pid() else { return };
        let gauge = match Gauge::open(pid) {
            Ok(gauge) => gauge,
            // It has ended; that will be dealt with in a moment.
            Err(e) => return log!(Level::Debug, MODULE, "{}: cannot be looked at: {e}", service.name()),
        };
        let busy = gauge.look().ok().map(|seen| seen.busy);
        let watch = before.of_successor(&bounds, busy, now);
        service.usage = Some(Box::new(Usage { gauge: Some(gauge), watch, ..Usage::default() }));
        self.look_at(reactor, key, now + bounds.sample / 2, bounds.sample);
    }

    /// It is no longer up, or has other limits.
    pub(in crate::run) fn end_usage(&mut self, reactor: &mut Reactor, key: Key) {
        let Some(usage) = self.usage_of(key) else { return };
        usage.gauge = None;
        let timer = usage.next.take();
        timer.into_iter().for_each(|timer| self.disarm(reactor, timer));
    }

    fn look_at(&mut self, reactor: &mut Reactor, key: Key, earliest: Instant, every: Duration) {
        let timer = self.arm_at(reactor, shared(self.since, earliest, every), Due::Sample(key));
        if let Some(usage) = self.usage_of(key) {
            usage.next = timer;
        }
    }

    fn usage_of(&mut self, key: Key) -> Option<&mut Usage> {
        self.roll.get_mut(key)?.usage.as_deref_mut()
    }

    /// A process is to be looked at.
    pub(in crate::run) fn sample(&mut self, reactor: &mut Reactor, key: Key) {
        let now = Instant::now();
        let Some(service) = self.roll.get_mut(key) else { return };
        let (Some(bounds), Some(usage)) = (service.entry.bounds.clone(), &mut service.usage) else { return };
        let found = match usage.look(&bounds, now) {
            Ok(found) => found,
            Err(why) => {
                log!(Level::Warn, MODULE, "{}: its descriptors cannot be counted: {why}", service.name());
                Vec::new()
            }
        };
        if service.usage.as_ref().is_some_and(|usage| usage.is_dying) && self.found_dumping(reactor, key) {
            return;
        }
        self.look_at(reactor, key, after(now, bounds.sample), bounds.sample);
        for finding in found {
            self.found(reactor, key, &bounds, &finding);
        }
    }

    fn found(&mut self, reactor: &mut Reactor, key: Key, bounds: &Bounds, finding: &Finding) {
        let Finding { thing, turn, bound, value, over, grown } = finding;
        let resident = self.usage_of(key).map_or(0, |usage| usage.resident);
        let trouble = |limit: Option<u64>| {
            let limit = thing.limit(limit.unwrap_or_default());
            let over = over.map_or_else(String::new, |over| format!(", over {}", span(over)));
            let grown = grown.zip(bounds.growth);
            let grown = grown.map_or_else(String::new, |(grown, growth)| forecast(bounds, &growth, &grown, resident));
            let text = format!("{}, the limit is {limit} ({}){over}{grown}", thing.of(*value), thing.key());
            Trouble { kind: thing.alarm(), text }
        };
        match turn {
            Turn::Warn => self.warn(reactor, key, &trouble(bound.warn)),
            Turn::Act => self.remedy(reactor, key, &trouble(bound.act), bound.deed),
            Turn::Calm => {
                let text = format!("{} again, which is below its limit ({})", thing.of(*value), thing.key());
                self.recovered(reactor, key, Trouble { kind: thing.alarm(), text });
            }
        }
    }
}

impl Usage {
    /// Everything that is due. An error is said once, and what cannot be counted is not looked at any more.
    fn look(&mut self, bounds: &Bounds, now: Instant) -> Result<Vec<Finding>, String> {
        let Some(gauge) = &mut self.gauge else { return Ok(Vec::new()) };
        // One that has ended, and is about to be collected, has nothing to be looked at.
        let Ok(seen) = gauge.look() else { return Ok(Vec::new()) };
        (self.resident, self.is_dying) = (seen.resident, seen.is_dying);
        let counted = match bounds.fds.filter(|_| !self.is_closed) {
            Some(_) => gauge.descriptors().map(Some),
            None => Ok(None),
        };
        let fds = match counted {
            Ok(fds) => fds,
            Err(_) if gauge.look().is_err() => None,
            Err(e) => {
                self.is_closed = true;
                return Err(e.to_string());
            }
        };
        let seen = Seen { resident: seen.resident, busy: seen.busy, threads: seen.threads, fds };
        Ok(self.watch.see(bounds, &seen, now))
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
