//! Calls that a librpc service carries out: it takes as many as it likes, and answers by number.

use super::super::hash::Mix;
use super::super::job::{Caller, Job, JobId, Past, Place};
use super::super::message::{Failure, Moment};
use super::{Desk, Settled, millis};
use msf_wire::state;
use std::collections::HashMap;
use std::sync::Arc;

/// One service's connection.
#[derive(Debug)]
pub struct Service {
    /// What it has not answered yet, by number.
    pub calls: HashMap<u32, JobId, Mix>,
    next: u32,
}

state! { struct Service { calls, next } }

impl Desk {
    /// Takes in a call for the service of `session`, of which `most` may be open: the number under which it is
    /// sent, and how many milliseconds are waited for its answer.
    pub fn ask(
        &mut self,
        session: u32,
        caller: Caller,
        function: &[u8],
        wait: Option<u32>,
        most: usize,
    ) -> Result<(u32, u32), Failure> {
        let (mix, now, since) = (self.mix, self.now, self.micros);
        let new = || Service { calls: HashMap::with_hasher(mix), next: 0 };
        let service = self.services.entry(session).or_insert_with(new);
        if service.calls.len() >= most {
            return Err(Failure::Busy);
        }
        let seq = loop {
            service.next = service.next.wrapping_add(1);
            if !service.calls.contains_key(&service.next) {
                break service.next;
            }
        };
        let rules = Arc::clone(&self.service_rules);
        let wait = wait.unwrap_or(u32::MAX).min(millis(&rules));
        let job = Job {
            caller: Some(caller),
            function: function.into(),
            since,
            deadline: Moment(now.0 + u64::from(wait)),
            place: Place::Service(session, seq),
            past: Past::default(),
            params: None,
            timer: None,
            tally: None,
            rules,
        };
        let id = self.jobs.insert(job).ok_or(Failure::Busy)?;
        service.calls.insert(seq, id);
        self.arm(id);
        Ok((seq, wait))
    }

    /// The service of `session` has answered the call with this number.
    pub fn answered(&mut self, session: u32, seq: u32) -> Settled {
        let id = self.services.get_mut(&session).and_then(|service| service.calls.remove(&seq));
        let Some(job) = id.and_then(|id| self.end(id)) else { return Settled::Late };
        job.caller.map_or(Settled::Unwanted, Settled::Due)
    }

    /// Whether the service of `session` has calls to answer.
    pub fn is_asked(&self, session: u32) -> bool {
        self.services.get(&session).is_some_and(|service| !service.calls.is_empty())
    }

    /// The service's connection has ended.
    pub fn service_left(&mut self, session: u32) {
        let Some(service) = self.services.remove(&session) else { return };
        for id in service.calls.into_values() {
            if let Some(job) = self.end(id) {
                self.fail(&job, Failure::Lost);
            }
        }
    }
}
