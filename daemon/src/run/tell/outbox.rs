//! Events on their way to the events file. The disk under that may be slow, or stand still: nobody waits for it, but the
//! clerk. Until an event is there it is in a draft in the run directory, which is memory where that is as it should be: a
//! daemon after us brings to the file what it finds in there.

use super::journal::{self, Journal};
use crate::face::event::Happening;
use crate::run::clerk::Clerk;
use crate::run::driver::MODULE;
use msf_conf::daemon::Events;
use msf_core::log;
use msf_core::log::Level;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::mem::take;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// See the module.
#[derive(Debug)]
pub struct Outbox {
    /// Of the configuration, and of the log.
    folders: (PathBuf, PathBuf),
    path: PathBuf,
    mail: Arc<Mail>,
    draft: Draft,
}

/// What the clerk shares with us; the journal is locked for as long as a disk wants it, what waits never.
#[derive(Debug)]
struct Mail {
    journal: Mutex<Journal>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    happenings: Vec<Happening>,
    /// What there was no room for after these.
    lost: u64,
    /// The clerk is at it.
    is_asked: bool,
}

impl Outbox {
    /// For the file of `events` (see [`Journal::new`]), with the draft in `run_dir`.
    pub fn new(events: &Events, conf_folder: &Path, log_folder: &Path, run_dir: &Path) -> Outbox {
        let mut journal = Journal::new(events, conf_folder, log_folder);
        let draft = Draft { path: run_dir.join(DRAFT), file: None, size: 0 };
        let last = journal.last().last().map_or(0, |last| last.seq);
        draft.read().iter().filter(|happening| happening.seq > last).for_each(|happening| journal.write(happening));
        let path = journal.path().to_owned();
        let mail = Arc::new(Mail { journal: Mutex::new(journal), waiting: Mutex::default() });
        let mut outbox = Outbox { folders: (conf_folder.to_owned(), log_folder.to_owned()), path, mail, draft };
        outbox.draft.begin();
        outbox
    }

    /// Where the events file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last events that a daemon before us has told, oldest first.
    pub fn last(&self) -> Vec<Happening> {
        locked(&self.mail.journal).last()
    }

    /// Another configuration; the clerk comes to it when all before it is in the old file.
    pub fn follow(&mut self, events: &Events, clerk: &mut Clerk) {
        self.path = journal::path_of(events, &self.folders.0, &self.folders.1);
        let (mail, its) = (Arc::clone(&self.mail), events.clone());
        if clerk.take(move || locked(&mail.journal).follow(&its)).is_err() {
            locked(&self.mail.journal).follow(events);
        }
    }

    /// It is in the draft when this returns, and in the file soon.
    pub fn write(&mut self, happening: &Happening, clerk: &mut Clerk) {
        let mut waiting = locked(&self.mail.waiting);
        if !waiting.is_asked && self.draft.size > LONG {
            self.draft.begin();
        }
        if waiting.happenings.len() >= MOST {
            waiting.lost += 1;
            return;
        }
        self.draft.append(&happening.json(0));
        waiting.happenings.push(happening.clone());
        if !waiting.is_asked {
            let mail = Arc::clone(&self.mail);
            let asked = clerk.take(move || mail.deliver());
            waiting.is_asked = asked.is_ok();
            // There may be no more threads. If it only has too much to do, it is asked the next time.
            if asked.is_err_and(|e| e.raw_os_error().is_some()) {
                drop(waiting);
                self.mail.deliver();
            }
        }
    }

    /// Everything is stopped: when the clerk is done there is no draft.
    pub fn finish(&mut self, clerk: &mut Clerk) {
        let path = self.draft.path.clone();
        let _ = clerk.take(move || drop(fs::remove_file(path)));
    }
}

impl Mail {
    /// The clerk's errand.
    fn deliver(&self) {
        loop {
            let (happenings, lost) = {
                let mut waiting = locked(&self.waiting);
                waiting.is_asked = !waiting.happenings.is_empty();
                if !waiting.is_asked {
                    return;
                }
                (take(&mut waiting.happenings), take(&mut waiting.lost))
            };
            let mut journal = locked(&self.journal);
            happenings.iter().for_each(|happening| journal.write(happening));
            journal.lose(lost);
        }
    }
}

/// The events that may not be in the file yet, and some that are.
#[derive(Debug)]
struct Draft {
    path: PathBuf,
    file: Option<File>,
    size: usize,
}

impl Draft {
    /// Those of a daemon before us.
    fn read(&self) -> Vec<Happening> {
        let mut text = String::new();
        // Neither somebody's link nor a pipe that nobody writes to.
        let mut options = File::options();
        let file = options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&self.path);
        let _ = file.and_then(|file| {
            if file.metadata()?.is_file() { file.take(LONGEST).read_to_string(&mut text) } else { Ok(0) }
        });
        text.lines().filter_map(Happening::read).collect()
    }

    /// From now on it is empty.
    fn begin(&mut self) {
        self.size = 0;
        let begun = match &self.file {
            Some(file) => file.set_len(0),
            None => self.open(),
        };
        if let Err(e) = begun {
            self.complain(&e);
        }
    }

    fn open(&mut self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        self.file = Some(File::options().append(true).create_new(true).mode(0o600).open(&self.path)?);
        Ok(())
    }

    fn append(&mut self, line: &str) {
        let Some(file) = &mut self.file else { return };
        self.size += line.len();
        if let Err(e) = file.write_all(line.as_bytes()) {
            self.complain(&e);
        }
    }

    /// Once: it is not tried again.
    fn complain(&mut self, error: &io::Error) {
        self.file = None;
        let path = self.path.display();
        log!(Level::Error, MODULE, "{path}: events may be lost when the daemon is killed: {error}");
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const DRAFT: &str = "msf_daemon.events";
/// Events that wait for a disk: some hundred bytes each.
const MOST: usize = 4096;
/// Bytes of a draft that is begun anew as soon as all of it is in the file.
const LONG: usize = 64 << 10;
/// Bytes that are read of one.
const LONGEST: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Place {
            let folder = std::env::temp_dir().join(format!("msf-outbox-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            Place(folder)
        }

        fn outbox(&self) -> Outbox {
            Outbox::new(&Events::default(), Path::new("/nowhere"), &self.0, &self.0)
        }

        fn numbers(&self) -> Vec<u64> {
            self.outbox().last().iter().map(|happening| happening.seq).collect()
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn happening(seq: u64) -> Happening {
        Happening { seq, name: "a".to_owned(), ..Happening::default() }
    }

    #[test]
    fn nobody_waits_for_a_file_that_stands_still_and_a_daemon_afterwards_brings_it_there() {
        let (place, mut clerk) = (Place::new("still"), Clerk::default());
        let mut outbox = place.outbox();
        outbox.write(&happening(1), &mut clerk);
        drop(clerk);
        let mut clerk = Clerk::default();
        let mail = Arc::clone(&outbox.mail);
        let still = locked(&mail.journal);
        for seq in 2..=3 {
            outbox.write(&happening(seq), &mut clerk);
        }
        // As if this one had been killed.
        assert_eq!(place.numbers(), [1, 2, 3]);
        drop(still);
        drop(clerk);
        assert_eq!(place.numbers(), [1, 2, 3, 2, 3]);
    }

    #[test]
    fn what_is_too_much_is_counted_and_told() {
        let (place, mut clerk) = (Place::new("much"), Clerk::default());
        let mut outbox = place.outbox();
        let mail = Arc::clone(&outbox.mail);
        let still = locked(&mail.journal);
        let many = 2 * MOST as u64 + 7;
        (1..=many).for_each(|seq| outbox.write(&happening(seq), &mut clerk));
        drop(still);
        drop(clerk);
        outbox.write(&happening(many + 1), &mut Clerk::default());
        let text = fs::read_to_string(outbox.path()).unwrap();
        let lost: u64 = many - (text.lines().count() as u64 - 1);
        assert!(lost >= 7, "{lost}");
        assert!(text.lines().last().unwrap().contains(&format!("\"lost\":{lost}")), "{text}");
    }

    #[test]
    fn a_draft_is_begun_anew_and_gone_at_the_end() {
        let (place, mut clerk) = (Place::new("anew"), Clerk::default());
        let mut outbox = place.outbox();
        for seq in 1..=3000 {
            outbox.write(&happening(seq), &mut clerk);
            if seq % 500 == 0 {
                drop(take(&mut clerk));
            }
        }
        assert!(outbox.draft.size < 2 * LONG, "{}", outbox.draft.size);
        outbox.finish(&mut clerk);
        drop(clerk);
        assert!(!outbox.draft.path.exists());
        assert_eq!(outbox.last().last(), Some(&happening(3000)));
    }
}
