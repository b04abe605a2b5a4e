//! Whatever stands in the segment of a ring, attaching, sending and receiving end with a message or a refusal, and what a
//! message is said to have can be read. The input is written over a good ring, piece by piece, between the calls.
#![no_main]

use libfuzzer_sys::fuzz_target;
use msf_core::shm::{Config, Consumer, Producer, Segment, Wait, create};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

const CONFIG: Config = Config { capacity: 4096, blocks: 2, block_size: 4096, bells: false };

fuzz_target!(|bytes: &[u8]| {
    let ring = create(&CONFIG).unwrap();
    let mut pieces = bytes.chunks(11);
    let (first, second) = (pieces.len() / 3, pieces.len() / 3);
    pieces.by_ref().take(first).for_each(|piece| overwrite(&ring, piece));
    let mut sides = (Producer::attach(&ring, None).ok(), Consumer::attach(&ring, None).ok());
    exercise(&mut sides);
    pieces.by_ref().take(second).for_each(|piece| overwrite(&ring, piece));
    exercise(&mut sides);
    for piece in pieces {
        overwrite(&ring, piece);
        exercise(&mut sides);
    }
});

/// Three bytes say where, up to eight what.
fn overwrite(ring: &Segment, piece: &[u8]) {
    let Some((&[kind, low, high], value)) = piece.split_first_chunk() else { return };
    let reach = match kind % 3 {
        0 => 64,
        1 => 1024,
        _ => ring.size(),
    };
    let at = usize::from(u16::from_le_bytes([low, high])) % (reach - 8);
    let at = if kind & 0x80 == 0 { at & !7 } else { at };
    File::from(ring.as_fd().try_clone_to_owned().unwrap()).write_all_at(value, at as u64).unwrap();
}

fn exercise((producer, consumer): &mut (Option<Producer>, Option<Consumer>)) {
    if let Some(producer) = producer {
        let _ = producer.send(&[7; 300], Wait::Try);
        if let Ok(block) = producer.block(Wait::Try)
            && let Err((_, block)) = producer.send_block(block, 4096, Wait::Try)
        {
            producer.put_back(block).unwrap();
        }
        producer.peer();
    }
    let Some(consumer) = consumer else { return };
    for round in 0..4 {
        let Ok(message) = consumer.peek(Wait::Try) else { return };
        let mut copy = vec![0; message.len()];
        message.copy_to(0, &mut copy).unwrap();
        match if round % 2 == 0 { message.take() } else { None } {
            Some(block) => consumer.free(block).unwrap(),
            None => drop(consumer.release()),
        }
    }
}
