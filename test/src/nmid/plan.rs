//! Who takes part in a run, and for how long.

use msf_wire::nmid::Dialect;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How somebody calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// In the current generation of nmid, one request at a time.
    Second,
    /// In the first.
    First,
    /// In the current one, several requests at once.
    Pipelined,
    /// Gives up after a while and asks the next thing.
    Impatient,
    /// Asks a worker that often does not answer, or too late.
    Mute,
    /// Asks a function whose queue is short.
    Crowd,
    /// With librpc's call of a function.
    Librpc,
    /// By HTTP.
    Http,
}

impl Role {
    /// All, under the names of the command line.
    pub const ALL: [(&str, Role); 8] = [
        ("g2", Role::Second),
        ("g0", Role::First),
        ("pipelined", Role::Pipelined),
        ("impatient", Role::Impatient),
        ("mute", Role::Mute),
        ("crowd", Role::Crowd),
        ("librpc", Role::Librpc),
        ("http", Role::Http),
    ];

    /// What it asks for.
    pub fn functions(self) -> &'static [&'static str] {
        match self {
            Role::Mute => &["SoakMute"],
            Role::Crowd => &["SoakCrowd"],
            _ => &["Soak", "SoakToo"],
        }
    }
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where nmid's peers connect.
    pub nmid: SocketAddr,
    /// Where librpc's do.
    pub librpc: Option<PathBuf>,
    /// Where HTTP is spoken.
    pub http: Option<SocketAddr>,
    /// How many of which callers.
    pub callers: Vec<(Role, u32)>,
    /// How many workers of which generation, each with a connection of its own.
    pub workers: Vec<(Dialect, u32)>,
    /// How many of them run in processes of their own.
    pub processes: u32,
    /// How many jobs a worker may be given at once.
    pub in_flight: usize,
    /// For how long requests are made.
    pub length: Duration,
    /// The longest padding of a task.
    pub payload: usize,
    /// Whether workers die and callers leave.
    pub chaos: bool,
    /// The broker's deadline.
    pub deadline: Duration,
    /// Its deadline for the function that does not answer.
    pub mute_deadline: Duration,
    /// How much later than the deadline an answer may come.
    pub margin: Duration,
    /// Where random sequences start.
    pub seed: u64,
    /// What is in every task of this run.
    pub nonce: u64,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            nmid: SocketAddr::from(([127, 0, 0, 1], 6808)),
            librpc: None,
            http: None,
            callers: vec![(Role::Second, 8)],
            workers: vec![(Dialect::G2, 4)],
            processes: 0,
            in_flight: 1,
            length: Duration::from_secs(10),
            payload: 2000,
            chaos: false,
            deadline: Duration::from_secs(30),
            mute_deadline: Duration::from_secs(30),
            margin: Duration::from_secs(2),
            seed: 1,
            nonce: 0,
        }
    }
}

impl Plan {
    /// The deadline of what `role` asks for.
    pub fn deadline_of(&self, role: Role) -> Duration {
        if role == Role::Mute { self.mute_deadline } else { self.deadline }
    }

    /// How many callers have `role`.
    pub fn count_of(&self, role: Role) -> u32 {
        self.callers.iter().filter(|(known, _)| *known == role).map(|(_, count)| count).sum()
    }
}
