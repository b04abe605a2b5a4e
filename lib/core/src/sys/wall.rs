//! The wall clock in local time, as log records print it.

use nix::time::{ClockId, clock_gettime};
use std::fmt::Write;
use std::mem::MaybeUninit;
use std::time::{SystemTime, UNIX_EPOCH};

/// The text of the second that was asked for last: the C library's time zone code runs once per second at most.
#[derive(Debug)]
pub(crate) struct Stamp {
    second: i64,
    text: String,
}

impl Stamp {
    pub const fn new() -> Stamp {
        Stamp { second: i64::MIN, text: String::new() }
    }

    /// The moment (in nanoseconds since 1970) as `2026-11-21 18:19:54`; month and day are not padded, the time is
    /// (`2026-1-2 03:04:05`).
    pub fn at(&mut self, moment: u64) -> &str {
        let second = (moment / SECOND) as i64;
        if second != self.second {
            self.second = second;
            self.text.clear();
            let t = local(second);
            let (year, month) = (i64::from(t.tm_year) + 1900, t.tm_mon + 1);
            let time = format_args!("{:02}:{:02}:{:02}", t.tm_hour, t.tm_min, t.tm_sec);
            // Writing to a String cannot fail.
            let _ = write!(self.text, "{year}-{month}-{} {time}", t.tm_mday);
        }
        &self.text
    }

    /// Asks the C library anew for the time zone (`TZ`, /etc/localtime).
    pub fn forget(&mut self) {
        self.second = i64::MIN;
        // SAFETY: tzset has no preconditions; it takes the C library's own time zone lock.
        unsafe { tzset() };
    }
}

/// Now, in nanoseconds since 1970.
#[inline]
pub(crate) fn moment() -> u64 {
    // This clock is always there; should it not be, a record from 1970 is better than none.
    clock_gettime(ClockId::CLOCK_REALTIME).map_or(0, |now| now.tv_sec() as u64 * SECOND + now.tv_nsec() as u64)
}

/// The moment in UTC as RFC 3339 writes it: `2026-01-02T03:04:05.000678Z`.
pub(crate) fn rfc3339(moment: u64) -> String {
    let (second, micros) = ((moment / SECOND) as libc::time_t, moment % SECOND / 1000);
    let mut t = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid for the call; gmtime_r writes no further than the struct.
    unsafe { libc::gmtime_r(&raw const second, t.as_mut_ptr()) };
    // SAFETY: all-zero is a valid `tm`, and gmtime_r only overwrites it.
    let t = unsafe { t.assume_init() };
    let (year, month, day) = (i64::from(t.tm_year) + 1900, t.tm_mon + 1, t.tm_mday);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{micros:06}Z", t.tm_hour, t.tm_min, t.tm_sec)
}

/// Now in UTC as RFC 3339 writes it, to the millisecond: `2026-01-02T03:04:05.000Z`.
pub fn now_rfc3339() -> String {
    let mut text = rfc3339(moment());
    // The last four are three digits of microseconds and the Z; all of it is ASCII.
    text.truncate(text.len() - 4);
    text + "Z"
}

/// The moment in local time as RFC 3164 writes it: `Nov  2 03:04:05`.
pub(crate) fn rfc3164(moment: u64) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let t = local((moment / SECOND) as i64);
    let month = MONTHS.get(t.tm_mon as usize).copied().unwrap_or("Jan");
    format!("{month} {:2} {:02}:{:02}:{:02}", t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec)
}

/// Now in local time, to the microsecond and padded: `2026-01-02 03:04:05.000678`.
pub fn timestamp() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let t = local(since.as_secs() as i64);
    let (year, month) = (i64::from(t.tm_year) + 1900, t.tm_mon + 1);
    let time = format_args!("{:02}:{:02}:{:02}.{:06}", t.tm_hour, t.tm_min, t.tm_sec, since.subsec_micros());
    format!("{year:04}-{month:02}-{:02} {time}", t.tm_mday)
}

fn local(second: i64) -> libc::tm {
    // On 32-bit ARM time_t is 32 bits wide; the cast is right until 2038.
    let second = second as libc::time_t;
    let mut broken_down = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid for the call; localtime_r writes no further than the struct.
    unsafe { libc::localtime_r(&raw const second, broken_down.as_mut_ptr()) };
    // SAFETY: all-zero is a valid `tm` (a null zone name included), and localtime_r only overwrites it.
    unsafe { broken_down.assume_init() }
}

unsafe extern "C" {
    fn tzset();
}

const SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_has_milliseconds_and_a_zone() {
        let now = now_rfc3339();
        assert_eq!((now.len(), &now[19..20], &now[23..]), (24, ".", "Z"));
    }

    #[test]
    fn a_timestamp_is_padded_and_ends_with_microseconds() {
        let text = timestamp();
        let shape: String = text.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
        assert_eq!(shape, "0000-00-00 00:00:00.000000");
        assert!(text.as_str() > "2025-01-01");
    }

    #[test]
    fn both_rfcs_have_their_way_of_writing_a_moment() {
        assert_eq!(rfc3339(1_795_303_194_000_678_999), "2026-11-21T23:19:54.000678Z");
        let text = rfc3164(1_795_303_194_000_678_999);
        assert!(text.starts_with("Nov 2") && text.len() == 15, "{text}");
    }

    #[test]
    fn the_stamp_has_a_padded_time_and_an_unpadded_date() {
        let mut stamp = Stamp::new();
        let text = stamp.at(moment()).to_owned();
        let (date, time) = text.split_once(' ').unwrap();
        let parts: Vec<&str> = date.split('-').collect();
        assert_eq!(parts.len(), 3);
        assert!(!parts[1].starts_with('0') && !parts[2].starts_with('0'), "{text}");
        assert_eq!(time.len(), 8);
    }
}
