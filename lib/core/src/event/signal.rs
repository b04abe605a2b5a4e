//! Signals as readiness: a self-pipe that the reactor watches. The only file that names signal-hook.

use nix::sys::signal::{SigSet, Signal};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// The signals a program wants to hear of, delivered through a descriptor.
pub struct Signals {
    delivery: SignalDelivery<UnixStream, SignalOnly>,
}

impl Signals {
    /// Takes over `signals` for the whole process, and lets them reach the calling thread.
    pub fn new(signals: &[i32]) -> io::Result<Signals> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        let delivery = SignalDelivery::with_pipe(read, write, SignalOnly, signals)?;
        unblock(signals)?;
        Ok(Signals { delivery })
    }

    /// The signals that arrived since the last call; empties the descriptor.
    pub fn take(&mut self) -> Vec<i32> {
        self.delivery.pending().collect()
    }
}

/// Whoever started us may have blocked them for himself, as msf_shell does; a block is inherited.
fn unblock(signals: &[i32]) -> io::Result<()> {
    let mut set = SigSet::empty();
    // Signals of real time have no name here, and nobody who starts us blocks them.
    for signal in signals.iter().filter_map(|&number| Signal::try_from(number).ok()) {
        set.add(signal);
    }
    Ok(set.thread_unblock()?)
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }
}
