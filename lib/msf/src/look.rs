//! Two looks at the processors' time, in the shape msf_os.h gives them: `struct cpu_stats`.

use crate::guard::plain;
use crate::header::{cpu_key, cpu_snapshot, cpu_stats};
use crate::os::letters;
use msf_core::sysinfo::cpu::{self, Times};
use nix::errno::Errno;
use std::ffi::c_int;
use std::slice;
use std::time::{Duration, Instant};

/// What the looks know of themselves beside what C sees.
pub(crate) struct Looks {
    last: Option<Instant>,
    /// How many snapshots each of the two arrays has room for.
    places: usize,
}

impl Looks {
    pub(crate) const NONE: Looks = Looks { last: None, places: 0 };
}

/// Looks for the first time (again).
pub(crate) fn first(stats: &mut cpu_stats, processors: u32, looks: &mut Looks) -> Result<(), Errno> {
    if looks.places == 0 {
        // C may keep the addresses, so the arrays stay where they are for ever.
        looks.places = processors as usize + 1;
        (stats.snap_a, stats.snap_b) = (array(looks.places), array(looks.places));
    }
    look(stats.snap_a, looks.places)?;
    (stats.snap_active, stats.interval_sec, stats.interval_nsec) = (1, 0, 0);
    looks.last = Some(Instant::now());
    Ok(())
}

/// Looks once more, and says what went on since the look before.
pub(crate) fn again(stats: &mut cpu_stats, looks: &mut Looks) -> Result<(), Errno> {
    let before = looks.last.ok_or(Errno::EAGAIN)?;
    let (active, later, earlier) = match stats.snap_active {
        1 => (2, stats.snap_b, stats.snap_a),
        _ => (1, stats.snap_a, stats.snap_b),
    };
    let later = look(later, looks.places)?;
    // SAFETY: `first` made the array with as many places; the other array is the one that is being written.
    let earlier = unsafe { slice::from_raw_parts(earlier, looks.places) };
    for snapshot in later {
        if let Some(before) = earlier.iter().find(|before| before.cpuid == snapshot.cpuid) {
            compare(snapshot, before);
        }
    }
    let now = Instant::now();
    let interval = now - before;
    stats.snap_active = active;
    stats.interval_sec = interval.as_secs().try_into().unwrap_or(c_int::MAX);
    stats.interval_nsec = interval.subsec_nanos().cast_signed();
    looks.last = Some(now);
    Ok(())
}

fn array(places: usize) -> *mut cpu_snapshot {
    let snapshots: Box<[cpu_snapshot]> = vec![NOTHING; places].into_boxed_slice();
    Box::into_raw(snapshots).cast()
}

/// Overwrites an array of snapshots with what there is to be seen now.
fn look<'a>(array: *mut cpu_snapshot, places: usize) -> Result<&'a mut [cpu_snapshot], Errno> {
    let found = cpu::read().map_err(plain)?;
    // SAFETY: the callers hand in arrays that `array` made with as many places, and hold the lock of the description.
    let array = unsafe { slice::from_raw_parts_mut(array, places) };
    array.fill(NOTHING);
    let each = found.each.iter().map(|(number, times)| (format!("cpu{number}"), times));
    let all = std::iter::once(("cpu".to_owned(), &found.all)).chain(each);
    array.iter_mut().zip(all).for_each(|(place, (name, times))| *place = snapshot(&name, times));
    Ok(array)
}

fn snapshot(name: &str, times: &Times) -> cpu_snapshot {
    cpu_snapshot {
        cpuid: letters(name),
        user: ticks(times.user),
        nice: ticks(times.nice),
        system: ticks(times.system),
        idle: ticks(times.idle),
        iowait: ticks(times.iowait),
        irq: ticks(times.irq),
        softirq: ticks(times.softirq),
        stealstolen: ticks(times.steal),
        guest: ticks(times.guest + times.guest_nice),
        avg_all: ticks(times.total()),
        avg_user: ticks(times.user + times.nice),
        avg_kernel: ticks(times.system + times.irq + times.softirq),
        ..NOTHING
    }
}

/// Fills in what happened between two snapshots of a processor.
fn compare(later: &mut cpu_snapshot, earlier: &cpu_snapshot) {
    let all = later.avg_all.saturating_sub(earlier.avg_all);
    let key = |later: u64, earlier: u64| {
        // The kernel may correct a number downwards.
        let ticks = later.saturating_sub(earlier).min(all);
        let permille = (ticks * 1000).checked_div(all).unwrap_or(0) as u32;
        cpu_key { ticks, permille }
    };
    let busy = |snapshot: &cpu_snapshot| snapshot.avg_all.saturating_sub(snapshot.idle + snapshot.iowait);
    later.k_cpu = key(busy(later), busy(earlier));
    later.k_user = key(later.avg_user, earlier.avg_user);
    later.k_system = key(later.avg_kernel, earlier.avg_kernel);
}

/// Hundredths of a second.
fn ticks(time: Duration) -> u64 {
    (time.as_millis() / 10) as u64
}

const NO_KEY: cpu_key = cpu_key { ticks: 0, permille: 0 };
const NOTHING: cpu_snapshot = cpu_snapshot {
    cpuid: [0; 20],
    user: 0,
    nice: 0,
    system: 0,
    idle: 0,
    iowait: 0,
    irq: 0,
    softirq: 0,
    stealstolen: 0,
    guest: 0,
    avg_all: 0,
    avg_user: 0,
    avg_kernel: 0,
    k_cpu: NO_KEY,
    k_user: NO_KEY,
    k_system: NO_KEY,
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr;

    fn at(user: u64, idle: u64) -> cpu_snapshot {
        let seconds = Duration::from_secs;
        snapshot("cpu0", &Times { user: seconds(user), idle: seconds(idle), ..Times::default() })
    }

    #[test]
    fn the_keys_are_about_the_time_between_two_looks() {
        let mut later = at(13, 27);
        compare(&mut later, &at(10, 20));
        assert_eq!((later.k_cpu.ticks, later.k_cpu.permille), (300, 300));
        assert_eq!((later.k_user.permille, later.k_system.permille), (300, 0));
        // No time has passed, or time went backwards.
        compare(&mut later, &at(13, 27));
        assert_eq!(later.k_cpu.permille, 0);
        compare(&mut later, &at(14, 30));
        assert_eq!(later.k_cpu.permille, 0);
    }

    #[test]
    fn a_further_look_needs_a_first_one() {
        let nobody = ptr::null_mut();
        let mut stats = cpu_stats { snap_active: 0, interval_sec: 0, interval_nsec: 0, snap_a: nobody, snap_b: nobody };
        let mut looks = Looks::NONE;
        assert_eq!(again(&mut stats, &mut looks), Err(Errno::EAGAIN));
        first(&mut stats, 2, &mut looks).unwrap();
        again(&mut stats, &mut looks).unwrap();
        assert_eq!(stats.snap_active, 2);
        again(&mut stats, &mut looks).unwrap();
        assert_eq!((stats.snap_active, looks.places), (1, 3));
    }
}
