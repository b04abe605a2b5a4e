//! msf_shell: hosts service plugins. Reads the JSON that names them, loads them, takes them through init, start, stop and
//! deinit, exchanges them while the others run, and ends when told to.
//!
//! A client of libmsf.so like any C program: it holds no copy of the core.
#![forbid(unsafe_code)]

mod apart;
mod copy;
mod detach;
mod door;
mod host;
mod keep;
mod library;
mod place;
mod ready;
mod signals;
mod tenant;
mod text;
mod word;

use detach::{Caller, Start};
use door::ask;
use host::Ending;
use msf_conf::args::{Accepts, Args, Extra};
use msf_conf::shell::Shell;
use msf_sys::log::Level;
use std::env;
use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Whose records these are, in the log all plugins share.
const MODULE: &str = "SHELL";

/// Tells of a service, where everybody reads.
pub fn tell(level: Level, name: &str, what: &str) {
    msf_sys::log!(level, MODULE, "service {name}: {what}");
}

const DONE: u8 = 0;
const FAILED: u8 = 1;
const MISUSED: u8 = 2;

fn main() -> ExitCode {
    if tenant::is_one() {
        return ExitCode::from(tenant::run());
    }
    let options = &[Extra { name: "hex", valued: false }, Extra { name: "timeout", valued: true }];
    let accepts = Accepts { signals: word::ALL, commands: ask::ALL, options };
    let status = match Args::parse(env::args_os().skip(1), accepts) {
        Ok(args) => act(&args),
        Err(usage) => misused(&usage),
    };
    ExitCode::from(status)
}

fn act(args: &Args) -> u8 {
    if args.help {
        return show(USAGE);
    }
    let config = match args.configs.as_slice() {
        [config] => config,
        [] if args.version => return show(&version()),
        [] => return misused(&"-c FILE is missing"),
        [_, second, ..] => return misused(&format!("one -c FILE is enough, \"{}\" is the second", second.display())),
    };
    // Absolute, because -d and plugins may change the current folder.
    let config = std::path::absolute(config).unwrap_or_else(|_| PathBuf::from(config));
    let settings = match Shell::read(&config) {
        Ok(settings) => settings,
        Err(e) => {
            complain(&e);
            return if args.word.as_deref() == Some(word::PARSE) { FAILED } else { MISUSED };
        }
    };
    if args.version {
        return show(&format!("{}{}", version(), describe(&settings)));
    }
    let outcome = match args.word.as_deref() {
        Some(word::PARSE) => return parsed(&settings),
        Some(_) if !args.signalled => return asked(args, &settings),
        Some(word) => word::send(word, &settings.identity()).map(|()| Ending::Well),
        None if args.daemon && !detach::is_second() => return detached(&settings),
        None => return hosted(settings, args.daemon),
    };
    concluded(outcome)
}

/// The caller of `-d` learns of a failure last, when everything is said.
fn hosted(settings: Shell, detach: bool) -> u8 {
    let caller = if detach { Caller::from_input() } else { Ok(Caller::nobody()) };
    match caller {
        Ok(mut caller) => concluded(host::run(settings, &mut caller)),
        Err(e) => concluded(Err(format!("cannot detach: {e}"))),
    }
}

fn concluded(outcome: Result<Ending, String>) -> u8 {
    match outcome {
        Ok(Ending::Well) => DONE,
        Ok(Ending::Badly) => FAILED,
        Err(why) => {
            complain(&why);
            FAILED
        }
    }
}

/// What a command line asks of the running copy.
fn asked(args: &Args, settings: &Shell) -> u8 {
    match ask::ask(args, &settings.identity()) {
        Ok(answer) => {
            // Somebody who closed our stdout does not want to know.
            let _ = std::io::stdout().write_all(&answer);
            DONE
        }
        Err(ask::Failure::Misused(what)) => misused(&what),
        Err(ask::Failure::Failed(what)) if args.json => {
            let _ = show(&format!("{what}\n"));
            FAILED
        }
        Err(ask::Failure::Failed(what)) => {
            what.lines().for_each(|line| complain(&line));
            FAILED
        }
    }
}

/// The second copy says itself what went wrong, as long as it can.
fn detached(settings: &Shell) -> u8 {
    match detach::start() {
        Ok(Start::Ready) => DONE,
        Ok(Start::Failed(status)) => status,
        Ok(Start::Vanished) => {
            let (name, log) = (&settings.name, settings.identity());
            complain(&format!("{name} has ended before its services were started; {log}.log may say why"));
            FAILED
        }
        Err(e) => {
            complain(&format!("cannot detach: {e}"));
            FAILED
        }
    }
}

fn parsed(settings: &Shell) -> u8 {
    for warning in &settings.warnings {
        complain(warning);
    }
    if !settings.spoilt.is_empty() {
        settings.spoilt.iter().for_each(|one| complain(&one.why));
        return FAILED;
    }
    show(&format!("{} is fine\n{}", settings.file.display(), describe(settings)))
}

fn version() -> String {
    format!("msf_shell {}\n", env!("CARGO_PKG_VERSION"))
}

fn describe(settings: &Shell) -> String {
    let Shell { name, author, version, desc, .. } = settings;
    let mut text = format!("name:    {name}\nauthor:  {author}\nversion: {version}\ndesc:    {desc}\n");
    if let Some(folder) = &settings.folder {
        text += &format!("folder:  {}\n", folder.display());
    }
    for service in &settings.services {
        text += &format!("service: {service}\n");
    }
    text
}

/// Somebody who closed our stdout does not want to know.
fn show(text: &str) -> u8 {
    let _ = std::io::stdout().write_all(text.as_bytes());
    DONE
}

fn misused(what: &dyn Display) -> u8 {
    eprintln!("msf_shell: {what}; msf_shell -h shows the usage");
    MISUSED
}

fn complain(what: &dyn Display) {
    eprintln!("msf_shell: {what}");
}

const USAGE: &str = "\
usage: msf_shell -c FILE [-d]
       msf_shell -c FILE -k reload|rotate|shutdown|kill|parse
       msf_shell -c FILE list|stats|reload [--json]
       msf_shell -c FILE load|unload|upgrade SERVICE [--json]
       msf_shell -c FILE call SERVICE COMMAND [TEXT] [--hex] [--timeout MS] [--json]
       msf_shell [-c FILE] -v
       msf_shell -h

  -c FILE      the JSON file that names the process and its services
  -d           detach from the terminal; returns when all services are started
  -k reload    let the running copy read FILE again and make its services so
  -k rotate    let it open its log file anew
  -k shutdown  let it stop its services and end
  -k kill      end it at once
  -k parse     check FILE and show what it says
  -v           the version, and with -c what FILE says about the process
  -h, -?       this text

  list         the services of the running copy
  stats        what each of them uses
  load         take a service up that FILE names
  unload       take a service down, and its library out of the process
  reload       make the services as FILE says, and tell what was done
  upgrade      exchange the library of a service while it serves
  call         have a service carry out a command; TEXT goes with it (--hex: as bytes)

Libraries are looked for as named, then in FILE's folder, the program's folder,
its ../lib, and the folders of MSF_PLUGIN_PATH.
Exit status: 0 done, 1 failed, 2 wrong usage or configuration.
";
