//! What is counted for each protocol: connections, requests and answers, bytes, what was no frame, and how long
//! answers took as the caller's reactor saw it.

use super::counter::Counter;
use super::histogram::Histogram;
use msf_wire::snapshot::{Damage, Reader, State, What, Writer};
use std::ops::Index;

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $variant:ident => $label:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$each])* $variant,)* }

        impl State for $name {
            fn save(&self, out: &mut Writer) {
                (*self as u8).save(out);
            }

            fn load(from: &mut Reader<'_>) -> Result<$name, Damage> {
                let number = u8::load(from)?;
                let known = $name::ALL.get(usize::from(number)).copied();
                known.ok_or_else(|| from.damage(What::Variant(stringify!($name), number)))
            }

            fn shape(out: &mut String) {
                out.push_str(concat!(stringify!($name), "(", $(" ", stringify!($variant),)* " )"));
            }
        }

        impl $name {
            /// Each of them.
            pub const ALL: &[$name] = &[$($name::$variant),*];

            /// Its name in labels.
            pub fn label(self) -> &'static str {
                match self { $($name::$variant => $label,)* }
            }
        }
    };
}

labels! {
    /// What a caller or a connection speaks.
    Protocol {
        /// The native protocol.
        Librpc => "librpc",
        /// Workers and clients of nmid.
        Nmid => "nmid",
        /// The gateway.
        Http => "http",
        /// The gateway's WebSocket.
        Ws => "ws",
        /// The admin socket: `msf_agent call`.
        Admin => "admin",
    }
}

labels! {
    /// Why bytes were not what their protocol wants.
    Malformed {
        /// Not this protocol at all: magic number, version, connection type, upgrade.
        Preamble => "preamble",
        /// Announced longer than accepted.
        Oversized => "oversized",
        /// The lengths inside do not add up.
        Lengths => "lengths",
        /// Something that only the other role may send.
        Role => "role",
        /// A function's or worker's name that cannot be one.
        Name => "name",
        /// Request line or header fields.
        Header => "header",
        /// The body or the parameters.
        Body => "body",
        /// Half of it came, the rest not in time.
        Slow => "slow",
    }
}

/// What one reactor counts for one protocol.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Connections taken.
    pub opened: Counter,
    /// Connections ended.
    pub closed: Counter,
    /// Requests received.
    pub requests: Counter,
    /// Answers given, refusals included.
    pub answers: Counter,
    /// Bytes read.
    pub received: Counter,
    /// Bytes written.
    pub sent: Counter,
    /// From request to answer, queues and siblings included.
    pub latency: Histogram,
    malformed: [Counter; Malformed::ALL.len()],
}

impl Traffic {
    /// The counter of one kind of malformed input.
    pub fn malformed(&self, why: Malformed) -> &Counter {
        // One place for each variant is what the array's length says.
        &self.malformed[why as usize]
    }

    /// How many connections there are: a difference cannot drift as a gauge could.
    pub fn open(&self) -> u64 {
        // Read in this order, or a connection that comes and goes between the two would make it negative.
        let closed = self.closed.value();
        self.opened.value().saturating_sub(closed)
    }
}

/// A [`Traffic`] for each protocol.
#[derive(Debug, Default)]
pub struct Protocols([Traffic; Protocol::ALL.len()]);

impl Index<Protocol> for Protocols {
    type Output = Traffic;

    fn index(&self, protocol: Protocol) -> &Traffic {
        &self.0[protocol as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_has_its_own_place() {
        let protocols = Protocols::default();
        for (count, protocol) in Protocol::ALL.iter().enumerate() {
            protocols[*protocol].opened.add(count as u64 + 1);
            for (more, why) in Malformed::ALL.iter().enumerate() {
                protocols[*protocol].malformed(*why).add(more as u64 + 1);
            }
        }
        for (count, protocol) in Protocol::ALL.iter().enumerate() {
            assert_eq!(protocols[*protocol].open(), count as u64 + 1);
            for (more, why) in Malformed::ALL.iter().enumerate() {
                assert_eq!(protocols[*protocol].malformed(*why).value(), more as u64 + 1);
            }
        }
    }

    #[test]
    fn connections_that_end_are_open_no_longer() {
        let traffic = Traffic::default();
        traffic.opened.add(3);
        traffic.closed.add(2);
        assert_eq!(traffic.open(), 1);
    }
}
