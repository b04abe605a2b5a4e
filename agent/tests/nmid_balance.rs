//! Which of several workers gets a call, by the function's rule, with one reactor and with four.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::Agent;
use common::nmid::{Client, Worker, named, well};
use std::collections::HashMap;
use std::time::Duration;

fn agents(lines: &str) -> impl Iterator<Item = Agent> {
    [1, 4].into_iter().map(move |reactors| Agent::with_nmid(&format!("max_threads={reactors}\n{lines}")))
}

/// Calls once; the number of the worker that got it.
fn who(client: &mut Client, workers: &mut [Worker], params: &[u8]) -> usize {
    client.ask("F", params);
    loop {
        for (number, worker) in workers.iter_mut().enumerate() {
            if let Some(job) = worker.job_within(Duration::from_micros(300)) {
                assert_eq!(job.params, params);
                worker.give(&job, &well(b"x"));
                assert_eq!(client.data(), b"x");
                return number;
            }
        }
    }
}

fn counts(client: &mut Client, workers: &mut [Worker], calls: usize) -> Vec<usize> {
    let mut counts = vec![0; workers.len()];
    (0..calls).for_each(|_| counts[who(client, workers, &named("nmid"))] += 1);
    counts
}

#[test]
fn among_equals_chance_decides() {
    let agent = Agent::with_nmid("max_threads=1");
    let mut workers: Vec<Worker> = (0..3).map(|_| agent.worker("W", &["F"])).collect();
    let counts = counts(&mut agent.client(), &mut workers, 150);
    assert!(counts.iter().all(|count| (25..80).contains(count)), "{counts:?}");
}

#[test]
fn three_times_the_weight_is_three_times_the_calls() {
    for agent in agents("function.F.balance=weighted\nworker.Heavy.weight=3") {
        let mut workers = vec![agent.worker("Light", &["F"]), agent.worker("Heavy", &["F"])];
        let counts = counts(&mut agent.client(), &mut workers, 240);
        assert!((35..86).contains(&counts[0]), "{counts:?}");
    }
}

#[test]
fn a_key_stays_with_its_worker_and_only_a_dead_ones_keys_move() {
    for lines in ["function.F.balance=hash", "function.F.balance=hash\nfunction.F.hash_key=name"] {
        for agent in agents(lines) {
            let mut workers: Vec<Worker> = (0..3).map(|_| agent.worker("W", &["F"])).collect();
            let mut clients: Vec<Client> = (0..2).map(|_| agent.client()).collect();
            let keys: Vec<Vec<u8>> = (0..24).map(|number| named(&format!("{number:04}"))).collect();
            let mut owners = HashMap::new();
            for key in keys.iter().chain(&keys) {
                for client in &mut clients {
                    let owner = who(client, &mut workers, key);
                    assert_eq!(*owners.entry(key).or_insert(owner), owner);
                }
            }
            assert!((0..3).all(|worker| owners.values().any(|owner| *owner == worker)), "{owners:?}");
            drop(workers.pop());
            agent.wait_for_log("has gone");
            for key in &keys {
                let owner = who(&mut clients[0], &mut workers, key);
                assert!(owners[key] == 2 || owners[key] == owner, "a key of a living worker has moved");
            }
        }
    }
}

#[test]
fn a_connection_sticks_to_its_worker() {
    for agent in agents("function.F.balance=sticky") {
        let mut workers: Vec<Worker> = (0..3).map(|_| agent.worker("W", &["F"])).collect();
        let mut owners = Vec::new();
        for _ in 0..12 {
            let mut client = agent.client();
            let owner = who(&mut client, &mut workers, &named("nmid"));
            (0..4).for_each(|n| assert_eq!(who(&mut client, &mut workers, &named(&format!("{n:04}"))), owner));
            owners.push(owner);
        }
        assert!(owners.iter().any(|owner| *owner != owners[0]), "{owners:?}");
    }
}
