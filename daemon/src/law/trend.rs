//! Whether a number only grows: a leak, told from what a healthy process does with its memory. Pure; time is counted in
//! parts, of which each is the lowest of what was seen meanwhile.
//!
//! A healthy process also grows: while it warms up, for a cache, at noon. What tells a leak is that the growth lasts for
//! a whole window, in every third of it, without slowing down. So there are several windows, an hour to a week long with
//! the usual settings; growth in any of them counts. In a window the growth is Theil and Sen's: the median of the
//! slopes between all pairs of parts, which outliers do not move. A part is its lowest look, so what a collector gives
//! back within one part is not seen at all.

use std::collections::VecDeque;

/// One process's numbers, in several windows.
#[derive(Clone, Debug)]
pub struct Trend {
    windows: Vec<Window>,
}

/// Growth that has lasted for a whole window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// From one end of the window to the other.
    pub by: u64,
    /// How many of the shortest parts the window has.
    pub parts: u64,
    /// How many of a hundred pairs of parts grow, less those that shrink.
    pub confidence: u32,
}

#[derive(Clone, Debug)]
struct Window {
    scale: Scale,
    lows: VecDeque<u64>,
    /// The lowest of the part that is not over, and how many of the shortest parts it has seen.
    low: u64,
    seen: u32,
    verdict: Option<Growth>,
}

/// A window's parts: how many, and how long each, in the shortest.
#[derive(Clone, Copy, Debug)]
struct Scale {
    parts: usize,
    length: u32,
}

impl Trend {
    /// Nothing has been seen yet.
    pub fn new() -> Trend {
        let window =
            |scale: &Scale| Window { scale: *scale, lows: VecDeque::new(), low: u64::MAX, seen: 0, verdict: None };
        Trend { windows: SCALES.iter().map(window).collect() }
    }

    /// One of the shortest parts is over; the lowest of it.
    pub fn push(&mut self, low: u64) {
        self.windows.iter_mut().for_each(|window| window.push(low));
    }

    /// The greatest growth that is none of a healthy process.
    pub fn growth(&self) -> Option<Growth> {
        // A day is long enough without a week.
        let longer = self.windows.iter().skip(1).take(2).map(Some).chain([None, None]);
        let sure = self.windows.iter().zip(longer).filter(|(_, longer)| longer.is_none_or(Window::bears_out));
        sure.filter_map(|(window, _)| window.verdict).max_by_key(|growth| growth.by)
    }
}

impl Growth {
    /// How many of the shortest parts it takes from `now` to `limit`, if it goes on like this.
    pub fn until(&self, now: u64, limit: u64) -> Option<u64> {
        let left = u128::from(limit.checked_sub(now)?);
        u64::try_from(left * u128::from(self.parts) / u128::from(self.by.max(1))).ok()
    }
}

impl Window {
    fn push(&mut self, low: u64) {
        self.low = self.low.min(low);
        self.seen += 1;
        if self.seen < self.scale.length {
            return;
        }
        if self.lows.len() == self.scale.parts {
            self.lows.pop_front();
        }
        self.lows.push_back(self.low);
        (self.low, self.seen) = (u64::MAX, 0);
        self.verdict = if self.lows.len() == self.scale.parts { self.judge() } else { None };
    }

    /// Whether growth in the next shorter window may be believed. Of a young process, whose warm-up may take hours, all
    /// there is of this window is looked at as well: it must be long enough to tell, and not grow ever more slowly.
    fn bears_out(&self) -> bool {
        if self.lows.len() == self.scale.parts {
            return true;
        }
        let (before, after) = steps(&self.lows.iter().copied().collect::<Vec<_>>());
        self.lows.len() >= YOUNG && !slows_down(before, after)
    }

    fn judge(&mut self) -> Option<Growth> {
        let lows: &[u64] = self.lows.make_contiguous();
        let (before, after) = steps(lows);
        // One step does not grow in both halves, nor does what comes down again.
        if before <= 0 || after <= 0 || after > before.saturating_mul(4) || slows_down(before, after) {
            return None;
        }
        let mut slopes = Vec::with_capacity(lows.len() * lows.len() / 2);
        for (at, before) in lows.iter().enumerate() {
            slopes.extend(lows.iter().enumerate().skip(at + 1).map(|(later, low)| {
                // Sizes of memory are far below where an f64 becomes coarse.
                (*low as f64 - *before as f64) / (later - at) as f64
            }));
        }
        let signs: i64 = slopes.iter().map(|slope| i64::from(*slope > 0.0) - i64::from(*slope < 0.0)).sum();
        let confidence = u32::try_from(signs * 100 / slopes.len().max(1) as i64).unwrap_or(0);
        let middle = slopes.len() / 2;
        let (_, slope, _) = slopes.select_nth_unstable_by(middle, f64::total_cmp);
        let by = (*slope * (lows.len() - 1) as f64) as u64;
        let parts = (lows.len() as u64 - 1) * u64::from(self.scale.length);
        (confidence >= CONFIDENT && by > 0).then_some(Growth { by, parts, confidence })
    }
}

/// From the first third to the second, and from there to the last.
fn steps(lows: &[u64]) -> (i64, i64) {
    let third = lows.len() / 3;
    let [first, second, last] =
        [&lows[..third], &lows[third..lows.len() - third], &lows[lows.len() - third..]].map(median);
    (second.wrapping_sub(first) as i64, last.wrapping_sub(second) as i64)
}

fn slows_down(before: i64, after: i64) -> bool {
    before > 0 && i128::from(after) * 100 < i128::from(before) * STEADY
}

/// Of an even number the mean of the middle two.
fn median(of: &[u64]) -> u64 {
    let mut sorted = of.to_vec();
    sorted.sort_unstable();
    let (lower, upper) = (sorted.get(sorted.len().saturating_sub(1) / 2), sorted.get(sorted.len() / 2));
    lower.zip(upper).map_or(0, |(lower, upper)| lower.midpoint(*upper))
}

/// With parts of two and a half minutes: an hour, six hours, a day, and a week of each day's lowest, which no daily wave moves.
const SCALES: &[Scale] = &[
    Scale { parts: 24, length: 1 },
    Scale { parts: 24, length: 6 },
    Scale { parts: 24, length: 24 },
    Scale { parts: 7, length: 576 },
];
/// Of a hundred pairs, those that grow less those that shrink.
const CONFIDENT: u32 = 70;
/// How many per cent of the growth into the second third there must be into the last.
const STEADY: i128 = 90;
/// From so many parts on a window that is not full tells something.
const YOUNG: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: f64 = 1048576.0;
    /// The usual part and the usual sample, in seconds.
    const PART: u64 = 150;
    const HOUR: u64 = 3600;
    const DAY: u64 = 24 * HOUR;

    /// A little noise, the same in every run.
    struct Noise(u64);

    impl Noise {
        fn next(&mut self) -> f64 {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 >> 33) as f64 / f64::from(1u32 << 31)
        }
    }

    /// The greatest growth reported, and when it first reached `warn`, of a process that uses `mib(second, noise)`.
    fn watched(long: u64, warn: f64, mib: impl Fn(u64, f64) -> f64) -> (f64, Option<u64>) {
        let (mut trend, mut noise, mut worst, mut found) = (Trend::new(), Noise(7), 0.0, None);
        for part in 0..long / PART {
            // Every tenth second: the noise has many chances to be low all the same.
            let seconds = (part * PART..(part + 1) * PART).step_by(10);
            let low = seconds.map(|second| (mib(second, noise.next()) * MIB) as u64 / 4096 * 4096).min().unwrap();
            trend.push(low);
            let grown = trend.growth().map_or(0.0, |growth| growth.by as f64 / MIB);
            worst = f64::max(worst, grown);
            if grown >= warn && found.is_none() {
                found = Some((part + 1) * PART);
            }
        }
        (worst, found)
    }

    fn wave(second: u64, period: u64, from: f64, to: f64) -> f64 {
        let angle = second as f64 / period as f64 * std::f64::consts::TAU;
        from + (to - from) * (1.0 - angle.cos()) / 2.0
    }

    fn saw(second: u64, period: u64, from: f64, to: f64) -> f64 {
        from + (to - from) * (second % period) as f64 / period as f64
    }

    #[test]
    fn normal_load_is_no_growth() {
        type Load = fn(u64, f64) -> f64;
        // Whose memory moves by 100 MiB and more, with the growth that may be reported of it.
        let loads: [(&str, f64, Load); 9] = [
            ("noise", 2.0, |_, noise| 200.0 + 100.0 * noise),
            ("a collector once a minute", 2.0, |second, _| saw(second, 60, 100.0, 200.0)),
            ("a collector every ten minutes", 2.0, |second, noise| saw(second, 600, 100.0, 200.0) + noise),
            ("a collector every forty minutes", 2.0, |second, noise| saw(second, 2400, 100.0, 200.0) + noise),
            ("a step", 2.0, |second, noise| if second < 4000 { 100.0 } else { 220.0 } + 5.0 * noise),
            ("two steps", 2.0, |second, noise| 100.0 + 60.0 * (second / 3000).min(2) as f64 + 2.0 * noise),
            ("a warm-up", 2.0, |second, noise| 300.0 - 200.0 * (-(second as f64) / 900.0).exp() + noise),
            ("a long warm-up", 2.0, |second, noise| 300.0 - 200.0 * (-(second as f64) / 3600.0).exp() + noise),
            ("a wave of a day", 16.0, |second, noise| wave(second, DAY, 100.0, 200.0) + 4.0 * noise),
        ];
        for (name, most, load) in loads {
            let (worst, _) = watched(HOUR + 1800, 1.0, load);
            assert!(worst < most, "{name}: {worst} MiB within the first hour and a half");
        }
    }

    #[test]
    fn a_week_of_normal_load_stays_below_what_moves_within_one_window() {
        let (worst, _) = watched(9 * DAY, 1.0, |second, noise| wave(second, DAY, 100.0, 150.0) + 8.0 * noise);
        assert!(worst < 40.0, "a wave of 50 MiB a day looks like {worst}");
        let (worst, _) = watched(9 * DAY, 1.0, |second, noise| saw(second, 1500, 80.0, 160.0) + 8.0 * noise);
        assert!(worst < 4.0, "a collector looks like {worst}");
        let (worst, _) = watched(9 * DAY, 1.0, |second, noise| {
            let warm = 300.0 - 200.0 * (-(second as f64) / 7200.0).exp();
            warm + 4.0 * noise + f64::from(u8::from(second > DAY)) * 50.0
        });
        assert!(worst < 16.0, "a warm-up of hours with a step a day later looks like {worst}");
    }

    #[test]
    fn leaks_of_every_shape_are_found_in_their_time() {
        let found = |warn, leak: fn(u64, f64) -> f64| watched(9 * DAY, warn, leak).1.unwrap_or(u64::MAX);
        // An hour's window, and half an hour more as the process has just been started.
        assert!(found(32.0, |second, noise| 100.0 + second as f64 / 60.0 + 4.0 * noise) <= 2 * HOUR);
        let later = |second: u64, noise| 100.0 + second.saturating_sub(2 * DAY) as f64 / 60.0 + 4.0 * noise;
        assert!(found(32.0, later) <= 2 * DAY + HOUR + 2 * PART);
        // 10 MiB an hour is 60 MiB in six.
        assert!(found(32.0, |second, noise| 100.0 + second as f64 / 360.0 + 8.0 * noise) <= 7 * HOUR);
        // 8 MiB at every half past.
        assert!(found(32.0, |second, noise| 100.0 + 8.0 * (second / 1800) as f64 + noise) <= 8 * HOUR);
        // 12 MiB a day.
        assert!(found(8.0, |second, noise| 100.0 + 12.0 * second as f64 / DAY as f64 + 2.0 * noise) <= 26 * HOUR);
        // The same below a collector, and below a wave of a day that moves four times as much.
        let saws = |second, noise| saw(second, 300, 100.0, 160.0) + 12.0 * second as f64 / DAY as f64 + noise;
        assert!(found(8.0, saws) <= 50 * HOUR, "{}", found(8.0, saws) / HOUR);
        let waves = |second, noise| wave(second, DAY, 100.0, 148.0) + 12.0 * second as f64 / DAY as f64 + 2.0 * noise;
        assert!(found(48.0, waves) <= 8 * DAY, "{}", found(48.0, waves) / HOUR);
    }

    #[test]
    fn the_time_to_a_limit_is_that_of_the_growth() {
        let growth = Growth { by: 100, parts: 24, confidence: 99 };
        assert_eq!((growth.until(100, 300), growth.until(300, 300), growth.until(301, 300)), (Some(48), Some(0), None));
    }

    #[test]
    fn what_has_stopped_growing_is_no_growth_a_window_later() {
        let stops = |second: u64, _| 100.0 + second.min(2 * HOUR) as f64 / 60.0;
        let mut trend = Trend::new();
        let mut push = |from: u64, to: u64| {
            (from / PART..to / PART).for_each(|part| trend.push((stops(part * PART, 0.0) * MIB) as u64));
            trend.growth()
        };
        assert!(push(0, 2 * HOUR).is_some_and(|growth| growth.by > 55 * 1048576));
        assert_eq!(push(2 * HOUR, 4 * HOUR), None);
    }
}
