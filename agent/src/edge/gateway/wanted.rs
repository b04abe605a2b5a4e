//! What a request asks for, in the words of the core.

use crate::core::message::{Call, Params};
use msf_wire::nmid::handle_type;
use std::borrow::Cow;

/// A function to be called; whatever had to be decoded or converted for it is its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// By its name.
    pub function: Cow<'a, [u8]>,
    /// How the arguments are written, see [`msf_wire::nmid::params_type`].
    pub kind: u32,
    /// The arguments.
    pub params: Cow<'a, [u8]>,
    /// How many milliseconds the caller waits; `None`: as long as the function's own deadline.
    pub patience: Option<u32>,
}

impl Wanted<'_> {
    /// The call.
    pub fn call(&self) -> Call<'_> {
        let params = Params { kind: self.kind, handle: handle_type::ENCODE, bytes: &self.params };
        Call { function: &self.function, params, patience: self.patience }
    }
}

/// A `Deadline`, in milliseconds; `None` where it is no number between one and a day's.
pub fn patience(text: &str) -> Option<u32> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|millis| is_number && (1..=DAY).contains(millis))
}

/// What is said where [`patience`] finds none.
pub const BAD_PATIENCE: &str = "a deadline is a number of milliseconds between 1 and 86400000";
const DAY: u32 = 86_400_000;
