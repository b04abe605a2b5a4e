//! Who a process runs as: user, group and further groups.

use crate::error::Error;
use nix::errno::Errno;
use nix::unistd::{self, Gid, Uid, User, getgrouplist, setgroups, setresgid, setresuid};
use std::ffi::CString;

/// A user as the kernel knows him: by numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub uid: u32,
    /// His group.
    pub gid: u32,
    /// The other groups he is in.
    pub groups: Vec<u32>,
}

impl Identity {
    /// The user of that name, with all his groups.
    ///
    /// # Errors
    /// When the machine has no such user.
    pub fn of(name: &str) -> Result<Identity, Error> {
        let unknown = || Error::Argument { given: name.to_owned(), expected: "the name of a user" };
        let user = match User::from_name(name) {
            // So says the C library where there is no list of users at all.
            Err(Errno::ENOENT) => None,
            found => found.map_err(Error::system("look for the user"))?,
        };
        let user = user.ok_or_else(unknown)?;
        let c_name = CString::new(name).map_err(|_| unknown())?;
        let groups = getgrouplist(&c_name, user.gid).map_err(Error::system("look for the user's groups"))?;
        let groups = groups.into_iter().map(Gid::as_raw).collect();
        Ok(Identity { uid: user.uid.as_raw(), gid: user.gid.as_raw(), groups })
    }

    /// Makes the calling process run as this user, all of its threads, for good.
    ///
    /// # Errors
    /// EPERM when we are not root (and not him already).
    pub fn assume(&self) -> Result<(), Error> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        let groups: Vec<Gid> = self.groups.iter().copied().map(Gid::from_raw).collect();
        if !unistd::geteuid().is_root() && unistd::getresuid() == Ok(all_of(uid)) && unistd::getgid() == gid {
            return Ok(());
        }
        let change = || -> Result<(), Errno> {
            // The user last: he may not change the groups any more.
            setgroups(&groups)?;
            setresgid(gid, gid, gid)?;
            setresuid(uid, uid, uid)
        };
        change().map_err(Error::system("change the user"))
    }
}

fn all_of(uid: Uid) -> unistd::ResUid {
    unistd::ResUid { real: uid, effective: uid, saved: uid }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_and_nobody_of_an_odd_name() {
        let root = Identity::of("root").unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert_eq!(Identity::of("no such user").unwrap_err().errno(), Errno::EINVAL);
    }
}
