//! Points in time that two processes of one machine agree on.

use nix::time::{ClockId, clock_gettime};
use std::io;
use std::time::{Duration, Instant};

/// Nanoseconds of the monotonic clock, the one behind [`Instant`].
pub fn monotonic() -> io::Result<u64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(Duration::from(now).as_nanos() as u64)
}

/// An instant as that number.
pub fn number_of(instant: Instant) -> io::Result<u64> {
    Ok(monotonic()?.saturating_sub(instant.elapsed().as_nanos() as u64))
}

/// The instant that number stands for; `None` for one before there were instants.
pub fn instant_of(number: u64) -> io::Result<Option<Instant>> {
    let ago = monotonic()?.saturating_sub(number);
    Ok(Instant::now().checked_sub(Duration::from_nanos(ago)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_survives_being_a_number() {
        let instant = Instant::now();
        let again = instant_of(number_of(instant).unwrap()).unwrap().unwrap();
        let off = again.max(instant).duration_since(again.min(instant));
        assert!(off < Duration::from_millis(5), "{off:?}");
    }
}
