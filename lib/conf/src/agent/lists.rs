//! The white and the black list: whose nmid connections are taken at all.

use super::key::{Key, Kind};
use super::word::{NOBODY, Word};
use crate::ConfError;
use crate::net::Networks;
use std::fmt;
use std::net::IpAddr;

/// Who may connect over nmid's port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// `white_list`: only these, if there is one; an empty one lets nobody in.
    pub white: Option<Networks>,
    /// `black_list`: these not.
    pub black: Option<Networks>,
}

impl Lists {
    /// Whether a peer with this address may stay.
    pub fn admit(&self, address: IpAddr) -> bool {
        let wanted = self.white.as_ref().is_none_or(|list| list.contains(address));
        wanted && !self.black.as_ref().is_some_and(|list| list.contains(address))
    }

    /// Whether nobody at all may: whoever is wanted is kept out.
    pub fn admit_nobody(&self) -> bool {
        let kept_out = |network| self.black.iter().flat_map(|list| &list.0).any(|black| black.covers(network));
        self.white.as_ref().is_some_and(|list| list.0.iter().all(kept_out))
    }

    /// Takes a key of [`KEYS`]; whether it is one.
    pub(super) fn set(&mut self, word: &Word) -> Result<bool, ConfError> {
        let list = match word.key {
            "white_list" => &mut self.white,
            "black_list" => &mut self.black,
            _ => return Ok(false),
        };
        *list = match word.value.as_str() {
            OFF => None,
            _ => Some(word.networks()?),
        };
        Ok(true)
    }
}

impl fmt::Display for Lists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, list) in [("white_list", &self.white), ("black_list", &self.black)] {
            match list {
                None => writeln!(f, "{key}={OFF}")?,
                Some(list) if list.0.is_empty() => writeln!(f, "{key}={NOBODY}")?,
                Some(list) => writeln!(f, "{key}={list}")?,
            }
        }
        Ok(())
    }
}

/// There is no such list; what a later file says to an earlier one.
pub(super) const OFF: &str = "off";

pub(super) const KEYS: &[Key] = &[("white_list", Kind::List), ("black_list", Kind::List)];

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Option<Networks> {
        Some(Networks(text.split_terminator(',').map(|item| item.parse().unwrap()).collect()))
    }

    fn admitted(white: Option<Networks>, black: Option<Networks>) -> Vec<&'static str> {
        let lists = Lists { white, black };
        let all = ["10.0.0.1", "10.9.0.1", "192.168.0.1", "::ffff:10.0.0.1"];
        all.into_iter().filter(|address| lists.admit(address.parse().unwrap())).collect()
    }

    #[test]
    fn without_lists_everybody_is_let_in() {
        assert_eq!(admitted(None, None).len(), 4);
    }

    #[test]
    fn a_white_list_lets_in_whom_it_names_and_an_empty_one_nobody() {
        assert_eq!(admitted(list("10.0.0.0/16"), None), ["10.0.0.1", "::ffff:10.0.0.1"]);
        assert!(admitted(list(""), None).is_empty());
    }

    #[test]
    fn a_black_list_keeps_out_whom_it_names_and_an_empty_one_nobody() {
        assert_eq!(admitted(None, list("10.0.0.0/8")), ["192.168.0.1"]);
        assert_eq!(admitted(None, list("")).len(), 4);
    }

    #[test]
    fn lists_that_let_nobody_in_are_told_from_those_that_do() {
        let nobody = |white: Option<&str>, black: Option<&str>| {
            Lists { white: white.and_then(list), black: black.and_then(list) }.admit_nobody()
        };
        assert!(nobody(Some(""), None) && nobody(Some("10.0.0.1,10.1.0.0/16"), Some("10.0.0.0/8")));
        assert!(!nobody(None, None) && !nobody(None, Some("0.0.0.0/0")));
        assert!(
            !nobody(Some("10.0.0.1,11.0.0.1"), Some("10.0.0.0/8")) && !nobody(Some("10.0.0.0/8"), Some("10.0.0.1"))
        );
    }

    #[test]
    fn who_is_on_both_lists_stays_out() {
        assert_eq!(admitted(list("10.0.0.0/8"), list("10.0.0.1")), ["10.9.0.1"]);
    }
}
