//! How late a thread is that has nothing to do but to wake up: what the machine adds to every time measured meanwhile.

use super::call::now;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const NAP: Duration = Duration::from_millis(2);
/// Less is how a machine is.
const WORTH_TELLING: u64 = 3_000_000;

/// When the thread should have run and did not, in the order of time.
#[derive(Debug, Default)]
pub struct Noise(Vec<(u64, u64)>);

impl Noise {
    /// Listens until `stop`.
    pub fn listen(stop: &AtomicBool) -> Noise {
        let mut heard = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let due = now() + NAP.as_nanos() as u64;
            thread::sleep(NAP);
            let woke = now();
            if woke > due + WORTH_TELLING {
                heard.push((due, woke));
            }
        }
        Noise(heard)
    }

    /// The longest, in nanoseconds.
    pub fn longest(&self) -> u64 {
        self.0.iter().map(|(due, woke)| woke - due).max().unwrap_or_default()
    }

    /// How often.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// How much of it lies between two moments.
    pub fn between(&self, from: u64, to: u64) -> u64 {
        let first = self.0.partition_point(|(_, woke)| *woke <= from);
        let inside = self.0.iter().skip(first).take_while(|(due, _)| *due < to);
        inside.map(|(due, woke)| woke.min(&to) - due.max(&from)).sum()
    }
}

#[cfg(test)]
impl Noise {
    /// Noise that was heard then.
    pub fn of(heard: &[(u64, u64)]) -> Noise {
        Noise(heard.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_two_moments_is_counted_once_and_no_more() {
        let noise = Noise::of(&[(10, 20), (30, 60), (80, 90)]);
        assert_eq!((noise.longest(), noise.count()), (30, 3));
        assert_eq!(noise.between(0, 100), 50);
        assert_eq!(noise.between(15, 40), 15);
        assert_eq!(noise.between(35, 45), 10);
        assert_eq!(noise.between(60, 80), 0);
    }
}
