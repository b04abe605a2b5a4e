//! The admin socket, `msf_shell.<proc_name>.sock` in the run directory: what an operator asks, line by line.
//!
//! A request is a JSON object in one line, with a `verb`; the answer is one in one line. Each operator has a thread of his
//! own here: an answer may take as long as a service does, and nobody else waits for it. Only our own user and root are
//! heard.

use crate::MODULE;
use crate::keep::orders::{Orders, What};
use crate::place::routes::Routes;
use crate::place::work::{Limit, Outcome, Silence, Work, failure, wait};
use crate::text::{from_value, to_value};
use msf_conf::tree::{self, Map, Value};
use msf_sys::event::{Base, Event};
use msf_sys::log::Level;
use msf_sys::rest::HostThread;
use msf_sys::service::Answer;
use msf_sys::thread;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;
use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// The listening socket; its file goes when it is dropped.
pub struct Admin {
    path: PathBuf,
    _event: Event,
}

/// What an operator can reach.
#[derive(Clone)]
pub struct Desk {
    /// Calls go straight to the services.
    pub routes: Arc<Routes>,
    /// Everything else goes to the keeper.
    pub orders: Orders,
}

/// The name of the socket of a process of this name.
pub fn socket(identity: &str) -> String {
    format!("{identity}.sock")
}

impl Admin {
    /// Listens in `run_dir`. The caller holds the process' name, so a file that is there already is a dead one's.
    pub fn listen(run_dir: &Path, identity: &str, base: &Base, desk: Desk) -> io::Result<Admin> {
        let path = run_dir.join(socket(identity));
        match fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        let admin = |listener: UnixListener| {
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            listener.set_nonblocking(true)?;
            let guests = Arc::new(AtomicUsize::new(0));
            base.on_read(OwnedFd::from(listener.try_clone()?), move |_| admit(&listener, &desk, &guests))
        };
        match admin(listener) {
            Ok(event) => Ok(Admin { path, _event: event }),
            Err(e) => {
                let _ = fs::remove_file(&path);
                Err(e)
            }
        }
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Lets in whoever waits at the door, and may come in.
fn admit(listener: &UnixListener, desk: &Desk, guests: &Arc<AtomicUsize>) {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return,
            Err(e) => {
                // Of descriptors most likely: who waits goes on waiting, and must not be looked at without a pause meanwhile.
                msf_sys::log!(Level::Error, MODULE, "nobody can come in at the admin socket: {e}");
                std::thread::sleep(PAUSE);
                return;
            }
        };
        match getsockopt(&stream, PeerCredentials).map(|peer| peer.uid()) {
            Ok(uid) if uid == 0 || uid == geteuid().as_raw() => {}
            Ok(uid) => {
                msf_sys::log!(Level::Warn, MODULE, "user {uid} is not heard at the admin socket");
                continue;
            }
            Err(_) => continue,
        }
        if guests.load(Ordering::Relaxed) >= MOST_GUESTS {
            refuse(stream);
            continue;
        }
        guests.fetch_add(1, Ordering::Relaxed);
        let (desk, leaving) = (desk.clone(), Arc::clone(guests));
        let begun = thread::spawn("msf_shell:admin", move || {
            let _host = HostThread::this();
            // A guest who is gone has nothing to complain about.
            let _ = converse(&stream, &desk);
            leaving.fetch_sub(1, Ordering::Relaxed);
        });
        if let Err(e) = begun {
            guests.fetch_sub(1, Ordering::Relaxed);
            msf_sys::log!(Level::Error, MODULE, "no thread for the admin socket: {e}");
        }
    }
}

fn refuse(mut stream: UnixStream) {
    let _ = stream.set_nonblocking(true);
    let _ = stream.write_all(line(&error(&format!("{MOST_GUESTS} operators are at it already"))).as_bytes());
}

fn converse(stream: &UnixStream, desk: &Desk) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    loop {
        let mut request = Vec::new();
        let read = (&mut reader).take(LONGEST).read_until(b'\n', &mut request)?;
        if read == 0 {
            return Ok(());
        }
        let answer = match request.last() {
            Some(b'\n') => answer(&request, desk),
            _ if read as u64 == LONGEST => error(&format!("a request has at most {LONGEST} bytes")),
            _ => return Ok(()),
        };
        writer.write_all(line(&answer).as_bytes())?;
        if read as u64 == LONGEST {
            return Ok(());
        }
    }
}

fn line(answer: &Value) -> String {
    format!("{answer}\n")
}

fn error(what: &str) -> Value {
    Value::Object(Map::from_iter([("error".to_owned(), Value::from(what))]))
}

fn answer(request: &[u8], desk: &Desk) -> Value {
    let request = str::from_utf8(request).map_err(|e| e.to_string()).and_then(tree::parse);
    let request = match request {
        Ok(request) => request,
        Err(e) => return error(&e),
    };
    let text = |key: &str| request.get(key).and_then(Value::as_str).map(str::to_owned);
    let named = || text("service").ok_or("service: missing; expected a name");
    let what = match text("verb").as_deref() {
        Some("list") => Ok(What::List),
        Some("stats") => Ok(What::Stats),
        Some("reload") => Ok(What::Reload),
        Some("load") => named().map(What::Load),
        Some("unload") => named().map(What::Unload),
        Some("upgrade") => named().map(What::Upgrade),
        Some("call") => return called(&request, desk).unwrap_or_else(|what| error(&what)),
        Some(_) | None => Err("verb: expected list, stats, load, unload, reload, upgrade or call"),
    };
    match what.map(|what| desk.orders.ask(what)) {
        Ok(Some(answer)) => answer,
        Ok(None) => error("this shell is ending"),
        Err(what) => error(what),
    }
}

/// A call: `service`, `command`, and what goes with it.
fn called(request: &Value, desk: &Desk) -> Result<Value, String> {
    let text = |key: &str| request.get(key).and_then(Value::as_str).ok_or(format!("{key}: missing; expected a string"));
    let (service, command) = (text("service")?, text("command")?.to_owned());
    let params = from_value(request)?;
    let limit = request.get("timeout_ms").map_or(Ok(CALL), |ms| {
        ms.as_u64().map(Duration::from_millis).ok_or_else(|| "timeout_ms: expected a whole number".to_owned())
    })?;
    let (tell, hear) = mpsc::channel();
    let work = Work::Call { command: command.clone(), params };
    let given = desk.routes.give(service, work, Box::new(move |outcome| drop(tell.send(outcome))));
    given.map_err(|why| format!("service {service}: {why}"))?;
    let never = AtomicBool::new(false);
    match wait(&hear, Limit { time: Some(limit), hurry: &never, rest: limit }) {
        Ok(outcome) => said(service, &command, outcome),
        Err(silence @ Silence::Late(_)) => Err(format!("service {service}: {command}: {silence}")),
        Err(Silence::Gone) => Err(format!("service {service} went down before it answered")),
    }
}

fn said(service: &str, command: &str, outcome: Outcome) -> Result<Value, String> {
    match &outcome.answer {
        Answer::Absent => Err(format!("service {service} knows no command \"{command}\"")),
        Answer::Done(code) => {
            let mut answer = Map::from_iter([("code".to_owned(), Value::from(*code))]);
            to_value(&outcome.bytes, &mut answer);
            Ok(Value::Object(answer))
        }
        Answer::Failed(code, _) => {
            let why = failure(command, &outcome.answer).err().unwrap_or_default();
            let words = String::from_utf8_lossy(&outcome.bytes);
            let what = if words.is_empty() { why } else { format!("{why}: {words}") };
            let mut answer = Map::from_iter([("code".to_owned(), Value::from(*code))]);
            answer.insert("error".to_owned(), Value::from(format!("service {service}: {what}")));
            Ok(Value::Object(answer))
        }
    }
}

/// How long a guest may think, and how long he may take to read.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a call may take unless he says otherwise.
const CALL: Duration = Duration::from_secs(10);
/// How long nobody is let in when there is no room for him.
const PAUSE: Duration = Duration::from_millis(200);
const MOST_GUESTS: usize = 64;
const LONGEST: u64 = 16 << 20;
