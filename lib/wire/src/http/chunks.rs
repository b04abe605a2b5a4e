//! A chunked body, taken apart as it comes. Lines are left in the caller's buffer until they are whole; what lies between
//! them is taken at once, so that no byte is looked at twice.

use super::{Limits, Refusal};

/// Where in a chunked body the stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunks {
    /// Before a line with a chunk's size.
    Size,
    /// Inside a chunk, with this many bytes to come.
    Data(usize),
    /// Behind a chunk, before its line's end.
    End,
    /// Behind the last chunk, among trailers of which this many bytes are still accepted.
    Trailers(usize),
    /// Behind all of it.
    Done,
}

crate::state! { enum Chunks { 0 Size, 1 Data(left: usize), 2 End, 3 Trailers(left: usize), 4 Done } }

impl Chunks {
    /// Moves what `bytes` hold of the body to `body`; how many of them were used.
    pub(super) fn step(&mut self, bytes: &[u8], body: &mut Vec<u8>, limits: &Limits) -> Result<usize, Refusal> {
        let mut rest = bytes;
        while let Some((next, after)) = self.advance(rest, body, limits)? {
            *self = next;
            rest = after;
        }
        Ok(bytes.len() - rest.len())
    }

    /// One state further: which, and what is left of the bytes. `None` when more of them are needed, or none.
    fn advance<'a>(
        self,
        bytes: &'a [u8],
        body: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<Option<(Chunks, &'a [u8])>, Refusal> {
        Ok(match self {
            Chunks::Size => {
                let too_long = Refusal::Framing("the line of a chunk's size is too long");
                let Some((line, rest)) = line(bytes, LONGEST_SIZE_LINE, too_long)? else { return Ok(None) };
                match size(line)? {
                    0 => Some((Chunks::Trailers(limits.head), rest)),
                    size if size > limits.body.saturating_sub(body.len()) => {
                        return Err(Refusal::BodyTooLong(limits.body));
                    }
                    size => Some((Chunks::Data(size), rest)),
                }
            }
            Chunks::Data(left) => {
                let (data, rest) = bytes.split_at(left.min(bytes.len()));
                body.extend_from_slice(data);
                match left - data.len() {
                    0 => Some((Chunks::End, rest)),
                    _ if data.is_empty() => None,
                    left => Some((Chunks::Data(left), rest)),
                }
            }
            Chunks::End => match bytes {
                [b'\r', b'\n', rest @ ..] => Some((Chunks::Size, rest)),
                [] | [b'\r'] => None,
                _ => return Err(Refusal::Framing("a chunk is longer than its size says")),
            },
            Chunks::Trailers(left) => {
                let Some((line, rest)) = line(bytes, left, Refusal::HeadTooLong(limits.head))? else {
                    return Ok(None);
                };
                let next = if line.is_empty() { Chunks::Done } else { Chunks::Trailers(left - line.len() - 2) };
                Some((next, rest))
            }
            Chunks::Done => None,
        })
    }
}

/// The first line of `bytes` without its CRLF, and what follows; `None` while it is not whole. One that is longer than
/// `longest`, its end included, is `too_long`.
fn line(bytes: &[u8], longest: usize, too_long: Refusal) -> Result<Option<Cut<'_>>, Refusal> {
    let Some(at) = bytes.iter().take(longest).position(|byte| *byte == b'\n') else {
        return if bytes.len() < longest { Ok(None) } else { Err(too_long) };
    };
    let (line, rest) = bytes.split_at(at);
    match line.strip_suffix(b"\r") {
        Some(line) if !line.contains(&b'\r') => Ok(Some((line, rest.get(1..).unwrap_or_default()))),
        _ => Err(Refusal::Framing("a line of a chunked body does not end in CRLF")),
    }
}

/// The size a chunk's line begins with. Extensions are allowed and mean nothing.
fn size(line: &[u8]) -> Result<usize, Refusal> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, after) = line.split_at(digits);
    let goes_on = after.trim_ascii_start().first().is_none_or(|byte| *byte == b';');
    if digits.is_empty() || digits.len() > 16 || !goes_on {
        return Err(Refusal::Framing("a chunk's size is not a number"));
    }
    let digit = |sum: u64, byte: &u8| sum << 4 | u64::from(char::from(*byte).to_digit(16).unwrap_or(0));
    // One that no usize holds is longer than every limit.
    Ok(usize::try_from(digits.iter().fold(0, digit)).unwrap_or(usize::MAX))
}

/// A line, and what follows it.
type Cut<'a> = (&'a [u8], &'a [u8]);

/// A size of sixteen digits, and what some clients write behind it.
const LONGEST_SIZE_LINE: usize = 256;
