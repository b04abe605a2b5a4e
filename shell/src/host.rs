//! The shell at work: claims its name, takes its services up, waits for signals and operators, takes the services down.
//!
//! Everything with state in this process (log, event loop, g_proc) is libmsf.so's, reached through its C ABI, so that the
//! plugins meet the same one. Signals arrive as readiness of a descriptor: they are blocked before the first thread
//! exists, and every thread a plugin makes inherits that.

use crate::MODULE;
use crate::copy::generation::House;
use crate::detach::Caller;
use crate::door::admin::{Admin, Desk};
use crate::keep::keeper::{Keeper, Up};
use crate::keep::orders::{AtWork, Orders, What};
use crate::library::staging;
use crate::place::routes::Routes;
use crate::ready::{self, Starter};
use crate::signals::Signals;
use msf_conf::shell::Shell;
use msf_sys::crash;
use msf_sys::event::{Base, Event};
use msf_sys::log::{self, Level};
use msf_sys::process::{self, About, Refused};
use msf_sys::rest::HostThread;
use msf_sys::roster::Roster;
use nix::sys::signal::{Signal, kill};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::unistd::Pid;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

/// How a shell ended whose log was open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Told to stop, and every service went down as it should.
    Well,
    /// Something failed; the log and stderr say what.
    Badly,
}

/// Runs the services of `settings` until SIGTERM or SIGINT. `Err` is what went wrong before there was a log.
pub fn run(settings: Shell, caller: &mut Caller) -> Result<Ending, String> {
    let starter = Starter::from_environment();
    let identity = settings.identity();
    // Before detaching, while there is somebody to hear of a refusal; the claim goes with us.
    let _claim = process::claim(&identity).map_err(|e| match e {
        Refused::Held(_) => format!("{identity}: {e}"),
        Refused::Failed(_) => format!("{identity}: {e}, in {}", folder("MSF_RUN_DIR", "the run folder")),
    })?;
    if caller.waits() {
        process::daemonize(true, true).map_err(|e| format!("cannot detach: {e}"))?;
    }
    let _host = HostThread::this();
    let signals = Signals::block().map_err(|e| format!("cannot block signals: {e}"))?;
    log::init_default(&identity)
        .map_err(|e| format!("cannot open {identity}.log in {}: {e}", folder("MSF_LOG_DIR", "the log folder")))?;
    let log = process::log_dir().and_then(|folder| crash::watch(&folder.join(format!("{identity}.log"))));
    say(log.map_err(|e| format!("the end of this process may have no last words: {e}")));
    process::title(&format!("msf_shell: {}", settings.name)).map_err(|e| format!("cannot set the title: {e}"))?;
    // A core of all that plugins have mapped takes long.
    say(process::tell_crashes().map(drop).map_err(|e| format!("nobody is told when this process crashes: {e}")));
    for warning in &settings.warnings {
        msf_sys::log!(Level::Warn, MODULE, "{warning}");
    }
    let ended = serve(settings, &signals, starter, caller);
    if let Err(why) = &ended {
        msf_sys::log!(Level::Error, MODULE, "{why}");
    }
    msf_sys::log!(Level::Info, MODULE, "{identity} ends");
    log::close();
    Ok(if ended.is_ok() { Ending::Well } else { Ending::Badly })
}

fn serve(settings: Shell, signals: &Signals, starter: Starter, caller: &mut Caller) -> Result<(), String> {
    let (version, file) = (env!("CARGO_PKG_VERSION"), settings.file.display());
    msf_sys::log!(Level::Info, MODULE, "msf_shell {version} with libmsf {} runs {file}", msf_sys::version());
    let run_dir = process::run_dir().map_err(|e| format!("cannot tell the run folder: {e}"))?;
    staging::clear(&run_dir, &settings.identity());
    let about =
        About { name: &settings.name, author: &settings.author, desc: &settings.desc, version: &settings.version };
    let roster = Roster::publish(about, settings.services.len()).map_err(|e| format!("cannot fill in g_proc: {e}"))?;
    let house = House {
        identity: settings.identity(),
        run_dir,
        hurry: Arc::default(),
        loaded: std::sync::atomic::AtomicU64::new(0),
        quiet: caller.waits(),
    };
    let mut keeper = Keeper::new(settings, house, roster, Arc::new(Routes::default()));
    let (outcome, failures) = match up(&mut keeper, signals, caller) {
        Ok(Some(base)) => go(keeper, &base, signals, starter, caller),
        Ok(None) => {
            say(ready::stopping());
            (Ok(()), keeper.down())
        }
        Err(why) => {
            say(ready::stopping());
            (Err(why), keeper.down())
        }
    };
    let mut failures = failures.into_iter();
    match (outcome, failures.next()) {
        (Ok(()), None) => Ok(()),
        (Ok(()), Some(first)) | (Err(first), None) => Err(rest(first, failures)),
        (Err(first), Some(second)) => Err(rest(first, std::iter::once(second).chain(failures))),
    }
}

/// Every service up, and what it takes to serve; nothing if told to stop before.
fn up(keeper: &mut Keeper, signals: &Signals, caller: &Caller) -> Result<Option<Base>, String> {
    if keeper.up(|| signals.stop_is_pending())? == Up::Abandoned {
        msf_sys::log!(Level::Warn, MODULE, "told to stop before every service was started");
        return Ok(None);
    }
    if caller.waits() {
        silence().map_err(|e| format!("cannot let go of the terminal: {e}"))?;
    }
    Base::new().map(Some).map_err(|e| format!("the event loop failed: {e}"))
}

/// A folder as the operator chose it, or what it is called.
fn folder(variable: &str, otherwise: &str) -> String {
    match std::env::var_os(variable) {
        Some(chosen) => format!("{} ({variable})", chosen.display()),
        None => otherwise.to_owned(),
    }
}

/// The first failure is the process' last word; the others are logged before it.
fn rest(first: String, others: impl Iterator<Item = String>) -> String {
    for other in others {
        msf_sys::log!(Level::Error, MODULE, "{other}");
    }
    first
}

/// At work, until told to stop; then everything is taken down. What went wrong before, and what on the way down.
fn go(
    keeper: Keeper,
    base: &Base,
    signals: &Signals,
    starter: Starter,
    caller: &mut Caller,
) -> (Result<(), String>, Vec<String>) {
    let (identity, run_dir) = (keeper.house.identity.clone(), keeper.house.run_dir.clone());
    let (routes, count) = (Arc::clone(&keeper.routes), keeper.started());
    let at_work = match AtWork::start(keeper) {
        Ok(at_work) => at_work,
        Err(e) => return (Err(format!("there is no thread for the services' keeper: {e}")), Vec::new()),
    };
    let desk = Desk { routes, orders: at_work.orders() };
    // Services that run matter more than somebody who may want to look at them.
    let admin = Admin::listen(&run_dir, &identity, base, desk);
    if let Err(e) = &admin {
        msf_sys::log!(Level::Error, MODULE, "cannot listen for commands at {}: {e}", run_dir.display());
    }
    let outcome = turn(&at_work.orders(), signals, base, || {
        match count {
            1 => msf_sys::log!(Level::Info, MODULE, "1 service is started"),
            count => msf_sys::log!(Level::Info, MODULE, "{count} services are started"),
        }
        // Whoever is told may look into the log at once.
        let _ = log::flush();
        caller.ready();
        say(starter.ready());
    });
    say(ready::stopping());
    drop(admin);
    (outcome.map_err(|e| format!("the event loop failed: {e}")), at_work.down())
}

/// The event loop. It ends at SIGTERM and SIGINT.
fn turn(orders: &Orders, signals: &Signals, base: &Base, ready: impl FnOnce()) -> io::Result<()> {
    let waker = base.clone();
    let own = signals.as_fd().try_clone_to_owned()?;
    let _event = base.on_read(own, move |_| waker.exit())?;
    ready();
    let _heart = ready::heartbeat().map(|every| beat(base, every)).transpose()?;
    loop {
        // Before the first wait, too: some may have come while the services went up.
        while let Some(signal) = signals.next()? {
            match signal {
                Signal::SIGHUP => orders.give(What::Reload),
                Signal::SIGUSR1 => {
                    rotate();
                    orders.give(What::Rotate);
                }
                signal => {
                    msf_sys::log!(Level::Info, MODULE, "{signal}: stopping");
                    // Pending again, so that a service that waits for something can look whether it still should.
                    let _ = kill(Pid::this(), signal);
                    return Ok(());
                }
            }
        }
        base.dispatch()?;
    }
}

/// Tells whoever started us that this loop still turns, for as long as what is returned is kept.
fn beat(base: &Base, every: Duration) -> io::Result<Event> {
    let clock = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
    clock.set(Expiration::Interval(every.into()), TimerSetTimeFlags::empty())?;
    say(ready::alive());
    base.on_read(clock.into(), |clock| {
        let mut passed = [0; 8];
        // Has to be read, or it would stay readable; how many times it has struck is all the same.
        if nix::unistd::read(clock, &mut passed).is_ok() {
            say(ready::alive());
        }
    })
}

fn rotate() {
    match log::reopen() {
        Ok(()) => msf_sys::log!(Level::Info, MODULE, "the log is opened anew"),
        Err(e) => msf_sys::log!(Level::Error, MODULE, "cannot open the log anew: {e}"),
    }
}

fn say(told: Result<(), String>) {
    if let Err(what) = told {
        msf_sys::log!(Level::Warn, MODULE, "{what}");
    }
}

/// A daemon's standard streams lead nowhere, once there is nothing left to complain about.
fn silence() -> io::Result<()> {
    let nowhere = File::options().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(&nowhere)?;
    nix::unistd::dup2_stdout(&nowhere)?;
    nix::unistd::dup2_stderr(&nowhere)?;
    Ok(())
}
