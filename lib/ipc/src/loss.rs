//! Why there is no connection, or none any more: the number init reports, and the sentence for the log.

use crate::errno::Errno;
use msf_client::Place;
use msf_client::wire::{WireError, errcode};
use msf_sys::log::Level;
use std::fmt;
use std::io;
use std::mem::{Discriminant, discriminant};

/// See the module.
#[derive(Debug)]
pub(crate) enum Loss {
    /// Nobody can be connected to.
    Nobody(Errno),
    /// The login was not answered in time.
    Mute,
    /// The connection ended before the login was answered.
    TurnedAway,
    /// The login was answered with this errcode.
    Refused(u32),
    /// The agent has ended the connection as one does.
    Closed,
    /// What came is not the protocol.
    NotAFrame(WireError),
    /// The connection broke, or we could not keep it.
    Broken(Errno),
}

impl Loss {
    /// The end of a connection, which means another thing before the login is answered.
    pub(crate) fn ended(errno: Option<Errno>, logging_in: bool) -> Self {
        match errno {
            None | Some(Errno::CONNRESET) if logging_in => Self::TurnedAway,
            None => Self::Closed,
            Some(errno) => Self::Broken(errno),
        }
    }

    /// What init reports when time is up.
    pub(crate) fn errno(&self) -> Errno {
        match self {
            Self::Nobody(errno) | Self::Broken(errno) => *errno,
            Self::Mute => Errno::TIMEDOUT,
            Self::Refused(errcode::LOGIN_FAIL) => Errno::EXIST,
            Self::TurnedAway | Self::Refused(_) => Errno::ACCES,
            Self::Closed => Errno::CONNRESET,
            Self::NotAFrame(_) => Errno::PROTO,
        }
    }

    /// Having no agent yet is how many programs begin.
    pub(crate) fn level(&self) -> Level {
        match self {
            Self::Nobody(_) | Self::Mute => Level::Info,
            Self::TurnedAway | Self::Refused(_) | Self::Closed | Self::Broken(_) => Level::Warn,
            Self::NotAFrame(_) => Level::Error,
        }
    }

    /// The sentence: `id` is ours, `peer` the address that was connected to.
    pub(crate) fn told<'a>(&'a self, place: &'a Place, peer: &'a str, id: u32) -> impl fmt::Display + 'a {
        fmt::from_fn(move |f| match self {
            Self::Nobody(errno) => write!(f, "no agent yet: {}: {}", nobody_at(place), reason(*errno)),
            Self::Mute => write!(f, "no agent yet: the one at {peer} does not answer the login"),
            Self::TurnedAway => write!(f, "the agent at {peer} closed the connection before answering the login"),
            Self::Refused(code) => write!(f, "the agent at {peer} refuses the login as {id:#x} with errcode {code}"),
            Self::Closed => write!(f, "the agent has closed the connection"),
            Self::NotAFrame(error) => write!(f, "what the agent at {peer} sends is not a frame: {error}"),
            Self::Broken(errno) => write!(f, "the connection to the agent is lost: {}", reason(*errno)),
        })
    }
}

/// What was told since the last login. While an agent is away the same is met again and again.
#[derive(Debug, Default)]
pub(crate) struct Told(Vec<Discriminant<Loss>>);

impl Told {
    /// Whether `loss` is news; it is none from now on. That nobody is there is news to nobody who knows of trouble.
    pub(crate) fn is_news(&mut self, loss: &Loss) -> bool {
        let kind = discriminant(loss);
        if self.0.contains(&kind) || matches!(loss, Loss::Nobody(_)) && !self.0.is_empty() {
            return false;
        }
        self.0.push(kind);
        true
    }

    /// The trouble is over.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}

fn nobody_at(place: &Place) -> impl fmt::Display + '_ {
    fmt::from_fn(move |f| match place {
        Place::Local(sockets) => match sockets.as_slice() {
            [only] => write!(f, "{} does not answer", only.display()),
            all => {
                let all: Vec<_> = all.iter().map(|socket| socket.display().to_string()).collect();
                write!(f, "none of {} answers", all.join(", "))
            }
        },
        Place::Remote { host, port } => write!(f, "{host} port {port} does not answer"),
    })
}

fn reason(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_turned_away_is_told_by_whom_and_gets_eacces() {
        let place = Place::Local(vec!["/r/a.sock".into()]);
        for end in [None, Some(Errno::CONNRESET)] {
            let loss = Loss::ended(end, true);
            assert_eq!(loss.errno(), Errno::ACCES);
            let told = loss.told(&place, "/r/a.sock", 7).to_string();
            assert_eq!(told, "the agent at /r/a.sock closed the connection before answering the login");
        }
        assert_eq!(Loss::ended(None, false).told(&place, "", 7).to_string(), "the agent has closed the connection");
    }

    #[test]
    fn nobody_names_every_place_that_was_tried() {
        let loss = Loss::Nobody(Errno(libc::ENOENT));
        let told = |place: &Place| loss.told(place, "", 7).to_string();
        let two = Place::Local(vec!["/r/a.sock".into(), "/x/a.sock".into()]);
        assert!(told(&two).starts_with("no agent yet: none of /r/a.sock, /x/a.sock answers: No such file"));
        let remote = Place::Remote { host: "10.0.0.7".into(), port: 9999 };
        assert!(told(&remote).starts_with("no agent yet: 10.0.0.7 port 9999 does not answer: "));
    }

    #[test]
    fn the_same_trouble_is_told_once_until_a_login() {
        let mut told = Told::default();
        assert!(told.is_news(&Loss::Closed));
        assert!(!told.is_news(&Loss::Nobody(Errno::CONNREFUSED)), "it is known that the agent is away");
        assert!(told.is_news(&Loss::TurnedAway));
        assert!(!told.is_news(&Loss::TurnedAway));
        told.forget();
        assert!(told.is_news(&Loss::Nobody(Errno::CONNREFUSED)));
    }
}
