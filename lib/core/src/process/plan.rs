//! What a program is to be started with, prepared beforehand.

use super::identity::Identity;
use super::image::{Handed, Image, Limit, Nice, Place, highest_fd};
use crate::sys::sched::Class;
use libc::{c_char, c_int};
pub use nix::sys::resource::Resource;
use nix::unistd::{AccessFlags, access};
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU8};

/// Everything exec needs, in the form the kernel takes it.
///
/// ```
/// use msf_core::process::{Exit, Plan, Stdio};
/// use std::io::Read;
/// use std::path::{Path, PathBuf};
///
/// let (mut answer, theirs) = std::io::pipe()?;
/// let plan = Plan::new(Path::new("/bin/sh"), ["sh", "-c", "echo $WHO"], [("WHO", "me")])?;
/// let mut child = plan.output(Stdio::Fd(theirs.into())).in_folder(Path::new("/"))?.spawn()?;
/// assert_eq!(child.wait(None)?, Some(Exit::Code(0)));
/// let mut said = [0; 3];
/// answer.read_exact(&mut said)?;
/// assert_eq!(&said, b"me\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Plan {
    path: CString,
    pub(super) argv: Vec<CString>,
    pub(super) envp: Vec<CString>,
    folder: Option<CString>,
    place: Place,
    stdio: [Stdio; 3],
    /// Descriptors and the numbers they get.
    descriptors: Vec<(OwnedFd, c_int)>,
    limits: Vec<Limit>,
    nice: Nice,
    class: Option<(c_int, c_int)>,
    cpus: Vec<usize>,
    nodes: Vec<usize>,
    umask: Option<u32>,
    /// A variable with room for the program's number, or nothing.
    own_pid: Vec<AtomicU8>,
    cgroup: Option<OwnedFd>,
    pub(super) identity: Option<Identity>,
    pub(super) capabilities: Option<u64>,
}

/// Where a program's input, output or error leads.
#[derive(Debug)]
pub enum Stdio {
    /// Where ours leads.
    Ours,
    /// Nowhere.
    Null,
    /// There.
    Fd(OwnedFd),
}

impl Plan {
    /// A plan to run `path` with `argv`, whose first word is the name it is told, and exactly the environment `envp`.
    pub fn new<A, K, V>(
        path: &Path,
        argv: impl IntoIterator<Item = A>,
        envp: impl IntoIterator<Item = (K, V)>,
    ) -> io::Result<Plan>
    where
        A: AsRef<OsStr>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        let pair = |(key, value): (K, V)| {
            let mut word = key.as_ref().to_owned();
            word.push("=");
            word.push(value);
            CString::new(word.into_vec())
        };
        Ok(Plan {
            path: CString::new(path.as_os_str().as_bytes())?,
            argv: argv.into_iter().map(|word| CString::new(word.as_ref().as_bytes())).collect::<Result<_, _>>()?,
            envp: envp.into_iter().map(pair).collect::<Result<_, _>>()?,
            folder: None,
            place: Place::OwnGroup,
            stdio: [Stdio::Null, Stdio::Ours, Stdio::Ours],
            descriptors: Vec::new(),
            limits: Vec::new(),
            nice: Nice::By(0),
            class: None,
            cpus: Vec::new(),
            nodes: Vec::new(),
            umask: None,
            own_pid: Vec::new(),
            cgroup: None,
            identity: None,
            capabilities: None,
        })
    }

    /// The same, run in `folder`.
    pub fn in_folder(mut self, folder: &Path) -> io::Result<Plan> {
        self.folder = Some(CString::new(folder.as_os_str().as_bytes())?);
        Ok(self)
    }

    /// Input comes from there instead of `/dev/null`.
    pub fn input(mut self, from: Stdio) -> Plan {
        self.stdio[0] = from;
        self
    }

    /// Output goes there instead of where ours goes.
    pub fn output(mut self, to: Stdio) -> Plan {
        self.stdio[1] = to;
        self
    }

    /// Error messages go there instead of where ours go.
    pub fn error(mut self, to: Stdio) -> Plan {
        self.stdio[2] = to;
        self
    }

    /// The program finds `fd` open as `number`, which is above 2; of two with one number the later one.
    pub fn descriptor(mut self, fd: impl Into<OwnedFd>, number: i32) -> io::Result<Plan> {
        if number <= 2 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.descriptors.push((fd.into(), number));
        Ok(self)
    }

    /// The program gets these limits instead of ours; [`NO_LIMIT`](super::NO_LIMIT) is none.
    pub fn limit(mut self, resource: Resource, soft: u64, hard: u64) -> Plan {
        self.limits.push(Limit { soft, hard, resource: resource as c_int });
        self
    }

    /// The program is that much nicer than we are.
    pub fn nicer(mut self, by: i32) -> Plan {
        self.nice = Nice::By(by);
        self
    }

    /// The program has this nice value, -20 to 19, whatever ours is.
    pub fn niceness(mut self, value: i32) -> Plan {
        self.nice = Nice::To(value);
        self
    }

    /// The program runs in this class. The nice value of those that have one is set apart from it.
    pub fn in_class(mut self, class: Class) -> Plan {
        self.class = Some(class.in_numbers());
        self
    }

    /// The program's memory comes from this NUMA node as long as there is any. Where the kernel knows no nodes nothing
    /// happens.
    pub fn near_node(mut self, number: u32) -> Plan {
        let (word, bit) = ((number / usize::BITS) as usize, number % usize::BITS);
        if number < MOST_NODES {
            self.nodes = vec![0; word + 1];
            self.nodes.iter_mut().last().into_iter().for_each(|word| *word |= 1 << bit);
        }
        self
    }

    /// The program's files are made without these permissions.
    pub fn umask(mut self, mask: u32) -> Plan {
        self.umask = Some(mask & 0o777);
        self
    }

    /// The program finds its own process id in this variable, as `LISTEN_PID` wants it: nobody knows it before.
    ///
    /// # Errors
    /// No variable can be called that.
    pub fn pid_in(mut self, variable: &str) -> io::Result<Plan> {
        if variable.is_empty() || variable.contains(['=', '\0']) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let room = [b'='].into_iter().chain([0; PID_ROOM]);
        self.own_pid = variable.bytes().chain(room).map(AtomicU8::new).collect();
        Ok(self)
    }

    /// The program is born into a control group. `procs` is its file `cgroup.procs`, open for writing.
    pub fn in_cgroup(mut self, procs: OwnedFd) -> Plan {
        self.cgroup = Some(procs);
        self
    }

    /// The program has these capabilities (by the kernel's numbers), whoever it runs as, and neither it nor what it
    /// starts will ever get others. Those beyond our own are refused.
    pub fn with_capabilities(mut self, kept: impl IntoIterator<Item = u8>) -> Plan {
        let bits = kept.into_iter().filter(|number| *number < 64).map(|number| 1u64 << number);
        self.capabilities = Some(bits.fold(0, |all, bit| all | bit));
        self
    }

    /// The program runs on these processors only. Those that are not there do not count; one has to be.
    pub fn on_processors(mut self, numbers: impl IntoIterator<Item = u32>) -> Plan {
        for number in numbers {
            let (word, bit) = ((number / usize::BITS) as usize, number % usize::BITS);
            // One that no kernel has adds no bit, but is no permission for all either.
            let known = word < MOST_PROCESSORS / usize::BITS as usize;
            self.cpus.resize(self.cpus.len().max(if known { word + 1 } else { 1 }), 0);
            if let (true, Some(word)) = (known, self.cpus.get_mut(word)) {
                *word |= 1 << bit;
            }
        }
        self
    }

    /// The program runs as this user. Needs root.
    pub fn as_user(mut self, identity: Identity) -> Plan {
        self.identity = Some(identity);
        self
    }

    /// The program leads a session of its own, without a terminal.
    pub fn in_own_session(mut self) -> Plan {
        self.place = Place::OwnSession;
        self
    }

    /// The program stays in our process group: a Ctrl-C meant for us reaches it.
    pub fn in_our_group(mut self) -> Plan {
        self.place = Place::OurGroup;
        self
    }

    pub(super) fn handed(&self) -> Vec<Handed> {
        let hand = |fd: &OwnedFd, to| Handed { from: fd.as_raw_fd(), to, aside: AtomicI32::new(-1) };
        let stdio = self.stdio.iter().zip(0..).filter_map(|(way, to)| match way {
            Stdio::Fd(fd) => Some(hand(fd, to)),
            Stdio::Ours | Stdio::Null => None,
        });
        stdio.chain(self.descriptors.iter().map(|(fd, to)| hand(fd, *to))).collect()
    }

    /// The environment's addresses, ended by a null. They hold as long as the plan.
    pub(super) fn environment(&self) -> Vec<*const c_char> {
        let mut envp = pointers(&self.envp);
        if let Some(first) = self.own_pid.first() {
            envp.insert(0, first.as_ptr().cast_const().cast());
        }
        envp
    }

    pub(super) fn image<'a>(
        &'a self,
        argv: &[*const c_char],
        envp: &[*const c_char],
        handed: &'a [Handed],
    ) -> Image<'a> {
        Image {
            path: self.path.as_ptr(),
            argv: argv.as_ptr(),
            envp: envp.as_ptr(),
            folder: self.folder.as_ref().map_or(ptr::null(), |folder| folder.as_ptr()),
            place: self.place,
            detached: false,
            null: self.stdio.each_ref().map(|way| matches!(way, Stdio::Null)),
            handed,
            limits: &self.limits,
            nice: self.nice,
            class: self.class,
            cpus: &self.cpus,
            nodes: &self.nodes,
            umask: self.umask,
            own_pid: self.own_pid.get(self.own_pid.len().saturating_sub(PID_ROOM)..).unwrap_or_default(),
            cgroup: self.cgroup.as_ref().map_or(-1, |procs| procs.as_raw_fd()),
            identity: self.identity.as_ref(),
            capabilities: self.capabilities,
            highest_fd: highest_fd(),
            report_to: AtomicI32::new(-1),
            failed: AtomicI32::new(0),
            errno: AtomicI32::new(0),
        }
    }
}

/// The first file of that name in the folders of `PATH` that may be executed.
pub fn in_path(name: &OsStr) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    std::env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|file| file.metadata().is_ok_and(|about| about.is_file()) && access(file, AccessFlags::X_OK).is_ok())
}

/// The words' addresses, ended by a null. They hold as long as `words`.
pub(super) fn pointers(words: &[CString]) -> Vec<*const c_char> {
    words.iter().map(|word| word.as_ptr()).chain([ptr::null()]).collect()
}

/// The digits of a process id, and the end of the string.
const PID_ROOM: usize = 11;
const MOST_PROCESSORS: usize = 8192;
const MOST_NODES: u32 = 1024;
