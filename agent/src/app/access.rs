//! Who may connect, and with which rights the unix sockets are made.

use super::Failure;
use crate::control::listener::Rights;
use crate::control::thread::Access;
use msf_conf::agent::Settings;
use nix::unistd::{Group, geteuid};

/// Root and this user, whoever `allow_uids` names; or, when the settings give the sockets a mode or a group but name
/// nobody, whoever that mode lets in.
pub fn access(settings: &Settings) -> Access {
    let open = settings.unix_mask.is_some() || settings.unix_group.is_some();
    match &settings.allow_uids {
        None if open => Access::FileMode,
        named => {
            let mut users = vec![0, geteuid().as_raw()];
            users.extend(named.iter().flatten());
            Access::Users(users)
        }
    }
}

/// The rights of the unix sockets' files: 0600, 0660 with a group, 0666 for users by number, or what `unix_mask` says.
pub fn rights(settings: &Settings) -> Result<Rights, Failure> {
    let group = match &settings.unix_group {
        None => None,
        Some(name) => match Group::from_name(name)? {
            Some(group) => Some(group.gid),
            None => return Err(settings.blame(&["unix_group"], &format!("there is no group \"{name}\"")).into()),
        },
    };
    let default = match (&group, &settings.allow_uids) {
        (Some(_), _) => 0o660,
        // Their credentials are looked at when they connect.
        (None, Some(_)) => 0o666,
        (None, None) => 0o600,
    };
    Ok(Rights { mode: settings.unix_mask.unwrap_or(default), group })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_settings_the_socket_is_ours_alone() {
        let settings = Settings::default();
        assert_eq!(rights(&settings).unwrap(), Rights { mode: 0o600, group: None });
        assert!(
            matches!(access(&settings), Access::Users(users) if users.iter().all(|uid| [0, geteuid().as_raw()].contains(uid)))
        );
    }

    #[test]
    fn a_written_mode_opens_the_door_unless_users_are_named() {
        let open = Settings { unix_mask: Some(0o766), ..Settings::default() };
        assert_eq!(access(&open), Access::FileMode);
        let named = Settings { allow_uids: Some(vec![7]), ..open };
        assert!(matches!(access(&named), Access::Users(users) if users.contains(&7)));
        let named = Settings { allow_uids: Some(vec![7]), ..Settings::default() };
        assert_eq!(rights(&named).unwrap().mode, 0o666);
    }

    #[test]
    fn a_group_that_does_not_exist_is_named() {
        let settings = Settings { unix_group: Some("no-such-group".to_owned()), ..Settings::default() };
        assert!(rights(&settings).unwrap_err().to_string().contains("no-such-group"));
    }
}
