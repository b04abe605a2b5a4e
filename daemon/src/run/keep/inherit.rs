//! Upgrades that were going on when a daemon before us died: both processes go on, and so does the upgrade.
//!
//! What the successor has said while nobody listened is lost, but not that it has said it: whoever tells that he is ready
//! closes his pipe. As long as he has it, it is opened anew by the way of /proc, and listened to.

use super::adopt::shown;
use super::state::{HeirRecord, Record};
use crate::run::child::heir::{Handover, Heir};
use crate::run::child::kin::Kin;
use crate::run::child::ready::Readying;
use crate::run::driver::{Driver, Key, MODULE, Watched};
use crate::run::service::Service;
use msf_core::event::{Interest, Reactor};
use msf_core::log;
use msf_core::log::Level;
use msf_core::process::{Birth, Foster};
use std::fs::{self, File};
use std::io::{self, PipeReader};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::Instant;

impl Service {
    /// What a daemon after us has to know of who is to take its place.
    pub(in crate::run) fn heir_record(&self) -> Option<HeirRecord> {
        let expected = self.succession.expected.as_ref();
        let made = self.heir.as_ref().map(|heir| HeirRecord {
            process: heir.running.birth,
            mark: heir.mark.clone(),
            pipe: heir.pipe,
            from: heir.from.as_deref().map(shown),
        });
        made.or_else(|| {
            expected.map(|(mark, pipe)| HeirRecord { mark: mark.clone(), pipe: *pipe, ..HeirRecord::default() })
        })
    }
}

impl Driver {
    /// Those that were replaced are seen off anew.
    pub(in crate::run) fn restore_leavers(&mut self, reactor: &mut Reactor, key: Key, left: &[Birth]) {
        for foster in left.iter().filter_map(|birth| Foster::adopt(*birth).ok().flatten()) {
            let pid = foster.pid();
            let running = self.watch_kin(reactor, Kin::Foster(foster), Watched::Leaver(pid));
            self.see_off(reactor, key, running, false);
        }
    }

    /// Whether there is one who is to take the place of a service's process.
    pub(in crate::run) fn restore_heir(&mut self, reactor: &mut Reactor, key: Key, record: &Record) -> bool {
        let Some(HeirRecord { process, mark, pipe, from }) = &record.heir else { return false };
        let foster = match process.map(Foster::adopt) {
            Some(Ok(Some(foster))) => foster,
            _ => {
                log!(Level::Error, MODULE, "{}: the upgrade that was going on came to nothing", record.name);
                return false;
            }
        };
        log!(Level::Info, MODULE, "{}: its upgrade goes on, pid {} is to take its place", record.name, foster.pid());
        let readying = match reopened(foster.pid(), *pipe) {
            Ok(None) => None,
            Ok(Some(pipe)) => {
                let token = self.watched.insert(Watched::HeirPipe(key));
                let token = token.filter(|token| reactor.watch(&pipe, *token, Interest::READ).is_ok());
                Some(Readying::Pipe { pipe, token, is_closed: false })
            }
            // Not for us to see: it may tell the notice board, or the other one may end.
            Err(_) => Some(Readying::Notice),
        };
        let running = self.watch_kin(reactor, Kin::Foster(foster), Watched::Heir(key));
        let Some(service) = self.roll.get_mut(key) else { return false };
        // What it has told of that while nobody listened is lost. The place of the other one is the likeliest; where nobody is
        // the next upgrade comes to nothing.
        let from = from.as_ref().or(record.from.as_ref()).map(PathBuf::from);
        let heir = Heir { running, readying, pipe: *pipe, mark: mark.clone(), says: None, from };
        service.heir = Some(Box::new(heir));
        let before = record.process.map_or(0, |birth| birth.pid);
        service.succession.under_way = Some(Handover { begun: Instant::now(), before, drain: false, asker: None });
        true
    }

    /// Whether an heir has nothing left to say it with.
    pub(in crate::run) fn heir_has_told(&self, key: Key) -> bool {
        let heir = self.roll.get(key).and_then(|service| service.heir.as_ref());
        heir.is_some_and(|heir| heir.readying.is_none())
    }
}

/// The reading end of a pipe, if this process still can write to it.
fn reopened(pid: i32, inode: u64) -> io::Result<Option<PipeReader>> {
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let path = entry?.path();
        let is_it = fs::metadata(&path).is_ok_and(|about| about.ino() == inode && about.file_type().is_fifo());
        if is_it {
            let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
            return Ok(Some(PipeReader::from(OwnedFd::from(file))));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_pipe_is_opened_anew_as_long_as_somebody_has_it() {
        let (here, mut there) = std::io::pipe().unwrap();
        let inode = File::from(OwnedFd::from(here.try_clone().unwrap())).metadata().unwrap().ino();
        drop(here);
        let own = std::process::id() as i32;
        let mut again = reopened(own, inode).unwrap().unwrap();
        there.write_all(b"\n").unwrap();
        let mut told = [0];
        again.read_exact(&mut told).unwrap();
        drop((there, again));
        assert!(reopened(own, inode).unwrap().is_none());
    }
}
