//! What the processes write, looked after: lines that are for the log are taken to it, files that grow too large get
//! predecessors.
//!
//! The kernel tells once that somebody has written (inotify, one shot); from then on it is looked now and then, and when
//! nothing has come any more, the kernel is asked to tell again. So whoever is silent costs nothing, and whoever
//! floods costs a bounded part of the daemon's time.

use super::outputs::Sink;
use super::rotation::Rotation;
use super::spool::{Spool, Taken};
use crate::run::clerk::Clerk;
use crate::run::driver::{Driver, Due, Key, MODULE, Watched};
use msf_core::event::{Interest, Reactor};
use msf_core::log;
use msf_core::log::Level;
use msf_core::process::Stdio;
use msf_core::sys::Watcher;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

/// All files that are looked after.
#[derive(Debug, Default)]
pub struct Captures {
    watcher: Option<Watcher>,
    streams: HashMap<u64, Stream>,
    by_watch: HashMap<i32, u64>,
    last: u64,
}

#[derive(Debug)]
struct Stream {
    path: PathBuf,
    /// Whose it is. Several may write into one file.
    owners: Vec<Key>,
    kind: Kind,
    /// Somebody has written: a timer runs.
    stirred: bool,
}

#[derive(Debug)]
enum Kind {
    Log(Spool),
    File { max_bytes: u64, files: u32, rotation: Option<Receiver<io::Result<()>>>, failed: bool },
}

impl Captures {
    fn at(&self, path: &Path) -> Option<u64> {
        self.streams.iter().find(|(_, stream)| stream.path == path).map(|(id, _)| *id)
    }

    /// The one of `key` that leads into the log.
    fn log_of(&self, key: Key) -> Option<u64> {
        let is = |stream: &Stream| matches!(stream.kind, Kind::Log(_)) && stream.owners.contains(&key);
        self.streams.iter().find(|(_, stream)| is(stream)).map(|(id, _)| *id)
    }

    /// The last lines of `key` that went into the log; `None` when none do.
    pub fn last_lines(&self, key: Key, count: usize) -> Option<String> {
        match &self.streams.get(&self.log_of(key)?)?.kind {
            Kind::Log(spool) => Some(spool.last(count).map(|line| format!("{line}\n")).collect()),
            Kind::File { .. } => None,
        }
    }

    /// Asks to be told of the next time that somebody writes.
    fn rewatch(&mut self, id: u64) -> io::Result<()> {
        let (Some(watcher), Some(stream)) = (&self.watcher, self.streams.get(&id)) else { return Ok(()) };
        let watch = watcher.watch(&stream.path, libc::IN_MODIFY | libc::IN_ONESHOT)?;
        self.by_watch.insert(watch, id);
        Ok(())
    }
}

impl Driver {
    /// What output and error of a process that is about to be started lead to.
    pub(in crate::run) fn capture(&mut self, reactor: &mut Reactor, key: Key) -> [Option<Stdio>; 2] {
        let Some(service) = self.roll.get(key) else { return [None, None] };
        let sinks = self.outputs.sinks(service.name(), &service.entry.launch);
        let opened = self.outputs.open(service.name(), &sinks);
        self.release(key);
        self.look_after_output(reactor, key, &sinks);
        if let Some(id) = self.captures.log_of(key) {
            // What a daemon before us has not read any more.
            self.drain_stream(reactor, id);
            if let Some(Stream { kind: Kind::Log(spool), .. }) = self.captures.streams.get_mut(&id) {
                let _ = spool.empty();
            }
        }
        opened
    }

    /// The same for one that is started beside another of the service, which goes on writing.
    pub(in crate::run) fn capture_beside(&mut self, reactor: &mut Reactor, key: Key) -> [Option<Stdio>; 2] {
        let Some(service) = self.roll.get(key) else { return [None, None] };
        let sinks = self.outputs.sinks(service.name(), &service.entry.launch);
        let opened = self.outputs.open(service.name(), &sinks);
        self.look_after_output(reactor, key, &sinks);
        opened
    }

    /// What a process writes that runs already; what it has said meanwhile is taken to the log.
    pub(in crate::run) fn adopt_output(&mut self, reactor: &mut Reactor, key: Key) {
        let Some(service) = self.roll.get(key) else { return };
        let sinks = self.outputs.sinks(service.name(), &service.entry.launch);
        self.look_after_output(reactor, key, &sinks);
        for id in sinks.iter().filter_map(|sink| self.captures.at(sink.path())).collect::<Vec<_>>() {
            self.stir(reactor, id);
        }
    }

    /// Looks from now on after what a process writes, which it does already, or will in a moment.
    fn look_after_output(&mut self, reactor: &mut Reactor, key: Key, sinks: &[Sink; 2]) {
        for sink in sinks {
            let known = self.captures.at(sink.path()).and_then(|id| self.captures.streams.get_mut(&id));
            if let Some(stream) = known {
                if !stream.owners.contains(&key) {
                    stream.owners.push(key);
                }
                continue;
            }
            if let Err(e) = self.add_stream(reactor, key, sink) {
                log!(Level::Warn, MODULE, "{}: cannot be looked after: {e}", sink.path().display());
            }
        }
    }

    fn add_stream(&mut self, reactor: &mut Reactor, key: Key, sink: &Sink) -> io::Result<()> {
        let kind = match sink {
            Sink::Log(path) => Kind::Log(Spool::new(File::options().read(true).write(true).open(path)?)),
            Sink::File { max_bytes, files, .. } if *max_bytes > 0 => {
                Kind::File { max_bytes: *max_bytes, files: *files, rotation: None, failed: false }
            }
            _ => return Ok(()),
        };
        if self.captures.watcher.is_none() {
            let watcher = Watcher::new()?;
            let full = || io::Error::other("no slot is left for a descriptor");
            let token = self.watched.insert(Watched::Outputs).ok_or_else(full)?;
            reactor.watch(&watcher, token, Interest::READ)?;
            self.captures.watcher = Some(watcher);
        }
        self.captures.last += 1;
        let id = self.captures.last;
        let stream = Stream { path: sink.path().to_owned(), owners: vec![key], kind, stirred: false };
        self.captures.streams.insert(id, stream);
        self.captures.rewatch(id)
    }

    /// Nobody called `key` writes any more.
    pub(in crate::run) fn release(&mut self, key: Key) {
        self.captures.streams.retain(|_, stream| {
            stream.owners.retain(|owner| *owner != key);
            !stream.owners.is_empty()
        });
        let Captures { streams, by_watch, .. } = &mut self.captures;
        by_watch.retain(|_, id| streams.contains_key(id));
    }

    /// Somebody has written.
    pub(in crate::run) fn written(&mut self, reactor: &mut Reactor) {
        loop {
            let taken = self.captures.watcher.as_ref().map_or(Ok(None), Watcher::take);
            let change = match taken {
                Ok(Some(change)) => change,
                Ok(None) => return,
                Err(e) => return log!(Level::Error, MODULE, "cannot learn who has written: {e}"),
            };
            if change.mask & libc::IN_Q_OVERFLOW != 0 {
                let all: Vec<u64> = self.captures.streams.keys().copied().collect();
                all.into_iter().for_each(|id| self.stir(reactor, id));
            } else if change.mask & libc::IN_IGNORED != 0 {
                // The last of a watch, whose number means another one after that.
                self.captures.by_watch.remove(&change.watch);
            } else if let Some(id) = self.captures.by_watch.get(&change.watch) {
                self.stir(reactor, *id);
            }
        }
    }

    fn stir(&mut self, reactor: &mut Reactor, id: u64) {
        let Some(stream) = self.captures.streams.get_mut(&id) else { return };
        if std::mem::replace(&mut stream.stirred, true) {
            return;
        }
        match stream.kind {
            Kind::Log(_) => self.look_at_output(reactor, id),
            Kind::File { .. } => drop(self.arm(reactor, BETWEEN_SIZES, Due::Output(id))),
        }
    }

    /// It is time to look again at what has been written to.
    pub(in crate::run) fn look_at_output(&mut self, reactor: &mut Reactor, id: u64) {
        let Some(stream) = self.captures.streams.get_mut(&id) else { return };
        let again = match &mut stream.kind {
            Kind::Log(_) => self.look_at_log(reactor, id),
            Kind::File { max_bytes, files, rotation, failed } => {
                match rotate(&mut self.clerk, &stream.path, (*max_bytes, *files), rotation) {
                    Ok(again) => {
                        *failed = false;
                        again
                    }
                    Err(e) => {
                        if !std::mem::replace(failed, true) {
                            log!(Level::Error, MODULE, "{}: cannot be rotated: {e}", stream.path.display());
                        }
                        *rotation = None;
                        Some(AFTER_FAILURE)
                    }
                }
            }
        };
        match again {
            Some(after) => drop(self.arm(reactor, after, Due::Output(id))),
            None => self.let_lie(reactor, id),
        }
    }

    /// Nothing has come: the kernel is to tell of the next thing.
    fn let_lie(&mut self, reactor: &mut Reactor, id: u64) {
        if let Err(e) = self.captures.rewatch(id) {
            // Somebody has put the file away; whether another one comes is seen at the next start.
            return log!(Level::Debug, MODULE, "an output cannot be watched: {e}");
        }
        if let Some(stream) = self.captures.streams.get_mut(&id) {
            stream.stirred = false;
        }
        // What came between the last look and now nobody tells of.
        if let Some(after) = self.look_at_log(reactor, id) {
            if let Some(stream) = self.captures.streams.get_mut(&id) {
                stream.stirred = true;
            }
            self.arm(reactor, after, Due::Output(id));
        }
    }

    /// Takes lines to the log; when to look again, if anything was there.
    fn look_at_log(&mut self, reactor: &mut Reactor, id: u64) -> Option<Duration> {
        let stream = self.captures.streams.get_mut(&id)?;
        let Kind::Log(spool) = &mut stream.kind else { return None };
        let owners = stream.owners.clone();
        match spool.take() {
            Ok(taken) if taken == Taken::default() => None,
            Ok(taken) => {
                let after = if taken.more { AT_ONCE } else { BETWEEN_LOOKS };
                self.pass_on(reactor, &owners, &taken);
                Some(after)
            }
            Err(e) => {
                log!(Level::Error, MODULE, "{}: cannot be read: {e}", stream.path.display());
                Some(AFTER_FAILURE)
            }
        }
    }

    /// A process has ended: all it has said goes to the log.
    pub(in crate::run) fn drain_output(&mut self, reactor: &mut Reactor, key: Key) {
        if let Some(id) = self.captures.log_of(key) {
            self.drain_stream(reactor, id);
        }
    }

    fn drain_stream(&mut self, reactor: &mut Reactor, id: u64) {
        // Somebody it has left behind may go on writing.
        let mut looks = 0;
        while self.look_at_log(reactor, id) == Some(AT_ONCE) && looks < MOST_LOOKS {
            looks += 1;
        }
        let Some(Stream { kind: Kind::Log(spool), owners, .. }) = self.captures.streams.get_mut(&id) else { return };
        let mut rest = Taken { skipped: spool.skip(), ..Taken::default() };
        spool.end_line(&mut rest.lines);
        let owners = owners.clone();
        self.pass_on(reactor, &owners, &rest);
    }

    fn pass_on(&mut self, reactor: &mut Reactor, owners: &[Key], taken: &Taken) {
        let Some(service) = owners.first().and_then(|key| self.roll.get(*key)) else { return };
        let name = service.name();
        if taken.skipped > 0 {
            let bytes = taken.skipped;
            log!(Level::Warn, MODULE, "{name}: writes faster than it can be logged: {bytes} bytes passed over");
        }
        for line in &taken.lines {
            log!(Level::Info, name, "{line}");
        }
        for key in owners {
            self.tell_tails(reactor, *key, &taken.lines);
        }
    }
}

/// When to look again, if there is something to be looked at. What becomes of a rotation comes through `under_way`.
fn rotate(
    clerk: &mut Clerk,
    path: &Path,
    (max, files): (u64, u32),
    under_way: &mut Option<Receiver<io::Result<()>>>,
) -> io::Result<Option<Duration>> {
    if let Some(told) = under_way {
        let done = match told.try_recv() {
            Err(TryRecvError::Empty) => return Ok(Some(AT_ONCE)),
            Err(TryRecvError::Disconnected) => Ok(()),
            Ok(done) => done,
        };
        *under_way = None;
        return done.map(|()| None);
    }
    if !Rotation::is_due(path, max)? {
        return Ok(None);
    }
    let (tell, told) = channel();
    let path = path.to_owned();
    clerk.take(move || drop(tell.send(Rotation::of(&path, max, files))))?;
    *under_way = Some(told);
    Ok(Some(AT_ONCE))
}

/// As often it is looked for more lines of somebody who writes.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// As often the size of a file is asked for that somebody writes to.
const BETWEEN_SIZES: Duration = Duration::from_secs(1);
/// Not quite, so that others have their turn.
const AT_ONCE: Duration = Duration::from_millis(10);
const AFTER_FAILURE: Duration = Duration::from_secs(10);
const MOST_LOOKS: usize = 64;
