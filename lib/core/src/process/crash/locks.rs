//! The locks that a process lets go of when it crashes: it keeps its descriptors for as long as its core is written, and its
//! successor would be refused so long.

use std::process;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// The locks of the one name that this process has claimed.
#[derive(Debug)]
pub struct Locks {
    /// A fork has the same open files, and would unlock them for us all.
    owner: AtomicU32,
    files: [AtomicI32; 2],
}

impl Locks {
    pub const fn new() -> Locks {
        Locks { owner: AtomicU32::new(0), files: [const { AtomicI32::new(-1) }; 2] }
    }

    /// These are the calling process' until it says otherwise.
    pub fn are(&self, files: [i32; 2]) {
        for (file, now) in self.files.iter().zip(files) {
            file.store(now, Ordering::Relaxed);
        }
        self.owner.store(process::id(), Ordering::Release);
    }

    /// There are none any longer, if these were they.
    pub fn were(&self, files: [i32; 2]) {
        for (file, then) in self.files.iter().zip(files) {
            let _ = file.compare_exchange(then, -1, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Async-signal-safe.
    pub fn let_go(&self) {
        // SAFETY: only asks for a number.
        if self.owner.load(Ordering::Acquire) != unsafe { libc::getpid() } as u32 {
            return;
        }
        for file in &self.files {
            // SAFETY: takes two numbers; of a descriptor that is none it says so.
            unsafe { libc::flock(file.load(Ordering::Relaxed), libc::LOCK_UN) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::fd::AsRawFd;

    #[test]
    fn are_let_go_of_by_their_owner_until_they_were_his() {
        let locks = Locks::new();
        let path = std::env::temp_dir().join(format!("msf-crash-locks-{}", process::id()));
        let (ours, theirs) = (File::create(&path).unwrap(), File::create(&path).unwrap());
        let numbers = [ours.as_raw_fd(), -1];
        ours.try_lock().unwrap();
        locks.are(numbers);
        locks.owner.store(1, Ordering::Release);
        locks.let_go();
        theirs.try_lock().unwrap_err();
        locks.are(numbers);
        locks.let_go();
        theirs.try_lock().unwrap();
        theirs.unlock().unwrap();
        ours.try_lock().unwrap();
        locks.were(numbers);
        locks.let_go();
        theirs.try_lock().unwrap_err();
        fs::remove_file(path).unwrap();
    }
}
