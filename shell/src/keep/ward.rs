//! Looks after services that have limits: what each uses is held against them, and one that does not answer, or says
//! that it is ill, is in trouble as well. Told is what lasts for two checks, once, and once more when it is over.

use crate::MODULE;
use crate::keep::change::Report;
use crate::keep::keeper::Keeper;
use crate::ready;
use msf_conf::shell::{Deed, Limits, Service};
use msf_conf::tree::Value;
use msf_sys::log::Level;
use std::collections::BTreeMap;
use std::time::Instant;

/// What is known from the checks before.
#[derive(Debug, Default)]
pub struct Ward {
    last: Option<Instant>,
    /// By service.
    seen: BTreeMap<String, Seen>,
    /// What whoever started us was told.
    told: Option<String>,
}

#[derive(Debug, Default)]
struct Seen {
    /// When it was looked at, and the milliseconds of processor time it had used by then.
    cpu: Option<(Instant, f64)>,
    bad: u32,
    good: u32,
    trouble: Option<String>,
}

/// What a check changes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Turn {
    /// This service is in trouble.
    Began(String, String),
    /// It is no longer.
    Over(String),
}

impl Ward {
    /// `rows` is what the services use now.
    fn look(&mut self, rows: &[Value], services: &[Service], now: Instant) -> Vec<Turn> {
        let watched = |name: &str| services.iter().any(|service| service.name == name && service.limits.is_some());
        self.seen.retain(|name, _| watched(name));
        let mut turns = Vec::new();
        for row in rows {
            let Some(name) = row["name"].as_str() else { continue };
            let service = services.iter().find(|service| service.name == name);
            let Some(limits) = service.and_then(|service| service.limits.as_ref()) else { continue };
            turns.extend(self.seen.entry(name.to_owned()).or_default().look(name, row, limits, now));
        }
        turns
    }

    /// What is wrong, in one line.
    fn troubles(&self) -> String {
        let all = self.seen.iter().filter_map(|(name, seen)| Some(format!("{name} {}", seen.trouble.as_ref()?)));
        all.collect::<Vec<_>>().join("; ")
    }
}

impl Seen {
    fn look(&mut self, name: &str, row: &Value, limits: &Limits, now: Instant) -> Option<Turn> {
        let before = self.cpu.take();
        self.cpu = row["cpu_ms"].as_f64().map(|ms| (now, ms));
        let percent = before.zip(self.cpu).map(|((since, before), (_, after))| {
            let passed = now.saturating_duration_since(since).as_secs_f64() * 1e3;
            ((after - before).max(0.0) * 100.0 / passed.max(1.0)) as u64
        });
        let wrong = |slack| complaint(row, limits, percent, slack);
        self.bad = if wrong(0).is_some() { self.bad + 1 } else { 0 };
        self.good = if wrong(SLACK).is_none() { self.good + 1 } else { 0 };
        if self.trouble.is_none() && self.bad >= CHECKS {
            self.trouble = wrong(0);
            return Some(Turn::Began(name.to_owned(), self.trouble.clone().unwrap_or_default()));
        }
        if self.trouble.is_some() && self.good >= CHECKS {
            self.trouble = None;
            return Some(Turn::Over(name.to_owned()));
        }
        None
    }
}

/// What is wrong with a service, if anything is. `slack` is how many per cent below its limits it has to be.
fn complaint(row: &Value, limits: &Limits, percent: Option<u64>, slack: u64) -> Option<String> {
    if let Some(silence) = row["busy"].as_str() {
        return Some(format!("does not answer: {silence}"));
    }
    if let Some(ill) = row["health"].as_str().and_then(|health| health.strip_prefix("ill: ")) {
        return Some(format!("says that it is ill: {ill}"));
    }
    limits.each().into_iter().find_map(|(key, limit)| {
        let limit = limit?;
        let value = if key == "cpu_percent" { percent? } else { row[key].as_u64()? };
        (value >= limit - limit / 100 * slack - limit % 100 * slack / 100)
            .then(|| format!("has {key} {value}, its limit is {limit}"))
    })
}

impl Keeper {
    /// When the services are to be looked at next, if any is.
    pub fn next_check(&self) -> Option<Instant> {
        let any = self.settings.services.iter().any(|service| service.limits.is_some());
        any.then(|| self.ward.last.map_or_else(Instant::now, |last| last + self.settings.check))
    }

    /// Looks at the services.
    pub fn check(&mut self) {
        let stats = self.stats();
        let rows = stats["services"].as_array().map_or(&[][..], Vec::as_slice);
        let now = Instant::now();
        let turns = self.ward.look(rows, &self.settings.services, now);
        for turn in turns {
            match turn {
                Turn::Began(name, what) => {
                    msf_sys::log!(Level::Warn, MODULE, "service {name} {what}");
                    let limits = self.settings.services.iter().find(|service| service.name == name);
                    if limits.and_then(|service| service.limits.as_ref()).is_some_and(|one| one.deed == Deed::Restart) {
                        self.renew(&name);
                    }
                }
                Turn::Over(name) => msf_sys::log!(Level::Info, MODULE, "service {name} is well again"),
            }
        }
        let troubles = self.ward.troubles();
        if self.ward.told.as_ref() != Some(&troubles) {
            if let Err(why) = ready::troubles(&troubles) {
                msf_sys::log!(Level::Warn, MODULE, "{why}");
            }
            self.ward.told = Some(troubles);
        }
        // Not before it is done: a service that does not answer takes its time.
        self.ward.last = Some(Instant::now());
    }

    /// Takes a service down and up again, and with it whoever shares its library.
    fn renew(&mut self, name: &str) {
        let Some((of, _)) = self.seat(name) else { return };
        let (names, mut report) = (self.generations[of].names(), Report::default());
        report.done(format!("service {name} is restarted"));
        for name in names.iter().rev() {
            if let Some(seat) = self.seat(name) {
                self.take_down(seat, &mut report);
            }
        }
        for name in names {
            if let Some(service) = self.settings.services.iter().find(|service| service.name == name).cloned() {
                self.take_up(&service, &mut report);
            }
        }
        self.offer();
    }
}

/// So often in a row something has to be so.
const CHECKS: u32 = 2;
/// Per cent below its limit at which it is over.
const SLACK: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use msf_conf::tree::json;
    use std::time::Duration;

    fn service(limits: Limits) -> Service {
        Service { limits: Some(limits), ..Service::plain("a", "a.so") }
    }

    /// `b` begins, `o` is over, one letter for each row.
    fn turns(limits: &Limits, rows: &[Value]) -> String {
        let (mut ward, services, start) = (Ward::default(), [service(limits.clone())], Instant::now());
        let mut letter = |(at, row): (usize, &Value)| {
            let mut row = row.clone();
            row["name"] = json!("a");
            match ward.look(&[row], &services, start + Duration::from_secs(at as u64)).as_slice() {
                [] => '.',
                [Turn::Began(name, what)] if name == "a" && !what.is_empty() => 'b',
                [Turn::Over(_)] => 'o',
                other => panic!("{other:?}"),
            }
        };
        rows.iter().enumerate().map(&mut letter).collect()
    }

    #[test]
    fn what_lasts_for_two_checks_is_told_once_and_once_when_it_is_over() {
        let limits = Limits { fds: Some(100), ..Limits::default() };
        let rows: Vec<Value> = [99, 100, 99, 100, 101, 100, 97, 96, 95, 94, 94].map(|fds| json!({"fds": fds})).into();
        assert_eq!(turns(&limits, &rows), "....b.....o");
        assert_eq!(turns(&Limits::default(), &rows), "...........");
    }

    #[test]
    fn who_does_not_answer_or_is_ill_is_in_trouble() {
        let silent = json!({"busy": "it has not come back"});
        let ill = json!({"health": "ill: below zero", "fds": 1});
        let well = json!({"health": "well", "fds": 1});
        let of = |one: &Value| {
            turns(&Limits::default(), &[well.clone(), one.clone(), one.clone(), well.clone(), well.clone()])
        };
        assert_eq!((of(&silent), of(&ill), of(&well)), ("..b.o".into(), "..b.o".into(), ".....".into()));
    }

    #[test]
    fn processor_time_counts_from_one_check_to_the_next() {
        let limits = Limits { cpu_percent: Some(50), ..Limits::default() };
        let rows: Vec<Value> =
            [9000.0, 9100.0, 9700.0, 10300.0, 10310.0, 10320.0].map(|ms| json!({"cpu_ms": ms})).into();
        assert_eq!(turns(&limits, &rows), "...b.o");
    }

    #[test]
    fn what_is_wrong_is_one_line_by_service() {
        let mut ward = Ward::default();
        let services = [service(Limits { threads: Some(2), ..Limits::default() })];
        let row = [json!({"name": "a", "threads": 3}), json!({"name": "b", "threads": 300})];
        ward.look(&row, &services, Instant::now());
        ward.look(&row, &services, Instant::now());
        assert_eq!(ward.troubles(), "a has threads 3, its limit is 2");
        ward.look(&[], &[], Instant::now());
        assert_eq!(ward.troubles(), "");
    }
}
