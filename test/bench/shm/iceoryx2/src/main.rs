//! iceoryx2's side of the benchmark: two processes, ping-pong, both busy-polling as its own benchmarks do.
//!
//! usage: msf-bench-iceoryx2 pubsub|reqres BYTES BATCHES [CPU CPU]
//!
//! Payloads are loaned, their first eight bytes written, sent and read in place; up to 128 bytes are written and read
//! whole, as ours are. Prints nanoseconds one way (half a round trip): the median of batches of 100, as pair.h does.

use iceoryx2::prelude::*;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::time::Instant;

type Fail = Box<dyn std::error::Error>;
type Bytes = [u8];

fn main() -> Result<(), Fail> {
    set_log_level(LogLevel::Error);
    let words: Vec<String> = std::env::args().collect();
    let (kind, bytes, batches) = (words[1].as_str(), words[2].parse::<usize>()?, words[3].parse::<usize>()?);
    let cpus: Vec<usize> = words[4..].iter().map(|word| word.parse()).collect::<Result<_, _>>()?;
    // The child is made before iceoryx2 has any state.
    // SAFETY: there is one thread, so the child may do anything.
    let child = unsafe { libc::fork() };
    let mine = usize::from(child == 0);
    pinned(&cpus, mine);
    let parent = if child == 0 { std::os::unix::process::parent_id() } else { std::process::id() };
    let name = format!("msf-bench-{parent}");
    let nanoseconds = match kind {
        "pubsub" => pubsub(&name, mine == 0, bytes, batches)?,
        _ => reqres(&name, mine == 0, bytes, batches)?,
    };
    if child != 0 {
        // SAFETY: the child is ours.
        unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        println!("{:.1}", nanoseconds / 2.0);
    }
    Ok(())
}

fn pinned(cpus: &[usize], mine: usize) {
    let Some(&cpu) = cpus.get(mine) else { return };
    // SAFETY: the set is a local, all zeros at first.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
    }
}

/// What both benchmarks write and read: all of it up to 128 bytes, else the first eight.
fn fill(bytes: &mut [MaybeUninit<u8>], number: u64) {
    if bytes.len() <= 128 {
        bytes.iter_mut().for_each(|byte| _ = byte.write(number as u8));
    } else {
        bytes[..8].iter_mut().for_each(|byte| _ = byte.write(number as u8));
    }
}

fn look(bytes: &[u8]) {
    if bytes.len() <= 128 {
        let mut copy = [0u8; 128];
        copy[..bytes.len()].copy_from_slice(bytes);
        black_box(&copy);
    } else {
        black_box(u64::from_ne_bytes(bytes[..8].try_into().unwrap_or_default()));
    }
}

fn pubsub(name: &str, first: bool, bytes: usize, batches: usize) -> Result<f64, Fail> {
    let node = NodeBuilder::new().create::<ipc::Service>()?;
    let service = |way: &str| {
        node.service_builder(&format!("{name}-{way}").as_str().try_into().map_err(|_| "name")?)
            .publish_subscribe::<Bytes>()
            .max_publishers(1)
            .max_subscribers(1)
            .history_size(0)
            .subscriber_max_buffer_size(1)
            .enable_safe_overflow(true)
            .open_or_create()
            .map_err(Fail::from)
    };
    let (there, back) = (service("a")?, service("b")?);
    let (out, into) = if first { (&there, &back) } else { (&back, &there) };
    let publisher = out.publisher_builder().initial_max_slice_len(bytes).create()?;
    let subscriber = into.subscriber_builder().create()?;
    while out.dynamic_config().number_of_subscribers() < 1 || into.dynamic_config().number_of_publishers() < 1 {}
    let send = |number: u64| -> Result<(), Fail> {
        let mut sample = publisher.loan_slice_uninit(bytes)?;
        fill(sample.payload_mut(), number);
        // SAFETY: what nobody wrote is bytes of shared memory that nobody interprets.
        unsafe { sample.assume_init() }.send()?;
        Ok(())
    };
    let receive = || -> Result<(), Fail> {
        loop {
            if let Some(sample) = subscriber.receive()? {
                look(sample.payload());
                return Ok(());
            }
        }
    };
    let passed = ping_pong(batches, |number| {
        if first {
            send(number)?;
            receive()
        } else {
            receive()?;
            send(number)
        }
    })?;
    // Whoever is first gone must not take what the other still reads.
    while !first && into.dynamic_config().number_of_publishers() > 0 {}
    Ok(passed)
}

fn reqres(name: &str, first: bool, bytes: usize, batches: usize) -> Result<f64, Fail> {
    let node = NodeBuilder::new().create::<ipc::Service>()?;
    let service = node
        .service_builder(&name.try_into().map_err(|_| "name")?)
        .request_response::<Bytes, Bytes>()
        .max_clients(1)
        .max_servers(1)
        .open_or_create()?;
    if first {
        let client = service.client_builder().initial_max_slice_len(bytes).create()?;
        while service.dynamic_config().number_of_servers() < 1 {}
        ping_pong(batches, |number| {
            let mut request = client.loan_slice_uninit(bytes)?;
            fill(request.payload_mut(), number);
            // SAFETY: as above.
            let pending = unsafe { request.assume_init() }.send()?;
            loop {
                if let Some(response) = pending.receive()? {
                    look(response.payload());
                    return Ok(());
                }
            }
        })
    } else {
        let server = service.server_builder().initial_max_slice_len(bytes).create()?;
        ping_pong(batches, |number| {
            let request = loop {
                if let Some(request) = server.receive()? {
                    break request;
                }
            };
            look(request.payload());
            let mut response = request.loan_slice_uninit(bytes)?;
            fill(response.payload_mut(), number);
            // SAFETY: as above.
            unsafe { response.assume_init() }.send()?;
            Ok(())
        })?;
        while service.dynamic_config().number_of_clients() > 0 {}
        Ok(0.0)
    }
}

/// The median batch's nanoseconds per round trip.
fn ping_pong(batches: usize, mut turn: impl FnMut(u64) -> Result<(), Fail>) -> Result<f64, Fail> {
    let mut took = Vec::with_capacity(batches + WARM);
    for batch in 0..batches + WARM {
        let began = Instant::now();
        for each in 0..BATCH {
            turn(batch as u64 * BATCH + each)?;
        }
        took.push(began.elapsed().as_nanos() as f64 / BATCH as f64);
    }
    took.drain(..WARM);
    took.sort_by(f64::total_cmp);
    Ok(took[took.len() / 2])
}

const BATCH: u64 = 100;
/// Batches.
const WARM: usize = 10;
