//! What a new configuration changes, process by process. Pure; the driver carries it out.

use msf_conf::daemon::Process;
use std::fmt;

/// What becomes of one process, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Start,
    /// It is run with something else.
    Restart,
    /// It goes on undisturbed; how it is restarted and stopped may be new.
    Keep,
    /// It is gone from the file.
    Stop,
}

impl Change {
    /// Whether something is to be started by it.
    pub fn starts(self) -> bool {
        matches!(self, Change::Start | Change::Restart)
    }
}

/// The changes of one reload, in the order in which they are made.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes(pub Vec<(String, Change)>);

/// The difference between what runs and what is wanted. What goes, goes first and in reverse order, for what comes may
/// need its place.
pub fn difference(runs: &[&Process], wanted: &[Process]) -> Changes {
    let gone = |process: &&&Process| !wanted.iter().any(|other| other.name == process.name);
    let mut changes: Vec<_> =
        runs.iter().rev().filter(gone).map(|process| (process.name.clone(), Change::Stop)).collect();
    changes.extend(wanted.iter().map(|new| {
        let change = match runs.iter().find(|old| old.name == new.name) {
            None => Change::Start,
            Some(old) if old.launch == new.launch => Change::Keep,
            Some(_) => Change::Restart,
        };
        (new.name.clone(), change)
    }));
    Changes(changes)
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |change| match change {
            Change::Start => "start",
            Change::Restart => "restart",
            Change::Keep => "keep",
            Change::Stop => "stop",
        };
        let changes: Vec<_> = self.0.iter().map(|(name, change)| format!("{} {name}", word(*change))).collect();
        f.write_str(&changes.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use msf_conf::daemon::{Launch, Stop};
    use std::time::Duration;

    fn process(name: &str, path: &str) -> Process {
        let launch = Launch { path: path.to_owned(), ..Launch::default() };
        Process { name: name.to_owned(), launch, ..Process::default() }
    }

    fn told(runs: &[Process], wanted: &[Process]) -> String {
        difference(&runs.iter().collect::<Vec<_>>(), wanted).to_string()
    }

    #[test]
    fn only_the_difference_is_touched() {
        let runs = [process("a", "/a"), process("b", "/b"), process("c", "/c"), process("d", "/d")];
        let wanted = [process("e", "/e"), process("b", "/b"), process("c", "/c2")];
        assert_eq!(told(&runs, &wanted), "stop d, stop a, start e, keep b, restart c");
    }

    #[test]
    fn another_way_of_restarting_is_no_reason_to_restart() {
        let old = process("a", "/a");
        let new =
            Process { index: 7, stop: Stop { timeout: Duration::from_secs(9), ..Stop::default() }, ..old.clone() };
        assert_eq!(told(&[old], &[new]), "keep a");
    }
}
