//! Every order in which the threads of a ring can meet, as far as loom goes.

use super::super::bell::{Bell, Duty, Rest};
use super::super::room::Room;
use super::*;
use loom::cell::UnsafeCell;
use loom::sync::{Arc, Notify};

const CAPACITY: u32 = 32;
const SIZE: u32 = 16;

struct Model {
    positions: Positions,
    cells: [UnsafeCell<u32>; 4],
    bell: Bell,
    called: Notify,
    room: Room,
    made: Notify,
}

impl Model {
    fn new() -> Arc<Model> {
        let cells = [0; 4].map(UnsafeCell::new);
        let (called, made) = (Notify::new(), Notify::new());
        Arc::new(Model { positions: Positions::new(), cells, bell: Bell::new(), called, room: Room::new(), made })
    }

    /// As a caller does it whose ring is full; false: the bell is closed, and there was no room.
    fn push_waiting(&self, producer: &mut Producer, value: u32) -> bool {
        self.room.wait(
            || match self.push(producer, value) {
                Some(_) => Some(true),
                None if self.bell.is_closed() => Some(false),
                None => {
                    if self.bell.published(true) == Duty::Wake {
                        self.called.notify();
                    }
                    None
                }
            },
            // The kernel's comparison and its sleep are one step for who wakes: a call between them is not lost.
            |word, turn| {
                if word.load(Ordering::Relaxed) == turn {
                    self.made.wait();
                }
            },
        )
    }

    fn make_room(&self) {
        self.room.made(|_| self.made.notify());
    }

    /// Like [`Ring::push`]; what Duty says is left to do.
    fn push(&self, producer: &mut Producer, value: u32) -> Option<Duty> {
        let claim = producer.claim(&self.positions, SIZE, CAPACITY)?;
        // SAFETY: loom itself reports whoever else touches the cell meanwhile.
        self.cells[(claim.at / 8) as usize].with_mut(|cell| unsafe { *cell = value });
        self.positions.publish(producer, claim);
        let duty = self.bell.published(claim.filling);
        if duty == Duty::Wake {
            self.called.notify();
        }
        Some(duty)
    }

    fn drain(&self, into: &mut Vec<u32>) {
        let (mut tail, head) = self.positions.waiting();
        while tail != head {
            let at = ((tail & (CAPACITY - 1)) / 8) as usize;
            // SAFETY: loom itself reports whoever else touches the cell meanwhile.
            into.push(self.cells[at].with(|cell| unsafe { *cell }));
            tail = tail.wrapping_add(SIZE);
        }
        self.positions.release(tail);
    }
}

#[test]
fn loom_a_sleeping_writer_misses_no_record() {
    let mut builder = loom::model::Builder::new();
    // All orders in which the two are interrupted up to three times; without a bound it takes minutes.
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let model = Model::new();
        let author = {
            let model = model.clone();
            loom::thread::spawn(move || {
                let mut producer = model.positions.producer();
                for value in 1..=2 {
                    assert!(model.push(&mut producer, value).is_some());
                }
            })
        };
        let mut seen = Vec::new();
        while seen.len() < 2 {
            model.drain(&mut seen);
            if seen.len() == 2 {
                break;
            }
            assert!(model.bell.rest(Rest::Sleep));
            let (tail, head) = model.positions.waiting();
            // Without a call this waits for ever, which loom reports.
            if tail == head {
                model.called.wait();
            }
            model.bell.rise();
        }
        author.join().unwrap();
        assert_eq!(seen, [1, 2]);
    });
}

#[test]
fn loom_room_is_reused_only_after_it_was_read() {
    loom::model(|| {
        let model = Model::new();
        let author = {
            let model = model.clone();
            loom::thread::spawn(move || {
                let mut producer = model.positions.producer();
                (1..=3).filter(|value| model.push(&mut producer, *value).is_some()).collect::<Vec<u32>>()
            })
        };
        let mut seen = Vec::new();
        model.drain(&mut seen);
        model.drain(&mut seen);
        let accepted = author.join().unwrap();
        model.drain(&mut seen);
        assert_eq!(seen, accepted);
    });
}

#[test]
fn loom_a_caller_that_waits_for_room_misses_no_release() {
    loom::model(|| {
        let model = Model::new();
        let mut producer = model.positions.producer();
        assert!(model.push(&mut producer, 1).is_some() && model.push(&mut producer, 2).is_some());
        let author = {
            let model = model.clone();
            loom::thread::spawn(move || assert!(model.push_waiting(&mut producer, 3)))
        };
        // A nap that nothing but a call would end: the ring is full, so there has to be one.
        if model.bell.rest(Rest::Nap) && !model.room.is_wanted() {
            model.called.wait();
        }
        model.bell.rise();
        let mut seen = Vec::new();
        model.drain(&mut seen);
        model.make_room();
        author.join().unwrap();
        model.drain(&mut seen);
        assert_eq!(seen, [1, 2, 3]);
    });
}

#[test]
fn loom_a_caller_that_waits_for_room_learns_of_the_close() {
    loom::model(|| {
        let model = Model::new();
        let mut producer = model.positions.producer();
        assert!(model.push(&mut producer, 1).is_some() && model.push(&mut producer, 2).is_some());
        let author = {
            let model = model.clone();
            loom::thread::spawn(move || model.push_waiting(&mut producer, 3))
        };
        // Nobody reads: it waits until nobody ever will.
        model.bell.close();
        model.make_room();
        assert!(!author.join().unwrap());
    });
}

#[test]
fn loom_at_the_close_each_record_is_written_by_one_of_the_two() {
    loom::model(|| {
        let model = Model::new();
        let author = {
            let model = model.clone();
            loom::thread::spawn(move || {
                let mut producer = model.positions.producer();
                model.push(&mut producer, 7) == Some(Duty::Write)
            })
        };
        model.bell.close();
        let mut seen = Vec::new();
        let (tail, head) = model.positions.waiting();
        let found = tail != head;
        let himself = author.join().unwrap();
        // Both may find it: the lock they take decides. Neither must not happen.
        assert!(found || himself);
        model.drain(&mut seen);
        assert_eq!(seen, [7]);
    });
}
