//! One connection of a worker, as its threads share it: the link's thread reads, whoever has a result sends it.

use super::line::Line;
use super::{Event, Job, WorkerCore};
use crate::Place;
use msf_wire::nmid::Frame;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug)]
pub(super) struct Connection {
    line: Line,
    mind: Mutex<Mind>,
    registered: AtomicBool,
}

#[derive(Debug)]
struct Mind {
    core: WorkerCore,
    /// Frames on their way to the socket; empty between calls.
    out: Vec<u8>,
}

/// What a frame was.
pub(super) enum Received {
    Job(Job),
    Registered,
    Malformed(String),
    Nothing,
}

impl Connection {
    /// Connects and registers.
    pub(super) fn open<'f>(
        place: &Place,
        name: &[u8],
        functions: impl Iterator<Item = &'f [u8]>,
    ) -> Result<Arc<Self>, (String, io::Error)> {
        let line = Line::connect(place, CONNECT)?;
        let mut out = Vec::new();
        let core = WorkerCore::register(name, functions, Instant::now(), &mut out);
        let sent = line.send(&out, STUCK);
        sent.map_err(|error| ("the socket that accepted us".to_owned(), error))?;
        out.clear();
        Ok(Arc::new(Self { line, mind: Mutex::new(Mind { core, out }), registered: AtomicBool::new(false) }))
    }

    /// What came; `None` when nothing did before something is due.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let due = self.mind().core.next_tick();
        self.line.read(buffer, Some(due.saturating_duration_since(Instant::now())))
    }

    pub(super) fn receive(self: &Arc<Self>, frame: &Frame<'_>) -> Received {
        let mut mind = self.mind();
        let mind = &mut *mind;
        let received = match mind.core.receive(frame, Instant::now(), &mut mind.out) {
            Event::Job(job) => Received::Job(Job::new(&job, self)),
            Event::Registered => {
                self.registered.store(true, Ordering::Release);
                Received::Registered
            }
            Event::Malformed(error) => Received::Malformed(error.to_string()),
            Event::Nothing => Received::Nothing,
        };
        self.settle(mind);
        received
    }

    /// Does what is due; false: the broker is dead.
    pub(super) fn tick(&self) -> bool {
        let mut mind = self.mind();
        let mind = &mut *mind;
        let alive = mind.core.tick(Instant::now(), &mut mind.out);
        self.settle(mind);
        alive
    }

    /// Sends the result of a job that came over this connection. When it has ended meanwhile the result is dropped: the
    /// broker has given the job up, and over a new connection one that does not look at ids would take it for another's.
    pub(super) fn finish(&self, job: &Job, ret: &[u8]) {
        let mut mind = self.mind();
        let mind = &mut *mind;
        mind.core.finish(&job.wire(), ret, &mut mind.out);
        self.settle(mind);
    }

    /// Takes the functions back; the connection ends when the last job is done.
    pub(super) fn leave<'f>(&self, functions: impl Iterator<Item = &'f [u8]>) {
        let mut mind = self.mind();
        let mind = &mut *mind;
        mind.core.leave(functions, Instant::now(), &mut mind.out);
        self.settle(mind);
    }

    pub(super) fn is_registered(&self) -> bool {
        self.registered.load(Ordering::Acquire)
    }

    pub(super) fn shutdown(&self) {
        self.line.shutdown();
    }

    /// Sends what waits, and closes when there is nothing left to do. A connection that fails here is closed, which
    /// the reading thread sees.
    fn settle(&self, mind: &mut Mind) {
        if !mind.out.is_empty() {
            let _ = self.line.send(&mind.out, STUCK);
            mind.out.clear();
            mind.out.shrink_to(GENEROUS);
        }
        if mind.core.is_done(Instant::now()) {
            self.line.shutdown();
        }
    }

    fn mind(&self) -> MutexGuard<'_, Mind> {
        self.mind.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const CONNECT: Duration = Duration::from_secs(5);
/// A broker that takes nothing for so long will not take it any more.
const STUCK: Option<Duration> = Some(Duration::from_secs(30));
/// More than this is not kept between frames.
const GENEROUS: usize = 256 << 10;
