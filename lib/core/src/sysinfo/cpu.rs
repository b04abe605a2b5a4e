//! Where the processors' time went, since the machine came up: `/proc/stat`.

use super::{odd, text, ticks};
use crate::error::Error;
use std::time::Duration;

/// How long a processor did what. Of two looks the later one minus the earlier is what went on between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Programs.
    pub user: Duration,
    /// Programs that were nice.
    pub nice: Duration,
    /// The kernel.
    pub system: Duration,
    /// Nothing.
    pub idle: Duration,
    /// Nothing, while somebody waited for a disk.
    pub iowait: Duration,
    /// Interrupts.
    pub irq: Duration,
    /// What interrupts had left to do.
    pub softirq: Duration,
    /// Taken by the host we are a guest of.
    pub steal: Duration,
    /// Guests of ours; part of `user`, too.
    pub guest: Duration,
    /// Guests that were nice; part of `nice`, too.
    pub guest_nice: Duration,
}

/// All processors that are on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processors {
    /// Their sum.
    pub all: Times,
    /// Each with its number; numbers of processors that are off are missing.
    pub each: Vec<(u32, Times)>,
}

/// What the processors have done so far.
///
/// # Errors
/// When `/proc` is not mounted, or not one we know.
pub fn read() -> Result<Processors, Error> {
    parse(&text(STAT)?).ok_or_else(|| odd(STAT))
}

impl Processors {
    /// Of processor `number`; `None` when it is off, or not there.
    pub fn of(&self, number: u32) -> Option<&Times> {
        self.each.iter().find(|(of, _)| *of == number).map(|(_, times)| times)
    }
}

impl Times {
    /// Everything, idle or not. Guests are part of the others.
    pub fn total(&self) -> Duration {
        self.busy() + self.idle + self.iowait
    }

    /// Everything but idleness.
    pub fn busy(&self) -> Duration {
        self.user + self.nice + self.system + self.irq + self.softirq + self.steal
    }

    /// Which part of the time since `earlier` the processor was busy: 0 to 1. 0 when no time has passed.
    pub fn busy_since(&self, earlier: &Times) -> f64 {
        // Idle time may be corrected downwards by the kernel, and a processor that comes back may begin anew.
        let total = self.total().saturating_sub(earlier.total());
        let busy = self.busy().saturating_sub(earlier.busy());
        if total.is_zero() { 0.0 } else { (busy.as_secs_f64() / total.as_secs_f64()).min(1.0) }
    }
}

fn parse(stat: &str) -> Option<Processors> {
    let mut all = None;
    let mut each = Vec::new();
    for line in stat.lines().take_while(|line| line.starts_with("cpu")) {
        let (name, numbers) = line.strip_prefix("cpu")?.split_once(' ')?;
        let times = times(numbers)?;
        if name.is_empty() {
            all = Some(times);
        } else {
            each.push((name.parse().ok()?, times));
        }
    }
    Some(Processors { all: all?, each })
}

/// Older kernels have fewer numbers in a line (four at least), newer ones may have more.
fn times(numbers: &str) -> Option<Times> {
    let mut found = [Duration::ZERO; 10];
    let mut count = 0;
    for (place, number) in found.iter_mut().zip(numbers.split_ascii_whitespace()) {
        *place = ticks(number.parse().ok()?);
        count += 1;
    }
    let [user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice] = found;
    let times = Times { user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice };
    (count >= 4).then_some(times)
}

const STAT: &str = "/proc/stat";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_that_are_off_leave_gaps_and_an_old_kernel_tells_less() {
        let found = parse("cpu  10 0 20 70\ncpu0 5 0 10 35\ncpu3 5 0 10 35 1 2 3 4 5 6 7\nintr 5\ncpu9 x\n").unwrap();
        assert_eq!(found.all.user, Duration::from_millis(100));
        assert_eq!(found.each.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 3]);
        assert!(found.of(1).is_none());
        assert_eq!(found.of(3).unwrap().guest_nice, Duration::from_millis(60));
        assert_eq!(found.of(0).unwrap().steal, Duration::ZERO);
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        assert!(parse("").is_none());
        assert!(parse("cpu0 1 2 3 4\n").is_none());
        assert!(parse("cpu 1 2 3\n").is_none());
        assert!(parse("cpu 1 2 three 4\n").is_none());
    }

    #[test]
    fn the_busy_part_is_that_between_two_looks_and_never_out_of_range() {
        let at = |user, idle| Times { user: ticks(user), idle: ticks(idle), ..Times::default() };
        assert_eq!(at(130, 270).busy_since(&at(100, 200)), 0.3);
        assert_eq!(at(100, 200).busy_since(&at(100, 200)), 0.0);
        // The kernel took back some idle time.
        assert_eq!(at(130, 190).busy_since(&at(100, 200)), 1.0);
        assert_eq!(at(0, 10).busy_since(&at(100, 200)), 0.0);
    }

    #[test]
    fn this_machine_has_processors_whose_sum_is_all() {
        let found = read().unwrap();
        assert!(!found.each.is_empty() && !found.all.total().is_zero());
    }
}
