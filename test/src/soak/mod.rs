//! A broker, two services, many callers, and somebody who kills the services.

mod caller;
mod house;
mod report;

pub use report::Report;

use caller::{Call, Caller};
use house::House;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What to run and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The broker's program.
    pub agent: PathBuf,
    /// The run directory of a broker that runs already, instead of that.
    pub beside: Option<PathBuf>,
    /// The service's program; called with its id.
    pub service: PathBuf,
    /// Connections, each with one call in flight.
    pub clients: u32,
    /// How long calls are made.
    pub length: Duration,
    /// The largest payload; each is of random size up to it.
    pub payload: u32,
    /// How often a service is killed; never if `None`.
    pub kill_every: Option<Duration>,
    /// Where the random sequences start.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            agent: PathBuf::new(),
            beside: None,
            service: PathBuf::new(),
            clients: 64,
            length: Duration::from_secs(30),
            payload: 64 * 1024,
            kill_every: None,
            seed: 1,
        }
    }
}

/// The ids of the two services.
pub const SERVICES: [u32; 2] = [101, 102];

/// When which service was killed.
#[derive(Clone, Copy, Debug)]
pub struct Kill {
    /// The service's id.
    pub service: u32,
    /// The moment before the signal was sent.
    pub at: Instant,
}

/// Runs `plan` and says what happened.
pub fn run(plan: &Plan) -> Result<Report, String> {
    let mut house = match &plan.beside {
        Some(dir) => House::beside(dir, &plan.service)?,
        None => House::start(&plan.agent, &plan.service)?,
    };
    wait_until_answered(&house)?;
    let stop = AtomicBool::new(false);
    let (calls, kills) = thread::scope(|scope| {
        let callers: Vec<_> = (0..plan.clients)
            .map(|index| {
                let (socket, stop) = (house.socket(), &stop);
                scope.spawn(move || Caller::connect(&socket, index, plan)?.run(stop))
            })
            .collect();
        let kills = kill_at_intervals(&mut house, plan);
        stop.store(true, Ordering::Relaxed);
        let calls: Result<Vec<Vec<Call>>, String> =
            callers.into_iter().map(|thread| thread.join().map_err(|_| "a caller panicked".to_owned())?).collect();
        Ok::<_, String>((calls?, kills?))
    })?;
    house.stop()?;
    Ok(Report::new(calls.into_iter().flatten().collect(), kills))
}

/// Sleeps for the plan's length, killing and restarting a service at each interval, in turn.
fn kill_at_intervals(house: &mut House, plan: &Plan) -> Result<Vec<Kill>, String> {
    let end = Instant::now() + plan.length;
    let mut kills = Vec::new();
    let Some(interval) = plan.kill_every else {
        thread::sleep(plan.length);
        return Ok(kills);
    };
    while Instant::now() + interval < end {
        thread::sleep(interval);
        let service = SERVICES[kills.len() % SERVICES.len()];
        kills.push(Kill { service, at: Instant::now() });
        house.kill_and_restart(service)?;
    }
    thread::sleep(end.saturating_duration_since(Instant::now()));
    Ok(kills)
}

/// Both services must have answered once before anything is counted.
fn wait_until_answered(house: &House) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut probe = Caller::connect(&house.socket(), u32::from(u16::MAX), &Plan::default())?;
    for service in SERVICES {
        while !probe.call_one(service)?.answered() {
            if Instant::now() > deadline {
                return Err(format!("service {service} did not answer within 10 s"));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}
