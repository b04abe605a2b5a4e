//! The program around the broker: options, settings, threads, and the way out.

mod access;
mod background;
mod call;
mod check;
mod commands;
mod errands;
mod events;
mod invocation;
#[cfg(test)]
mod layout;
mod left;
mod list;
mod operator;
mod sockets;
mod successor;
mod summary;
mod supervisor;
mod table;
mod tap;
mod threads;
mod top;
mod upgrade;

use crate::control::admin::SOCKET;
use crate::control::thread::End;
use errands::Program;
use invocation::Invocation;
use left::Left;
use msf_conf::agent::Settings;
use msf_conf::args::{Accepts, Args};
use msf_core::log::{self, Level};
use msf_core::process::{self, Claim, Starter};
use msf_core::sys::place;
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use successor::Predecessor;
use supervisor::Supervisor;
use threads::Running;

/// What went wrong, in a sentence for a person.
pub type Failure = Box<dyn Error>;

/// Runs the program.
pub fn main() -> ExitCode {
    let args = match Args::parse(std::env::args_os().skip(1), ACCEPTS) {
        Ok(args) => args,
        Err(usage) => {
            eprintln!("msf_agent: {usage}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if args.help {
        say(&format!("{USAGE}\n"));
        return ExitCode::SUCCESS;
    }
    if args.version {
        say(&format!("msf_agent {}\n", env!("CARGO_PKG_VERSION")));
        return ExitCode::SUCCESS;
    }
    let configs = files(&args);
    match args.word.as_deref() {
        None => serve(&args, configs),
        Some(word) if operator::WORDS.contains(&word) => operator::run(word, &args),
        Some(word) => commands::run(word, &configs),
    }
}

/// The files to read: those named, or those of the usual ones that are there.
fn files(args: &Args) -> Vec<PathBuf> {
    let mut files = args.configs.clone();
    if files.is_empty() {
        files.extend(DEFAULT_CONFIGS.map(PathBuf::from).into_iter().filter(|file| file.exists()));
    }
    // A later change of folder must not move them.
    files.into_iter().map(|file| std::path::absolute(&file).unwrap_or(file)).collect()
}

fn serve(args: &Args, configs: Vec<PathBuf>) -> ExitCode {
    // Before the claim opens a file, which might get the number that the environment names.
    let starter = Starter::from_environment();
    let left = match Left::claim() {
        Ok(left) => left,
        Err(error) => {
            eprintln!("msf_agent: {error}");
            return ExitCode::FAILURE;
        }
    };
    let invocation = Invocation::now();
    let settings = match check::read(&configs) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("msf_agent: {error}");
            return ExitCode::from(2);
        }
    };
    let begun = Begun { configs, settings, starter, invocation, left };
    let healthy = match invocation::predecessor().map(|place| Predecessor::find(&place)) {
        Some(Ok(Some(predecessor))) => take_over(begun, predecessor).inspect_err(|failure| {
            // Whoever has started us has nothing else to tell who asked.
            if let Some(supervisor) = Supervisor::from_environment() {
                let _ = supervisor.explain(&failure.to_string());
            }
        }),
        Some(Err(failure)) => {
            eprintln!("msf_agent: {failure}");
            return ExitCode::FAILURE;
        }
        // Nobody is left whose place could be taken.
        None | Some(Ok(None)) => match process::claim(NAME) {
            Ok(claim) => run(args, begun, claim),
            Err(held) => {
                eprintln!("msf_agent: {held}");
                return ExitCode::FAILURE;
            }
        },
    };
    match healthy {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            msf_core::log!(Level::Fatal, LOG, "{failure}");
            ExitCode::FAILURE
        }
    }
}

/// An agent that knows what it is to be.
struct Begun {
    configs: Vec<PathBuf>,
    settings: Settings,
    starter: Starter,
    invocation: Invocation,
    left: Left,
}

impl Begun {
    fn program(&self, lock: Option<OwnedFd>) -> Program {
        Program {
            configs: self.configs.clone(),
            settings: self.settings.clone(),
            counters: Arc::new([]),
            invocation: self.invocation.clone(),
            lock,
            starter: self.starter.for_later(),
        }
    }

    /// Opens the log; what is odd about the settings is its first record.
    fn open_log(&self) -> Result<PathBuf, Failure> {
        let log = open_log(&self.settings)?;
        for warning in &self.settings.warnings {
            msf_core::log!(Level::Warn, LOG, "{warning}");
        }
        Ok(log)
    }

    /// Says that this process goes on, and not the one that was started: before that one ends.
    fn tell_main_process(&self) {
        let told = self.starter.main_process(std::process::id() as i32);
        let supervisor = Supervisor::from_environment().map_or(Ok(()), |supervisor| supervisor.follow());
        if let Err(error) = told.and(supervisor) {
            msf_core::log!(Level::Warn, LOG, "whoever started us cannot be told which process goes on: {error}");
        }
    }

    /// Says that it serves, and before that where a successor finds it.
    fn tell_starter(&mut self) {
        let offered = Supervisor::from_environment().map(|supervisor| supervisor.offer(SOCKET));
        if let Some(Err(error)) = offered {
            msf_core::log!(Level::Warn, LOG, "the supervisor cannot be told where a successor finds us: {error}");
        }
        // Whoever is told that it runs may look into the log at once. Where that fails the records come a moment later.
        let _ = log::flush();
        if let Err(error) = self.starter.ready() {
            // They will time out and say so themselves.
            msf_core::log!(Level::Warn, LOG, "whoever started us cannot be told that we are ready: {error}");
        }
    }
}

/// Opens the log, starts everything, and comes back when it has ended; whether that was in order.
fn run(args: &Args, mut begun: Begun, mut claim: Claim) -> Result<bool, Failure> {
    let detaches = args.daemon || begun.settings.daemon;
    // Files are kept only if somebody has written so: a script whose output goes into a pipe would never see its end.
    let keeps_files = begun.settings.verbose == Some(true);
    let caller = detaches.then(|| background::begin(&mut claim, keeps_files)).transpose()?;
    let log = begun.open_log()?;
    let pid_file = PidFile::write(&begun.settings)?;
    let running = threads::start(&begun.settings, begun.program(Some(claim.lock()?)), std::mem::take(&mut begun.left))?;
    msf_core::log!(Level::Info, LOG, "msf_agent {} is ready: {}", env!("CARGO_PKG_VERSION"), running.describe());
    if let Some(caller) = caller {
        let _ = log::flush();
        begun.tell_main_process();
        caller.leave()?;
    }
    begun.tell_starter();
    // Last: a terminal that was stopped keeps whoever writes to it.
    if !detaches {
        say(&format!("{}; log {}\n", running.greeting(), log.display()));
    }
    Ok(attend(running, Some(claim), pid_file))
}

/// The same, in the place of another process. Who started that one has been told everything by it; it is in the
/// background already, if it is to be there.
fn take_over(mut begun: Begun, predecessor: Predecessor) -> Result<bool, Failure> {
    begun.open_log()?;
    std::mem::take(&mut begun.left).let_go();
    let (running, taken, (claim, pid_file)) = predecessor.succeed(&begun.settings, begun.program(None))?;
    let (version, micros) = (env!("CARGO_PKG_VERSION"), taken.standstill.as_micros());
    msf_core::log!(
        Level::Info,
        LOG,
        "msf_agent {version} goes on for process {}: {} connections, {micros} us without service, {}",
        taken.from,
        taken.connections,
        running.describe()
    );
    begun.tell_starter();
    Ok(attend(running, claim, pid_file))
}

/// Controls the agent until it has ended, or another process goes on.
fn attend(running: Running, claim: Option<Claim>, pid_file: PidFile) -> bool {
    let end = running.join();
    if end == End::HandedOver {
        let _ = log::flush();
        // Ends every thread where it stands. The sockets, the lock and the files are the other process's.
        std::process::exit(0);
    }
    // The last line before the claim goes: whoever waits for that may clear the place away.
    msf_core::log!(Level::Info, LOG, "msf_agent has ended");
    let _ = log::flush();
    drop(pid_file);
    drop(claim);
    end == End::Orderly
}

fn open_log(settings: &Settings) -> Result<PathBuf, Failure> {
    log::record_panics();
    log::set_level(level(settings.log_level));
    log::limit(settings.log_size, settings.log_files)?;
    let path = log_path()?;
    log::open(&path)?;
    Ok(path)
}

fn log_path() -> Result<PathBuf, Failure> {
    Ok(place::log_dir()?.join(format!("{NAME}.log")))
}

/// Somebody who closed our stdout does not want to know.
fn say(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// The level a number in the settings means; the original's 7 and everything else above 4 is "everything".
fn level(number: i32) -> Level {
    Level::from_number(number.clamp(0, Level::Info as i32)).unwrap_or(Level::Info)
}

/// The additional pid file of the `pid_file` key.
struct PidFile(Option<PathBuf>);

impl PidFile {
    fn write(settings: &Settings) -> Result<PidFile, Failure> {
        let Some(path) = &settings.pid_file else { return Ok(PidFile(None)) };
        fs::write(path, format!("{}\n", std::process::id()))
            .map_err(|error| format!("cannot write the pid file {}: {error}", path.display()))?;
        Ok(PidFile(Some(std::path::absolute(path)?)))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

/// The name of the process, its lock, its log.
pub const NAME: &str = "msf_agent";
const LOG: &str = "AGENT";
/// librpc's place and nmid's; the later wins.
const DEFAULT_CONFIGS: [&str; 2] = ["config/msf_agent.conf", "config/server.yaml"];
const ACCEPTS: Accepts = Accepts { signals: commands::WORDS, commands: operator::WORDS, options: operator::OPTIONS };
const USAGE: &str = "usage: msf_agent [-?hvd] [-c FILE]... [-k reload|rotate|upgrade|replace|shutdown|kill|parse]
       msf_agent call FUNCTION JSON [--deadline MS] [--json]
       msf_agent list [--json]
       msf_agent tap FUNCTION [--count N] [--json]
       msf_agent events [NAME] [--count N] [--json]
       msf_agent top [--once] [--interval SECONDS] [--json]
  -c FILE  read settings from FILE (.conf: key=value, .json, or nmid's .yaml); may be repeated, the later file
           wins; without it config/msf_agent.conf, then config/server.yaml, as far as they are there
  -d       detach and run in the background, with /dev/null as stdio unless a file says verbose=true
  -k WORD  parse: check the settings, and print them and what comes of them
           reload: check the settings, then let the running agent apply what it can
           rotate: let it open its log anew
           upgrade: let the program that is installed now take its place, with every connection and call
           replace: the same, even where connections cannot pass: then they end when they are idle
           shutdown: end it and wait until it has ended
  call     calls a function: a worker's by its name, a librpc service's as SERVICE/COMMAND
  list     the running agent's functions with their workers, its services, its sessions
  tap      what is asked of a function and what it answers, as it happens
  events   what is published (under NAME), as it happens; first which services are there
  top      what they do, every SECONDS (1), until it is interrupted
  --json   answers as JSON, one in a line
  -h, -?   this text
  -v       the version";
