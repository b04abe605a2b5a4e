//! What must be there before a process is started: other processes, files and devices.

use super::Process;
use super::read::{Layers, millis, paths, unknown_name};
use crate::ConfError;
use crate::json::Object;
use crate::tree::{Map, Value, json};
use std::collections::HashMap;
use std::time::Duration;

/// `after`, `requires`, `wait_for`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Started when these are up or have failed; stopped before them.
    pub after: Vec<String>,
    /// Started when these are up; stopped before them, and when they stop for good.
    pub requires: Vec<String>,
    /// Files and devices without which it is not started.
    pub wait_for: Vec<String>,
    /// `wait_retry_ms`: how often it is looked for them.
    pub look_again: Duration,
}

impl Default for Order {
    fn default() -> Self {
        Order { after: Vec::new(), requires: Vec::new(), wait_for: Vec::new(), look_again: Duration::from_secs(1) }
    }
}

impl Order {
    pub(super) fn read(entry: &Object, layers: &Layers) -> Result<Order, ConfError> {
        let names = |key| Ok(entry.strings(key)?.unwrap_or_default().into_iter().map(str::to_owned).collect());
        let look_again = millis(&layers.of("wait_retry_ms"), "wait_retry_ms", 10)?;
        Ok(Order {
            after: names("after")?,
            requires: names("requires")?,
            wait_for: paths(&layers.of("wait_for"), "wait_for")?,
            look_again: look_again.unwrap_or(Order::default().look_again),
        })
    }

    pub(super) fn show(&self, into: &mut Map<String, Value>) {
        for (key, names) in [("after", &self.after), ("requires", &self.requires), ("wait_for", &self.wait_for)] {
            if !names.is_empty() {
                into.insert(key.to_owned(), json!(names));
            }
        }
        into.insert("wait_retry_ms".to_owned(), json!(self.look_again.as_millis() as u64));
    }

    /// Everybody it is started after.
    pub fn others(&self) -> impl Iterator<Item = &String> {
        self.after.iter().chain(&self.requires)
    }
}

/// Nobody comes after somebody who is not there, after himself, or after somebody who comes after him.
pub(super) fn check(processes: &[Process], entries: &[Object]) -> Result<(), ConfError> {
    let known: Vec<&str> = processes.iter().map(|process| process.name.as_str()).collect();
    let places: HashMap<&str, usize> = known.iter().enumerate().map(|(place, name)| (*name, place)).collect();
    for (process, entry) in processes.iter().zip(entries) {
        for (key, names) in [("after", &process.order.after), ("requires", &process.order.requires)] {
            if let Some((at, name)) = names.iter().enumerate().find(|(_, name)| !places.contains_key(name.as_str())) {
                return Err(entry.error(&format!("{key}[{at}]"), unknown_name("process", name, &known)));
            }
        }
    }
    match circle(processes, &places) {
        None => Ok(()),
        Some(circle) => {
            let names: Vec<_> = circle.iter().filter_map(|at| known.get(*at).copied()).collect();
            let (first, key) =
                (circle[0], if processes[circle[0]].order.after.is_empty() { "requires" } else { "after" });
            let what = format!("a circle; each waits for the next: {} -> {}", names.join(" -> "), names[0]);
            Err(entries[first].error(key, what))
        }
    }
}

/// Some processes of which each comes after the next, and the last after the first.
fn circle(processes: &[Process], places: &HashMap<&str, usize>) -> Option<Vec<usize>> {
    let mut seen = vec![Seen::Never; processes.len()];
    for start in 0..processes.len() {
        // Walked without recursion: who writes a file chooses how deep it is.
        let mut path: Vec<(usize, usize)> = Vec::new();
        let mut next = (seen[start] == Seen::Never).then_some(start);
        loop {
            if let Some(place) = next.take() {
                seen[place] = Seen::OnPath;
                path.push((place, 0));
            }
            let Some((place, turn)) = path.last_mut() else { break };
            match processes[*place].order.others().nth(*turn).and_then(|name| places.get(name.as_str()).copied()) {
                None => {
                    seen[*place] = Seen::Done;
                    path.pop();
                }
                Some(other) => {
                    *turn += 1;
                    match seen[other] {
                        Seen::Done => {}
                        Seen::Never => next = Some(other),
                        Seen::OnPath => {
                            let from = path.iter().position(|(place, _)| *place == other).unwrap_or(0);
                            return Some(path[from..].iter().map(|(place, _)| *place).collect());
                        }
                    }
                }
            }
        }
    }
    None
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Never,
    OnPath,
    Done,
}
