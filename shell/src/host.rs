//! The shell at work: claims its name, loads the services, takes them up, waits for signals, takes them down.
//!
//! Everything with state in this process (log, event loop, g_proc, the services' table) is libmsf.so's, reached
//! through its C ABI, so that the plugins meet the same one. Signals arrive as readiness of a descriptor: they are
//! blocked before the first thread exists, and every thread a plugin makes inherits that.

use crate::MODULE;
use crate::detach::Caller;
use crate::libraries;
use crate::life::{self, Life, Table, Up};
use crate::ready::{self, Starter};
use crate::signals::Signals;
use msf_conf::shell::Shell;
use msf_sys::event::Base;
use msf_sys::log::{self, Level};
use msf_sys::process::{self, About, Published, Refused};
use msf_sys::service::{Answer, Slot};
use nix::sys::signal::Signal;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

/// How a shell ended whose log was open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Told to stop, and every service went down as it should.
    Well,
    /// Something failed; the log and stderr say what.
    Badly,
}

/// Runs the services of `settings` until SIGTERM or SIGINT. `Err` is what went wrong before there was a log.
pub fn run(settings: &Shell, caller: &mut Caller) -> Result<Ending, String> {
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
    let signals = Signals::block().map_err(|e| format!("cannot block signals: {e}"))?;
    log::init_default(&identity)
        .map_err(|e| format!("cannot open {identity}.log in {}: {e}", folder("MSF_LOG_DIR", "the log folder")))?;
    process::title(&format!("msf_shell: {}", settings.name)).map_err(|e| format!("cannot set the title: {e}"))?;
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

fn serve(settings: &Shell, signals: &Signals, starter: Starter, caller: &mut Caller) -> Result<(), String> {
    let (version, file) = (env!("CARGO_PKG_VERSION"), settings.file.display());
    msf_sys::log!(Level::Info, MODULE, "msf_shell {version} with libmsf {} runs {file}", msf_sys::version());
    let mut services = libraries::load(settings)?;
    let about =
        About { name: &settings.name, author: &settings.author, desc: &settings.desc, version: &settings.version };
    let published = process::publish(about, &mut services).map_err(|e| format!("cannot fill in g_proc: {e}"))?;
    let names = settings.services.iter().map(|service| service.name.clone()).collect();
    let mut life = Life::new(Loaded { published, names });
    let outcome = go(&mut life, settings, signals, starter, caller);
    say(ready::stopping());
    let mut failures = life.down().into_iter().map(|failure| failure.to_string());
    match (outcome, failures.next()) {
        (Ok(()), None) => Ok(()),
        (Ok(()), Some(first)) | (Err(first), None) => Err(rest(first, failures)),
        (Err(first), Some(second)) => Err(rest(first, std::iter::once(second).chain(failures))),
    }
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

/// Up and at work, until told to stop.
fn go(
    life: &mut Life<Loaded<'_>>,
    settings: &Shell,
    signals: &Signals,
    starter: Starter,
    caller: &mut Caller,
) -> Result<(), String> {
    let up = life.up(|| signals.stop_is_pending());
    if up.map_err(|failure| failure.to_string())? == Up::Abandoned {
        msf_sys::log!(Level::Warn, MODULE, "told to stop before every service was started");
        return Ok(());
    }
    if caller.waits() {
        silence().map_err(|e| format!("cannot let go of the terminal: {e}"))?;
    }
    // What it takes to serve is there before anybody is told.
    let failed = |e: io::Error| format!("the event loop failed: {e}");
    let base = Base::new().map_err(failed)?;
    let waker = base.clone();
    let own = signals.as_fd().try_clone_to_owned().map_err(failed)?;
    let _event = base.on_read(own, move |_| waker.exit()).map_err(failed)?;
    match settings.services.len() {
        1 => msf_sys::log!(Level::Info, MODULE, "1 service is started"),
        count => msf_sys::log!(Level::Info, MODULE, "{count} services are started"),
    }
    // Whoever is told may look into the log at once.
    let _ = log::flush();
    caller.ready();
    say(starter.ready());
    turn(settings, signals, &base).map_err(failed)
}

/// The event loop. It ends at SIGTERM and SIGINT.
fn turn(settings: &Shell, signals: &Signals, base: &Base) -> io::Result<()> {
    loop {
        // Before the first wait, too: some may have come while the services went up.
        while let Some(signal) = signals.next()? {
            match signal {
                Signal::SIGHUP => reload(settings),
                Signal::SIGUSR1 => rotate(),
                signal => {
                    msf_sys::log!(Level::Info, MODULE, "{signal}: stopping");
                    return Ok(());
                }
            }
        }
        base.dispatch()?;
    }
}

/// Reads the file again and says what a restart would change; the running services stay as they are.
fn reload(settings: &Shell) {
    match Shell::read(&settings.file) {
        Err(e) => msf_sys::log!(Level::Error, MODULE, "reload: {e}; the running services stay"),
        Ok(newer) => {
            let changes = settings.changes(&newer);
            if changes.is_empty() {
                msf_sys::log!(Level::Info, MODULE, "reload: nothing has changed in {}", settings.file.display());
            }
            for change in changes {
                msf_sys::log!(Level::Warn, MODULE, "reload: {change}; takes effect when this shell is restarted");
            }
        }
    }
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

/// The services as plugins see them in g_proc.
struct Loaded<'a> {
    published: Published<'a>,
    names: Vec<String>,
}

impl Table for Loaded<'_> {
    fn count(&self) -> usize {
        self.names.len()
    }

    fn name(&self, at: usize) -> &str {
        &self.names[at]
    }

    fn call(&mut self, at: usize, slot: Slot) -> Answer {
        if self.published.services().offers(at, slot) {
            msf_sys::log!(Level::Info, MODULE, "service {}: {}", self.name(at), life::word(slot));
        }
        self.published.services().call(at, slot)
    }
}
