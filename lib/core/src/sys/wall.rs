//! The wall clock in local time, as log records print it.

use nix::time::{ClockId, clock_gettime};
use std::io::{Cursor, Write};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The text of the second that was asked for last.
#[derive(Debug)]
pub(crate) struct Stamp {
    second: i64,
    text: [u8; 32],
    length: usize,
}

impl Stamp {
    pub const fn new() -> Stamp {
        Stamp { second: i64::MIN, text: [0; 32], length: 0 }
    }

    /// The moment (in nanoseconds since 1970) as `2026-11-21 18:19:54`; month and day are not padded, the time is
    /// (`2026-1-2 03:04:05`). Asks the C library for the time zone where [`known_zone`] would not be right.
    #[inline]
    pub fn at(&mut self, moment: u64) -> &[u8] {
        let second = (moment / SECOND) as i64;
        if second != self.second {
            self.second = second;
            self.write(second + zone_at(second));
        }
        self.text.get(..self.length).unwrap_or_default()
    }

    /// As [`Stamp::at`], with the offset that was right when somebody last asked: without a lock, so also for a signal
    /// handler.
    pub fn near(&mut self, moment: u64) -> &[u8] {
        self.write((moment / SECOND) as i64 + known_zone());
        self.text.get(..self.length).unwrap_or_default()
    }

    #[cold]
    fn write(&mut self, local: i64) {
        let (year, month, day) = date(local.div_euclid(DAY));
        let rest = local.rem_euclid(DAY);
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        let mut place = Cursor::new(self.text.as_mut_slice());
        // It fits: no year has more digits than an i64.
        let _ = write!(place, "{year}-{month}-{day} {hour:02}:{minute:02}:{second:02}");
        self.length = place.position() as usize;
    }

    /// Asks the C library anew for the time zone (`TZ`, /etc/localtime).
    pub fn forget(&mut self) {
        self.second = i64::MIN;
        ZONE.store(NO_ZONE, Ordering::Relaxed);
        // SAFETY: tzset has no preconditions; it takes the C library's own time zone lock.
        unsafe { tzset() };
    }
}

/// Has the offset from UTC that [`Stamp::near`] uses be the right one now.
pub(crate) fn ask_for_zone(moment: u64) {
    zone_at((moment / SECOND) as i64);
}

/// The offset from UTC in seconds. Zones change theirs at quarters of an hour: the C library is asked once for each.
fn zone_at(second: i64) -> i64 {
    let quarter = (second / QUARTER) as u32;
    let known = ZONE.load(Ordering::Relaxed);
    if (known >> 32) as u32 == quarter {
        return i64::from(known as u32 as i32);
    }
    let offset = local(second).tm_gmtoff as i32;
    ZONE.store(u64::from(quarter) << 32 | u64::from(offset as u32), Ordering::Relaxed);
    i64::from(offset)
}

fn known_zone() -> i64 {
    match ZONE.load(Ordering::Relaxed) {
        NO_ZONE => 0,
        known => i64::from(known as u32 as i32),
    }
}

/// Year, month and day, so many days after 1970-01-01: counted from a first of March, leap days come last.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day = days.rem_euclid(146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let of_month = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, of_month)
}

/// Now, in nanoseconds since 1970.
#[inline]
pub(crate) fn moment() -> u64 {
    // This clock is always there; should it not be, a record from 1970 is better than none.
    clock_gettime(ClockId::CLOCK_REALTIME).map_or(0, |now| now.tv_sec() as u64 * SECOND + now.tv_nsec() as u64)
}

/// The moment in UTC as RFC 3339 writes it: `2026-01-02T03:04:05.000678Z`.
pub fn rfc3339(moment: u64) -> String {
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

/// The quarter of an hour since 1970 that was asked for last, and the offset then.
static ZONE: AtomicU64 = AtomicU64::new(NO_ZONE);
const NO_ZONE: u64 = u64::MAX;

const SECOND: u64 = 1_000_000_000;
const QUARTER: i64 = 900;
const DAY: i64 = 86_400;

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
        let text = String::from_utf8(stamp.at(moment()).to_vec()).unwrap();
        let (date, time) = text.split_once(' ').unwrap();
        let parts: Vec<&str> = date.split('-').collect();
        assert_eq!(parts.len(), 3);
        assert!(!parts[1].starts_with('0') && !parts[2].starts_with('0'), "{text}");
        assert_eq!(time.len(), 8);
    }

    #[test]
    fn the_stamp_is_what_the_c_library_says() {
        for moment in [0u64, 951_782_399, 951_782_400, 1_709_164_800, 1_795_303_194, 2_147_483_000, 1_774_746_000] {
            let t = local(moment as i64);
            let (year, month) = (t.tm_year + 1900, t.tm_mon + 1);
            let time = format!("{:02}:{:02}:{:02}", t.tm_hour, t.tm_min, t.tm_sec);
            let expected = format!("{year}-{month}-{} {time}", t.tm_mday);
            assert_eq!(Stamp::new().at(moment * SECOND), expected.as_bytes());
        }
        let days: Vec<_> = [0, 58, 59, 11_016, 11_017, 20_513, -1].map(date).to_vec();
        let expected =
            [(1970, 1, 1), (1970, 2, 28), (1970, 3, 1), (2000, 2, 29), (2000, 3, 1), (2026, 3, 1), (1969, 12, 31)];
        assert_eq!(days, expected);
    }
}
