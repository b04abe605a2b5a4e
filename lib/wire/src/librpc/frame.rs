//! Header and payload together, found in a stream of bytes.

use super::header::{Header, check_start};
use super::{HEADER_LEN, WireError};

/// One frame, its payload lent from the buffer it was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is; `head.datalen` is `body.len()`.
    pub head: Header,
    /// The payload, opaque to the broker.
    pub body: &'a [u8],
}

impl Frame<'_> {
    /// Appends the frame as it goes over the wire. The caller has set `head.datalen` to the length of the body.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        out.reserve(HEADER_LEN + self.body.len());
        out.extend_from_slice(&self.head.encode());
        out.extend_from_slice(self.body);
    }
}

/// What a look at a buffer showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// No whole frame yet: at least this many bytes are missing.
    NeedMore(usize),
    /// The first frame, and how many bytes of the buffer it used.
    Frame(Frame<'a>, usize),
}

/// Finds the frame a buffer begins with.
///
/// Wrong magic and version are refused from the eighth byte on, a payload over `payload_limit` as soon as the header
/// is there: nobody has to buffer what will be refused.
///
/// # Errors
/// [`WireError::Magic`], [`WireError::Version`] or [`WireError::Oversized`].
pub fn decode(buf: &[u8], payload_limit: u32) -> Result<Step<'_>, WireError> {
    let Some((head, rest)) = buf.split_first_chunk::<HEADER_LEN>() else {
        if let Some(([v0, v1, v2, v3, m0, m1, m2, m3], _)) = buf.split_first_chunk::<8>() {
            check_start(u32::from_le_bytes([*v0, *v1, *v2, *v3]), u32::from_le_bytes([*m0, *m1, *m2, *m3]))?;
        }
        return Ok(Step::NeedMore(HEADER_LEN - buf.len()));
    };
    let head = Header::parse(head)?;
    if head.datalen > payload_limit {
        return Err(WireError::Oversized { head, limit: payload_limit });
    }
    // A usize holds a u32 on every machine we build for.
    let len = head.datalen as usize;
    match rest.get(..len) {
        Some(body) => Ok(Step::Frame(Frame { head, body }, HEADER_LEN + len)),
        None => Ok(Step::NeedMore(len - rest.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u32 = 100;

    fn frame(body: &[u8]) -> Vec<u8> {
        let head = Header { datalen: body.len() as u32, ..Header::request(1, 2, 3, 4) };
        let mut bytes = Vec::new();
        Frame { head, body }.append_to(&mut bytes);
        bytes
    }

    #[test]
    fn an_empty_buffer_wants_a_header() {
        assert_eq!(decode(&[], LIMIT), Ok(Step::NeedMore(HEADER_LEN)));
    }

    #[test]
    fn a_stranger_is_recognised_by_his_first_eight_bytes() {
        assert!(matches!(decode(b"GET / HT", LIMIT), Err(WireError::Magic(_))));
        assert_eq!(decode(b"GET / H", LIMIT), Ok(Step::NeedMore(HEADER_LEN - 7)));
    }

    #[test]
    fn oversized_body_is_refused_before_it_is_buffered() {
        let bytes = frame(&[7; 101]);
        let refused = decode(&bytes[..HEADER_LEN], LIMIT);
        assert!(
            matches!(refused, Err(WireError::Oversized { head, limit: LIMIT }) if head.datalen == 101),
            "{refused:?}"
        );
    }

    #[test]
    fn a_body_of_exactly_the_limit_is_accepted() {
        let bytes = frame(&[7; 100]);
        assert!(matches!(decode(&bytes, LIMIT), Ok(Step::Frame(_, 156))));
    }

    #[test]
    fn the_largest_announcement_does_not_overflow() {
        let head = Header { datalen: u32::MAX, ..Header::request(1, 2, 3, 4) };
        assert_eq!(decode(&head.encode(), u32::MAX), Ok(Step::NeedMore(u32::MAX as usize)));
    }

    #[test]
    fn pipelined_frames_come_one_at_a_time() {
        let mut bytes = frame(b"one");
        bytes.extend(frame(b"second"));
        let Ok(Step::Frame(first, used)) = decode(&bytes, LIMIT) else { panic!("no first frame") };
        assert_eq!((first.body, used), (&b"one"[..], HEADER_LEN + 3));
        let Ok(Step::Frame(second, used)) = decode(&bytes[used..], LIMIT) else { panic!("no second frame") };
        assert_eq!((second.body, used), (&b"second"[..], HEADER_LEN + 6));
    }
}
