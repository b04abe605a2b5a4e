//! The order services go up in: that of the file, but none before those it goes up after.

use super::Service;
use crate::ConfError;
use crate::nearest::nearest;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// Complains about a key of a service's entry: which service, which key, what.
type Complain<'a> = &'a dyn Fn(usize, &str, String) -> ConfError;

/// The services' places in `services`, in the order they go up; or of each that waits for one that is not there, else of one
/// that waits for itself, its place and what is wrong.
pub(super) fn order(services: &[Service], complain: Complain<'_>) -> Result<Vec<usize>, Vec<(usize, ConfError)>> {
    let places: HashMap<&str, usize> = services.iter().enumerate().map(|(at, one)| (one.name.as_str(), at)).collect();
    let mut waits = vec![0usize; services.len()];
    let mut followers = vec![Vec::new(); services.len()];
    let (mut wrong, mut told) = (Vec::new(), HashMap::new());
    for (at, service) in services.iter().enumerate() {
        for (key, named) in [("requires", &service.requires), ("after", &service.after)] {
            for name in named {
                let Some(first) = places.get(name.as_str()) else {
                    let what = told.entry(name).or_insert_with(|| unknown(name, services));
                    wrong.push((at, complain(at, key, what.clone())));
                    continue;
                };
                followers[*first].push(at);
                waits[at] += 1;
            }
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    // Of those that may go up the first in the file does.
    let mut ready: BinaryHeap<Reverse<usize>> = (0..services.len()).filter(|at| waits[*at] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(services.len());
    while let Some(Reverse(next)) = ready.pop() {
        order.push(next);
        for follower in &followers[next] {
            waits[*follower] -= 1;
            if waits[*follower] == 0 {
                ready.push(Reverse(*follower));
            }
        }
    }
    if order.len() == services.len() {
        return Ok(order);
    }
    let circle = circle(services, &waits, &places);
    let names: Vec<&str> = circle.iter().map(|at| services[*at].name.as_str()).collect();
    let first = circle.first().copied().unwrap_or_default();
    Err(vec![(first, complain(first, "svc_name", format!("waits for itself: {}", names.join(" goes up after "))))])
}

/// The members of a circle among those that still wait, the first of them at the end again.
fn circle(services: &[Service], waits: &[usize], places: &HashMap<&str, usize>) -> Vec<usize> {
    // Whoever waits goes up after one that waits, so this walk never ends but by meeting itself.
    let mut walked: Vec<usize> = waits.iter().position(|waits| *waits > 0).into_iter().collect();
    let mut met = HashMap::new();
    while let Some(at) = walked.last().copied() {
        if let Some(first) = met.insert(at, walked.len() - 1) {
            return walked.split_off(first);
        }
        let mut before = services[at].predecessors().filter_map(|name| places.get(name).copied());
        match before.find(|other| waits[*other] > 0) {
            Some(next) => walked.push(next),
            None => break,
        }
    }
    walked
}

fn unknown(name: &str, services: &[Service]) -> String {
    match nearest(name, services.iter().map(|service| service.name.as_str())) {
        Some(near) => format!("there is no service {name:?}; did you mean {near:?}?"),
        None => format!("there is no service {name:?}"),
    }
}
