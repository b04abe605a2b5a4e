//! The wall clock in local time, as log records print it.

use std::fmt::Write;
use std::mem::MaybeUninit;
use std::time::{SystemTime, UNIX_EPOCH};

/// The text of the second that was asked for last: the C library's time zone code runs once per second at most.
pub(crate) struct Stamp {
    second: i64,
    text: String,
}

impl Stamp {
    pub const fn new() -> Stamp {
        Stamp { second: i64::MIN, text: String::new() }
    }

    /// Now as `2026-11-21 18:19:54`; month and day are not padded, the time is (`2026-1-2 03:04:05`).
    pub fn now(&mut self) -> &str {
        let second = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => since.as_secs() as i64,
            Err(_) => 0,
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_padded_and_ends_with_microseconds() {
        let text = timestamp();
        let shape: String = text.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
        assert_eq!(shape, "0000-00-00 00:00:00.000000");
        assert!(text.as_str() > "2025-01-01");
    }

    #[test]
    fn the_stamp_has_a_padded_time_and_an_unpadded_date() {
        let mut stamp = Stamp::new();
        let text = stamp.now().to_owned();
        let (date, time) = text.split_once(' ').unwrap();
        let parts: Vec<&str> = date.split('-').collect();
        assert_eq!(parts.len(), 3);
        assert!(!parts[1].starts_with('0') && !parts[2].starts_with('0'), "{text}");
        assert_eq!(time.len(), 8);
    }
}
