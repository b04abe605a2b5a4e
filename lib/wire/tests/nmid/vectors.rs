//! Reads `test/vectors/nmid.txt`: the frames of the specification as data, shared with every other test.

use std::collections::BTreeMap;

use msf_wire::nmid::{Dialect, HEADER_LEN, Params};

const TEXT: &str = include_str!("../../../../test/vectors/nmid.txt");

/// One frame: what it says and how it looks on the wire. Those of V32 are what functions return, without a frame.
pub struct Vector {
    pub name: String,
    pub conn: u32,
    pub kind: u32,
    /// What it is, and under their names the parts of it.
    pub what: String,
    parts: BTreeMap<String, String>,
    pub bytes: Vec<u8>,
}

/// Every frame, in order.
pub fn frames() -> Vec<Vector> {
    let mut all = everything();
    all.retain(|vector| vector.what != "ret");
    assert_eq!(all.len(), 42, "the specification has 42 frames");
    all
}

/// What functions return.
pub fn rets() -> Vec<Vector> {
    let mut all = everything();
    all.retain(|vector| vector.what == "ret");
    assert_eq!(all.len(), 7);
    all
}

/// The one whose name begins with `number`.
pub fn frame(number: &str) -> Vector {
    let is_it = |vector: &Vector| vector.name.split(' ').next() == Some(number);
    frames().into_iter().find(is_it).unwrap_or_else(|| panic!("no vector {number}"))
}

fn everything() -> Vec<Vector> {
    TEXT.split("\n\n").skip(1).map(vector).collect()
}

fn vector(text: &str) -> Vector {
    let mut lines = text.lines();
    let name = lines.next().unwrap().to_owned();
    let (mut fields, mut says, mut bytes) = ("", "", Vec::new());
    for line in lines {
        match line.split_once(' ') {
            Some(("fields", rest)) => fields = rest,
            Some(("says", rest)) => says = rest,
            Some(("header" | "payload", digits)) => bytes.extend(hex(digits)),
            _ => panic!("{name}: cannot read {line:?}"),
        }
    }
    let header: BTreeMap<_, _> = fields.split(' ').filter_map(|field| field.split_once('=')).collect();
    let number = |key| header.get(key).map_or(0, |digits| digits.parse().unwrap());
    if !fields.is_empty() {
        assert_eq!(number("len") as usize, bytes.len() - HEADER_LEN, "{name}");
    }
    let (what, parts) = says.split_once(' ').unwrap_or((says, ""));
    let mut vector = Vector {
        name,
        conn: number("conn"),
        kind: number("type"),
        what: what.to_owned(),
        parts: BTreeMap::new(),
        bytes,
    };
    // A text may hold blanks, but then it is the last.
    for part in parts.split(' ').filter_map(|part| part.split_once('=')) {
        vector.parts.insert(part.0.to_owned(), part.1.to_owned());
    }
    vector
}

impl Vector {
    pub fn part(&self, key: &str) -> &str {
        self.parts.get(key).unwrap_or_else(|| panic!("{}: says nothing of {key}", self.name))
    }

    pub fn text(&self, key: &str) -> &[u8] {
        self.part(key).as_bytes()
    }

    pub fn hex(&self, key: &str) -> Vec<u8> {
        hex(self.part(key))
    }

    pub fn dialect(&self) -> Dialect {
        match self.part("dialect") {
            "G0" => Dialect::G0,
            "G2" => Dialect::G2,
            other => panic!("{}: no dialect is called {other}", self.name),
        }
    }

    pub fn id(&self) -> Option<&[u8]> {
        self.parts.get("id").map(String::as_bytes)
    }

    /// `bytes` with what the frame says about them.
    pub fn params<'a>(&self, bytes: &'a [u8]) -> Params<'a> {
        match self.parts.get("type") {
            Some(kind) => Params { kind: kind.parse().unwrap(), handle: self.part("handle").parse().unwrap(), bytes },
            None => Params::untyped(bytes),
        }
    }

    pub fn body(&self) -> &[u8] {
        &self.bytes[HEADER_LEN..]
    }
}

/// Groups of hex digits; `NxXX` is N times the byte XX.
fn hex(groups: &str) -> Vec<u8> {
    groups.split(' ').flat_map(group).collect()
}

fn group(text: &str) -> Vec<u8> {
    if let Some((times, byte)) = text.split_once('x') {
        return digits(byte).repeat(times.parse().unwrap());
    }
    digits(text)
}

fn digits(text: &str) -> Vec<u8> {
    assert_eq!(text.len() % 2, 0, "{text}");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
