//! How functions and workers are to be treated: written by the operator, the same in every reactor.

pub use msf_conf::agent::{Balance, Dialect, Rules, WorkerRules};
use msf_conf::net::Networks;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// All rules.
#[derive(Clone, Debug, Default)]
pub struct Rulebook {
    /// For functions that are not named.
    pub usual: Arc<Rules>,
    /// By function.
    pub functions: HashMap<Vec<u8>, Arc<Rules>>,
    /// By the name of the worker.
    pub workers: HashMap<Vec<u8>, WorkerRules>,
    /// From there come workers of the first generation only.
    pub first_generation: Networks,
}

impl Rulebook {
    /// What holds for `function`.
    pub fn of(&self, function: &[u8]) -> Arc<Rules> {
        Arc::clone(self.functions.get(function).unwrap_or(&self.usual))
    }

    /// Whether workers from `host` are of the first generation, whatever they look like.
    pub fn is_first_generation(&self, host: IpAddr) -> bool {
        self.first_generation.contains(host)
    }

    /// What holds for workers called `name`.
    pub fn of_worker(&self, name: &[u8]) -> WorkerRules {
        self.workers.get(name).copied().unwrap_or_default()
    }
}
