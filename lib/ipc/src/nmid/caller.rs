//! A client as C knows it: calls that wait, on one connection, and errands nobody waits for, on another.

use super::answer::{Answer, errno};
use super::errands::{Callback, Errand, Errands};
use super::handle::Handle;
use crate::errno::Errno;
use msf_client::Place;
use msf_client::nmid::wire::Params;
use msf_client::nmid::{CallError, Client};
use msf_sys::ffi::ipc::{self, nmid_client};
use msf_sys::log;
use msf_sys::log::Level;
use std::ffi::c_int;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// See the module.
pub(super) struct Caller {
    owner: u32,
    patience: AtomicU32,
    waiting: Mutex<Client>,
    complaint: Complaint,
    errands: Arc<Errands>,
}

/// A call as C makes it; everything is lent.
pub(super) struct Request<'a> {
    pub(super) function: &'a [u8],
    pub(super) params: Params<'a>,
}

impl Caller {
    pub(super) fn new(place: Place) -> Caller {
        Caller {
            owner: process::id(),
            patience: AtomicU32::new(PATIENCE),
            waiting: Mutex::new(Client::new(place.clone())),
            complaint: Complaint::default(),
            errands: Arc::new(Errands::new(Client::new(place))),
        }
    }

    pub(super) fn set_patience(&self, ms: u32) -> Result<(), Errno> {
        if ms == 0 {
            return Err(Errno::INVAL);
        }
        self.patience.store(ms, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn call(&self, request: &Request<'_>) -> Result<Box<Answer>, Errno> {
        let mut client = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = client.call(request.function, request.params, self.patience());
        drop(client);
        self.complaint.about(&outcome);
        outcome.map(Answer::new).map_err(|error| errno(&error))
    }

    pub(super) fn errand(&self, request: &Request<'_>, callback: Callback) -> Result<(), Errno> {
        let length = request.function.len().saturating_add(request.params.bytes.len());
        if length > LONGEST {
            return Err(Errno::MSGSIZE);
        }
        self.errands.add(Errand {
            function: request.function.to_owned(),
            params: request.params.bytes.to_owned(),
            params_type: request.params.kind,
            patience: self.patience(),
            callback,
        })
    }

    pub(super) fn errands(&self) -> Arc<Errands> {
        Arc::clone(&self.errands)
    }

    pub(super) fn descriptor(&self) -> Result<c_int, Errno> {
        self.errands.descriptor()
    }

    fn patience(&self) -> Option<Duration> {
        match self.patience.load(Ordering::Relaxed) {
            FOREVER => None,
            ms => Some(Duration::from_millis(ms.into())),
        }
    }
}

impl Handle for Caller {
    type Face = nmid_client;

    fn owner(&self) -> u32 {
        self.owner
    }
}

/// Says once that no broker is there, until one is.
#[derive(Default)]
pub(super) struct Complaint {
    made: AtomicBool,
}

impl Complaint {
    pub(super) fn about(&self, outcome: &Result<Vec<u8>, CallError>) {
        let Err(error @ CallError::NoBroker { .. }) = outcome else {
            return self.made.store(false, Ordering::Relaxed);
        };
        if !self.made.swap(true, Ordering::Relaxed) {
            log!(Level::Warn, "NMID", "{error}");
        }
    }
}

const _: () = assert!(ipc::NMID_PORT as u16 == msf_client::nmid::DEFAULT_PORT);
/// A little more than the broker's own deadline, so that its ERROR, which says more than a silence, comes first.
const PATIENCE: u32 = 35_000;
const FOREVER: u32 = u32::MAX;
/// What fits into a payload of 16 MiB with the words around it.
const LONGEST: usize = (16 << 20) - 16;
