//! Every order in which senders and receiver of a queue can meet, as far as loom goes.

use super::*;
use crate::sys::sync::thread;
use loom::sync::Notify;
use std::sync::Arc;

/// Without a bound the largest takes more than an hour.
fn bounded(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// Sends with a bell, as the loop's waker is one.
fn send(queue: &Queue<usize>, bell: &Notify, message: usize) {
    if queue.push(message).ok().expect("there is room") {
        bell.notify();
    }
}

/// Takes `count` messages; a wake that gets lost leaves it asleep for ever, which loom reports.
fn receive(queue: &Queue<usize>, bell: &Notify, count: usize) -> Vec<usize> {
    let mut got = Vec::new();
    while got.len() < count {
        let taker = queue.taker().unwrap();
        got.extend(std::iter::from_fn(|| taker.pop()));
        if got.len() < count {
            // What is not idle is being written: the loop looks again.
            if taker.is_idle() { bell.wait() } else { thread::yield_now() }
        }
    }
    got
}

fn sent_by(senders: impl IntoIterator<Item = Vec<usize>>, count: usize) -> Vec<usize> {
    let shared = Arc::new((Queue::new(4), Notify::new()));
    let sending = |messages: Vec<usize>| {
        let shared = Arc::clone(&shared);
        thread::spawn(move || messages.into_iter().for_each(|message| send(&shared.0, &shared.1, message)))
    };
    let senders: Vec<_> = senders.into_iter().map(sending).collect();
    let got = receive(&shared.0, &shared.1, count);
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    got
}

#[test]
fn loom_what_is_sent_arrives_in_order_and_is_told_of() {
    bounded(|| assert_eq!(sent_by([vec![1, 2]], 2), [1, 2]));
}

#[test]
fn loom_what_two_senders_send_arrives_and_is_told_of() {
    bounded(|| {
        let got = sent_by([vec![10], vec![20]], 2);
        assert!(got == [10, 20] || got == [20, 10], "{got:?}");
    });
}

#[test]
fn loom_a_slot_is_used_again_only_after_it_was_read() {
    loom::model(|| {
        let queue = Arc::new(Queue::new(1));
        let sender = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                for number in 0..2 {
                    while queue.push(number).is_err() {
                        thread::yield_now();
                    }
                }
            })
        };
        let mut got = Vec::new();
        while got.len() < 2 {
            let taken = queue.taker().unwrap().pop();
            if taken.is_none() {
                thread::yield_now();
            }
            got.extend(taken);
        }
        sender.join().unwrap();
        assert_eq!(got, [0, 1]);
    });
}

#[test]
fn loom_every_message_ends_once_however_sending_receiving_and_closing_meet() {
    bounded(|| {
        let (queue, message) = (Arc::new(Queue::new(2)), Arc::new(()));
        assert!(queue.push(Arc::clone(&message)).is_ok());
        let closer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.close())
        };
        let sender = {
            let (queue, message) = (Arc::clone(&queue), Arc::clone(&message));
            thread::spawn(move || drop(queue.push(message)))
        };
        // The closer may be sweeping.
        let taken = queue.taker().and_then(|taker| taker.pop());
        closer.join().unwrap();
        drop(taken);
        assert!(queue.push(Arc::clone(&message)).is_err());
        sender.join().unwrap();
        // What was being written when the queue was closed may lie there until the queue goes; no more than that.
        assert!(Arc::strong_count(&message) <= 2);
        drop(queue);
        assert_eq!(Arc::strong_count(&message), 1);
    });
}
