//! Counters with one writer each: the reactor that owns the set adds, anybody reads.
//!
//! One writer means an addition is a load and a store, never a locked instruction; readers see numbers that are a
//! moment old. Gauges (`pending`, `buffered`, `sessions`) are set once per turn.

use super::traffic::Protocols;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that one thread changes and all may read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `more`; only the owning thread may.
    pub fn add(&self, more: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    /// Adds one; only the owning thread may.
    pub fn count(&self) {
        self.add(1);
    }

    /// Replaces a gauge's value; only the owning thread may.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value as it was a moment ago.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What one reactor counts. Aligned so that two reactors never share a cache line.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct Counters {
            $($(#[$doc])* pub $name: Counter,)*
            /// What is counted for each protocol.
            pub protocols: Protocols,
        }

        impl Counters {
            /// Every counter with its name, those by protocol excepted.
            pub(super) fn named(&self) -> impl Iterator<Item = (&'static str, &Counter)> {
                [$((stringify!($name), &self.$name),)*].into_iter()
            }

            /// Every name with the sum of its values over `all`.
            pub fn totals<'a>(all: impl Iterator<Item = &'a Counters> + Clone) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), all.clone().map(|one| one.$name.value()).sum()),)*]
            }
        }
    };
}

counters! {
    /// Requests that reached their service's outbox.
    calls,
    /// Answers that reached their caller's outbox.
    replies,
    /// Requests answered with "peer offline", a dead service's callers included.
    offline,
    /// Requests answered with "peer busy".
    busy,
    /// Frames whose source was not who logged in on their connection.
    spoofed,
    /// Logins that were accepted.
    logins,
    /// Logins that were refused.
    logins_refused,
    /// Answers dropped because their caller no longer waits: the deadline passed, or nobody asked.
    dropped_late,
    /// Answers dropped because their caller is gone.
    dropped_undeliverable,
    /// Answers dropped because their source was not who logged in on that connection.
    dropped_spoofed,
    /// Results dropped because they are older than `nmid_stale_ms`.
    dropped_stale,
    /// Results dropped because their caller has replaced its request by a newer one.
    dropped_abandoned,
    /// Results dropped because they name no job that ever was, or one that is answered.
    dropped_unknown,
    /// Workers whose results could not be told apart, so that all their jobs were failed.
    corrupt,
    /// Requests answered with "no worker", for functions nobody has included.
    no_worker,
    /// Requests answered with an error because the function's deadline passed.
    deadline,
    /// Requests answered with an error for another reason.
    failed,
    /// Requests that a newer one on the same connection replaced.
    abandoned,
    /// Jobs given to another worker because the first one died.
    retried,
    /// Requests whose deadline passed before the service answered.
    expired,
    /// Frames with an opcode or an agent command that means nothing here.
    ignored,
    /// HTTP connections that became WebSockets.
    http_1xx,
    /// HTTP answers that say what was asked for.
    http_2xx,
    /// HTTP answers that say what is wrong with the request, or that its function is not there.
    http_4xx,
    /// HTTP answers that say why there is no result.
    http_5xx,
    /// Connections closed because their bytes were no frames.
    malformed,
    /// Connections cut because they did not read.
    cut_slow,
    /// Events published here.
    published,
    /// Events that reached a subscriber's outbox.
    told,
    /// Events that a subscriber had no room for.
    untold,
    /// Times a session had to wait for a sibling's mailbox.
    parked,
    /// Turns of the reactor's loop.
    turns,
    /// Nanoseconds the reactor was at work, not waiting.
    busy_nanos,
    /// Gauge: connections.
    sessions,
    /// Gauge: names that somebody here wants to be told of.
    subscriptions,
    /// Gauge: requests awaiting an answer.
    pending,
    /// Gauge: bytes in inboxes and outboxes.
    buffered,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_add_up_over_reactors() {
        let (a, b) = (Counters::default(), Counters::default());
        a.calls.add(3);
        b.calls.count();
        let totals = Counters::totals([&a, &b].into_iter());
        assert!(totals.contains(&("calls", 4)));
        assert!(totals.contains(&("replies", 0)));
    }
}
