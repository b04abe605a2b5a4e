//! Terminal lines as the kernel sees them: settings with any speed, modem lines, who may open.
//!
//! The settings are the kernel's `termios2`, whose speeds are numbers. Where the call is missing (emulators) they go
//! through the C library's `termios`, and speeds are those it has names for.

use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};

pub(crate) use libc::termios2 as Line;

/// The settings of a line; ENOTTY when `fd` is none.
pub(crate) fn get(fd: BorrowedFd<'_>) -> Result<Line, Errno> {
    let mut line = zeroed();
    // SAFETY: the request writes one `termios2`, and the argument points to one.
    let status = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TCGETS2, &raw mut line) };
    match Errno::result(status) {
        Ok(_) => Ok(line),
        Err(Errno::ENOTTY | Errno::ENOSYS | Errno::EINVAL) => named::get(fd),
        Err(error) => Err(error),
    }
}

/// Changes the settings at once.
pub(crate) fn set(fd: BorrowedFd<'_>, line: &Line) -> Result<(), Errno> {
    // SAFETY: the request reads one `termios2`, and the argument points to one.
    let status = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TCSETS2, line) };
    match Errno::result(status) {
        Ok(_) => Ok(()),
        Err(Errno::ENOTTY | Errno::ENOSYS) => named::set(fd, line),
        Err(error) => Err(error),
    }
}

/// Gives both directions this speed in bits per second: by the constant that stands for it, if there is one.
pub(crate) fn set_speed(line: &mut Line, speed: u32) {
    let constant = SPEEDS.iter().find(|(number, _)| *number == speed).map_or(libc::BOTHER, |(_, constant)| *constant);
    // The upper half is the speed of receiving; zero there means "the same".
    line.c_cflag &= !(libc::CBAUD | libc::CBAUD << INPUT_SHIFT);
    line.c_cflag |= constant;
    line.c_ispeed = speed;
    line.c_ospeed = speed;
}

/// The speed a constant of termios.h (`B115200`) stands for. C libraries in which the constants are the speeds
/// themselves (glibc since 2.42) are understood, too: the two do not overlap.
pub(crate) fn speed_of(constant: u32) -> Option<u32> {
    let known = |(speed, name): &&(u32, u32)| *name == constant || *speed == constant;
    SPEEDS.iter().find(known).map(|(speed, _)| *speed)
}

/// Keeps others from opening the line (root may), or lets them again.
pub(crate) fn exclusive(fd: BorrowedFd<'_>, on: bool) -> Result<(), Errno> {
    let request = if on { libc::TIOCEXCL } else { libc::TIOCNXCL };
    // SAFETY: the request takes no argument.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), request) }).map(drop)
}

/// The modem lines, as TIOCM_ bits; ENOTTY or EINVAL where the device has none.
pub(crate) fn modem(fd: BorrowedFd<'_>) -> Result<u32, Errno> {
    let mut bits = 0i32;
    // SAFETY: the request writes one int, and the argument points to one.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCMGET, &raw mut bits) })?;
    Ok(bits.cast_unsigned())
}

/// Raises or drops modem lines.
pub(crate) fn set_modem(fd: BorrowedFd<'_>, bits: u32, on: bool) -> Result<(), Errno> {
    let request = if on { libc::TIOCMBIS } else { libc::TIOCMBIC };
    let bits = bits.cast_signed();
    // SAFETY: the request reads one int, and the argument points to one.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), request, &raw const bits) }).map(drop)
}

/// Begins or ends a break: the line is held at zero.
pub(crate) fn set_break(fd: BorrowedFd<'_>, on: bool) -> Result<(), Errno> {
    let request = if on { libc::TIOCSBRK } else { libc::TIOCCBRK };
    // SAFETY: the request takes no argument.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), request) }).map(drop)
}

fn zeroed() -> Line {
    Line { c_iflag: 0, c_oflag: 0, c_cflag: 0, c_lflag: 0, c_line: 0, c_cc: [0; 19], c_ispeed: 0, c_ospeed: 0 }
}

/// Through the C library's struct, which has the same flags and more characters.
mod named {
    use super::{Line, SPEEDS, zeroed};
    use nix::errno::Errno;
    use std::os::fd::{AsRawFd, BorrowedFd};

    pub(super) fn get(fd: BorrowedFd<'_>) -> Result<Line, Errno> {
        let old = termios(fd)?;
        let mut line = zeroed();
        (line.c_iflag, line.c_oflag, line.c_cflag, line.c_lflag) = (old.c_iflag, old.c_oflag, old.c_cflag, old.c_lflag);
        line.c_line = old.c_line;
        line.c_cc.copy_from_slice(&old.c_cc[..19]);
        let speed = SPEEDS.iter().find(|(_, name)| *name == old.c_cflag & libc::CBAUD).map_or(0, |(speed, _)| *speed);
        (line.c_ispeed, line.c_ospeed) = (speed, speed);
        Ok(line)
    }

    pub(super) fn set(fd: BorrowedFd<'_>, line: &Line) -> Result<(), Errno> {
        let mut new = termios(fd)?;
        if line.c_cflag & libc::CBAUD == libc::BOTHER {
            return Err(Errno::EINVAL);
        }
        (new.c_iflag, new.c_oflag, new.c_cflag, new.c_lflag) = (line.c_iflag, line.c_oflag, line.c_cflag, line.c_lflag);
        new.c_cc[..19].copy_from_slice(&line.c_cc);
        // SAFETY: the descriptor is open, and the struct came from `tcgetattr`.
        Errno::result(unsafe { libc::tcsetattr(fd.as_raw_fd(), libc::TCSANOW, &raw const new) }).map(drop)
    }

    fn termios(fd: BorrowedFd<'_>) -> Result<libc::termios, Errno> {
        let mut old = std::mem::MaybeUninit::<libc::termios>::zeroed();
        // SAFETY: the function writes one `termios`, and the argument points to one.
        Errno::result(unsafe { libc::tcgetattr(fd.as_raw_fd(), old.as_mut_ptr()) })?;
        // SAFETY: it is made of integers; it was zero, and has just been written.
        Ok(unsafe { old.assume_init() })
    }
}

/// Where the kernel keeps the speed of receiving (IBSHIFT).
const INPUT_SHIFT: u32 = 16;

/// What has a name in termios.h.
const SPEEDS: [(u32, u32); 30] = [
    (50, libc::B50),
    (75, libc::B75),
    (110, libc::B110),
    (134, libc::B134),
    (150, libc::B150),
    (200, libc::B200),
    (300, libc::B300),
    (600, libc::B600),
    (1200, libc::B1200),
    (1800, libc::B1800),
    (2400, libc::B2400),
    (4800, libc::B4800),
    (9600, libc::B9600),
    (19200, libc::B19200),
    (38400, libc::B38400),
    (57600, libc::B57600),
    (115_200, libc::B115200),
    (230_400, libc::B230400),
    (460_800, libc::B460800),
    (500_000, libc::B500000),
    (576_000, libc::B576000),
    (921_600, libc::B921600),
    (1_000_000, libc::B1000000),
    (1_152_000, libc::B1152000),
    (1_500_000, libc::B1500000),
    (2_000_000, libc::B2000000),
    (2_500_000, libc::B2500000),
    (3_000_000, libc::B3000000),
    (3_500_000, libc::B3500000),
    (4_000_000, libc::B4000000),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_and_numbers_of_speeds_are_told_apart() {
        assert_eq!(speed_of(libc::B115200), Some(115_200));
        assert_eq!(speed_of(115_200), Some(115_200));
        assert_eq!(speed_of(libc::B50), Some(50));
        assert_eq!(speed_of(12_345), None);
        assert_eq!(speed_of(libc::BOTHER), None);
        for (speed, constant) in SPEEDS {
            assert!(SPEEDS.iter().all(|(_, other)| *other != speed), "{speed} is a constant, too");
            assert_eq!(speed_of(constant), Some(speed));
        }
    }
}
