//! This program as the process of one isolated service: it loads the service as any shell does, does what the shell that
//! has started it asks through its standard input, and ends with that shell.
//!
//! Its log is a file of its own, `msf_shell.<proc_name>.<svc_name>.log`: two processes cannot rotate one.

use crate::MODULE;
use crate::apart::annex::{Inside, Opened};
use crate::apart::bond::{Bond, end_with_the_shell};
use crate::apart::child::TENANT;
use crate::apart::frame::{Frame, HEAD, Kind};
use crate::apart::letter;
use crate::apart::sandbox::{self, Enforced, Needs};
use crate::copy::generation::{Generation, Home, House};
use crate::copy::grave::Verdict;
use crate::library::elf;
use crate::library::staging::Staged;
use crate::signals::Signals;
use msf_conf::shell::{Service, Shell};
use msf_sys::log::{self, Level};
use msf_sys::process::{self, About};
use msf_sys::rest::HostThread;
use msf_sys::roster::Roster;
use msf_sys::{crash, relative};
use std::env;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Whether this is such a process.
pub fn is_one() -> bool {
    env::args_os().next().is_some_and(|word| word == TENANT)
}

/// Does what the shell asks, until it is to end.
pub fn run() -> u8 {
    match serve() {
        Ok(()) => crate::DONE,
        // Whoever could be told is at the other end of what has failed.
        Err(_) => crate::FAILED,
    }
}

fn serve() -> io::Result<()> {
    Bond::tie()?;
    close_strangers();
    let shell = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
    let _signals = Signals::block()?;
    let library = relative::receive(&shell)?.map(File::from);
    let receipt = relative::receive(&shell)?.ok_or(io::ErrorKind::InvalidData)?;
    let mut receipt = Receipt { counter: File::from(receipt), last: 0 };
    let wire = Arc::new(Wire { writer: Mutex::new(shell.try_clone()?) });
    let _host = HostThread::this();
    crash::hang_up(shell.try_clone()?.into());
    let mut reader = shell;
    let order = next(&mut reader, &mut receipt)?;
    let (order, id) = (Order::of(&order), order.id);
    let order = match order {
        Ok(order) => order,
        Err(why) => return wire.say(&Frame::refusal(id, why)),
    };
    let tenant = match order.load(library) {
        Ok(tenant) => tenant,
        Err(why) => {
            let _ = log::flush();
            return wire.say(&Frame::refusal(id, why));
        }
    };
    let (file, traits) = (tenant.generation.file.clone(), tenant.generation.members.first().map(|m| m.traits.clone()));
    let Some(traits) = traits else { return Err(io::ErrorKind::NotFound.into()) };
    let opened = letter::opened(&Opened { file, traits, sandbox: tenant.sandbox.clone() });
    wire.say(&Frame { bytes: opened, ..Frame::bare(id, Kind::Done) })?;
    tenant.work(&mut reader, &mut receipt, &wire)
}

/// What is to be loaded, understood.
struct Order {
    letter: letter::Order,
    settings: Shell,
    service: Service,
}

/// The service, loaded.
struct Tenant {
    generation: Generation,
    house: House,
    sandbox: Enforced,
    _roster: Arc<Mutex<Roster>>,
}

/// Tells the shell, also after our end, which question was the last we took.
struct Receipt {
    /// What is written is added up.
    counter: File,
    last: u64,
}

/// The way to the shell; whole frames only.
struct Wire {
    writer: Mutex<UnixStream>,
}

impl Order {
    fn of(frame: &Frame) -> Result<Order, String> {
        let letter = letter::read_open(&frame.bytes)?;
        let settings = Shell::parse(&letter.config, &frame.text).map_err(|e| e.to_string())?;
        let service = settings.services.iter().find(|one| one.name == letter.name).cloned();
        let service = service.ok_or_else(|| format!("{} names no service {}", letter.config.display(), letter.name))?;
        // Here it is at home.
        Ok(Order { letter, settings, service: Service { isolate: false, ..service } })
    }

    /// Makes this process the service's, and loads it. Nothing of it is called.
    fn load(self, library: Option<File>) -> Result<Tenant, String> {
        let Order { letter, settings, service } = self;
        let staged = library.map(|copy| Staged::of_another(copy, &letter.mapped_as));
        // While there is one thread, which all others inherit it from.
        let sandbox =
            service.sandbox.as_ref().map(|sandbox| sandbox::enforce(sandbox, &needs(&letter.file, staged.as_ref())?));
        let sandbox = sandbox.transpose()?.unwrap_or_default();
        let log = format!("{}.{}", settings.identity(), service.name.replace('/', "_"));
        log::init_default(&log).map_err(|e| format!("cannot open {log}.log in the log folder: {e}"))?;
        let title = process::title(&format!("msf_shell: {} {}", settings.name, service.name));
        title.map_err(|e| format!("cannot set the title: {e}"))?;
        if let Err(e) = process::log_dir().and_then(|folder| crash::watch(&folder.join(format!("{log}.log")))) {
            msf_sys::log!(Level::Warn, MODULE, "the end of this process may have no last words: {e}");
        }
        let (file, pid) = (letter.file.display(), std::process::id());
        msf_sys::log!(
            Level::Info,
            MODULE,
            "process {pid} is service {}'s, generation {}, of {file}",
            service.name,
            letter.number
        );
        let about =
            About { name: &settings.name, author: &settings.author, desc: &settings.desc, version: &settings.version };
        let roster = Roster::publish(about, 1).map_err(|e| format!("cannot fill in g_proc: {e}"))?;
        let roster = Arc::new(Mutex::new(roster));
        let house = House {
            identity: settings.identity(),
            run_dir: process::run_dir().map_err(|e| format!("cannot tell the run folder: {e}"))?,
            hurry: Arc::default(),
            loaded: std::sync::atomic::AtomicU64::new(0),
            quiet: true,
        };
        for lack in &sandbox.lacks {
            msf_sys::log!(Level::Warn, MODULE, "service {}: sandbox: {lack}", service.name);
        }
        let services = std::slice::from_ref(&service);
        let generation = Generation::load_here(&house, &settings, &letter.file, staged, services, letter.number);
        // What it was told of there is no business of the shell's log.
        let generation = generation.map_err(|why| format!("{why}; more may be in {log}.log"))?;
        generation.enter(&house, 0, Arc::clone(&roster))?;
        Ok(Tenant { generation, house, sandbox, _roster: roster })
    }
}

impl Tenant {
    fn work(self, reader: &mut UnixStream, receipt: &mut Receipt, wire: &Arc<Wire>) -> io::Result<()> {
        let (place, bond) = (self.generation.place(), Bond::loosen()?);
        loop {
            bond.hold(reader)?;
            let frame = match next(reader, receipt) {
                Ok(frame) => frame,
                Err(_) => end_with_the_shell(),
            };
            let (id, wire) = (frame.id, Arc::clone(wire));
            let other = match frame.into_work() {
                Ok(work) => {
                    place.give(0, work, Box::new(move |outcome| drop(wire.say(&Frame::of_outcome(id, outcome)))));
                    continue;
                }
                Err(other) => other,
            };
            match other.kind {
                Kind::Usage => self.tell_usage(id, wire),
                Kind::Rotate => {
                    if let Err(e) = log::reopen() {
                        msf_sys::log!(Level::Error, MODULE, "cannot open the log anew: {e}");
                    }
                }
                Kind::Leave => {
                    // Nobody waits for its end any more.
                    Bond::tie()?;
                    return self.leave(id, &wire);
                }
                _ => {}
            }
        }
    }

    fn tell_usage(&self, id: u64, wire: Arc<Wire>) {
        let Home::Here(here) = &self.generation.home else { return };
        here.give_job(move |image| {
            let used = image.usage();
            let (events, timers) = (used.events.into(), used.timers.into());
            let bytes = letter::usage(Inside { events, timers, pool_bytes: used.pool_bytes });
            let _ = wire.say(&Frame { bytes, ..Frame::bare(id, Kind::Done) });
        });
    }

    fn leave(self, id: u64, wire: &Wire) -> io::Result<()> {
        let left = match self.generation.bury(&self.house) {
            Verdict::Left(grave) => grave.why.join("; "),
            Verdict::Unmapped | Verdict::Ended(_) => String::new(),
        };
        log::close();
        wire.say(&Frame { bytes: left.into_bytes(), ..Frame::bare(id, Kind::Done) })
    }
}

impl Receipt {
    fn sign(&mut self, id: u64) -> io::Result<()> {
        let more = id.saturating_sub(std::mem::replace(&mut self.last, id));
        self.counter.write_all(&more.to_ne_bytes())
    }
}

impl Wire {
    fn say(&self, frame: &Frame) -> io::Result<()> {
        let mut bytes = Vec::new();
        frame.put(&mut bytes);
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).write_all(&bytes)
    }
}

/// Files that a process needs to have its library loaded, and to write its log.
fn needs(file: &Path, staged: Option<&Staged>) -> Result<Needs, String> {
    let log = process::log_dir().map_err(|e| format!("cannot tell the log folder: {e}"))?;
    // Where the broker's socket is looked for.
    let run = process::run_dir().map_err(|e| format!("cannot tell the run folder: {e}"))?;
    let mut read = vec![file.to_owned(), run];
    if let Some(staged) = staged {
        let links = elf::Links::of(&staged.path, file.parent().unwrap_or(Path::new("/")));
        read.extend(links.needs.iter().filter_map(|need| links.find(need)));
    }
    read.extend(env::var_os("LD_LIBRARY_PATH").iter().flat_map(env::split_paths));
    let program = env::current_exe().ok().and_then(|program| Some(program.parent()?.join("../lib")));
    read.extend(program);
    read.retain(|path| path.is_absolute());
    Ok(Needs { read, write: vec![log] })
}

/// The next question; taken, once this returns.
fn next(reader: &mut UnixStream, receipt: &mut Receipt) -> io::Result<Frame> {
    let nonsense = |_| io::Error::from(io::ErrorKind::InvalidData);
    let mut bytes = vec![0; HEAD];
    reader.read_exact(&mut bytes)?;
    let length = Frame::length(&bytes).map_err(nonsense)?.unwrap_or(HEAD);
    bytes.resize(length, 0);
    reader.read_exact(bytes.get_mut(HEAD..).unwrap_or_default())?;
    let frame = Frame::take(&bytes).map_err(nonsense)?;
    receipt.sign(frame.id)?;
    Ok(frame)
}

/// What others had open and did not say that it must not be handed on. Before anything of ours is open.
fn close_strangers() {
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers: Vec<i32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    // The one they were read through is closed by now.
    for fd in numbers.into_iter().filter(|fd| *fd > 2) {
        let _ = nix::unistd::close(fd);
    }
}
