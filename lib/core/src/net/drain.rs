//! Descriptors emptied without waiting: sockets, pipes, eventfds.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{read, write};
use std::os::fd::BorrowedFd;

/// Throws away what waits in `fd`: at most `reads` datagrams, or pieces of 4 KiB. Never waits for more.
pub fn drain(fd: BorrowedFd<'_>, reads: u32) -> Result<(), Errno> {
    let mut away = [0; 4096];
    for _ in 0..reads {
        if !is_ready(fd, PollFlags::POLLIN)? || read(fd, &mut away)? == 0 {
            break;
        }
    }
    Ok(())
}

/// Makes an eventfd readable. One whose counter is at its end is so already.
pub fn notify(event: BorrowedFd<'_>) -> Result<(), Errno> {
    if is_ready(event, PollFlags::POLLOUT)? {
        write(event, &1u64.to_ne_bytes())?;
    }
    Ok(())
}

/// Makes an eventfd unreadable (by one, if it is a semaphore).
pub fn clear(event: BorrowedFd<'_>) -> Result<(), Errno> {
    if is_ready(event, PollFlags::POLLIN)? {
        match read(event, &mut [0; 8]) {
            // Another was faster.
            Err(Errno::EAGAIN) => {}
            done => drop(done?),
        }
    }
    Ok(())
}

/// Whether the next call would not wait, whatever the descriptor's flags are.
fn is_ready(fd: BorrowedFd<'_>, what: PollFlags) -> Result<bool, Errno> {
    let mut asked = [PollFd::new(fd, what)];
    loop {
        match poll(&mut asked, PollTimeout::ZERO) {
            Err(Errno::EINTR) => {}
            count => {
                count?;
                break;
            }
        }
    }
    match asked[0].revents() {
        Some(events) if events.contains(PollFlags::POLLNVAL) => Err(Errno::EBADF),
        events => Ok(events.is_some_and(|events| !events.is_empty())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::eventfd::EventFd;
    use std::io::Write;
    use std::os::fd::AsFd;

    #[test]
    fn what_waits_is_gone_and_nobody_waits() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        drain(reader.as_fd(), 3).unwrap();
        writer.write_all(&[1; 9000]).unwrap();
        drain(reader.as_fd(), 1).unwrap();
        assert!(is_ready(reader.as_fd(), PollFlags::POLLIN).unwrap());
        drain(reader.as_fd(), 100).unwrap();
        assert!(!is_ready(reader.as_fd(), PollFlags::POLLIN).unwrap());
    }

    #[test]
    fn a_blocking_eventfd_is_told_and_cleared_any_number_of_times() {
        let event = EventFd::from_value(0).unwrap();
        clear(event.as_fd()).unwrap();
        notify(event.as_fd()).unwrap();
        event.write(u64::MAX - 2).unwrap();
        notify(event.as_fd()).unwrap();
        clear(event.as_fd()).unwrap();
        assert!(!is_ready(event.as_fd(), PollFlags::POLLIN).unwrap());
    }
}
