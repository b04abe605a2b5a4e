//! Scheduling classes and priorities of threads.

use nix::errno::Errno;
use std::io;

/// How the kernel decides when a thread runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The usual one, with a nice value: −20 (most) to 19 (least).
    Other(i8),
    /// As the usual one, for work nobody waits for: it is woken a little later. With a nice value.
    Batch(i8),
    /// Only when the processor has nothing better to do.
    Idle,
    /// Real time, 1 to 99: runs until it waits, or a higher one wants to run.
    Fifo(u8),
    /// Real time, 1 to 99: as `Fifo`, in turns with others of the same priority.
    RoundRobin(u8),
}

impl Class {
    /// Policy and priority, as the kernel has them.
    pub(crate) fn in_numbers(self) -> (i32, i32) {
        match self {
            Class::Other(_) => (libc::SCHED_OTHER, 0),
            Class::Batch(_) => (libc::SCHED_BATCH, 0),
            Class::Idle => (libc::SCHED_IDLE, 0),
            Class::Fifo(priority) => (libc::SCHED_FIFO, priority.into()),
            Class::RoundRobin(priority) => (libc::SCHED_RR, priority.into()),
        }
    }
}

/// The class of the thread `tid`; 0 is the calling thread. Fails with ESRCH when there is no such thread.
pub fn class(tid: libc::pid_t) -> io::Result<Class> {
    check(tid)?;
    // SAFETY: the call takes a number and gives one.
    let policy = unsafe { libc::sched_getscheduler(tid) };
    let policy = Errno::result(policy)? & !libc::SCHED_RESET_ON_FORK;
    match policy {
        libc::SCHED_IDLE => Ok(Class::Idle),
        libc::SCHED_FIFO => Ok(Class::Fifo(real_time(tid)?)),
        libc::SCHED_RR => Ok(Class::RoundRobin(real_time(tid)?)),
        libc::SCHED_BATCH => Ok(Class::Batch(nice_of(tid)?)),
        _ => Ok(Class::Other(nice_of(tid)?)),
    }
}

/// Puts the thread `tid` (0: the calling one) into a class.
///
/// Fails with EPERM or EACCES when the user may not (real time and lower nice values want CAP_SYS_NICE or a resource limit), EINVAL
/// for a priority outside of the class's range, ESRCH when there is no such thread. What fails changes nothing, but that
/// a nice value that was refused may leave the class changed.
pub fn set_class(tid: libc::pid_t, class: Class) -> io::Result<()> {
    let (policy, priority) = class.in_numbers();
    let nice = if let Class::Other(nice) | Class::Batch(nice) = class { Some(nice) } else { None };
    if nice.is_some_and(|nice| !NICE.contains(&nice)) {
        return Err(Errno::EINVAL.into());
    }
    check(tid)?;
    let parameter = libc::sched_param { sched_priority: priority };
    // SAFETY: the parameter lives for the call and is only read.
    Errno::result(unsafe { libc::sched_setscheduler(tid, policy, &raw const parameter) })?;
    match nice {
        Some(nice) => set_priority(Whose::Process(tid), nice.into()),
        None => Ok(()),
    }
}

/// No thread has a number below zero; the kernel takes it for a mistake of another kind (EINVAL).
fn check(tid: libc::pid_t) -> io::Result<()> {
    if tid < 0 { Err(Errno::ESRCH.into()) } else { Ok(()) }
}

/// Whose nice value is meant. On Linux a process's is that of one thread: the one of that id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// A thread, or the first one of a process; 0 is the calling thread.
    Process(libc::pid_t),
    /// Every process of a group; 0 is the caller's.
    Group(libc::pid_t),
    /// Every process of a user; 0 is the caller's.
    User(libc::uid_t),
}

impl Whose {
    fn in_numbers(self) -> (libc::__priority_which_t, libc::id_t) {
        match self {
            Whose::Process(id) => (libc::PRIO_PROCESS, id as libc::id_t),
            Whose::Group(id) => (libc::PRIO_PGRP, id as libc::id_t),
            Whose::User(id) => (libc::PRIO_USER, id),
        }
    }
}

/// The nice value, −20 to 19; of several the most urgent. Fails with ESRCH when there is nobody.
pub fn priority(whose: Whose) -> io::Result<i32> {
    let (which, who) = whose.in_numbers();
    Errno::clear();
    // SAFETY: the call takes two numbers and gives one.
    let value = unsafe { libc::getpriority(which, who) };
    // −1 is a nice value, too.
    match Errno::last_raw() {
        0 => Ok(value),
        errno if value == -1 => Err(io::Error::from_raw_os_error(errno)),
        _ => Ok(value),
    }
}

/// Sets the nice value. Fails with EINVAL outside of −20 to 19, EACCES when it would become more urgent than the user may,
/// EPERM for somebody else's process, ESRCH when there is nobody.
pub fn set_priority(whose: Whose, nice: i32) -> io::Result<()> {
    if !i8::try_from(nice).is_ok_and(|nice| NICE.contains(&nice)) {
        return Err(Errno::EINVAL.into());
    }
    let (which, who) = whose.in_numbers();
    // SAFETY: the call takes three numbers.
    Ok(Errno::result(unsafe { libc::setpriority(which, who, nice) }).map(drop)?)
}

fn real_time(tid: libc::pid_t) -> io::Result<u8> {
    let mut parameter = libc::sched_param { sched_priority: 0 };
    // SAFETY: the out-parameter is a local of the right type.
    Errno::result(unsafe { libc::sched_getparam(tid, &raw mut parameter) })?;
    Ok(parameter.sched_priority as u8)
}

fn nice_of(tid: libc::pid_t) -> io::Result<i8> {
    priority(Whose::Process(tid)).map(|nice| nice as i8)
}

const NICE: std::ops::RangeInclusive<i8> = -20..=19;

#[cfg(test)]
mod tests {
    use super::*;

    fn on_a_thread(test: impl FnOnce() + Send + 'static) {
        std::thread::spawn(test).join().unwrap();
    }

    #[test]
    fn less_urgent_classes_are_for_everybody() {
        on_a_thread(|| {
            for wanted in [Class::Batch(15), Class::Other(17), Class::Idle] {
                set_class(0, wanted).unwrap();
                assert_eq!(class(0).unwrap(), wanted);
            }
        });
    }

    #[test]
    fn real_time_works_or_says_that_it_is_not_allowed() {
        on_a_thread(|| {
            for wanted in [Class::Fifo(1), Class::RoundRobin(99)] {
                match set_class(0, wanted) {
                    Ok(()) => assert_eq!(class(0).unwrap(), wanted),
                    Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EPERM)),
                }
            }
        });
    }

    #[test]
    fn what_no_class_has_is_refused() {
        on_a_thread(|| {
            for wrong in [Class::Other(20), Class::Batch(-21), Class::Fifo(0), Class::RoundRobin(100)] {
                assert_eq!(set_class(0, wrong).unwrap_err().raw_os_error(), Some(libc::EINVAL), "{wrong:?}");
            }
            assert_eq!(set_priority(Whose::Process(0), 400).unwrap_err().raw_os_error(), Some(libc::EINVAL));
            assert_eq!(class(i32::MAX).unwrap_err().raw_os_error(), Some(libc::ESRCH));
            assert_eq!(priority(Whose::Process(i32::MAX)).unwrap_err().raw_os_error(), Some(libc::ESRCH));
        });
    }

    #[test]
    fn a_nice_value_is_that_of_one_thread() {
        let before = priority(Whose::Process(0)).unwrap();
        on_a_thread(|| {
            set_priority(Whose::Process(0), 19).unwrap();
            assert_eq!(priority(Whose::Process(0)).unwrap(), 19);
        });
        assert_eq!(priority(Whose::Process(0)).unwrap(), before);
    }
}
