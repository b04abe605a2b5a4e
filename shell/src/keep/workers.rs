//! The workers of all services whose functions are offered to the agent: one for each service that is started and whose
//! entry wants it.
//!
//! One connection per service, because an agent sends a connection one job at a time: over a common one the services
//! would wait for each other.

use crate::MODULE;
use crate::copy::generation::Stage;
use crate::keep::keeper::Keeper;
use crate::keep::worker::{Terms, Worker};
use crate::place::routes::Routes;
use crate::text::object;
use msf_conf::tree::Value;
use msf_sys::log::Level;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// See the module.
pub struct Workers {
    routes: Arc<Routes>,
    at_work: BTreeMap<String, (Worker, Duration)>,
    /// Services that have nothing to offer, and were told so.
    idle: Vec<String>,
}

/// A worker there should be, and how long it may take to leave.
type Wanted = (Terms, Duration);

impl Workers {
    /// Of nobody yet; calls will go to `routes`.
    pub fn new(routes: Arc<Routes>) -> Workers {
        Workers { routes, at_work: BTreeMap::new(), idle: Vec::new() }
    }

    /// Makes the workers as they are wanted. One that takes another's place is there before the other goes.
    fn settle(&mut self, wanted: Vec<Wanted>) {
        let gone = |name: &String| wanted.iter().all(|(terms, _)| terms.service != *name);
        let gone: Vec<String> = self.at_work.keys().filter(|name| gone(name)).cloned().collect();
        gone.iter().for_each(|service| self.withdraw(service));
        self.idle.retain(|name| wanted.iter().any(|(terms, _)| terms.service == *name && terms.functions.is_empty()));
        for (terms, limit) in wanted {
            match self.at_work.get_mut(&terms.service) {
                Some((worker, old)) if worker.terms == terms => *old = limit,
                _ if terms.functions.is_empty() => self.nothing(&terms.service),
                _ => self.begin(terms, limit),
            }
        }
    }

    fn begin(&mut self, terms: Terms, limit: Duration) {
        let service = terms.service.clone();
        match Worker::start(terms, &self.routes) {
            Ok(worker) => {
                let old = self.at_work.remove(&service);
                if let Some((old, limit)) = old {
                    // Else its functions would be nobody's for a moment.
                    if old.is_registered() {
                        worker.wait_registered(OVERLAP);
                    }
                    old.leave(limit);
                }
                self.at_work.insert(service, (worker, limit));
            }
            // Tried again with the next order.
            Err(e) => msf_sys::log!(Level::Error, MODULE, "service {service}: it has no worker: {e}"),
        }
    }

    fn nothing(&mut self, service: &str) {
        self.withdraw(service);
        if !self.idle.iter().any(|name| name == service) {
            msf_sys::log!(
                Level::Error,
                MODULE,
                "service {service}: it is to be a worker, and has no table of functions"
            );
            self.idle.push(service.to_owned());
        }
    }

    /// Takes a service's functions back; the calls that have come are answered first.
    pub fn withdraw(&mut self, service: &str) {
        if let Some((worker, limit)) = self.at_work.remove(service) {
            worker.leave(limit);
        }
    }

    /// Takes the functions of all services back.
    pub fn withdraw_all(&mut self) {
        self.at_work.values().for_each(|(worker, _)| worker.withdraw());
        for (worker, limit) in std::mem::take(&mut self.at_work).into_values() {
            worker.leave(limit);
        }
    }

    /// What an operator is shown of a service's worker.
    pub fn row(&self, service: &str) -> Option<Value> {
        let (worker, _) = self.at_work.get(service)?;
        let Terms { name, conf, .. } = &worker.terms;
        Some(object([
            ("agent", conf.agent.as_str().into()),
            ("name", name.as_str().into()),
            ("prefix", conf.prefix.as_str().into()),
            ("registered", worker.is_registered().into()),
            ("trouble", worker.trouble().into()),
        ]))
    }
}

/// How long the two workers of a service are there together at most.
const OVERLAP: Duration = Duration::from_secs(2);

impl Keeper {
    /// Sees to it that the functions of every service that is started, and of no other, are offered as the file says.
    pub fn offer(&mut self) {
        let wanted = self.seats().into_iter().filter(|seat| self.stage(*seat) == Some(&Stage::Started));
        let wanted = wanted.filter_map(|(of, at)| {
            let member = self.generations.get(of)?.members.get(at)?;
            let conf = member.conf.worker.clone()?;
            let service = member.conf.name.clone();
            let name = conf.name.clone().unwrap_or_else(|| format!("{}.{service}", self.settings.name));
            let functions = member.traits.functions.clone();
            Some((Terms { service, name, functions, conf }, member.conf.patience.stop))
        });
        let wanted = wanted.collect();
        self.workers.settle(wanted);
    }
}
