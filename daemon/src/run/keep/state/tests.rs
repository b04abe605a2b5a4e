//! What a state file gives back, whole, cut or broken.

use super::*;

fn record(name: &str, pid: i32) -> Record {
    Record {
        seq: 40,
        name: name.to_owned(),
        phase: "up".to_owned(),
        by_hand: true,
        process: Some(Birth { pid, ticks: u64::MAX - 3 }),
        mark: "0a".to_owned(),
        up_since: Some(17),
        restarts: 4,
        tally: (1, Some(9), 2),
        launch: 77,
        stop: ("SIGINT".to_owned(), 300),
        last: Some(("SIGKILL".to_owned(), None, Some(9), 12)),
        from: Some("/a".to_owned()),
        heir: Some(HeirRecord { process: Some(Birth { pid: 9, ticks: 8 }), mark: "b".to_owned(), pipe: 7, from: None }),
        alarms: vec![("health".to_owned(), "critical".to_owned())],
        kept: vec![("web".to_owned(), 12)],
        left: vec![Birth { pid: 5, ticks: 6 }, Birth { pid: 7, ticks: 1 }],
        ..Record::default()
    }
}

fn store(name: &str) -> Store {
    let folder = std::env::temp_dir().join(format!("msf-state-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    Store::new(&folder)
}

fn known(bytes: &[u8], boot: &str) -> HashMap<String, Record> {
    records(bytes, boot).into_iter().map(|(record, _)| (record.name.clone(), record)).collect()
}

fn read(store: &Store) -> HashMap<String, Record> {
    known(&store.read(), &store.boot)
}

fn gone(store: &Store) {
    fs::remove_dir_all(store.path.parent().unwrap()).unwrap();
}

#[test]
fn the_last_record_of_each_counts_and_is_what_was_written() {
    let mut store = store("last");
    store.renew([record("a", 1), record("b", 2)].into_iter());
    store.append(&record("a", 3));
    let odd = Record { name: "\u{1f600}\n\"".to_owned(), ..Record::default() };
    store.append(&odd);
    let found = read(&store);
    assert_eq!((&found["a"], &found["b"], &found[&odd.name]), (&record("a", 3), &record("b", 2), &odd));
    assert_eq!(found.len(), 3);
    // Whoever takes over finds the same, and leaves no more of it.
    assert_eq!(store.take_over(), found);
    let bytes = store.read();
    assert_eq!((known(&bytes, &store.boot), bytes.split(|byte| *byte == b'\n').count()), (found, 5));
    store.remove();
    assert!(read(&store).is_empty() && !store.path.exists());
    gone(&store);
}

#[test]
fn a_file_cut_at_any_byte_or_broken_anywhere_gives_whole_records_or_none() {
    let mut store = store("cut");
    store.renew([record("a", 1), record("b", 2)].into_iter());
    store.append(&record("a", 3));
    let bytes = fs::read(&store.path).unwrap();
    let written = [record("a", 1), record("b", 2), record("a", 3)];
    for length in 0..=bytes.len() {
        assert!(known(&bytes[..length], &store.boot).values().all(|found| written.contains(found)), "{length}");
    }
    for place in 0..bytes.len() {
        let mut broken = bytes.clone();
        broken[place] ^= 0x15;
        assert!(known(&broken, &store.boot).values().all(|found| written.contains(found)), "{place}");
    }
    assert_eq!(known(&bytes, &store.boot).len(), 2);
    gone(&store);
}

#[test]
fn a_file_of_another_run_of_the_machine_is_nobodys() {
    let mut store = store("boot");
    store.renew([record("a", 1)].into_iter());
    let bytes = fs::read(&store.path).unwrap();
    assert!(known(&bytes, "another").is_empty());
    assert!(known(&bytes, "").is_empty());
    gone(&store);
}

#[test]
fn regress_after_a_line_that_is_half_there_the_next_one_counts_and_all_is_written_anew() {
    let mut store = store("half");
    store.renew([record("a", 1)].into_iter());
    store.file.as_mut().unwrap().write_all(b"00000000 {\"half").unwrap();
    store.complain(&io::ErrorKind::StorageFull.into());
    assert!(store.append(&record("a", 2)));
    assert_eq!(read(&store)["a"], record("a", 2));
    store.renew([record("a", 2)].into_iter());
    assert!(!store.append(&record("a", 3)));
    gone(&store);
}

#[test]
fn what_cannot_be_written_anew_goes_on_as_it_was() {
    let mut store = store("stays");
    store.renew([record("a", 1)].into_iter());
    let room = file_room(&store);
    assert!(room >= ROOM as u64 || room == 0, "{room}");
    fs::create_dir(store.aside()).unwrap();
    store.renew([record("a", 2)].into_iter());
    assert_eq!(read(&store)["a"], record("a", 1));
    store.append(&record("a", 3));
    assert_eq!(read(&store)["a"], record("a", 3));
    gone(&store);
}

#[test]
fn regress_pipes_and_links_in_its_place_are_neither_waited_for_nor_followed() {
    let mut store = store("odd");
    let victim = store.path.with_extension("victim");
    fs::write(&victim, "precious").unwrap();
    for path in [store.path.clone(), store.aside()] {
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(read(&store).is_empty());
        store.renew([record("a", 1)].into_iter());
        assert_eq!(read(&store)["a"], record("a", 1));
        store.remove();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        assert!(read(&store).is_empty());
        store.renew([record("a", 1)].into_iter());
        assert_eq!((read(&store).len(), fs::read_to_string(&victim).unwrap().as_str()), (1, "precious"));
        store.remove();
    }
    gone(&store);
}

/// What the file has on the disk, beyond what is in it.
fn file_room(store: &Store) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let about = fs::metadata(&store.path).unwrap();
    (about.blocks() * 512).saturating_sub(about.len().next_multiple_of(4096))
}

#[test]
fn history_is_a_reason_to_write_it_anew() {
    let mut store = store("long");
    store.renew([record("a", 1)].into_iter());
    let appended = (1..).find(|_| store.append(&record("a", 1))).unwrap();
    assert!((100..2000).contains(&appended), "{appended}");
    store.renew([record("a", 1)].into_iter());
    assert!(!store.append(&record("a", 2)));
    assert_eq!(read(&store)["a"], record("a", 2));
    gone(&store);
}
