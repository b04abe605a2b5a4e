//! Whatever a ring file holds, recovery ends, and the file is taken or left alone. The input is written over a file that is
//! whole but for its contents: otherwise its length alone would have it refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use msf_core::log;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process;
use std::sync::LazyLock;

const PAGE: u64 = 4096;
const RINGS: u64 = 64;
const CAPACITY: u64 = 16384;

fuzz_target!(|bytes: &[u8]| {
    let (log, ring) = (FOLDER.join("x.log"), FOLDER.join(".x.log.1-0.ring"));
    let file = File::create(&ring).unwrap();
    file.set_len(PAGE + RINGS * (PAGE + CAPACITY)).unwrap();
    // Magic (this version's or the one's before), process, capacity, rings in use.
    let magic = 0x6d73_6601 + u32::from(bytes.len() % 2 == 0);
    for (at, word) in [(0, magic), (4, 1), (8, CAPACITY as u32), (12, 2)] {
        file.write_all_at(&word.to_ne_bytes(), at).unwrap();
    }
    // The first ring is full from its first byte on.
    file.write_all_at(&(CAPACITY as u32).to_ne_bytes(), PAGE).unwrap();
    let (first, pieces) = bytes.split_at(bytes.len() / 2);
    file.write_all_at(first, 2 * PAGE).unwrap();
    pieces.chunks(7).for_each(|piece| overwrite(&file, piece));
    drop(file);
    let count = log::recover(&log).unwrap();
    assert!(count <= RINGS * CAPACITY / 8);
    let _ = fs::remove_file(&ring);
    fs::remove_file(&log).unwrap();
});

/// Three bytes say where, up to four what.
fn overwrite(file: &File, piece: &[u8]) {
    let Some((&[kind, low, high], value)) = piece.split_first_chunk() else { return };
    let offset = u64::from(u16::from_le_bytes([low, high]));
    let at = match kind % 4 {
        0 => offset % 80,
        1 => PAGE + offset % 80,
        2 => 2 * PAGE + offset % CAPACITY,
        _ => 2 * PAGE + CAPACITY + offset % (2 * PAGE),
    };
    file.write_all_at(value, at).unwrap();
}

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("msf-fuzz-log-{}", process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
});
