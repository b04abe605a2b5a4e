//! A function service in Rust: Words counts the words of a text.
#![deny(unsafe_code)]

use msf_sys::plugin::{Context, Failure, Function, Plugin};

struct Words;

impl Words {
    fn count(&mut self, params: &[u8]) -> Result<Vec<u8>, Failure> {
        let words = str::from_utf8(params)?.split_whitespace().count();
        Ok(format!("{{\"words\":{words}}}").into_bytes())
    }
}

impl Plugin for Words {
    const FUNCTIONS: &'static [Function<Self>] = &[(c"Words", Words::count)];

    fn init(_context: &Context<'_>) -> Result<Words, Failure> {
        Ok(Words)
    }
}

msf_sys::msf_plugin!(msf_words_ops = Words);
