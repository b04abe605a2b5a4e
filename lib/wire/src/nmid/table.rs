//! Params as most callers mean them: names and values, written as a msgpack map without a tree in between.

use super::msgpack;
use super::{Params, params_type};

/// A map that grows by one entry at a time. Names are not compared: of two equal ones, readers take the last.
///
/// ```
/// use msf_wire::nmid::Table;
/// let mut table = Table::default();
/// table.text(b"name", b"nmid").int(b"n", 4);
/// assert_eq!(table.bytes(), b"\x82\xa4name\xa4nmid\xa1n\x04");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Table {
    entries: Vec<u8>,
    count: usize,
    whole: Vec<u8>,
}

impl Table {
    /// Adds a text.
    pub fn text(&mut self, key: &[u8], value: &[u8]) -> &mut Self {
        msgpack::append_text(self.entry(key), value);
        self
    }

    /// Adds an integer.
    pub fn int(&mut self, key: &[u8], value: i64) -> &mut Self {
        msgpack::append_int(self.entry(key), value);
        self
    }

    /// Adds bytes.
    pub fn binary(&mut self, key: &[u8], value: &[u8]) -> &mut Self {
        msgpack::append_bytes(self.entry(key), value);
        self
    }

    /// The map as it is now.
    pub fn bytes(&mut self) -> &[u8] {
        self.whole.clear();
        msgpack::append_map(&mut self.whole, self.count);
        self.whole.extend_from_slice(&self.entries);
        &self.whole
    }

    /// The same as the params of a call.
    pub fn params(&mut self) -> Params<'_> {
        Params { kind: params_type::MSGPACK, ..Params::untyped(self.bytes()) }
    }

    fn entry(&mut self, key: &[u8]) -> &mut Vec<u8> {
        self.count += 1;
        msgpack::append_text(&mut self.entries, key);
        &mut self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nmid::lookup;

    #[test]
    fn what_was_put_in_is_found_again() {
        let mut table = Table::default();
        let long = vec![b'x'; 70_000];
        table.text(b"name", b"").int(b"low", i64::MIN).binary(b"data", &long).text(b"long", &long);
        for number in 0..40 {
            table.int(format!("n{number}").as_bytes(), number);
        }
        let params = table.params();
        assert_eq!(lookup(params, b"name").as_deref(), Some(&b""[..]));
        assert_eq!(lookup(params, b"low").as_deref(), Some(i64::MIN.to_string().as_bytes()));
        assert_eq!(lookup(params, b"long"), Some(long));
        assert_eq!(lookup(params, b"n39").as_deref(), Some(&b"39"[..]));
    }

    #[test]
    fn it_may_be_read_and_grow_in_turn() {
        let mut table = Table::default();
        assert_eq!(table.bytes(), b"\x80");
        assert_eq!(table.text(b"a", b"b").bytes(), b"\x81\xa1a\xa1b");
        assert_eq!(table.bytes(), b"\x81\xa1a\xa1b");
    }
}
