//! Both ends of a ring together: order, wrapping, waiting, death, and a peer that writes nonsense.

use super::layout::{CONSUMER_PRESENCE, HEAD, LAST, PRODUCER_PRESENCE, TAIL, long, short};
use super::*;
use crate::sys::Map;
use crate::sys::sync::atomic::Ordering;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::BorrowedFd;
use std::thread;
use std::time::{Duration, Instant};

const SMALL: Config = Config { capacity: 4096, blocks: 0, block_size: 0, bells: false };

fn ring(config: &Config) -> (Segment, Producer, Consumer) {
    let segment = create(config).unwrap();
    let (producer, consumer) = (Producer::attach(&segment, None).unwrap(), Consumer::attach(&segment, None).unwrap());
    (segment, producer, consumer)
}

fn mapped(segment: &Segment) -> Map {
    Map::shared(segment, segment.size()).unwrap()
}

/// A side that went without closing, as one that was killed does.
fn dies<T>(side: T, segment: &Segment, presence: usize) {
    drop(side);
    short(&mapped(segment), presence).fetch_or(1, Ordering::Relaxed);
}

fn rung(fd: BorrowedFd<'_>) -> bool {
    poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::ZERO).unwrap() == 1
}

fn message(number: u64) -> Vec<u8> {
    let length = (number * 37 % 1500) as usize;
    (0..length).map(|at| (number as usize + at) as u8).collect()
}

#[test]
fn messages_of_all_lengths_arrive_in_order_across_many_wraps() {
    let (_segment, mut producer, mut consumer) = ring(&SMALL);
    for number in 0..5000 {
        producer.send(&message(number), Wait::Try).unwrap();
        assert_eq!(consumer.recv(Wait::Try).unwrap(), message(number));
    }
    assert_eq!((producer.sent(), consumer.next()), (5000, Some(5000)));
}

#[test]
fn a_full_ring_says_later_and_a_message_too_long_is_refused() {
    let (_segment, mut producer, mut consumer) = ring(&SMALL);
    assert_eq!(producer.longest(), 2032);
    assert_eq!(producer.send(&[0; 2033], Wait::Forever), Err(Refusal::TooLong));
    assert_eq!(consumer.recv(Wait::Try), Err(Refusal::Later));
    let mut count = 0;
    while producer.send(&[7; 100], Wait::Try).is_ok() {
        count += 1;
    }
    assert_eq!(count, 4096 / 128);
    assert_eq!(producer.send(&[7; 100], Wait::AtMost(Duration::from_millis(5))), Err(Refusal::TimedOut));
    assert_eq!(consumer.recv_into(&mut [0; 99], Wait::Try), Err(Refusal::TooLong));
    assert_eq!(consumer.recv_into(&mut [0; 100], Wait::Try), Ok(100));
    assert_eq!(producer.send(&[7; 112], Wait::Try), Ok(()));
}

#[test]
fn the_longest_message_fits_wherever_the_ring_stands() {
    let (_segment, mut producer, mut consumer) = ring(&SMALL);
    for turn in 0..300 {
        producer.send(&vec![1; turn % 40 * 16], Wait::Try).unwrap();
        consumer.recv(Wait::Try).unwrap();
        producer.send(&[2; 2032], Wait::Try).unwrap();
        assert_eq!(consumer.recv(Wait::Try).unwrap(), [2; 2032]);
    }
}

#[test]
fn what_was_reserved_is_seen_when_it_is_committed_and_shorter_if_so_wished() {
    let (_segment, mut producer, mut consumer) = ring(&SMALL);
    assert_eq!(producer.commit(0), Err(Refusal::NotHeld));
    {
        let mut reservation = producer.reserve(1000, Wait::Try).unwrap();
        reservation.write(0, b"never sent").unwrap();
        assert_eq!(reservation.write(995, b"too far"), Err(Refusal::TooLong));
    }
    assert_eq!(consumer.recv(Wait::Try), Err(Refusal::Later));
    let mut reservation = producer.reserve(1000, Wait::Try).unwrap();
    reservation.write(0, b"sent").unwrap();
    reservation.commit(4).unwrap();
    assert_eq!(producer.commit(4), Err(Refusal::NotHeld));
    assert_eq!(consumer.peek(Wait::Try).unwrap().number(), 0);
    assert_eq!(consumer.recv(Wait::Try).unwrap(), b"sent");
    assert_eq!(consumer.release(), Err(Refusal::NotHeld));
}

#[test]
fn a_side_is_taken_once() {
    let (segment, producer, consumer) = ring(&SMALL);
    assert_eq!(Producer::attach(&segment, None).unwrap_err().errno(), Errno::EBUSY);
    assert_eq!(Consumer::attach(&segment, None).unwrap_err().errno(), Errno::EBUSY);
    drop((producer, consumer));
    assert!(Producer::attach(&segment, None).is_ok());
    let plain = Segment::sealed("plain", 8192).unwrap();
    assert_eq!(Producer::attach(&plain, None).unwrap_err().errno(), Errno::EPROTO);
    assert_eq!(Producer::attach(&segment, Some(Bells::new().unwrap())).unwrap_err().errno(), Errno::EINVAL);
}

#[test]
fn blocks_change_hands_and_come_back() {
    let (_segment, mut producer, mut consumer) = ring(&Config { blocks: 3, block_size: 4096, ..SMALL });
    let blocks: Vec<Block> = (0..3).map(|_| producer.block(Wait::Try).unwrap()).collect();
    assert_eq!(producer.block(Wait::Try), Err(Refusal::Later));
    for (number, block) in blocks.into_iter().enumerate() {
        producer.write(&block, 4000, &[number as u8; 96]).unwrap();
        assert_eq!(producer.write(&block, 4000, &[0; 97]), Err(Refusal::TooLong));
        producer.send_block(block, 4096, Wait::Try).unwrap();
    }
    let kept = consumer.peek(Wait::Try).unwrap().take().unwrap();
    let second = consumer.recv(Wait::Try).unwrap();
    assert_eq!((second.len(), second[4095]), (4096, 1));
    // The first is still kept; the second is back.
    let again = producer.block(Wait::Try).unwrap();
    assert_eq!(producer.block(Wait::Try), Err(Refusal::Later));
    let mut last = [9];
    consumer.read(&kept, 4095, &mut last).unwrap();
    assert_eq!(last, [0]);
    consumer.free(kept).unwrap();
    let first = producer.block(Wait::Try).unwrap();
    producer.put_back(first).unwrap();
    producer.put_back(again).unwrap();
    assert_eq!(producer.put_back(Block(0)), Err(Refusal::NotHeld));
    assert_eq!(consumer.free(Block(0)), Err(Refusal::NotHeld));
    assert_eq!(producer.send_block(Block(9), 1, Wait::Try), Err((Refusal::NotHeld, Block(9))));
}

#[test]
fn a_side_that_waits_is_woken_by_the_other() {
    let (_segment, mut producer, mut consumer) = ring(&SMALL);
    let receiver = thread::spawn(move || {
        for number in 0..2000 {
            assert_eq!(consumer.recv(Wait::Forever).unwrap(), message(number));
            if number % 500 == 0 {
                // Long enough for the ring to become full and its producer to sleep.
                thread::sleep(Duration::from_millis(3));
            }
        }
    });
    (0..2000).for_each(|number| producer.send(&message(number), Wait::Forever).unwrap());
    receiver.join().unwrap();
}

#[test]
fn what_was_sent_before_the_end_comes_first_and_the_end_is_told_once() {
    let (segment, mut producer, mut consumer) = ring(&SMALL);
    assert_eq!(consumer.peer(), Peer::Here);
    producer.send(b"last", Wait::Try).unwrap();
    drop(producer);
    assert_eq!(consumer.peer(), Peer::Left);
    assert_eq!(consumer.recv(Wait::Forever).unwrap(), b"last");
    assert_eq!(consumer.recv(Wait::Forever), Err(Refusal::Left));
    assert_eq!(consumer.recv(Wait::AtMost(Duration::from_millis(1))), Err(Refusal::TimedOut));
    let mut successor = Producer::attach(&segment, None).unwrap();
    assert_eq!(successor.sent(), 1);
    successor.send(b"next", Wait::Try).unwrap();
    assert_eq!(consumer.recv(Wait::Forever).unwrap(), b"next");
}

#[test]
fn one_who_waits_for_a_dead_side_learns_it_within_a_slice() {
    let (segment, producer, mut consumer) = ring(&SMALL);
    dies(producer, &segment, PRODUCER_PRESENCE);
    assert_eq!(consumer.peer(), Peer::Died);
    let began = Instant::now();
    assert_eq!(consumer.recv(Wait::Forever), Err(Refusal::Died));
    assert!(began.elapsed() < 10 * SLICE, "{:?}", began.elapsed());
    assert_eq!(consumer.recv(Wait::AtMost(Duration::from_millis(1))), Err(Refusal::TimedOut));
}

#[test]
fn a_producer_that_waits_for_room_learns_that_its_consumer_died_and_goes_on_with_the_successor() {
    let (segment, mut producer, mut consumer) = ring(&SMALL);
    while producer.send(&[1; 500], Wait::Try).is_ok() {}
    assert_eq!(consumer.peek(Wait::Try).unwrap().number(), 0);
    dies(consumer, &segment, CONSUMER_PRESENCE);
    assert_eq!(producer.send(&[1; 500], Wait::Forever), Err(Refusal::Died));
    let mut successor = Consumer::attach(&segment, None).unwrap();
    // It was looked at, not released: it comes again.
    assert_eq!(successor.peek(Wait::Try).unwrap().number(), 0);
    successor.release().unwrap();
    producer.send(&[1; 500], Wait::Forever).unwrap();
}

#[test]
fn a_producer_that_dies_while_it_writes_leaves_nothing_half() {
    let (segment, mut producer, mut consumer) = ring(&SMALL);
    producer.send(b"whole", Wait::Try).unwrap();
    producer.reserve(100, Wait::Try).unwrap().write(0, b"half").unwrap();
    dies(producer, &segment, PRODUCER_PRESENCE);
    let mut successor = Producer::attach(&segment, None).unwrap();
    assert_eq!(successor.sent(), 1);
    successor.send(b"another", Wait::Try).unwrap();
    assert_eq!(consumer.recv(Wait::Try).unwrap(), b"whole");
    assert_eq!(consumer.recv(Wait::Try).unwrap(), b"another");
}

#[test]
fn a_producer_that_dies_between_the_last_two_words_is_counted_right() {
    let (segment, mut producer, _consumer) = ring(&SMALL);
    producer.send(b"a", Wait::Try).unwrap();
    producer.send(b"b", Wait::Try).unwrap();
    drop(producer);
    // As if only the head of the second were missing.
    long(&mapped(&segment), HEAD).store(32, Ordering::Relaxed);
    assert_eq!(Producer::attach(&segment, None).unwrap().sent(), 1);
}

#[test]
fn blocks_of_the_dead_come_back_to_the_living() {
    let config = Config { blocks: 4, block_size: 64, ..SMALL };
    let (segment, mut producer, mut consumer) = ring(&config);
    let _held = producer.block(Wait::Try).unwrap();
    for _ in 0..3 {
        let block = producer.block(Wait::Try).unwrap();
        producer.send_block(block, 64, Wait::Try).unwrap();
    }
    // One kept, one looked at, one unseen; and one held by the producer.
    let _kept = consumer.peek(Wait::Try).unwrap().take().unwrap();
    assert_eq!(consumer.peek(Wait::Try).unwrap().number(), 1);
    dies(consumer, &segment, CONSUMER_PRESENCE);
    dies(producer, &segment, PRODUCER_PRESENCE);
    let mut producer = Producer::attach(&segment, None).unwrap();
    let mut consumer = Consumer::attach(&segment, None).unwrap();
    let free: Vec<Block> = (0..2).map(|_| producer.block(Wait::Try).unwrap()).collect();
    assert_eq!(producer.block(Wait::Try), Err(Refusal::Later));
    consumer.recv(Wait::Try).unwrap();
    consumer.recv(Wait::Try).unwrap();
    assert!(producer.block(Wait::Try).is_ok() && producer.block(Wait::Try).is_ok());
    drop(free);
}

#[test]
fn a_ring_with_bells_tells_its_descriptor_what_a_try_did_not_find() {
    let segment = create(&Config { bells: true, ..SMALL }).unwrap();
    assert_eq!(Producer::attach(&segment, None).unwrap_err().errno(), Errno::EINVAL);
    let bells = Bells::new().unwrap();
    let mut producer = Producer::attach(&segment, Some(bells.try_clone().unwrap())).unwrap();
    let mut consumer = Consumer::attach(&segment, Some(bells)).unwrap();
    // At first it is rung, so that a loop looks once.
    assert!(rung(consumer.fd().unwrap()));
    for turn in 0..3u8 {
        assert_eq!(consumer.recv(Wait::Try), Err(Refusal::Later));
        assert!(!rung(consumer.fd().unwrap()));
        producer.send(&[turn], Wait::Try).unwrap();
        producer.send(&[turn], Wait::Try).unwrap();
        assert!(rung(consumer.fd().unwrap()));
        assert_eq!(consumer.recv(Wait::Try).unwrap(), [turn]);
        assert_eq!(consumer.recv(Wait::Forever).unwrap(), [turn]);
    }
    while producer.send(&[0; 2000], Wait::Try).is_ok() {}
    assert!(!rung(producer.fd().unwrap()));
    consumer.recv(Wait::Try).unwrap();
    assert!(rung(producer.fd().unwrap()));
    drop(producer);
    assert!(rung(consumer.fd().unwrap()));
    let end = std::iter::repeat_with(|| consumer.recv(Wait::Try)).find_map(Result::err);
    assert_eq!(end, Some(Refusal::Left));
    assert_eq!(consumer.recv(Wait::Try), Err(Refusal::Later));
}

#[test]
fn nonsense_in_the_header_is_refused_and_never_followed() {
    for (offset, value) in [(HEAD, 4096 * 2), (HEAD, 8), (HEAD, u64::MAX - 15), (HEAD, 1 << 40)] {
        let (segment, _producer, mut consumer) = ring(&SMALL);
        long(&mapped(&segment), offset).store(value, Ordering::Relaxed);
        assert_eq!(consumer.recv(Wait::Try), Err(Refusal::Corrupt), "{offset} {value}");
    }
    for value in [1, 16 * 1000, u64::MAX] {
        let (segment, mut producer, _consumer) = ring(&SMALL);
        while producer.send(&[0; 1000], Wait::Try).is_ok() {}
        long(&mapped(&segment), TAIL).store(value, Ordering::Relaxed);
        assert_eq!(producer.send(&[0; 1000], Wait::Try), Err(Refusal::Corrupt), "{value}");
        drop(producer);
        assert_eq!(Producer::attach(&segment, None).unwrap_err().errno(), Errno::EPROTO);
        assert!(Consumer::attach(&segment, None).is_err());
    }
    let (segment, producer, _consumer) = ring(&SMALL);
    drop(producer);
    long(&mapped(&segment), LAST).store(1 << 50, Ordering::Relaxed);
    assert_eq!(Producer::attach(&segment, None).unwrap_err().errno(), Errno::EPROTO);
}

#[test]
fn nonsense_in_a_message_is_refused_whatever_it_is() {
    let config = Config { blocks: 2, block_size: 64, ..SMALL };
    let headers = [
        (1u64 << 32) | 0xffff_ffff, // longer than the ring
        (1 << 32) | 17,             // longer than what was sent
        (2 << 32) | 65,             // longer than a block
        3 << 32,                    // a padding that ends too early
        (3 << 32) | 4080,           // or too late
        0,                          // no kind
        9 << 32,
    ];
    for header in headers {
        let (segment, mut producer, mut consumer) = ring(&config);
        producer.send(&[1; 16], Wait::Try).unwrap();
        long(&mapped(&segment), 1024).store(header, Ordering::Relaxed);
        assert_eq!(consumer.recv(Wait::Try), Err(Refusal::Corrupt), "{header:x}");
    }
    // A block that there is not, and one that is not marked as this message's.
    for block in [2, u64::MAX, 1] {
        let (segment, mut producer, mut consumer) = ring(&config);
        let sent = producer.block(Wait::Try).unwrap();
        assert_eq!(sent.0, 0);
        producer.send_block(sent, 64, Wait::Try).unwrap();
        long(&mapped(&segment), 1024 + 16).store(block, Ordering::Relaxed);
        assert_eq!(consumer.recv(Wait::Try), Err(Refusal::Corrupt), "{block}");
    }
    // A number that was not its turn.
    let (segment, mut producer, mut consumer) = ring(&config);
    producer.send(b"", Wait::Try).unwrap();
    producer.send(b"", Wait::Try).unwrap();
    consumer.recv(Wait::Try).unwrap();
    long(&mapped(&segment), 1024 + 16 + 8).store(5, Ordering::Relaxed);
    assert_eq!(consumer.recv(Wait::Try), Err(Refusal::Corrupt));
}

#[test]
fn a_consumer_survives_any_bytes_at_all() {
    let mut dice = 0x9e37_79b9_7f4a_7c15u64;
    let mut roll = || {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice
    };
    for _ in 0..2000 {
        let (segment, mut producer, mut consumer) = ring(&Config { blocks: 2, block_size: 64, ..SMALL });
        producer.send(&[1; 100], Wait::Try).unwrap();
        let map = mapped(&segment);
        for _ in 0..4 {
            let offset = 8 * (roll() as usize % ((1024 + 256) / 8));
            let value = match roll() % 3 {
                0 => roll(),
                1 => (roll() % 10_000) & !15,
                _ => ((roll() % 4) << 32) | (roll() % 300),
            };
            long(&map, offset).store(value, Ordering::Relaxed);
        }
        for _ in 0..40 {
            let _ = consumer.recv(Wait::Try);
            let _ = producer.send(&[2; 300], Wait::Try);
        }
    }
}
