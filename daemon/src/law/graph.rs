//! Who comes before whom. Pure: keys and names in, keys out.
//!
//! The configuration has been checked: there is no circle. A process that has left the configuration and still runs is
//! in the graph as long as it is there; a name that is not is nobody.

use msf_conf::daemon::Order;
use std::collections::{HashMap, HashSet};

/// One process's place among the others.
#[derive(Debug, Default)]
struct Place {
    /// Those it comes after, and whether it requires them.
    before: Vec<(u64, bool)>,
    /// Those that come after it, and whether they require it.
    behind: Vec<(u64, bool)>,
}

/// The order among all processes.
#[derive(Debug, Default)]
pub struct Graph {
    places: HashMap<u64, Place>,
    /// In which they are started: as in the file, but nobody before somebody he comes after.
    order: Vec<u64>,
    /// Whether nobody says who comes after whom. Then the file's order is meant, as in the original.
    pub is_plain: bool,
}

impl Graph {
    /// The graph of these processes, in the order of the file.
    pub fn of<'a>(processes: impl Iterator<Item = (u64, &'a str, &'a Order)> + Clone) -> Graph {
        let keys: HashMap<&str, u64> = processes.clone().map(|(key, name, _)| (name, key)).collect();
        let mut graph = Graph { is_plain: true, ..Graph::default() };
        for (key, _, order) in processes.clone() {
            graph.places.entry(key).or_default();
            let named =
                order.after.iter().map(|name| (name, false)).chain(order.requires.iter().map(|name| (name, true)));
            for (name, required) in named {
                let Some(other) = keys.get(name.as_str()) else { continue };
                graph.is_plain = false;
                graph.places.entry(key).or_default().before.push((*other, required));
                graph.places.entry(*other).or_default().behind.push((key, required));
            }
        }
        // Most come after one or two others.
        graph.places.values_mut().for_each(|place| place.before.shrink_to_fit());
        graph.order = graph.sorted(&processes.map(|(key, _, _)| key).collect::<Vec<_>>());
        graph
    }

    /// Those a process comes after, and whether it requires them.
    pub fn before(&self, key: u64) -> &[(u64, bool)] {
        self.places.get(&key).map_or(&[], |place| &place.before)
    }

    /// Those that come after it, and whether they require it.
    pub fn behind(&self, key: u64) -> &[(u64, bool)] {
        self.places.get(&key).map_or(&[], |place| &place.behind)
    }

    /// All, in the order in which they are started.
    pub fn order(&self) -> &[u64] {
        &self.order
    }

    /// Everybody behind these, however far, who is connected with them by requirements only or by any order at all.
    pub fn all_behind(&self, keys: &[u64], requirements_only: bool) -> Vec<u64> {
        let mut found: Vec<u64> = Vec::new();
        let mut seen: HashSet<u64> = keys.iter().copied().collect();
        let mut open = keys.to_vec();
        while let Some(key) = open.pop() {
            for (other, required) in self.behind(key) {
                if (*required || !requirements_only) && seen.insert(*other) {
                    found.push(*other);
                    open.push(*other);
                }
            }
        }
        found
    }

    /// Whom `key` requires, and whom they require.
    pub fn required_by(&self, key: u64) -> Vec<u64> {
        let mut found = Vec::new();
        let mut open = vec![key];
        while let Some(key) = open.pop() {
            for (other, required) in self.before(key) {
                if *required && !found.contains(other) {
                    found.push(*other);
                    open.push(*other);
                }
            }
        }
        found
    }

    /// Without recursion: who writes a file chooses how deep it is.
    fn sorted(&self, file: &[u64]) -> Vec<u64> {
        let mut order = Vec::with_capacity(file.len());
        let mut placed = HashSet::with_capacity(file.len());
        for key in file {
            let mut path = vec![(*key, 0)];
            while let Some((key, turn)) = path.last().copied() {
                path.last_mut().into_iter().for_each(|(_, turn)| *turn += 1);
                match self.before(key).get(turn) {
                    // A circle cannot be; were there one, its members' order would be any.
                    Some((other, _)) if !placed.contains(other) && path.len() <= file.len() => path.push((*other, 0)),
                    Some(_) => {}
                    None => {
                        if placed.insert(key) {
                            order.push(key);
                        }
                        path.pop();
                    }
                }
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(processes: &[(u64, &str, &[&str], &[&str])]) -> Graph {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let orders: Vec<Order> = processes
            .iter()
            .map(|(_, _, after, requires)| Order { after: owned(after), requires: owned(requires), ..Order::default() })
            .collect();
        Graph::of(processes.iter().zip(&orders).map(|((key, name, _, _), order)| (*key, *name, order)))
    }

    #[test]
    fn nobody_is_started_before_whom_he_comes_after_and_else_the_file_decides() {
        let graph = graph(&[
            (1, "shell", &["agent"], &["net"]),
            (2, "other", &[], &[]),
            (3, "agent", &[], &["net"]),
            (4, "net", &["gone"], &[]),
        ]);
        assert_eq!(graph.order(), [4, 3, 1, 2]);
        assert_eq!(graph.before(1), [(3, false), (4, true)]);
        assert_eq!(graph.behind(4), [(1, true), (3, true)]);
        assert!(graph.before(9).is_empty() && !graph.is_plain);
    }

    #[test]
    fn who_is_behind_whom_goes_as_far_as_it_goes() {
        let graph = graph(&[
            (1, "a", &[], &[]),
            (2, "b", &[], &["a"]),
            (3, "c", &[], &["b"]),
            (4, "d", &["a"], &[]),
            (5, "e", &[], &["d"]),
        ]);
        let sorted = |mut keys: Vec<u64>| {
            keys.sort_unstable();
            keys
        };
        assert_eq!(sorted(graph.all_behind(&[1], true)), [2, 3]);
        assert_eq!(sorted(graph.all_behind(&[1], false)), [2, 3, 4, 5]);
        assert_eq!(sorted(graph.required_by(3)), [1, 2]);
        assert!(graph.required_by(4).is_empty());
    }

    #[test]
    fn a_file_without_order_is_plain_and_keeps_its_own() {
        let graph = graph(&[(7, "a", &[], &[]), (3, "b", &["nobody"], &[]), (5, "c", &[], &[])]);
        assert!(graph.is_plain);
        assert_eq!(graph.order(), [7, 3, 5]);
    }
}
