//! nmid's eleven names, as its dashboards know them.

use super::{Subject, Summed, pairs};
use crate::observe::catalog::{Catalog, OTHERS};
use crate::observe::exposition::{Buckets, Exposition, Kind, milliseconds};
use crate::observe::function::Sums;
use crate::observe::histogram::MILLISECONDS;
use std::collections::BTreeMap;

pub(super) fn requests(page: &mut Exposition, functions: &[Summed<'_>]) {
    let mut family = page.family("nmid_server_client_request_count", Kind::Counter, "Requests given to workers.");
    pairs(functions).for_each(|(labels, sums)| family.sample(&labels, sums.requests));
    let help = "Milliseconds that requests took which workers have answered, added up.";
    let mut family = page.family("nmid_server_client_request_during", Kind::Counter, help);
    pairs(functions).for_each(|(labels, sums)| family.sample(&labels, milliseconds(sums.latency.micros())));
    let help = "Milliseconds from a worker's getting a request to its result.";
    let mut family = page.family("nmid_server_client_request_duration", Kind::Histogram, help);
    for (labels, Sums { latency, .. }) in pairs(functions) {
        family.histogram(&labels, &MILLISECONDS, latency, milliseconds(latency.micros()));
    }
}

pub(super) fn workers(page: &mut Exposition, subject: &Subject<'_>, functions: &[Summed<'_>]) {
    let mut counts: BTreeMap<[(&str, &str); 5], u64> = BTreeMap::new();
    for worker in functions.iter().flat_map(|function| function.function.live()) {
        let labels = worker.labels();
        // Without the time the last label is the same for all, and left out below.
        let mut key = [
            ("worker_id", labels.worker_id.as_str()),
            ("worker_name", &labels.worker_name),
            ("worker_ip", &labels.worker_ip),
            ("func_name", &labels.func_name),
            ("create_time", if subject.create_time { &labels.create_time } else { "" }),
        ];
        if counts.len() >= MOST_WORKERS && !counts.contains_key(&key) {
            key.iter_mut().for_each(|(_, value)| *value = OTHERS);
        }
        *counts.entry(key).or_default() += 1;
    }
    let shown = if subject.create_time { 5 } else { 4 };
    let help = "Functions that workers have now.";
    let mut family = page.family("nmid_server_worker_func_count", Kind::Gauge, help);
    counts.iter().for_each(|(labels, count)| family.sample(labels.get(..shown).unwrap_or_default(), count));
    let mut family = page.family("nmid_server_worker_func_success", Kind::Counter, "Results of workers.");
    pairs(functions).for_each(|(labels, sums)| family.sample(&labels, sums.success));
    let help = "Requests that workers failed, or never answered.";
    let mut family = page.family("nmid_server_worker_func_fail", Kind::Counter, help);
    pairs(functions).for_each(|(labels, sums)| family.sample(&labels, sums.fail));
}

pub(super) fn functions(page: &mut Exposition, functions: &[Summed<'_>]) {
    let mut family = page.family("nmid_server_func_func_count", Kind::Gauge, "Workers that have the function now.");
    functions.iter().for_each(|each| family.sample(&[("func_name", each.name)], each.function.live().count()));
    let mut family = page.family("nmid_server_func_func_success", Kind::Counter, "Results of the function.");
    functions.iter().for_each(|each| family.sample(&[("func_name", each.name)], each.all.success));
    let help = "Requests that the function failed, or never answered.";
    let mut family = page.family("nmid_server_func_func_fail", Kind::Counter, help);
    functions.iter().for_each(|each| family.sample(&[("func_name", each.name)], each.all.fail));
}

pub(super) fn addresses(page: &mut Exposition, catalog: &Catalog) {
    let help = "Connections of workers that have ended.";
    let mut family = page.family("nmid_server_worker_close_count", Kind::Counter, help);
    catalog.closings().for_each(|(ip, count)| family.sample(&[("worker_ip", ip)], count));
    let help = "Connections refused because of their address; the labels after the first are always empty.";
    let mut family = page.family("nmid_server_ip_threat_ip", Kind::Counter, help);
    for (ip, count) in catalog.threats() {
        let nowhere = ["zone", "country", "prov", "city", "lat", "lon"].map(|name| (name, ""));
        let [zone, country, prov, city, lat, lon] = nowhere;
        family.sample(&[("ip", ip), zone, country, prov, city, lat, lon], count);
    }
    let help = "Changes seen in a registry; a broker sees none.";
    page.family("nmid_server_client_discovery_count", Kind::Counter, help).sample(&[("discovery_name", "etcd")], 0);
}

/// Workers shown one by one; the others together.
pub(super) const MOST_WORKERS: usize = 4_000;
