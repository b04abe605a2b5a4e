//! What each library and its services use, and how they are.
//!
//! Threads are those in whose program counter or on whose stack there is code of the library; of one that is on a processor
//! while it is looked at that cannot be told, but it is known by its name, which is that of the library's thread until it
//! gets another. Events and timers are those of the services' loop, pools those that were made during
//! their calls, descriptors those that appeared during their slots and are still the same.

use crate::apart::annex::{Annex, Inside};
use crate::copy::generation::Uses;
use crate::keep::keeper::Keeper;
use crate::place::footprint::Footprint;
use crate::place::runner::Usage;
use crate::place::work::{Outcome, Work, failure};
use crate::text::object;
use msf_conf::tree::Value;
use msf_sys::rest::{named_like, residents, started};
use msf_sys::service::Answer;
use msf_sys::usage::thread_time;
use std::time::Duration;

impl Keeper {
    /// A row for each library, with how its services are.
    pub fn stats(&self) -> Value {
        let mut rows = Vec::new();
        for (of, generation) in self.generations.iter().enumerate() {
            let usage = generation.usage();
            for (at, member) in generation.members.iter().enumerate().filter(|(_, member)| member.is_here()) {
                let name = member.conf.name.as_str();
                let mut row = vec![("name", name.into()), ("calls", self.routes.calls(name).into())];
                // Who does not answer is not asked how it is.
                let health = usage.as_ref().map_or_else(|e| Some(e.to_string()), |_| self.health((of, at)));
                row.push(("health", health.into()));
                let pid = generation.annex().and_then(Annex::pid);
                row.extend(pid.map(|pid| ("pid", pid.into())));
                match &usage {
                    Ok(Uses::Here(usage)) => row.extend(used(usage)),
                    Ok(Uses::Apart(inside, footprint)) => row.extend(used_apart(inside, footprint.as_ref())),
                    Err(silence) => row.push(("busy", silence.to_string().into())),
                }
                rows.push(object(row));
            }
        }
        object([("services", rows.into())])
    }

    fn health(&self, (of, at): (usize, usize)) -> Option<String> {
        match self.generations.get(of)?.glance(at, Work::Health) {
            Err(silence) => Some(silence.to_string()),
            Ok(Outcome { answer: Answer::Absent, .. }) => None,
            Ok(outcome) => {
                let words = String::from_utf8_lossy(&outcome.bytes).into_owned();
                Some(match failure("health", &outcome.answer) {
                    Ok(()) if words.is_empty() => "well".to_owned(),
                    Ok(()) => words,
                    Err(why) if words.is_empty() => format!("ill: {why}"),
                    Err(_) => format!("ill: {words}"),
                })
            }
        }
    }
}

/// All its process uses is the service's.
fn used_apart(inside: &Inside, footprint: Option<&Footprint>) -> Vec<(&'static str, Value)> {
    let mut used = vec![
        ("events", inside.events.into()),
        ("timers", inside.timers.into()),
        ("pool_bytes", inside.pool_bytes.into()),
    ];
    if let Some(Footprint { rss_bytes, time, threads, descriptors }) = footprint.copied() {
        used.extend([
            ("threads", threads.into()),
            ("cpu_ms", (time.as_secs_f64() * 1e3).round().into()),
            ("fds", descriptors.into()),
            ("rss_bytes", rss_bytes.into()),
        ]);
    }
    used
}

/// Services of one library share what it uses.
fn used(usage: &Usage) -> Vec<(&'static str, Value)> {
    let mut threads = residents(&usage.code);
    threads.extend(named_like(usage.runner));
    threads.extend(started(&usage.begun).into_iter().map(|(tid, _)| tid));
    threads.push(usage.runner);
    threads.sort_unstable();
    threads.dedup();
    let time: Duration = threads.iter().filter_map(|tid| thread_time(*tid)).sum();
    vec![
        ("threads", threads.len().into()),
        ("cpu_ms", (time.as_secs_f64() * 1e3).round().into()),
        ("events", usage.events.into()),
        ("timers", usage.timers.into()),
        ("fds", usage.descriptors.into()),
        ("pool_bytes", usage.pool_bytes.into()),
    ]
}
