//! Jobs and their ids. The id is the address of the entry: which reactor, which slot, which of the slot's lives; so a
//! result finds its job without a search, and a late one meets a life that is over.

use super::message::{Address, Moment, Params};
use super::rules::Rules;
use crate::observe::function::Tally;
use msf_core::timer::TimerId;
use msf_wire::snapshot::{Damage, Reader, State, Writer};
use msf_wire::state;
use std::sync::Arc;

/// The id of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId {
    /// The reactor whose desk has it.
    pub reactor: u8,
    slot: u32,
    life: u32,
}

state! { struct JobId { reactor, slot, life } }

/// Length of an id on the wire, in bytes.
pub const ID_LEN: usize = 16;

impl JobId {
    /// As workers see it: hexadecimal digits. Some of them treat ids as text.
    pub fn encode(self) -> [u8; ID_LEN] {
        let mut digits = [0; ID_LEN];
        let mut rest = u64::from(self.reactor) << 56 | u64::from(self.slot) << 32 | u64::from(self.life);
        for place in digits.iter_mut().rev() {
            *place = DIGITS[(rest & 15) as usize];
            rest >>= 4;
        }
        digits
    }

    /// The id that a worker sent back; `None` when it is none of ours.
    pub fn decode(text: &[u8]) -> Option<JobId> {
        let digits: &[u8; ID_LEN] = text.try_into().ok()?;
        let mut word = 0u64;
        for digit in digits {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            word = word << 4 | u64::from(value);
        }
        Some(JobId { reactor: (word >> 56) as u8, slot: (word >> 32) as u32 & SLOT_MASK, life: word as u32 })
    }

    /// The id as one word, for timers of the desk that has it.
    pub fn word(self) -> u64 {
        u64::from(self.life) << 32 | u64::from(self.slot)
    }

    /// The id that a word stands for on the desk of `reactor`.
    pub fn from_word(reactor: u8, word: u64) -> JobId {
        JobId { reactor, slot: word as u32, life: (word >> 32) as u32 }
    }
}

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The session.
    pub address: Address,
    /// The session's own number for the call.
    pub ticket: u32,
}

state! { struct Caller { address, ticket } }

/// A call that has no end yet.
#[derive(Debug)]
pub struct Job {
    /// Who asked; `None` once nobody wants the answer.
    pub caller: Option<Caller>,
    /// What for.
    pub function: Arc<[u8]>,
    /// The rules it is under.
    pub rules: Arc<Rules>,
    /// When it came to this desk, in the desk's microseconds.
    pub since: u64,
    /// When it fails.
    pub deadline: Moment,
    /// Where it is.
    pub place: Place,
    /// What it has been through.
    pub past: Past,
    /// The arguments; kept while it waits, and while it may have to be given to another worker.
    pub params: Option<Kept>,
    /// What ends it at its deadline.
    pub timer: Option<TimerId>,
    /// Where it is counted how it ends, once a worker has it: its worker may have withdrawn the function by then.
    pub tally: Option<Arc<Tally>>,
}

state! {
    struct Job {
        caller, function, since, deadline, place, past, params;
        rules: Arc::default(), timer: None, tally: None,
    }
}

impl Job {
    /// Whoever was at it has not ended it, or too late.
    pub fn count_lost(&self) {
        self.tally.iter().for_each(|tally| tally.lost());
    }
}

/// What a call has been through; it goes with it from desk to desk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// How often it has been given to a worker that died.
    pub attempts: u32,
    /// How often it has been sent on to another desk.
    pub hops: u8,
}

state! { struct Past { attempts, hops } }

impl Past {
    /// The same, once it has been sent on.
    pub fn sent_on(self) -> Past {
        Past { hops: self.hops.saturating_add(1), ..self }
    }
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In its function's queue, or in that of the one worker it is meant for.
    Queue(Option<u32>),
    /// In no queue: about to be taken to another desk.
    Leaving,
    /// With the worker of this session.
    Worker(u32),
    /// With the librpc service of this session, under this number.
    Service(u32, u32),
    /// Its worker has said goodbye and may come back with the result on another connection until then.
    Orphan(Moment),
}

state! {
    enum Place {
        0 Queue(choice: Option<u32>),
        1 Leaving,
        2 Worker(session: u32),
        3 Service(session: u32, seq: u32),
        4 Orphan(until: Moment),
    }
}

/// Arguments that are ours.
#[derive(Clone, Debug)]
pub struct Kept {
    kind: u32,
    handle: u32,
    bytes: Box<[u8]>,
}

state! { struct Kept { kind, handle, bytes } }

impl Kept {
    /// A copy of `params`.
    pub fn new(params: &Params<'_>) -> Kept {
        Kept { kind: params.kind, handle: params.handle, bytes: params.bytes.into() }
    }

    /// How many bytes they are.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The arguments.
    pub fn params(&self) -> Params<'_> {
        Params { kind: self.kind, handle: self.handle, bytes: &self.bytes }
    }
}

/// The slots as they are; what can be told from them is not said again.
impl State for Jobs {
    fn save(&self, out: &mut Writer) {
        self.reactor.save(out);
        self.entries.save(out);
    }

    fn load(from: &mut Reader<'_>) -> Result<Jobs, Damage> {
        let (reactor, entries) = <(u8, Vec<Entry>)>::load(from)?;
        let free = entries.iter().zip(0u32..).filter(|(entry, _)| entry.job.is_none()).map(|(_, slot)| slot);
        let jobs = || entries.iter().filter_map(|entry| entry.job.as_ref());
        let kept = jobs().filter_map(|job| job.params.as_ref()).map(Kept::len).sum();
        Ok(Jobs { reactor, free: free.collect(), count: jobs().count(), kept, entries })
    }

    fn shape(out: &mut String) {
        <(u8, Vec<Entry>)>::shape(out);
    }
}

/// The jobs of one desk.
#[derive(Debug)]
pub struct Jobs {
    reactor: u8,
    entries: Vec<Entry>,
    free: Vec<u32>,
    count: usize,
    kept: usize,
}

#[derive(Debug)]
struct Entry {
    life: u32,
    job: Option<Job>,
}

state! { struct Entry { life, job } }

impl Jobs {
    /// None yet.
    pub fn new(reactor: u8) -> Jobs {
        Jobs { reactor, entries: Vec::new(), free: Vec::new(), count: 0, kept: 0 }
    }

    /// Whether they are this reactor's.
    pub fn is_of(&self, reactor: u8) -> bool {
        self.reactor == reactor
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Bytes of arguments that are kept for them.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// Gives a job's arguments away.
    pub fn take_params(&mut self, id: JobId) -> Option<Kept> {
        let params = self.get_mut(id)?.params.take();
        self.kept -= params.as_ref().map_or(0, Kept::len);
        params
    }

    /// Takes one in; `None` when there is no slot left.
    pub fn insert(&mut self, job: Job) -> Option<JobId> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.entries.len() <= SLOT_MASK as usize => {
                self.entries.push(Entry { life: 0, job: None });
                (self.entries.len() - 1) as u32
            }
            None => return None,
        };
        let entry = self.entries.get_mut(slot as usize)?;
        self.kept += job.params.as_ref().map_or(0, Kept::len);
        entry.job = Some(job);
        self.count += 1;
        Some(JobId { reactor: self.reactor, slot, life: entry.life })
    }

    /// The job with this id, if it has no end yet.
    pub fn get(&self, id: JobId) -> Option<&Job> {
        self.entry(id).and_then(|entry| entry.job.as_ref())
    }

    /// The same, to change.
    pub fn get_mut(&mut self, id: JobId) -> Option<&mut Job> {
        self.entries.get_mut(id.slot as usize).filter(|entry| entry.life == id.life)?.job.as_mut()
    }

    /// Takes it out: from here on its id finds nobody.
    pub fn remove(&mut self, id: JobId) -> Option<Job> {
        let entry = self.entries.get_mut(id.slot as usize).filter(|entry| entry.life == id.life)?;
        let job = entry.job.take()?;
        entry.life = entry.life.wrapping_add(1);
        self.free.push(id.slot);
        self.count -= 1;
        self.kept -= job.params.as_ref().map_or(0, Kept::len);
        Some(job)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (JobId, &Job)> {
        let reactor = self.reactor;
        self.entries.iter().enumerate().filter_map(move |(slot, entry)| {
            let id = JobId { reactor, slot: slot as u32, life: entry.life };
            entry.job.as_ref().map(|job| (id, job))
        })
    }

    fn entry(&self, id: JobId) -> Option<&Entry> {
        self.entries.get(id.slot as usize).filter(|entry| entry.life == id.life)
    }
}

const SLOT_MASK: u32 = 0xff_ffff;
const DIGITS: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        Job {
            caller: None,
            function: b"F".as_slice().into(),
            rules: Arc::default(),
            since: 0,
            deadline: Moment(9),
            place: Place::Queue(None),
            past: Past::default(),
            params: None,
            timer: None,
            tally: None,
        }
    }

    #[test]
    fn an_id_comes_back_from_the_wire_as_it_went() {
        let id = JobId { reactor: 0xfe, slot: 0x12_3456, life: 0x9abc_def0 };
        assert_eq!(&id.encode(), b"fe1234569abcdef0");
        assert_eq!(JobId::decode(&id.encode()), Some(id));
    }

    #[test]
    fn what_is_none_of_ours_is_no_id() {
        for text in ["", "fe1234569abcdef", "fe1234569abcdef00", "FE1234569ABCDEF0", "g000000000000000"] {
            assert_eq!(JobId::decode(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn an_id_of_a_past_life_finds_nobody() {
        let mut jobs = Jobs::new(3);
        let first = jobs.insert(job()).unwrap();
        assert!(jobs.remove(first).is_some());
        let second = jobs.insert(job()).unwrap();
        assert_eq!(first.slot, second.slot);
        assert!(jobs.get(first).is_none() && jobs.get_mut(first).is_none() && jobs.remove(first).is_none());
        assert_eq!(jobs.iter().map(|(id, _)| id).collect::<Vec<_>>(), [second]);
        assert_eq!((JobId::from_word(3, second.word()), jobs.len()), (second, 1));
    }
}
