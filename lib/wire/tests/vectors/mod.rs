//! Reads `test/vectors/librpc.txt`: the frames of the specification as data, shared with every other test.

use msf_wire::librpc::{Header, VERSION};

const TEXT: &str = include_str!("../../../../test/vectors/librpc.txt");

/// One frame: what it says and how it looks on the wire.
pub struct Vector {
    pub name: String,
    pub head: Header,
    pub body: Vec<u8>,
    pub bytes: Vec<u8>,
}

/// V1 to V12, in order.
pub fn vectors() -> Vec<Vector> {
    let all: Vec<Vector> = TEXT.split("\n\n").skip(1).map(vector).collect();
    assert_eq!(all.len(), 12, "the specification has twelve vectors");
    all
}

fn vector(text: &str) -> Vector {
    let mut lines = text.lines();
    let name = lines.next().unwrap().to_owned();
    let (mut head, mut header, mut body) = (Header::request(0, 0, 0, 0), Vec::new(), Vec::new());
    for line in lines {
        match line.split_once(' ') {
            Some(("fields", fields)) => head = self::head(fields),
            Some(("header", digits)) => header = hex(digits),
            Some(("payload", digits)) => body = hex(digits),
            _ => panic!("{name}: cannot read {line:?}"),
        }
    }
    let bytes = [header, body.clone()].concat();
    Vector { name, head, body, bytes }
}

fn head(fields: &str) -> Header {
    let mut head = Header { opcode: 0, version: VERSION, ..Header::request(0, 0, 0, 0) };
    for field in fields.split(' ') {
        let (key, value) = field.split_once('=').unwrap();
        *match key {
            "srcid" => &mut head.srcid,
            "dstid" => &mut head.dstid,
            "opcode" => &mut head.opcode,
            "cmd" => &mut head.cmd,
            "seq" => &mut head.seq,
            "errcode" => &mut head.errcode,
            "datalen" => &mut head.datalen,
            "restlen" => &mut head.restlen,
            "timeout" => &mut head.timeout,
            _ => panic!("no field is called {key:?}"),
        } = number(value);
    }
    head
}

fn number(text: &str) -> u32 {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).unwrap(),
        None => text.parse().unwrap(),
    }
}

fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u32> = digits.chars().filter_map(|digit| digit.to_digit(16)).collect();
    assert_eq!(digits.len() % 2, 0);
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}
