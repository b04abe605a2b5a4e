//! What becomes of a child between clone and exec, in the few bytes it can say that with.

use libc::c_int;

/// What was attempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Create = 1,
    Folder = 2,
    Execute = 3,
    Descriptor = 4,
    Limit = 5,
    Nice = 6,
    Processors = 7,
    Identity = 8,
    Session = 9,
    Class = 10,
    Cgroup = 11,
    Capabilities = 12,
}

/// What the child of a fork, and its child, have written to `report_to`.
#[derive(Default)]
pub(super) struct Report {
    /// What failed, if anything did.
    pub failure: Option<(What, c_int)>,
    /// Who it is that was detached.
    pub pid: Option<libc::pid_t>,
}

impl Report {
    /// As far as it is whole.
    pub fn read(mut bytes: &[u8]) -> Report {
        let mut report = Report::default();
        while let Some((&[a, b, c, d, e, f, g, h], rest)) = bytes.split_first_chunk::<REPORT_LEN>() {
            bytes = rest;
            let (code, value) = (c_int::from_ne_bytes([a, b, c, d]), c_int::from_ne_bytes([e, f, g, h]));
            if code == PID {
                report.pid = Some(value);
            } else {
                report.failure = What::from_code(code).map(|what| (what, value));
            }
        }
        report
    }
}

/// As [`Report::read`] reads it.
pub(super) fn pack(what: c_int, errno: c_int) -> [u8; REPORT_LEN] {
    let [a, b, c, d] = what.to_ne_bytes();
    let [e, f, g, h] = errno.to_ne_bytes();
    [a, b, c, d, e, f, g, h]
}

impl What {
    pub fn from_code(code: c_int) -> Option<What> {
        What::ALL.iter().copied().find(|what| *what as c_int == code)
    }

    const ALL: &[What] = &[
        What::Create,
        What::Folder,
        What::Execute,
        What::Descriptor,
        What::Limit,
        What::Nice,
        What::Processors,
        What::Identity,
        What::Session,
        What::Class,
        What::Cgroup,
        What::Capabilities,
    ];
}

/// A code and a value.
pub(super) const REPORT_LEN: usize = 8;
/// In place of a [`What`]: the value is no errno, but whom `detach` has made.
pub(super) const PID: c_int = 0;
