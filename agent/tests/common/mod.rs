//! A real agent in a folder of its own, and peers that speak raw frames.
#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

pub mod nmid;

use msf_wire::librpc::{Frame, HEADER_LEN, Header, LOGIN_LEN, Login, Step, cmd, decode, errcode, id, opcode};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long anything that must happen may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const DLNA: u32 = id::DLNA;
pub const UPNP: u32 = id::UPNP;

/// A folder that goes with its owner.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("msf-agent-test-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        // Where that cannot be, they lie beside the log.
        let _ = std::fs::create_dir_all(rings(&path));
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
        let _ = std::fs::remove_dir_all(rings(&self.0));
    }
}

/// What the log's authors leave behind when they are killed is to go with the test.
fn rings(folder: &Path) -> PathBuf {
    Path::new("/dev/shm").join(folder.file_name().unwrap())
}

/// `msf_agent` as it would be called here, with nothing of the outer world around it.
pub fn command(folder: &Path) -> Command {
    command_of(env!("CARGO_BIN_EXE_msf_agent"), folder)
}

/// Another program in the same surroundings.
pub fn command_of(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env("MSF_RUN_DIR", folder).env("MSF_LOG_DIR", folder.join("log"));
    command.env("MSF_LOG_RING_DIR", rings(folder));
    command.env_remove("MSF_AGENT_SOCK").env_remove("NOTIFY_SOCKET").env_remove("MSF_READY_FD");
    command
}

/// Runs `msf_agent` with these words to its end.
pub fn run(folder: &Folder, words: &[&str]) -> Output {
    command(&folder.0).args(words).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The defaults without TCP, and these lines.
fn configure(folder: &Folder, lines: &str) -> PathBuf {
    let config = folder.0.join("agent.conf");
    std::fs::write(&config, format!("net_enable=false\n{lines}\n")).unwrap();
    config
}

/// A running agent; killed when dropped.
pub struct Agent {
    pub folder: Folder,
    child: Child,
}

impl Agent {
    /// Starts one whose settings are the defaults without TCP, and these lines.
    pub fn start(lines: &str) -> Agent {
        let folder = Folder::new();
        let command = command(&folder.0);
        Agent::start_as(folder, command, lines)
    }

    /// The same through a shell that runs `before` first.
    pub fn start_after(before: &str, lines: &str) -> Agent {
        let folder = Folder::new();
        let mut command = command_of("sh", &folder.0);
        command.arg("-c").arg(format!("{before}; exec \"$0\" \"$@\"")).arg(env!("CARGO_BIN_EXE_msf_agent"));
        Agent::start_as(folder, command, lines)
    }

    pub fn start_as(folder: Folder, mut command: Command, lines: &str) -> Agent {
        let config = configure(&folder, lines);
        let ready = folder.0.join("ready.sock");
        let _ = std::fs::remove_file(&ready);
        let ready_socket = UnixDatagram::bind(&ready).unwrap();
        ready_socket.set_read_timeout(Some(PATIENCE)).unwrap();
        command.arg("-c").arg(&config).env("NOTIFY_SOCKET", &ready).stdout(Stdio::null()).stderr(Stdio::null());
        // From here on a panic kills it.
        let agent = Agent { child: command.spawn().unwrap(), folder };
        let mut word = [0; 64];
        let length = loop {
            match ready_socket.recv(&mut word) {
                Ok(length) => break length,
                // Whoever traces or stops us interrupts calls that have a time limit.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("the agent does not say that it is ready: {error}\n{}", agent.log()),
            }
        };
        assert_eq!(&word[..length], b"READY=1");
        std::fs::remove_file(ready).unwrap();
        agent
    }

    /// One whom nobody has started who would want to be told anything: successors it starts are its children.
    pub fn start_alone(folder: Folder, mut command: Command, lines: &str) -> Agent {
        command.arg("-c").arg(configure(&folder, lines)).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut agent = Agent { child: command.spawn().unwrap(), folder };
        let mut greeting = String::new();
        BufReader::new(agent.child.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
        assert!(greeting.contains("; log "), "{greeting}{}", agent.log());
        agent
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.0.join("msf_agent.sock")
    }

    pub fn connect(&self) -> Peer {
        Peer::over(UnixStream::connect(self.socket()).unwrap())
    }

    /// A peer that is logged in.
    pub fn member(&self, id: u32) -> Peer {
        let mut peer = self.connect();
        assert_eq!(peer.login(id), errcode::EXEC_SUCC);
        peer
    }

    /// One that serves nmid too, on a port of the kernel's choice.
    pub fn with_doors(lines: &str) -> Agent {
        Agent::start(&format!("nmid_enable=true\nnmid_port=0\n{lines}"))
    }

    /// Lets another process take its place; what was said about it.
    pub fn upgrade(&self) -> String {
        let done = run(&self.folder, &["-k", "upgrade"]);
        assert!(done.status.success(), "{}{}", text(&done.stderr), self.log());
        text(&done.stdout)
    }

    /// The process that is the agent now.
    pub fn holder(&self) -> i32 {
        let pid = std::fs::read_to_string(self.folder.0.join("msf_agent.pid"));
        pid.ok().and_then(|pid| pid.trim().parse().ok()).expect("a pid file")
    }

    /// Ends the process that is the agent now in good order, which is no child of ours; what it has counted.
    pub fn end_upgraded(self) -> Counted {
        self.end_upgraded_in(|| {})
    }

    /// The same, with a look at what is left.
    pub fn end_upgraded_in(self, look: impl FnOnce()) -> Counted {
        let done = run(&self.folder, &["-k", "shutdown"]);
        assert!(done.status.success(), "{}", text(&done.stderr));
        look();
        let line = self.wait_for_log("counted: ");
        Counted(line.split_once("counted: ").unwrap().1.to_owned())
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    pub fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "the agent does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.0.join("log/msf_agent.log")).unwrap_or_default()
    }

    /// Waits until the log has a line with `text`.
    pub fn wait_for_log(&self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.log().lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            assert!(Instant::now() < until, "no \"{text}\" in the log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Ends it in good order; the value of a counter as it said at the end.
    pub fn end(mut self) -> Counted {
        self.signal(Signal::SIGTERM);
        let status = self.wait();
        assert!(status.success(), "{status}");
        let log = self.log();
        let line = log.lines().rev().find(|line| line.contains("counted: ")).expect("a line of counters");
        Counted(line.split_once("counted: ").unwrap().1.to_owned())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // After an upgrade it is another process, which has written its number into our own folder.
        let pid = std::fs::read_to_string(self.folder.0.join("msf_agent.pid")).ok();
        if let Some(pid) = pid.and_then(|pid| pid.trim().parse().ok()).filter(|pid| *pid != self.pid()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// What the agent counted in its life.
pub struct Counted(String);

impl Counted {
    pub fn of(&self, name: &str) -> u64 {
        let fields = self.0.split(['[', ' ']);
        let mut values = fields.filter_map(|field| field.strip_prefix(name)?.strip_prefix('=')?.parse().ok());
        values.next().unwrap_or(0)
    }
}

/// A frame received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    pub head: Header,
    pub body: Vec<u8>,
}

/// One end of a connection to the agent.
pub struct Peer {
    pub stream: UnixStream,
    bytes: Vec<u8>,
}

impl Peer {
    pub fn over(stream: UnixStream) -> Peer {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Peer { stream, bytes: Vec::new() }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next frame; panics when the agent closes instead.
    pub fn get(&mut self) -> Got {
        self.next().expect("a frame, not the end of the connection")
    }

    /// The next frame, or `None` at the end.
    pub fn next(&mut self) -> Option<Got> {
        loop {
            if let Step::Frame(frame, used) = decode(&self.bytes, u32::MAX).unwrap() {
                let got = Got { head: frame.head, body: frame.body.to_vec() };
                self.bytes.drain(..used);
                return Some(got);
            }
            let mut buffer = [0; 65_536];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.bytes.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("no frame: {error}"),
            }
        }
    }

    /// Exactly these bytes come next.
    pub fn expect_bytes(&mut self, expected: &[u8]) {
        let got = self.get();
        assert_eq!(frame(got.head, &got.body), expected);
    }

    /// Nothing has come before the answer to a probe sent now: whatever was to come would have come first.
    pub fn expect_nothing(&mut self, me: u32) {
        let probe = Header { opcode: opcode::KALIVE, ..Header::request(me, id::MSG_SRV, 0, 0xfeed) };
        self.send(&probe.encode());
        let got = self.get();
        assert_eq!((got.head.opcode, got.head.seq, got.head.srcid), (opcode::ACK, 0xfeed, id::MSG_SRV), "{got:?}");
    }

    /// Waits until the agent has read everything sent so far, as the kernel counts it.
    pub fn expect_nothing_yet(&mut self) {
        let until = Instant::now() + PATIENCE;
        while unread(&self.stream) > 0 {
            assert!(Instant::now() < until, "the agent does not read");
            std::thread::yield_now();
        }
    }

    /// The connection is closed by the agent.
    pub fn expect_end(&mut self) {
        assert_eq!(self.next(), None);
    }

    /// Logs in; the error code of the answer.
    pub fn login(&mut self, id: u32) -> u32 {
        self.send(&login(id));
        let got = self.get();
        assert_eq!((got.head.opcode, got.head.cmd, got.head.seq), (opcode::ACK, cmd::LOGIN, 101));
        assert_eq!((got.head.srcid, got.head.dstid), (id::MSG_SRV, id));
        got.head.errcode
    }

    /// Answers the next request with `body`; the request.
    pub fn answer(&mut self, body: &[u8]) -> Got {
        let asked = self.get();
        self.send(&reply(&asked, body));
        asked
    }
}

/// Bytes sent on a unix socket that its peer has not read (SIOCOUTQ).
fn unread(stream: &UnixStream) -> i32 {
    nix::ioctl_read_bad!(outq, nix::libc::TIOCOUTQ, i32);
    let mut bytes = 0;
    // SAFETY: TIOCOUTQ writes one int to the place given, and `bytes` is one.
    unsafe { outq(std::os::fd::AsRawFd::as_raw_fd(stream), &mut bytes) }.unwrap();
    bytes
}

pub fn frame(head: Header, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_LEN + body.len());
    Frame { head: Header { datalen: body.len() as u32, ..head }, body }.append_to(&mut bytes);
    bytes
}

pub fn reply(asked: &Got, body: &[u8]) -> Vec<u8> {
    frame(asked.head.ack(errcode::EXEC_SUCC, 0), body)
}

pub fn login(id: u32) -> Vec<u8> {
    let head = Header { datalen: LOGIN_LEN as u32, ..Header::request(id, id::MSG_SRV, cmd::LOGIN, 101) };
    frame(head, &Login::named(format!("svc{id:x}").as_bytes()).encode())
}

/// A request with a deadline.
pub fn call(from: u32, to: u32, seq: u32, timeout: u32) -> Header {
    Header { timeout, restlen: 36, ..Header::request(from, to, 0x26, seq) }
}
