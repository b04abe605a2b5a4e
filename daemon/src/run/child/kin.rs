//! A process of a service: our child, or one that a daemon before us has started.

use super::sexton;
use crate::run::service::End;
use msf_core::process::{Birth, Child, Fate, Foster};
use std::io;
use std::os::fd::BorrowedFd;

/// See the module.
#[derive(Debug)]
pub enum Kin {
    /// Ours.
    Own(Child),
    /// Somebody else's before.
    Foster(Foster),
}

impl Kin {
    /// Its process id.
    pub fn pid(&self) -> i32 {
        match self {
            Kin::Own(child) => child.pid(),
            Kin::Foster(foster) => foster.pid(),
        }
    }

    /// Its number and its time of birth, as far as that can be found out.
    pub fn birth(&self) -> Option<Birth> {
        match self {
            Kin::Own(child) => Birth::of(child.pid()).ok(),
            Kin::Foster(foster) => Some(foster.birth()),
        }
    }

    /// A descriptor that becomes readable when it ends.
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Kin::Own(child) => child.pidfd(),
            Kin::Foster(foster) => foster.pidfd(),
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        match self {
            Kin::Own(child) => child.signal(signal),
            Kin::Foster(foster) => foster.signal(signal),
        }
    }

    /// Ends it and its group.
    pub fn kill(&self) -> io::Result<()> {
        match self {
            Kin::Own(child) => child.kill(),
            Kin::Foster(foster) => foster.kill(),
        }
    }

    /// How it ended, if it has. Its pid is released soon.
    pub fn collect(&mut self) -> io::Result<Option<End>> {
        Ok(match self {
            Kin::Own(child) => sexton::collect(child)?.map(End::Exit),
            Kin::Foster(foster) => foster.collect()?.map(|fate| match fate {
                Fate::Exit(exit) => End::Exit(exit),
                Fate::Child(exit) => {
                    sexton::bury(foster.pid());
                    End::Exit(exit)
                }
                Fate::Unknown => End::Unknown("it was not our child".to_owned()),
            }),
        })
    }
}
