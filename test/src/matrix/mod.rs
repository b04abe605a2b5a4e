//! The kill matrix: callers of every protocol, a list of who was killed when, and what the callers saw of it.
//!
//! Who kills is somebody else (test/soak/kill_matrix.py), and tells of it on a stream. The callers through libipc are
//! processes of their own (test/soak/soak_caller.c), those by HTTP are threads of ours.

mod call;
mod http;
mod judge;
mod noise;
mod report;

pub use report::Report;

use call::{Call, Death, Names, now};
use http::HttpCaller;
use msf_client::nmid::{self, Failure, Job, Worker};
use noise::Noise;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Callers of one process share its connection.
const CALLERS_A_PROCESS: u32 = 6;
const FIRST_ID: u32 = 0x3_0000;

/// Who calls whom.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The callers through libipc.
    pub caller: PathBuf,
    /// Where nmid is spoken, as that program has it.
    pub nmid: String,
    /// Where HTTP is spoken.
    pub http: Option<SocketAddr>,
    /// Services of librpc.
    pub services: Vec<String>,
    /// Functions of workers.
    pub functions: Vec<String>,
    /// How many callers in all.
    pub callers: u32,
    /// How soon after a death every call has ended.
    pub notice: Duration,
    /// The mean pause between two calls of one caller.
    pub pause: Duration,
}

/// Calls until `kills` ends, of which each line is a death, and says what happened.
pub fn run(plan: &Plan, kills: impl BufRead) -> Result<Report, String> {
    let gateway = plan.http.ok_or("--http is missing")?;
    let names = Names::new([plan.services.as_slice(), &plan.functions].concat());
    // Three eighths by librpc, three by nmid, the rest by HTTP.
    let each = (plan.callers * 3 / 8).max(1);
    let web = plan.callers.saturating_sub(2 * each).max(1);
    let mut natives = Natives::hire(plan, each)?;
    let (stop, quiet) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let noise = scope.spawn(|| Noise::listen(&quiet));
        let threads: Vec<_> = natives.lines().map(|lines| scope.spawn(|| heard(lines, &names))).collect();
        let callers = (0..web).map(|number| HttpCaller::new(gateway, number));
        let web: Vec<_> = callers.map(|caller| scope.spawn(|| by_http(caller, plan, &names, &stop))).collect();
        let deaths: Vec<String> = kills.lines().map_while(Result::ok).collect();
        stop.store(true, Ordering::Relaxed);
        natives.stop();
        let mut calls = Vec::new();
        for thread in threads.into_iter().chain(web) {
            calls.extend(thread.join().map_err(|_| "a caller panicked".to_owned())??);
        }
        quiet.store(true, Ordering::Relaxed);
        let noise = noise.join().map_err(|_| "the control thread panicked".to_owned())?;
        natives.end()?;
        let deaths = deaths.iter().map(|line| Death::of_line(line, &names).ok_or(format!("no death: {line}")));
        let deaths = deaths.collect::<Result<Vec<_>, _>>()?;
        Ok(Report::new(judge::judge(calls, &deaths, &noise, &names, plan.notice.as_nanos() as u64), &noise))
    })
}

/// The callers through libipc.
struct Natives(Vec<Child>);

impl Natives {
    fn hire(plan: &Plan, each: u32) -> Result<Natives, String> {
        let mut natives = Natives(Vec::new());
        let mut left = each;
        while left > 0 {
            let threads = left.min(CALLERS_A_PROCESS);
            left -= threads;
            let id = (FIRST_ID + left).to_string();
            natives.spawn(plan, ["librpc", &id], threads, &plan.services)?;
        }
        natives.spawn(plan, ["nmid", &plan.nmid], each, &plan.functions)?;
        Ok(natives)
    }

    fn spawn(&mut self, plan: &Plan, who: [&str; 2], threads: u32, targets: &[String]) -> Result<(), String> {
        let mut command = Command::new(&plan.caller);
        command.args(who).arg(threads.to_string()).arg(plan.pause.as_micros().to_string()).args(targets);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        self.0.push(child.map_err(|e| format!("cannot start {}: {e}", plan.caller.display()))?);
        Ok(())
    }

    /// What each of them prints.
    fn lines(&mut self) -> impl Iterator<Item = BufReader<ChildStdout>> {
        self.0.iter_mut().filter_map(|child| child.stdout.take()).map(BufReader::new)
    }

    /// They call until their input ends.
    fn stop(&mut self) {
        self.0.iter_mut().for_each(|child| drop(child.stdin.take()));
    }

    fn end(&mut self) -> Result<(), String> {
        for mut child in self.0.drain(..) {
            let status = child.wait().map_err(|e| format!("cannot wait for a caller: {e}"))?;
            if !status.success() {
                return Err(format!("callers ended with {status}"));
            }
        }
        Ok(())
    }
}

impl Drop for Natives {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn heard(lines: BufReader<ChildStdout>, names: &Names) -> Result<Vec<Call>, String> {
    let read = |line: std::io::Result<String>| {
        let line = line.map_err(|e| format!("cannot read what a caller prints: {e}"))?;
        Call::of_line(&line, names).ok_or_else(|| format!("this is no call: {line}"))
    };
    lines.lines().map(read).collect()
}

fn by_http(mut caller: HttpCaller, plan: &Plan, names: &Names, stop: &AtomicBool) -> Result<Vec<Call>, String> {
    let mut calls = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        for function in &plan.functions {
            let target = names.index(function).ok_or("a function without a name")?;
            calls.push(caller.call(function, target));
            thread::sleep(caller.pause(plan.pause));
        }
    }
    Ok(calls)
}

/// What a worker process does: offers each function, of which all return their param `name` in capitals, until it is killed.
pub fn be_a_worker(broker: &str, functions: &[String]) -> Result<(), String> {
    let place = nmid::place(broker).ok_or_else(|| format!("\"{broker}\" is no broker"))?;
    let mut worker = Worker::new("matrix").server(place);
    for function in functions {
        worker = worker.function(function.as_bytes(), to_upper);
    }
    let running = worker.start().map_err(|e| format!("cannot start: {e}"))?;
    running.wait_closed();
    Ok(())
}

fn to_upper(job: &Job) -> Result<Vec<u8>, Failure> {
    let name = job.string(b"name").ok_or_else(|| Failure::new(100, "it needs the param \"name\""))?;
    // So that there is always somebody who waits when it dies.
    thread::sleep(Duration::from_micros(now() % 6000));
    Ok(name.to_ascii_uppercase())
}
