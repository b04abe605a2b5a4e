//! What a caller asks and what must come of it: whoever gets another one's answer can tell.
//!
//! A task is one line of text that says who asks, the how-manieth time, what the worker is to do and how long; the
//! answer is computed from all of it. The text has no character that any peer or bridge treats specially, so that it
//! reaches the worker unchanged through every dialect: as the msgpack map `{"t": text}`, as JSON, or as the array
//! `["t:text"]` of the first generation.

use crate::dice::Dice;
use std::fmt::{self, Write as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the worker is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Answer after this long.
    For(Duration),
    /// Never answer, as a function of nmid's Go worker that has returned an error.
    Swallow,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Unlike that of any other run.
    pub nonce: u64,
    /// Who asks.
    pub client: u32,
    /// The how-manieth request of that client.
    pub seq: u64,
    /// When it was asked, in milliseconds since 1970: no broker's deadline for it begins sooner.
    pub asked: u64,
    /// What is to be done.
    pub work: Work,
    /// What the answer's Code is to be.
    pub code: u8,
    /// Makes it longer.
    pub padding: String,
}

/// How the arguments are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `{"t": text}` in msgpack.
    Map,
    /// `{"t": text}` in JSON.
    Json,
    /// `["t:text"]` in msgpack.
    Array,
}

/// The answer of a task, as a RetStruct says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// 0 is success.
    pub code: i64,
    /// What went wrong.
    pub msg: Vec<u8>,
    /// What came of it.
    pub data: Vec<u8>,
}

/// Now, as tasks say it.
pub fn wall_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64
}

impl Task {
    /// The task's text.
    pub fn text(&self) -> String {
        let work = match self.work {
            Work::For(time) => time.as_micros().to_string(),
            Work::Swallow => "never".to_owned(),
        };
        let Task { nonce, client, seq, asked, code, padding, .. } = self;
        format!("{nonce:x}.{client}.{seq}.{asked}.{work}.{code}.{padding}")
    }

    /// The task a text says.
    pub fn of(text: &str) -> Option<Task> {
        let mut words = text.splitn(7, '.');
        Some(Task {
            nonce: u64::from_str_radix(words.next()?, 16).ok()?,
            client: words.next()?.parse().ok()?,
            seq: words.next()?.parse().ok()?,
            asked: words.next()?.parse().ok()?,
            work: match words.next()? {
                "never" => Work::Swallow,
                micros => Work::For(Duration::from_micros(micros.parse().ok()?)),
            },
            code: words.next()?.parse().ok()?,
            padding: words.next()?.to_owned(),
        })
    }

    /// Its text, as arguments in `form`.
    pub fn params(&self, form: Form) -> Vec<u8> {
        let text = self.text();
        match form {
            Form::Map => {
                let mut params = vec![0x81, 0xa1, b't'];
                append_text(&mut params, text.as_bytes());
                params
            }
            Form::Json => format!("{{\"t\":\"{text}\"}}").into_bytes(),
            Form::Array => {
                let mut params = vec![0x91];
                append_text(&mut params, format!("t:{text}").as_bytes());
                params
            }
        }
    }

    /// The task that arguments ask for, in whatever form they have arrived.
    pub fn of_params(params: &[u8]) -> Option<Task> {
        let text = match params {
            [0x81, 0xa1, b't', value @ ..] => whole_text(value)?,
            [0x91, element @ ..] => whole_text(element)?.strip_prefix(b"t:")?,
            json => json.strip_prefix(b"{\"t\":\"")?.strip_suffix(b"\"}")?,
        };
        Task::of(std::str::from_utf8(text).ok()?)
    }

    /// Whether the worker lets the function's deadline pass.
    pub fn outlives(&self, deadline: Duration) -> bool {
        match self.work {
            Work::For(time) => time >= deadline,
            Work::Swallow => true,
        }
    }

    /// What must come of it.
    pub fn outcome(&self) -> Outcome {
        let text = self.text();
        let answer = format!("{:016x}.{}", fnv(text.as_bytes()), text.to_ascii_uppercase()).into_bytes();
        match self.code {
            0 => Outcome { code: 0, msg: b"ok".to_vec(), data: answer },
            code => Outcome { code: i64::from(code), msg: answer, data: Vec::new() },
        }
    }
}

impl Outcome {
    /// As nmid's Go worker writes it: a map, the Code always in nine bytes, Data as bin.
    pub fn as_map(&self) -> Vec<u8> {
        let mut ret = b"\x83\xa4Code\xd3".to_vec();
        ret.extend_from_slice(&self.code.to_be_bytes());
        ret.extend_from_slice(b"\xa3Msg");
        append_text(&mut ret, &self.msg);
        ret.extend_from_slice(b"\xa4Data\xc5");
        ret.extend_from_slice(&(self.data.len() as u16).to_be_bytes());
        ret.extend_from_slice(&self.data);
        ret
    }

    /// As nmid-c writes it: an array of three, Data as text.
    pub fn as_array(&self) -> Vec<u8> {
        let mut ret = vec![0x93, 0xcc, self.code as u8];
        append_text(&mut ret, &self.msg);
        append_text(&mut ret, &self.data);
        ret
    }

    /// Reads a RetStruct in either container.
    pub fn of_ret(ret: &[u8]) -> Option<Outcome> {
        let mut outcome = Outcome { code: 0, msg: Vec::new(), data: Vec::new() };
        let (&container, mut rest) = ret.split_first()?;
        for place in 0..3 {
            let key = match container {
                0x83 => text(&mut rest)?,
                0x93 => [b"Code".as_slice(), b"Msg", b"Data"][place],
                _ => return None,
            };
            match key {
                b"Code" => outcome.code = number(&mut rest)?,
                b"Msg" => outcome.msg = text(&mut rest)?.to_vec(),
                b"Data" => outcome.data = text(&mut rest)?.to_vec(),
                _ => return None,
            }
        }
        rest.is_empty().then_some(outcome)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [msg, data] = [&self.msg, &self.data].map(|bytes| String::from_utf8_lossy(&bytes[..bytes.len().min(80)]));
        write!(f, "code {}, msg {msg}, data {data}", self.code)
    }
}

/// Letters and digits, as many as asked for.
pub fn padding(dice: &mut Dice, length: usize) -> String {
    let mut padding = String::with_capacity(length + 16);
    while padding.len() < length {
        let _ = write!(padding, "{:x}", dice.roll());
    }
    padding.truncate(length);
    padding
}

fn append_text(out: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        short @ 0..=31 => out.push(0xa0 | short as u8),
        length => {
            out.push(0xda);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(text);
}

fn whole_text(mut bytes: &[u8]) -> Option<&[u8]> {
    let found = text(&mut bytes)?;
    bytes.is_empty().then_some(found)
}

/// The str, bin or nil (0xc0, empty here) that `bytes` begins with.
fn text<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (&tag, rest) = bytes.split_first()?;
    let width = match tag {
        0xa0..=0xc0 => 0,
        0xc4 | 0xd9 => 1,
        0xc5 | 0xda => 2,
        0xc6 | 0xdb => 4,
        _ => return None,
    };
    let (length, rest) = rest.split_at_checked(width)?;
    let length = match tag {
        0xa0..=0xbf => usize::from(tag & 0x1f),
        _ => length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
    };
    let (found, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(found)
}

/// The integer that `bytes` begins with.
fn number(bytes: &mut &[u8]) -> Option<i64> {
    let (&tag, rest) = bytes.split_first()?;
    let width = match tag {
        0x00..=0x7f => {
            *bytes = rest;
            return Some(i64::from(tag));
        }
        0xcc | 0xd0 => 1,
        0xcd | 0xd1 => 2,
        0xce | 0xd2 => 4,
        0xcf | 0xd3 => 8,
        _ => return None,
    };
    let (digits, rest) = rest.split_at_checked(width)?;
    *bytes = rest;
    Some(digits.iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte)))
}

/// FNV-1a.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks() -> Vec<Task> {
        let mut dice = Dice::new(7, 1);
        let lengths = [0, 1, 30, 31, 32, 255, 256, 3000];
        let mut task = |(place, length): (usize, usize)| Task {
            nonce: dice.roll(),
            client: place as u32,
            seq: dice.roll(),
            asked: dice.roll(),
            work: if place % 3 == 0 { Work::Swallow } else { Work::For(Duration::from_micros(place as u64)) },
            code: [0, 7, 200][place % 3],
            padding: padding(&mut dice, length),
        };
        lengths.into_iter().enumerate().map(&mut task).collect()
    }

    #[test]
    fn a_task_survives_every_form_of_params() {
        for task in tasks() {
            for form in [Form::Map, Form::Json, Form::Array] {
                assert_eq!(Task::of_params(&task.params(form)), Some(task.clone()));
            }
        }
    }

    #[test]
    fn an_outcome_survives_both_containers_and_differs_from_every_other() {
        let tasks = tasks();
        for task in &tasks {
            let outcome = task.outcome();
            assert_eq!(Outcome::of_ret(&outcome.as_map()), Some(outcome.clone()));
            assert_eq!(Outcome::of_ret(&outcome.as_array()), Some(outcome.clone()));
            assert_eq!(tasks.iter().filter(|other| other.outcome() == outcome).count(), 1);
        }
    }

    #[test]
    fn whatever_is_cut_off_is_neither_a_task_nor_an_outcome() {
        for task in tasks() {
            for form in [Form::Map, Form::Json, Form::Array] {
                let params = task.params(form);
                assert!((0..params.len()).all(|end| Task::of_params(&params[..end]).is_none()));
            }
            let ret = task.outcome().as_map();
            assert!((0..ret.len()).all(|end| Outcome::of_ret(&ret[..end]).is_none()));
        }
    }
}
