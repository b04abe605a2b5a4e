//! An event: the payload of [`cmd::PUBLISH`](super::cmd::PUBLISH), and of [`cmd::EVENT`](super::cmd::EVENT), with which
//! it goes to whoever has subscribed.
//!
//! Little-endian: the length of the name, the name, and the data up to the end of the payload, which nobody on the way
//! looks at. The header of an event says who has published it and how many the subscriber has lost before it, see
//! [`Header::publisher`](super::Header::publisher) and [`Header::lost`](super::Header::lost).

use super::WireError;

/// A service has logged in, or a process is ready: the original's name for it.
pub const COMPONENT_ONLINE: &[u8] = b"component_online";
/// It has gone.
pub const COMPONENT_OFFLINE: &[u8] = b"component_offline";
/// Names that begin so are of whoever sees to it that services and processes run: an agent takes them from such alone.
pub const COMPONENT_EVENTS: &[u8] = b"component_";
/// Subscribed to, it stands for every name.
pub const EVERY_EVENT: &[u8] = b"*";
/// The longest name of an event.
pub const EVENT_NAME_LEN: usize = 64;

/// A name and what is published under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publication<'a> {
    /// See [`is_event_name`].
    pub name: &'a [u8],
    /// What there is to say.
    pub data: &'a [u8],
}

/// Whether something can be published under this name: 1 to 64 visible characters of ASCII, `*` alone excepted.
#[must_use]
pub fn is_event_name(name: &[u8]) -> bool {
    (1..=EVENT_NAME_LEN).contains(&name.len()) && name.iter().all(u8::is_ascii_graphic) && name != EVERY_EVENT
}

impl<'a> Publication<'a> {
    /// Reads one.
    ///
    /// # Errors
    /// [`WireError::MalformedPublication`]; the frame is lost, the connection is not.
    pub fn parse(body: &'a [u8]) -> Result<Publication<'a>, WireError> {
        Publication::read(body).ok_or(WireError::MalformedPublication(body.len()))
    }

    fn read(body: &'a [u8]) -> Option<Publication<'a>> {
        let (length, rest) = body.split_first_chunk::<4>()?;
        // A usize holds a u32 on every machine we build for.
        let (name, data) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        is_event_name(name).then_some(Publication { name, data })
    }

    /// The payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // A name longer than a u32 can say is none.
        let length = (self.name.len() as u32).to_le_bytes();
        [length.as_slice(), self.name, self.data].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONLINE: Publication<'_> = Publication { name: COMPONENT_ONLINE, data: b"{}" };

    #[test]
    fn an_event_looks_on_the_wire_as_protocol_h_says() {
        assert_eq!(ONLINE.encode(), b"\x10\0\0\0component_online{}");
        assert_eq!(Publication::parse(&ONLINE.encode()), Ok(ONLINE));
    }

    #[test]
    fn whatever_follows_the_name_is_data_and_what_ends_within_it_is_refused() {
        let body = ONLINE.encode();
        let name_ends = 4 + COMPONENT_ONLINE.len();
        for cut in 0..=body.len() {
            let expected = match cut < name_ends {
                true => Err(WireError::MalformedPublication(cut)),
                false => Ok(Publication { data: &body[name_ends..cut], ..ONLINE }),
            };
            assert_eq!(Publication::parse(&body[..cut]), expected);
        }
    }

    #[test]
    fn a_name_is_visible_and_neither_empty_nor_long_nor_every_name() {
        assert!([b"a".as_slice(), &[b'x'; EVENT_NAME_LEN], b"a*"].into_iter().all(is_event_name));
        let refused = [b"".as_slice(), &[b'x'; EVENT_NAME_LEN + 1], b"a b", b"a\n", b"\xc3\xa9", EVERY_EVENT];
        for name in refused {
            assert!(!is_event_name(name), "{name:?}");
            assert!(Publication::parse(&Publication { name, data: b"" }.encode()).is_err());
        }
        let mut endless = ONLINE.encode();
        endless[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(Publication::parse(&endless).is_err());
    }
}
