//! Why a WebSocket ends.

use std::fmt;

/// Status codes we close with.
pub mod code {
    /// All is done.
    pub const NORMAL: u16 = 1000;
    /// The server goes away.
    pub const GOING_AWAY: u16 = 1001;
    /// The rules were broken.
    pub const PROTOCOL: u16 = 1002;
    /// A kind of data that is not taken here.
    pub const UNSUPPORTED: u16 = 1003;
    /// A text that is not UTF-8.
    pub const NOT_UTF8: u16 = 1007;
    /// A message beyond the limit.
    pub const TOO_LONG: u16 = 1009;
    /// The server has too much to do at the moment.
    pub const TRY_LATER: u16 = 1013;
}

/// What a client sent instead of frames we can go on behind. Each ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It broke the rules; the text says which.
    Protocol(&'static str),
    /// A text that is not UTF-8.
    NotUtf8,
    /// A message of more bytes than this.
    TooLong(usize),
}

impl Refusal {
    /// The status code of the Close frame.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::Protocol(_) => code::PROTOCOL,
            Self::NotUtf8 => code::NOT_UTF8,
            Self::TooLong(_) => code::TOO_LONG,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(what) => write!(f, "this breaks RFC 6455: {what}"),
            Self::NotUtf8 => write!(f, "a text is not UTF-8"),
            Self::TooLong(limit) => write!(f, "a message is longer than the {limit} bytes accepted"),
        }
    }
}

impl std::error::Error for Refusal {}

/// Whether a peer may send this code. Some only name what no frame said, others belong to nobody yet.
pub(super) fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
