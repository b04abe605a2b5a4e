//! `msf_daemon`: starts the processes of its configuration and keeps them alive.
//!
//! Parses no protocol and loads no plugins. `law` decides, `run` does, `face` talks; see doc/daemon.md.
#![forbid(unsafe_code)]

mod face;
mod law;
mod run;

use face::ask;
use face::control::Control;
use face::follow;
use face::history::History;
use face::request::{Request, Verb};
use msf_conf::args::{Accepts, Args, Extra};
use msf_conf::daemon::{Process, Settings};
use msf_core::event::Reactor;
use msf_core::log;
use msf_core::log::Level;
use msf_core::process::{Bequest, Ready, Starter, claim, daemonize, title};
use msf_core::sys::heap;
use msf_core::sys::place::{log_dir, run_dir};
use run::child::morgue::Morgue;
use run::child::surroundings::{Surroundings, is_executable};
use run::driver::{Driver, Setting};
use run::output::outputs::Outputs;
use run::tell::courier::refused;
use run::tell::outbox::Outbox;
use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    match command() {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            eprintln!("msf_daemon: {}", failure.what);
            ExitCode::from(failure.code)
        }
    }
}

/// A sentence for stderr, and the exit code.
struct Failure {
    what: Box<dyn Error>,
    code: u8,
}

impl<E: Into<Box<dyn Error>>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure { what: error.into(), code: FAILED }
    }
}

fn wrong<E: Into<Box<dyn Error>>>(error: E) -> Failure {
    Failure { what: error.into(), code: WRONG }
}

/// What it was told to do; its exit status.
fn command() -> Result<u8, Failure> {
    let args = Args::parse(env::args_os().skip(1), ACCEPTS).map_err(wrong)?;
    if args.help {
        return show(HELP).map(|()| DONE);
    }
    if args.version {
        return version(&args).map(|()| DONE);
    }
    match args.word.as_deref() {
        None => run(&config(plain(&args)?)?, args.daemon),
        Some(word) if args.daemon => Err(wrong(format!("-d is for running, not for \"{word}\""))),
        Some(word) => order(word, &args).map(|()| DONE),
    }
}

fn order(word: &str, args: &Args) -> Result<(), Failure> {
    match word {
        "parse" => parse(&config(plain(args)?)?),
        "kill" => {
            plain(args)?;
            show(&ask::kill_at_once().map_err(unanswered)?)
        }
        word => {
            let request = Request::from_args(args).map_err(wrong)?;
            // A reload of a file that cannot be used is refused here already. Nothing else hangs on the file: what runs
            // can be asked and stopped, whatever the file has become.
            if word == "reload" && !args.configs.is_empty() {
                Settings::read(&config(args)?)?;
            }
            match (request.verb, request.since) {
                (Verb::Tail, _) => tail(&request),
                (Verb::Events, Some(since)) => history(&request, since),
                _ => ask::ask(&request, &mut io::stdout()).map_err(unanswered),
            }
        }
    }
}

/// What is no request takes nothing that belongs to one.
fn plain(args: &Args) -> Result<&Args, Failure> {
    match (args.rest.first(), args.options.keys().next()) {
        (Some(stray), _) => Err(wrong(format!("unexpected argument \"{stray}\""))),
        (_, Some(option)) => Err(wrong(format!("\"{option}\" is for a command"))),
        _ if args.json => Err(wrong("--json is for status and events")),
        _ => Ok(args),
    }
}

fn unanswered(error: ask::AskError) -> Failure {
    Failure { code: error.code(), what: error.into() }
}

/// The daemon's document, of these or of all.
fn status(names: &[String]) -> Result<String, Failure> {
    let status = Request { json: true, names: names.to_vec(), ..Request::new(Verb::Status) };
    let mut answer = Vec::new();
    ask::ask(&status, &mut answer).map_err(unanswered)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// As [`tail`]: what is in files is read here.
fn history(request: &Request, since: u64) -> Result<(), Failure> {
    let mut out = io::stdout();
    let mut history = History::new(&status(&[])?, since, request.json, &mut out);
    ask::ask(&Request { json: true, ..request.clone() }, &mut history).map_err(unanswered)
}

/// Files are read here; what the daemon itself keeps, it tells.
fn tail(request: &Request) -> Result<(), Failure> {
    let name = request.names.first().map_or("", String::as_str);
    match follow::files_of(&status(&request.names)?, name).as_slice() {
        [] => ask::ask(request, &mut io::stdout()).map_err(unanswered),
        files => {
            let lines = request.lines.unwrap_or(follow::FEW);
            match follow::tail(files, lines, request.follow, &mut io::stdout()) {
                Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e.into()),
                _ => Ok(()),
            }
        }
    }
}

/// Somebody who closed our stdout does not want to know.
fn show(text: &str) -> Result<(), Failure> {
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(())
}

/// Ours, and with a configuration what that says of itself.
fn version(args: &Args) -> Result<(), Failure> {
    let mut text = format!("msf_daemon {}\n", env!("CARGO_PKG_VERSION"));
    if !args.configs.is_empty() {
        let Settings { author, version, desc, .. } = Settings::read(&config(args)?).map_err(wrong)?;
        text += &format!("author:  {author}\nversion: {version}\ndesc:    {desc}\n");
    }
    show(&text)
}

/// The one configuration file, absolute: what is relative in it is relative to its folder.
fn config(args: &Args) -> Result<PathBuf, Failure> {
    match args.configs.as_slice() {
        [file] => std::path::absolute(file).map_err(|e| wrong(format!("-c {}: {e}", file.display()))),
        [] => Err(wrong("no configuration; expected -c FILE (-h shows all options)")),
        _ => Err(wrong("more than one -c FILE; expected one")),
    }
}

/// `-k parse`: the effective configuration, and which program each process would be.
fn parse(file: &Path) -> Result<(), Failure> {
    let settings = Settings::read(file)?;
    let surroundings = Surroundings::new(folder_of(file));
    for warning in &settings.warnings {
        eprintln!("msf_daemon: warning: {warning}");
    }
    for Process { name, launch, .. } in &settings.processes {
        match surroundings.find(&launch.path) {
            Ok(program) if is_executable(&program) => eprintln!("msf_daemon: {name} is {}", program.display()),
            Ok(program) => eprintln!("msf_daemon: warning: {name}: {} is not executable", program.display()),
            Err(missing) => eprintln!("msf_daemon: warning: {name}: {missing}"),
        }
    }
    if let Some(why) = refused(&settings.alarms) {
        eprintln!("msf_daemon: warning: {why}");
    }
    show(&settings.to_string())
}

/// From the beginning to the end; whoever started us hears of a failure as well.
fn run(file: &Path, background: bool) -> Result<u8, Failure> {
    // A configuration of a thousand processes is large for a moment.
    heap::keep_little();
    // Before anything is opened, which might get a number that the environment names.
    let starter = Starter::from_environment();
    let bequests = Bequest::claim();
    let superior = starter.for_later();
    begin(file, background, starter, bequests).inspect_err(|failure| {
        let source = failure.what.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        let errno = source.unwrap_or(if failure.code == WRONG { libc::EINVAL } else { libc::EIO });
        // Who does not listen has its exit status.
        let _ = superior.failed(&failure.what.to_string(), errno);
    })
}

/// Everything that can be refused is tried while there still is a terminal to say so.
fn begin(file: &Path, background: bool, starter: Starter, bequests: io::Result<Vec<Bequest>>) -> Result<u8, Failure> {
    let bequests = bequests?;
    let settings = Settings::read(file).map_err(wrong)?;
    if let Some(why) = refused(&settings.alarms) {
        return Err(wrong(format!("{}: {why}", file.display())));
    }
    let mut claim = claim(ask::NAME)?;
    msf_core::log::open(&log_dir()?.join("msf_daemon.log"))?;
    let run_dir = run_dir()?;
    let control = Control::listen(&run_dir)?;
    let surroundings = Surroundings::new(folder_of(file));
    let outputs = Outputs::new(&log_dir()?, &run_dir, background)?;
    let mut ready = None;
    if background {
        // The folder is kept: relative paths mean the same to the processes with and without -d.
        ready = Some(daemonize(true, false)?);
        claim.renew()?;
    }
    let outbox = Outbox::new(&settings.events, folder_of(file), &log_dir()?, &run_dir);
    let morgue = Morgue::new(&log_dir()?, settings.crash_reports);
    let config = file.to_owned();
    let setting = Setting { config, claim, run_dir, control, surroundings, outputs, morgue, outbox, starter, bequests };
    supervise(setting, settings, ready).inspect_err(|failure| {
        if background {
            log!(Level::Fatal, "DAEMON", "{}", failure.what);
        }
    })
}

fn supervise(setting: Setting, settings: Settings, ready: Option<Ready>) -> Result<u8, Failure> {
    // Only looks: ps shows the configuration instead of the command line.
    let _ = title(&format!("msf_daemon: {}", setting.config.display()));
    let mut reactor = Reactor::new()?;
    let mut driver = Driver::new(&reactor, setting)?;
    driver.start(&mut reactor, settings);
    if let Some(ready) = ready {
        ready.tell()?;
    }
    while !driver.done() {
        reactor.turn(&mut driver, None)?;
    }
    driver.finish();
    log!(Level::Info, "DAEMON", "everything is stopped");
    // Before the claim goes: whoever waits for that may clear the place away.
    let _ = msf_core::log::flush();
    Ok(driver.exit_status())
}

fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new("/"))
}

const ACCEPTS: Accepts = Accepts {
    signals: &["status", "reload", "rotate", "shutdown", "kill", "parse"],
    commands: &[
        "status", "start", "stop", "restart", "signal", "tail", "events", "wait", "upgrade", "reload", "rotate",
        "shutdown",
    ],
    options: &[
        Extra { name: "f", valued: false },
        Extra { name: "follow", valued: false },
        Extra { name: "n", valued: true },
        Extra { name: "lines", valued: true },
        Extra { name: "since", valued: true },
        Extra { name: "no-wait", valued: false },
        Extra { name: "timeout", valued: true },
        Extra { name: "ready", valued: false },
        Extra { name: "down", valued: false },
        Extra { name: "restart", valued: false },
        Extra { name: "drain", valued: false },
    ],
};
const DONE: u8 = 0;
const FAILED: u8 = 1;
const WRONG: u8 = 2;
const HELP: &str = "\
usage: msf_daemon -c FILE [-d]
       msf_daemon status [NAME...] [--json]
       msf_daemon start|stop|restart NAME... [--no-wait | --timeout S]
       msf_daemon upgrade NAME... [--restart] [--drain] [--json]
                          [--no-wait | --timeout S]
       msf_daemon signal NAME... SIGNAL
       msf_daemon wait NAME... [--ready | --down] [--timeout S]
       msf_daemon tail NAME [-n N] [-f]
       msf_daemon events [-n N | --since SEQ] [-f] [--json]
       msf_daemon reload | rotate | shutdown
       msf_daemon -k WORD [-c FILE]

Starts the processes of FILE and keeps them alive.

  -c FILE      the configuration (JSON)
  -d           go into the background
  -k WORD      tell the running copy: status, reload, rotate, shutdown, kill
               parse: check FILE, show what it means, and end
  -h, -?       this text
  -v           the version, and with -c what FILE says of itself

  start, restart   return when the processes are ready; stop, when they have
                   ended: who was stopped stays so until he is started
  upgrade          the programs that are installed now take over from those that
                   run, which hand over all they have and end; who fails to
                   take over ends, and the old one goes on
  --restart        stop and start those that cannot hand over
  --drain          connections that cannot pass end when they are idle
  signal           by name or number, such as HUP, to the processes alone
  wait             until all of them are ready, or down
  tail             the last lines of what a process has written (-n, 10)
  events           what has become of the processes, the last 256
  --since SEQ      all behind that number, as far back as the files go
  -f, --follow     go on with what comes
  -n N, --lines N  as many of the last ones
  --no-wait        return at once
  --timeout S      for as many seconds at most
  --json           for programs

Programs are looked for in FILE's folder, the folder of msf_daemon, and PATH.
Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 3 no process of
that name, 4 not in time, 5 no daemon is running.
";
