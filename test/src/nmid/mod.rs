//! The nmid soak: many callers of every kind, workers of both generations, every answer recognised by its content.
//!
//! In chaos, workers cut their connections in mid-job, withdraw and offer functions, come back over other connections
//! with their results, and their processes are killed; callers leave. Even then every request has exactly one end, in
//! time, and nobody gets another one's answer.

mod caller;
mod connection;
mod hands;
mod http;
mod impatient;
mod librpc;
mod plan;
mod report;
mod tally;
mod task;
mod worker;

pub use hands::{WORKER, be_a_worker};
pub use plan::{Plan, Role};
pub use report::Report;

use caller::{Caller, NmidCaller, Source};
use hands::Gang;
use msf_wire::nmid::Dialect;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tally::Tally;

/// For how long callers listen when they are done.
const QUIET: Duration = Duration::from_millis(500);
/// Callers need little; hundreds of them should not look like a leak.
const STACK: usize = 256 << 10;
/// The longest burst of a pipelining caller.
const BURST: u64 = 8;

/// Runs `plan` and says what happened. An error means that the run itself could not be done.
pub fn run(plan: &Plan) -> Result<Report, String> {
    let (callers_stop, workers_stop) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let offers = hands::offers(plan);
        let workers: Result<Vec<_>, String> =
            offers.iter().map(|offer| hands::hire(scope, offer, &workers_stop)).collect();
        let done = workers.and_then(|workers| {
            let ran = run_callers(plan, &callers_stop);
            workers_stop.store(true, Ordering::Relaxed);
            let shifts = workers.into_iter().map(|thread| thread.join().map_err(|_| "a worker panicked".to_owned())?);
            let shifts: Result<Vec<_>, String> = shifts.collect();
            let (tallies, kills) = ran?;
            Ok(Report::new(plan, tallies, shifts?, kills))
        });
        // Also when something could not start, those who run must end.
        workers_stop.store(true, Ordering::Relaxed);
        done
    })
}

fn run_callers(plan: &Plan, stop: &AtomicBool) -> Result<(Vec<(Role, Tally)>, u64), String> {
    let mut gang = Gang::start(plan)?;
    let roles = plan.callers.iter().flat_map(|(role, count)| (0..*count).map(|_| *role));
    let tallies = thread::scope(|scope| {
        let threads: io::Result<Vec<_>> = roles
            .enumerate()
            .map(|(index, role)| {
                let work = move || run_caller(plan, role, index as u32, stop).map(|tally| (role, tally));
                thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work)
            })
            .collect();
        let ruled = gang.reign(Instant::now() + plan.length);
        stop.store(true, Ordering::Relaxed);
        let threads = threads.map_err(|e| format!("cannot start a caller: {e}"))?;
        let tallies: Result<Vec<_>, String> =
            threads.into_iter().map(|thread| thread.join().map_err(|_| "a caller panicked".to_owned())?).collect();
        ruled.and(tallies)
    })?;
    let kills = gang.kills;
    gang.stop()?;
    Ok((tallies, kills))
}

fn run_caller(plan: &Plan, role: Role, index: u32, stop: &AtomicBool) -> Result<Tally, String> {
    let source = Source::new(plan, role, index);
    let mut tally = Tally::default();
    let called = || -> io::Result<()> {
        let mut caller = connect(source, role)?;
        while !stop.load(Ordering::Relaxed) {
            caller.round(&mut tally)?;
        }
        caller.listen(Instant::now() + QUIET, &mut tally)
    };
    called().map_err(|e| format!("caller {index} ({role:?}): {e}"))?;
    Ok(tally)
}

fn connect(source: Source, role: Role) -> io::Result<Box<dyn Caller>> {
    Ok(match role {
        Role::Second | Role::Mute | Role::Crowd => Box::new(NmidCaller::connect(source, Dialect::G2, 1)?),
        Role::First => Box::new(NmidCaller::connect(source, Dialect::G0, 1)?),
        Role::Pipelined => Box::new(NmidCaller::connect(source, Dialect::G2, BURST)?),
        Role::Impatient => Box::new(impatient::Impatient::connect(source)?),
        Role::Librpc => Box::new(librpc::LibrpcCaller::connect(source)?),
        Role::Http => Box::new(http::HttpCaller::connect(source)?),
    })
}
