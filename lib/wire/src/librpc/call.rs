//! Calling a function by its name: the payload of a request to [`id::FUNCTION_SRV`](super::id::FUNCTION_SRV) with
//! [`cmd::CALL_FUNCTION`](super::cmd::CALL_FUNCTION).
//!
//! Little-endian: flags (bit 0: [`CallFunction::raw`], the others 0), the params' type (5 msgpack, 6 JSON), the
//! length of the name, the name, and the params up to the end of the payload. The header's timeout is how long the
//! caller waits. The answer's payload is what the function returned; its code stands in the header, see
//! [`Header::code`](super::Header::code).

use super::WireError;

/// Bytes in front of the name.
const FIXED: usize = 12;
/// The flags a caller may set.
const RAW: u32 = 1;

/// A function and its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallFunction<'a> {
    /// The caller wants the worker's RetStruct untouched, not the data inside.
    pub raw: bool,
    /// How the params are written: 5 msgpack, 6 JSON. Nobody else's business than the worker's.
    pub params_type: u32,
    /// The function; not empty.
    pub name: &'a [u8],
    /// Its arguments.
    pub params: &'a [u8],
}

impl<'a> CallFunction<'a> {
    /// Reads a call. A flag we do not know is refused: it would ask for something the caller then did not get.
    ///
    /// # Errors
    /// [`WireError::MalformedCall`]; the frame is lost, the connection is not.
    pub fn parse(body: &'a [u8]) -> Result<CallFunction<'a>, WireError> {
        CallFunction::read(body).ok_or(WireError::MalformedCall(body.len()))
    }

    fn read(body: &'a [u8]) -> Option<CallFunction<'a>> {
        let (flags, rest) = word(body)?;
        let (params_type, rest) = word(rest)?;
        let (name_len, rest) = word(rest)?;
        // A usize holds a u32 on every machine we build for.
        let (name, params) = rest.split_at_checked(name_len as usize)?;
        (flags & !RAW == 0 && !name.is_empty()).then_some(CallFunction {
            raw: flags & RAW != 0,
            params_type,
            name,
            params,
        })
    }

    /// Bytes of payload, for the header's `datalen`.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        FIXED + self.name.len() + self.params.len()
    }

    /// Appends the payload.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        out.reserve(self.encoded_len());
        // A name longer than a u32 can say does not fit into any frame.
        let words = [u32::from(self.raw), self.params_type, self.name.len() as u32];
        out.extend(words.into_iter().flat_map(u32::to_le_bytes));
        out.extend_from_slice(self.name);
        out.extend_from_slice(self.params);
    }
}

fn word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*word), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: CallFunction<'_> =
        CallFunction { raw: true, params_type: 5, name: b"ToUpper", params: b"\x81\xa1n\x04" };

    fn encoded(call: &CallFunction<'_>) -> Vec<u8> {
        let mut body = Vec::new();
        call.append_to(&mut body);
        body
    }

    #[test]
    fn a_call_looks_on_the_wire_as_protocol_h_says() {
        let expected = b"\x01\0\0\0\x05\0\0\0\x07\0\0\0ToUpper\x81\xa1n\x04";
        assert_eq!(encoded(&CALL), expected);
        assert_eq!(CALL.encoded_len(), expected.len());
    }

    #[test]
    fn what_was_encoded_parses_to_the_same_call() {
        let calls = [CALL, CallFunction { raw: false, params_type: 6, params: b"", ..CALL }];
        for call in calls {
            assert_eq!(CallFunction::parse(&encoded(&call)), Ok(call));
        }
    }

    #[test]
    fn a_payload_that_ends_within_the_name_is_refused_by_its_length() {
        let body = encoded(&CALL);
        for cut in 0..FIXED + CALL.name.len() {
            assert_eq!(CallFunction::parse(&body[..cut]), Err(WireError::MalformedCall(cut)));
        }
    }

    #[test]
    fn whatever_follows_the_name_is_params() {
        let body = encoded(&CALL);
        for cut in FIXED + CALL.name.len()..=body.len() {
            let params = &body[FIXED + CALL.name.len()..cut];
            assert_eq!(CallFunction::parse(&body[..cut]), Ok(CallFunction { params, ..CALL }));
        }
    }

    #[test]
    fn a_name_of_four_gigabytes_is_refused() {
        let mut body = encoded(&CALL);
        body[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(CallFunction::parse(&body), Err(WireError::MalformedCall(body.len())));
    }

    #[test]
    fn an_empty_name_and_an_unknown_flag_are_refused() {
        let nameless = encoded(&CallFunction { name: b"", ..CALL });
        assert_eq!(CallFunction::parse(&nameless), Err(WireError::MalformedCall(nameless.len())));
        for bit in 1..32 {
            let mut body = encoded(&CALL);
            body[..4].copy_from_slice(&(1_u32 << bit).to_le_bytes());
            assert_eq!(CallFunction::parse(&body), Err(WireError::MalformedCall(body.len())), "bit {bit}");
        }
    }
}
