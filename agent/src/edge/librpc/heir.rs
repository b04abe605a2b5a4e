//! A member's connection that has passed to another process: that one says which it is.

use super::super::broker::Broker;
use crate::core::message::Peer;
use crate::core::order::Report;
use msf_core::event::Token;
use msf_wire::librpc::Heir;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

impl Broker {
    /// A member has logged in once more, perhaps as the heir of who has connected. The kernel goes on naming that one.
    pub(super) fn inherited(&mut self, token: Token, login: &[u8]) {
        let address = self.address(token);
        let Some(session) = self.sessions.get_mut(token) else { return };
        let (Some(heir), Peer::Local { uid, .. }) = (Heir::parse(login), session.peer) else { return };
        if is_of(&heir, uid).unwrap_or(false) {
            session.peer = Peer::Local { pid: heir.pid, uid };
            let peer = session.peer;
            self.report(Report::Passed(address, peer));
        }
    }
}

/// Whether there is such a process, and it is this user's, whose word it is: who has a connection of his may do anything
/// with it, but must not have it pass for somebody else's.
fn is_of(heir: &Heir, uid: u32) -> io::Result<bool> {
    let is_ours = fs::metadata("/proc/self/ns/pid")?.ino() == heir.space;
    Ok(is_ours && fs::metadata(format!("/proc/{}", heir.pid))?.uid() == uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::geteuid;

    #[test]
    fn a_process_of_the_same_user_is_believed_and_no_other() {
        let space = fs::metadata("/proc/self/ns/pid").unwrap().ino();
        let uid = geteuid().as_raw();
        let heir = Heir { pid: std::process::id() as i32, space };
        assert!(is_of(&heir, uid).unwrap());
        assert!(!is_of(&heir, uid + 1).unwrap());
        assert!(!is_of(&Heir { space: space + 1, ..heir }, uid).unwrap(), "a number of another space");
        assert!(is_of(&Heir { pid: i32::MAX, ..heir }, uid).is_err(), "nobody");
        assert!(is_of(&Heir { pid: -1, ..heir }, uid).is_err());
    }
}
