//! What work.h does in C, through the `log` crate into flexi_logger, which writes each record before the call returns.

use flexi_logger::{FileSpec, Logger, WriteMode};
use std::sync::Barrier;
use std::time::{Duration, Instant};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, path, threads, records, how] = arguments.as_slice() else { panic!("FILE THREADS RECORDS burst|paced") };
    let threads: usize = threads.parse().expect("a number of threads");
    let records = records.parse::<usize>().expect("a number of records") / threads / 20 * 20;
    let spec = FileSpec::try_from(path).expect("a file");
    let logger = Logger::try_with_str("info").expect("a level").log_to_file(spec).write_mode(WriteMode::Direct);
    let handle = logger.start().expect("a log");
    let begin = Barrier::new(threads);
    let paced = how == "paced";
    let share = || {
        begin.wait();
        let block = if paced { 20 } else { records };
        let mut taken = Duration::ZERO;
        for done in (0..records).step_by(block) {
            let start = Instant::now();
            for i in 0..block {
                log::info!("peer {} sent {} bytes in {}", done + i, i * 7, "fragments");
            }
            taken += start.elapsed();
            if paced {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        taken
    };
    let taken: Duration = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(share)).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    handle.shutdown();
    let all = records * threads;
    println!("{{\"ns\": {:.1}, \"records\": {all}}}", taken.as_nanos() as f64 / all as f64);
}
