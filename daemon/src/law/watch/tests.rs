//! Hours of load in virtual time: what is normal is never told of, what is not is told of in time.

use super::*;
use crate::law::health::{self, Pulse};
use msf_conf::daemon::{Act, Check, Health};

const MIB: f64 = 1048576.0;
const HOUR: u64 = 3600;
const SEEDS: u64 = 20;

/// The same in every run, another for each seed.
struct Noise(u64);

impl Noise {
    /// From 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as f64 / f64::from(1u32 << 31)
    }
}

/// What a process does in one second: its memory in MiB, how much of it it is busy, its descriptors, its threads.
#[derive(Clone, Copy)]
struct Second {
    mib: f64,
    busy: f64,
    fds: f64,
    threads: f64,
}

type Load = fn(u64, &mut Noise) -> Second;

/// Limits that somebody would set who knows what these processes use: above their peaks, and growth of more than what they
/// breathe with; with a window short enough to be full several times in an hour.
fn bounds(window: u64) -> Bounds {
    let bound = |warn| Bound { warn: Some(warn), act: Some(2 * warn), deed: Act::Restart, periods: 2 };
    Bounds {
        sample: Duration::from_secs(1),
        rss: Some(bound((400.0 * MIB) as u64)),
        growth: Some(Growth {
            bound: bound((64.0 * MIB) as u64),
            window: Duration::from_secs(window),
            warm_up: Duration::from_secs(window / 6),
        }),
        cpu: Some(Cpu { bound: Bound { act: None, ..bound(90) }, window: Duration::from_secs(10) }),
        fds: Some(bound(800)),
        threads: Some(bound(60)),
    }
}

/// What was found in so many seconds of a load, and in which.
fn findings(bounds: &Bounds, long: u64, seed: u64, load: impl Fn(u64, &mut Noise) -> Second) -> Vec<(u64, Finding)> {
    let (start, mut noise, mut busy) = (Instant::now(), Noise(seed), Duration::ZERO);
    let mut watch = Watch::default().of_successor(bounds, Some(busy), start);
    let mut found = Vec::new();
    for second in 1..=long {
        let used = load(second, &mut noise);
        busy += Duration::from_secs_f64(used.busy.clamp(0.0, 4.0));
        let (resident, fds) = ((used.mib * MIB) as u64 / 4096 * 4096, Some(used.fds as u64));
        let seen = Seen { resident, busy, threads: used.threads as u64, fds };
        // Looks come a little early or late.
        let now = start + Duration::from_secs_f64(second as f64 + 0.05 * noise.next());
        found.extend(watch.see(bounds, &seen, now).into_iter().map(|finding| (second, finding)));
    }
    found
}

fn saw(second: u64, period: u64, to: f64) -> f64 {
    to * (second % period) as f64 / period as f64
}

/// A broker: warm after some minutes, sessions come and go.
fn broker(second: u64, noise: &mut Noise) -> Second {
    let warm = 1.0 - (-(second as f64) / 240.0).exp();
    let sessions = 100.0 + 60.0 * (second as f64 / 700.0).sin() + 40.0 * noise.next();
    Second {
        mib: 30.0 + 50.0 * warm + sessions / 8.0,
        busy: 0.2 + 0.3 * noise.next(),
        fds: 60.0 + sessions,
        threads: 9.0,
    }
}

/// A program with a collector: a saw tooth of 120 MiB, and a long one once in a while.
fn collected(second: u64, noise: &mut Noise) -> Second {
    let major = saw(second, 900, 30.0);
    let mib = 120.0 + saw(second, 47, 90.0) + major + 5.0 * noise.next();
    let busy = if second % 47 < 2 { 0.95 } else { 0.3 * noise.next() };
    Second { mib, busy, fds: 30.0, threads: 20.0 }
}

/// A job every ten minutes: half a minute of memory, threads and files, eight seconds of them at full speed.
fn batch(second: u64, noise: &mut Noise) -> Second {
    let at = second % 600;
    let works = at < 30;
    let busy = if at < 8 { 1.0 } else { 0.05 };
    let more = if works { 200.0 } else { 0.0 };
    Second { mib: 60.0 + more + 2.0 * noise.next(), busy, fds: 20.0 + more, threads: if works { 40.0 } else { 4.0 } }
}

/// A cache: filled in a quarter of an hour, level from then on, emptied once.
fn cache(second: u64, noise: &mut Noise) -> Second {
    let since = if second < 2400 { second } else { second - 2400 };
    let mib = 50.0 + 250.0 * (1.0 - (-(since as f64) / 300.0).exp());
    Second { mib: mib + noise.next(), busy: 0.4 * noise.next(), fds: 100.0, threads: 12.0 }
}

/// Nothing but noise, with peaks that last for one look only.
fn noisy(second: u64, noise: &mut Noise) -> Second {
    let peak = second.is_multiple_of(211);
    let mib = if peak { 500.0 } else { 100.0 + 80.0 * noise.next() };
    Second {
        mib,
        busy: noise.next(),
        fds: if peak { 900.0 } else { 300.0 * noise.next() },
        threads: 8.0 + 20.0 * noise.next(),
    }
}

const LOADS: [(&str, Load); 5] =
    [("broker", broker), ("collected", collected), ("batch", batch), ("cache", cache), ("noisy", noisy)];

#[test]
fn an_hour_of_normal_load_is_not_told_of() {
    for (name, load) in LOADS {
        for seed in 1..=SEEDS {
            // A window that is full after twelve minutes, and the usual one, full after an hour and ten minutes.
            for (window, long) in [(600, HOUR), (3600, 3 * HOUR)] {
                let found = findings(&bounds(window), long, seed, load);
                let told: Vec<_> = found.iter().filter(|(_, one)| one.turn != Turn::Calm).collect();
                assert!(told.is_empty(), "{name}, seed {seed}, window {window}: {told:?}");
            }
        }
    }
}

/// From second 1800 on something goes wrong; the first thing that is told, and how many looks after it could be known.
fn told_after(load: impl Fn(u64, &mut Noise) -> Second, thing: Thing, known: impl Fn(&Second) -> bool) -> u64 {
    let mut late = 0;
    for seed in 1..=SEEDS {
        let first = std::cell::Cell::new(None);
        let all = findings(&bounds(600), HOUR, seed, |second, noise| {
            let used = load(second, noise);
            match first.get() {
                None if known(&used) => first.set(Some(second)),
                Some(_) if !known(&used) => first.set(None),
                _ => {}
            }
            used
        });
        let told = all.iter().find(|(_, one)| one.thing == thing && one.turn != Turn::Calm);
        let (second, _) = told.unwrap_or_else(|| panic!("seed {seed}: never told: {all:?}"));
        assert!(*second > 1800, "seed {seed}: told at {second}");
        late = late.max(second.saturating_sub(first.get().unwrap()));
    }
    late
}

#[test]
fn what_passes_a_limit_is_told_within_two_looks() {
    let leak = |second: u64| second.saturating_sub(1800) as f64;
    // Counted from the first look that is at the limit: that one, and the next.
    let memory =
        |second, noise: &mut Noise| Second { mib: 100.0 + 4.0 * leak(second) + noise.next(), ..batch(second, noise) };
    assert!(told_after(memory, Thing::Rss, |used| used.mib >= 400.0) <= 1);
    let fds = |second, noise: &mut Noise| Second { fds: 100.0 + leak(second), ..collected(second, noise) };
    assert!(told_after(fds, Thing::Fds, |used| used.fds >= 800.0) <= 1);
    let threads = |second, noise: &mut Noise| Second { threads: 9.0 + leak(second) / 7.0, ..broker(second, noise) };
    assert!(told_after(threads, Thing::Threads, |used| used.threads >= 60.0) <= 1);
    // Two windows of ten seconds, and the one in which it began.
    let spin = |second, noise: &mut Noise| {
        let used = broker(second, noise);
        Second { busy: if leak(second) > 0.0 { 1.0 } else { used.busy }, ..used }
    };
    assert!(told_after(spin, Thing::Cpu, |used| used.busy >= 1.0) <= 30);
}

#[test]
fn a_leak_below_every_limit_is_told_as_soon_as_it_has_filled_the_window() {
    // 110 MiB in ten minutes, below noise, collectors and what comes and goes; the limit of growth is 64. A window and two
    // parts of it; of a young process, whose warm-up may take hours, two windows.
    for (from, latest) in [(1800, 1800 + 2 * 600), (4200, 4200 + 600 + 2 * 25)] {
        for load in [broker as Load, collected, noisy] {
            for seed in 1..=SEEDS {
                let leaking = |second: u64, noise: &mut Noise| {
                    let used = load(second, noise);
                    Second { mib: used.mib + 110.0 * second.saturating_sub(from) as f64 / 600.0, ..used }
                };
                let bounds = Bounds { rss: None, ..bounds(600) };
                let told = findings(&bounds, latest, seed, leaking);
                let grown = told.iter().find(|(_, one)| one.thing == Thing::Growth);
                let (second, finding) = grown.unwrap_or_else(|| panic!("from {from}, seed {seed}: not told"));
                assert!(*second > from && finding.turn == Turn::Warn, "seed {seed}: told at {second}");
            }
        }
    }
}

#[test]
fn recovery_is_told_and_a_successor_is_looked_at_anew() {
    let bounds = bounds(600);
    let swells = |second: u64, noise: &mut Noise| {
        let used = broker(second, noise);
        Second { fds: if (100..200).contains(&second) { 900.0 } else { used.fds }, ..used }
    };
    let turns: Vec<(u64, Turn)> = findings(&bounds, 300, 1, swells).iter().map(|(at, one)| (*at, one.turn)).collect();
    assert_eq!(turns, [(101, Turn::Warn), (201, Turn::Calm)]);
    let (now, seen) = (Instant::now(), Seen { fds: Some(2000), ..Seen::default() });
    let mut watch = Watch::default().of_successor(&bounds, None, now);
    let acted = |watch: &mut Watch| {
        let turns = (0..3).flat_map(|_| watch.see(&bounds, &seen, now)).map(|one| one.turn);
        turns.collect::<Vec<_>>()
    };
    assert_eq!(acted(&mut watch), [Turn::Act]);
    let mut watch = watch.of_successor(&bounds, None, now);
    assert_eq!((acted(&mut watch), watch.above().collect::<Vec<_>>()), (vec![Turn::Act], vec![Thing::Fds]));
}

/// An hour of probes: one in fifty is late, and never two in a row; a heart that beats twice in an interval misses none.
#[test]
fn an_hour_of_answers_is_not_told_of_and_silence_is_after_two() {
    let rules = Health {
        way: Check::Heartbeat,
        interval: Duration::from_secs(1),
        failures: 2,
        successes: 1,
        start_after: Duration::ZERO,
        act: Act::Restart,
    };
    for seed in 1..=SEEDS {
        let (mut noise, mut pulse, mut was_late) = (Noise(seed), Pulse::default(), false);
        for second in 0..HOUR {
            was_late = !was_late && noise.next() < 0.02;
            let (next, turn) = health::step(&rules, pulse, !was_late);
            assert_eq!(turn, None, "seed {seed}, second {second}");
            pulse = next;
        }
        let (first, none) = health::step(&rules, pulse, false);
        let (_, turn) = health::step(&rules, first, false);
        assert!(turn == Some(health::Turn::FellIll) && (none.is_none() || was_late));
    }
}

#[test]
fn what_was_told_before_us_is_over_when_it_is_below_its_limit() {
    let (bounds, now) = (bounds(HOUR), Instant::now());
    let mut watch = Watch::warned([Thing::Fds].into_iter()).of_successor(&bounds, None, now);
    assert_eq!(watch.above().collect::<Vec<_>>(), [Thing::Fds]);
    let calm = Seen { fds: Some(10), threads: 1, ..Seen::default() };
    let looks: Vec<Finding> = (0..4).flat_map(|_| watch.see(&bounds, &calm, now)).collect();
    let found: Vec<_> = looks.iter().map(|finding| (finding.thing, finding.turn)).collect();
    assert_eq!(found, [(Thing::Fds, Turn::Calm)]);
}
