//! What an epoll descriptor holds about another one, as the kernel shows it in /proc.
//!
//! `EPOLL_CTL_MOD` replaces the caller's pointer together with the events, and no call gives the old one out. A table of
//! our own would be wrong as soon as somebody used epoll_ctl beside us; the kernel's is not.

use nix::errno::Errno;
use nix::sys::stat::fstat;
use std::fs;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The 64 bits registered with `fd` in `epoll`. ENOENT: it is not in there. ENOTSUP: there is no /proc to ask.
pub fn registered(epoll: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    let inode = fstat(fd)?.st_ino;
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", epoll.as_raw_fd()));
    // Without such a file it is the descriptor that is not open, or /proc that is not there.
    let text = text.map_err(|_| fstat(epoll).err().unwrap_or(Errno::ENOTSUP))?;
    text.lines()
        .filter_map(Entry::read)
        .find(|one| one.fd == fd.as_raw_fd() && one.inode == inode as u64)
        .map(|one| one.data)
        .ok_or(Errno::ENOENT)
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    fd: i32,
    data: u64,
    /// A number that was closed while a duplicate stayed open remains in the set; its inode tells it from the new one.
    inode: u64,
}

impl Entry {
    /// `tfd:        4 events:       19 data:     7ffd00000004  pos:0 ino:12492f7 sdev:f`
    fn read(line: &str) -> Option<Entry> {
        let mut words = line.split_ascii_whitespace();
        let mut after = |name: &str| {
            let word = words.find(|word| word.starts_with(name))?;
            match &word[name.len()..] {
                "" => words.next(),
                rest => Some(rest),
            }
        };
        let fd = after("tfd:")?.parse().ok()?;
        let data = u64::from_str_radix(after("data:")?, 16).ok()?;
        let inode = u64::from_str_radix(after("ino:")?, 16).ok()?;
        Some(Entry { fd, data, inode })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_line_is_read() {
        let line = "tfd:        4 events:       19 data:     7ffd00000004  pos:0 ino:12492f7 sdev:f";
        assert_eq!(Entry::read(line), Some(Entry { fd: 4, data: 0x7ffd_0000_0004, inode: 0x0124_92f7 }));
        assert_eq!(Entry::read("pos:\t0"), None);
    }

    #[test]
    fn the_kernel_tells_what_was_registered_for_each_descriptor() {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        let (one, two) = UnixStream::pair().unwrap();
        epoll.add(&one, EpollEvent::new(EpollFlags::EPOLLIN, 0xdead_beef_0bad_cafe)).unwrap();
        epoll.add(&two, EpollEvent::new(EpollFlags::EPOLLIN, 7)).unwrap();
        assert_eq!(registered(epoll.0.as_fd(), one.as_fd()), Ok(0xdead_beef_0bad_cafe));
        assert_eq!(registered(epoll.0.as_fd(), two.as_fd()), Ok(7));
        epoll.delete(&two).unwrap();
        assert_eq!(registered(epoll.0.as_fd(), two.as_fd()), Err(Errno::ENOENT));
    }
}
