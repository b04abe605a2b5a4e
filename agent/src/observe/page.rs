//! The page behind `/metrics`: nmid's eleven names as its dashboards know them, `msf_agent_*`, and `process_*`.
//!
//! `doc/metrics.md` lists every name. The names of nmid are wrong by today's rules and stay as they are; their values
//! are what their names say, which the original's were not always.

mod nmid;

use super::catalog::{Catalog, Function};
use super::counter::{Counter, Counters};
use super::exposition::{Buckets, Exposition, Kind, nano_seconds, seconds};
use super::function::{FunctionSums, Sums};
use super::histogram::{BOUNDS, Distribution};
use super::process::Process;
use super::traffic::{Malformed, Protocol, Traffic};

/// What the page is about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// By reactor.
    pub counters: &'a [Counters],
    /// The functions.
    pub catalog: &'a Catalog,
    /// The process.
    pub process: Option<Process>,
    /// Whether workers are shown with the time they registered, a label of which there is no end.
    pub create_time: bool,
    /// The program's.
    pub version: &'a str,
}

/// The whole page.
pub fn write(subject: &Subject<'_>) -> String {
    let mut page = Exposition::default();
    let functions: Vec<Summed<'_>> = subject.catalog.functions().map(Summed::new).collect();
    nmid::requests(&mut page, &functions);
    nmid::workers(&mut page, subject, &functions);
    nmid::functions(&mut page, &functions);
    nmid::addresses(&mut page, subject.catalog);
    agent(&mut page, subject);
    protocols(&mut page, subject.counters);
    refusals(&mut page, subject.counters);
    function_states(&mut page, &functions);
    function_results(&mut page, &functions);
    reactors(&mut page, subject.counters);
    if let Some(process) = &subject.process {
        this_process(&mut page, process);
    }
    page.finish()
}

/// A function with its numbers, read once so that all families agree.
struct Summed<'a> {
    name: &'a str,
    function: &'a Function,
    workers: Vec<(&'a str, Sums)>,
    all: Sums,
    reactors: FunctionSums,
}

impl<'a> Summed<'a> {
    fn new((name, function): (&'a str, &'a Function)) -> Summed<'a> {
        let workers: Vec<(&str, Sums)> = function.workers().collect();
        let mut all = Sums::default();
        workers.iter().for_each(|(_, sums)| all.merge(sums));
        Summed { name, function, workers, all, reactors: function.function_sums() }
    }
}

/// Every pair of a worker's name and a function's, as two labels.
fn pairs<'a>(functions: &'a [Summed<'a>]) -> impl Iterator<Item = ([(&'static str, &'a str); 2], &'a Sums)> {
    functions.iter().flat_map(|function| {
        let workers = function.workers.iter();
        workers.map(|(worker, sums)| ([("worker_name", *worker), ("func_name", function.name)], sums))
    })
}

fn agent(page: &mut Exposition, subject: &Subject<'_>) {
    let mut family = page.family("msf_agent_build_info", Kind::Gauge, "The program that runs; always 1.");
    family.sample(&[("version", subject.version)], 1);
    let sum = |of: fn(&Counters) -> &Counter| subject.counters.iter().map(|one| of(one).value()).sum::<u64>();
    let mut gauge = |name, help, value| page.family(name, Kind::Gauge, help).sample(&[], value);
    gauge("msf_agent_sessions", "Connections that the reactors hold.", sum(|one| &one.sessions));
    gauge("msf_agent_pending_requests", "Requests to services that await their answer.", sum(|one| &one.pending));
    gauge("msf_agent_subscriptions", "Names of events that somebody wants.", sum(|one| &one.subscriptions));
    gauge("msf_agent_buffered_bytes", "Bytes in inboxes and outboxes.", sum(|one| &one.buffered));
    let mut counter = |name, help, value| page.family(name, Kind::Counter, help).sample(&[], value);
    let help = "Requests delivered to librpc services.";
    counter("msf_agent_service_calls_total", help, sum(|one| &one.calls));
    let help = "Answers of librpc services delivered to their callers.";
    counter("msf_agent_service_replies_total", help, sum(|one| &one.replies));
    let help = "Requests to librpc services whose caller stopped waiting first.";
    counter("msf_agent_expired_requests_total", help, sum(|one| &one.expired));
    let help = "Requests that a newer one on the same connection replaced.";
    counter("msf_agent_abandoned_requests_total", help, sum(|one| &one.abandoned));
    let help = "Jobs given to another worker because the first one died.";
    counter("msf_agent_retried_jobs_total", help, sum(|one| &one.retried));
    let help = "Connections cut because they did not read.";
    counter("msf_agent_cut_connections_total", help, sum(|one| &one.cut_slow));
    let help = "Workers whose results could not be told apart, so that their jobs were failed.";
    counter("msf_agent_corrupt_workers_total", help, sum(|one| &one.corrupt));
    let help = "Times a session waited for another reactor's mailbox.";
    counter("msf_agent_parked_sessions_total", help, sum(|one| &one.parked));
    let mut family = page.family("msf_agent_logins_total", Kind::Counter, "Services that asked for an id.");
    family.sample(&[("result", "accepted")], sum(|one| &one.logins));
    family.sample(&[("result", "refused")], sum(|one| &one.logins_refused));
    let mut family = page.family("msf_agent_events_total", Kind::Counter, "Events, and what became of them.");
    family.sample(&[("result", "published")], sum(|one| &one.published));
    family.sample(&[("result", "told")], sum(|one| &one.told));
    family.sample(&[("result", "lost")], sum(|one| &one.untold));
}

fn protocols(page: &mut Exposition, counters: &[Counters]) {
    let classes: [Reason; 4] = [
        ("1xx", |one| &one.http_1xx),
        ("2xx", |one| &one.http_2xx),
        ("4xx", |one| &one.http_4xx),
        ("5xx", |one| &one.http_5xx),
    ];
    let mut family = page.family("msf_agent_http_answers_total", Kind::Counter, "Answers of the HTTP gateway.");
    for (class, of) in classes {
        family.sample(&[("status", class)], counters.iter().map(|one| of(one).value()).sum::<u64>());
    }
    let mut family = page.family("msf_agent_connections", Kind::Gauge, "Connections that are open.");
    by_protocol(counters, Traffic::open, |label, value| family.sample(&label, value));
    let mut counter = |name, help, of: fn(&Traffic) -> u64| {
        let mut family = page.family(name, Kind::Counter, help);
        by_protocol(counters, of, |label, value| family.sample(&label, value));
    };
    counter("msf_agent_connections_opened_total", "Connections taken.", |one| one.opened.value());
    counter("msf_agent_requests_total", "Requests received.", |one| one.requests.value());
    counter("msf_agent_answers_total", "Answers given, refusals included.", |one| one.answers.value());
    counter("msf_agent_received_bytes_total", "Bytes read.", |one| one.received.value());
    counter("msf_agent_sent_bytes_total", "Bytes written.", |one| one.sent.value());
    let help = "Input that was not what its protocol wants.";
    let mut family = page.family("msf_agent_malformed_total", Kind::Counter, help);
    for protocol in Protocol::ALL {
        for why in Malformed::ALL {
            let count: u64 = counters.iter().map(|one| one.protocols[*protocol].malformed(*why).value()).sum();
            family.sample(&[("protocol", protocol.label()), ("reason", why.label())], count);
        }
    }
    let help = "From a caller's request to the answer in its outbox.";
    let mut family = page.family("msf_agent_request_duration_seconds", Kind::Histogram, help);
    for protocol in Protocol::ALL {
        let mut latency = Distribution::default();
        counters.iter().for_each(|one| latency.add(&one.protocols[*protocol].latency));
        family.histogram(&[("protocol", protocol.label())], &BOUNDS, &latency, seconds(latency.micros()));
    }
}

fn by_protocol(counters: &[Counters], of: fn(&Traffic) -> u64, mut sample: impl FnMut([(&str, &str); 1], u64)) {
    for protocol in Protocol::ALL {
        let sum = counters.iter().map(|one| of(&one.protocols[*protocol])).sum();
        sample([("protocol", protocol.label())], sum);
    }
}

fn refusals(page: &mut Exposition, counters: &[Counters]) {
    let mut by_reason = |name, help, reasons: &[Reason]| {
        let mut family = page.family(name, Kind::Counter, help);
        for (reason, of) in reasons {
            family.sample(&[("reason", reason)], counters.iter().map(|one| of(one).value()).sum::<u64>());
        }
    };
    let refused: [Reason; 6] = [
        ("busy", |one| &one.busy),
        ("deadline", |one| &one.deadline),
        ("denied", |one| &one.spoofed),
        ("failed", |one| &one.failed),
        ("no_worker", |one| &one.no_worker),
        ("offline", |one| &one.offline),
    ];
    by_reason("msf_agent_refused_requests_total", "Requests that the agent answered itself.", &refused);
    let dropped: [Reason; 6] = [
        ("abandoned", |one| &one.dropped_abandoned),
        ("late", |one| &one.dropped_late),
        ("spoofed", |one| &one.dropped_spoofed),
        ("stale", |one| &one.dropped_stale),
        ("undeliverable", |one| &one.dropped_undeliverable),
        ("unknown", |one| &one.dropped_unknown),
    ];
    by_reason("msf_agent_dropped_answers_total", "Answers that nobody was given.", &dropped);
}

fn function_states(page: &mut Exposition, functions: &[Summed<'_>]) {
    let mut gauge = |name, help, of: fn(&Summed<'_>) -> u64| {
        let mut family = page.family(name, Kind::Gauge, help);
        functions.iter().for_each(|each| family.sample(&[("function", each.name)], of(each)));
    };
    let help = "Workers that have the function.";
    gauge("msf_agent_function_workers", help, |each| each.function.live().count() as u64);
    let help = "Jobs that workers are at.";
    gauge("msf_agent_function_in_flight", help, |each| each.all.in_flight());
    let help = "Requests that wait for a worker.";
    gauge("msf_agent_function_queue_depth", help, |each| each.reactors.queued);
    let mut counter = |name, help, of: fn(&Summed<'_>) -> u64| {
        let mut family = page.family(name, Kind::Counter, help);
        functions.iter().for_each(|each| family.sample(&[("function", each.name)], of(each)));
    };
    counter("msf_agent_function_jobs_total", "Jobs given to workers.", |each| each.all.requests);
    let help = "Requests that a newer one on the same connection replaced.";
    counter("msf_agent_function_abandoned_total", help, |each| each.reactors.abandoned);
    let help = "Jobs given to another worker because the first one died.";
    counter("msf_agent_function_retries_total", help, |each| each.reactors.retried);
}

fn function_results(page: &mut Exposition, functions: &[Summed<'_>]) {
    let mut family = page.family("msf_agent_function_results_total", Kind::Counter, "What became of jobs.");
    for each in functions {
        family.sample(&[("function", each.name), ("result", "failure")], each.all.fail);
        family.sample(&[("function", each.name), ("result", "success")], each.all.success);
    }
    let help = "Requests that the agent answered itself.";
    let mut family = page.family("msf_agent_function_refusals_total", Kind::Counter, help);
    for each in functions {
        let FunctionSums { busy, deadline, failed, no_worker, .. } = each.reactors;
        for (reason, count) in [("busy", busy), ("deadline", deadline), ("failed", failed), ("no_worker", no_worker)] {
            family.sample(&[("function", each.name), ("reason", reason)], count);
        }
    }
    let help = "From a worker's getting a job to its result.";
    let mut family = page.family("msf_agent_function_duration_seconds", Kind::Histogram, help);
    for each in functions {
        let latency = &each.all.latency;
        family.histogram(&[("function", each.name)], &BOUNDS, latency, seconds(latency.micros()));
    }
}

fn reactors(page: &mut Exposition, counters: &[Counters]) {
    let help = "Seconds the reactor was at work, not waiting.";
    let mut family = page.family("msf_agent_reactor_busy_seconds_total", Kind::Counter, help);
    for (reactor, one) in counters.iter().enumerate() {
        family.sample(&[("reactor", &reactor.to_string())], nano_seconds(one.busy_nanos.value()));
    }
    let mut family = page.family("msf_agent_reactor_turns_total", Kind::Counter, "Turns of the reactor's loop.");
    for (reactor, one) in counters.iter().enumerate() {
        family.sample(&[("reactor", &reactor.to_string())], one.turns.value());
    }
}

fn this_process(page: &mut Exposition, process: &Process) {
    let help = "Seconds of processor time, user and system.";
    page.family("process_cpu_seconds_total", Kind::Counter, help).sample(&[], process.cpu_seconds);
    let mut gauge = |name, help, value: f64| page.family(name, Kind::Gauge, help).sample(&[], value);
    gauge("process_open_fds", "Open descriptors.", process.open_fds as f64);
    gauge("process_max_fds", "Descriptors there may be.", process.max_fds as f64);
    gauge("process_virtual_memory_bytes", "Bytes of address space.", process.virtual_bytes as f64);
    gauge("process_resident_memory_bytes", "Bytes in memory.", process.resident_bytes as f64);
    gauge("process_threads", "Threads.", process.threads as f64);
    gauge("process_start_time_seconds", "When it started, in seconds since 1970.", process.start_time);
}

/// A label, and where its count is.
type Reason = (&'static str, fn(&Counters) -> &Counter);

#[cfg(test)]
mod tests {
    use super::super::function::Labels;
    use super::nmid::MOST_WORKERS;
    use super::*;
    use std::collections::BTreeMap;
    use std::io::Write;
    use std::process::{Command, Stdio};

    fn labels(id: &str, worker_name: &str, func_name: &str) -> Labels {
        Labels {
            worker_id: id.to_owned(),
            worker_name: worker_name.to_owned(),
            worker_ip: "127.0.0.1".to_owned(),
            func_name: func_name.to_owned(),
            create_time: "2026-01-02 03:04:05.678901".to_owned(),
        }
    }

    fn page(counters: &[Counters], catalog: &Catalog, create_time: bool) -> String {
        write(&Subject { counters, catalog, process: Some(Process::default()), create_time, version: "1.2.3" })
    }

    fn value(page: &str, series: &str) -> Option<f64> {
        page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    /// Two functions, hostile names, one worker gone.
    fn busy_catalog() -> Catalog {
        let mut catalog = Catalog::new(2);
        let (first, function) = catalog.enrol(labels("7", "W\"1", "To\nUpper"));
        let (second, _) = catalog.enrol(labels("8", "", "To\nUpper"));
        first.started();
        first.started();
        first.finished(true, 6_500);
        second.started();
        second.lost();
        function[0].queued.set(2);
        function[1].queued.set(3);
        function[1].deadline.count();
        let (gone, _) = catalog.enrol(labels("9", "W3", "\u{fffd}\\"));
        gone.started();
        gone.finished(false, 100);
        catalog.retire(&gone);
        catalog.closed("10.1.1.1");
        catalog.refused("10.6.6.6");
        catalog
    }

    #[test]
    fn nmids_names_have_their_types_and_labels_and_true_values() {
        let page = page(&[Counters::default()], &busy_catalog(), true);
        let pair = r#"{worker_name="W\"1",func_name="To\nUpper"}"#;
        let of = |name: &str, labels: &str| value(&page, &format!("nmid_server_{name}{labels}"));
        assert_eq!(of("client_request_count", pair), Some(2.0));
        assert_eq!(of("client_request_during", pair), Some(6.5));
        let bucket = |le: &str| format!("_bucket{},le=\"{le}\"}}", pair.trim_end_matches('}'));
        assert_eq!(of("client_request_duration", &bucket("5")), Some(0.0));
        assert_eq!(of("client_request_duration", &bucket("10")), Some(1.0));
        assert_eq!(of("client_request_duration", &format!("_count{pair}")), Some(1.0));
        assert_eq!(of("worker_func_success", pair), Some(1.0));
        assert_eq!(of("worker_func_fail", r#"{worker_name="",func_name="To\nUpper"}"#), Some(1.0));
        assert_eq!(of("func_func_count", r#"{func_name="To\nUpper"}"#), Some(2.0));
        assert_eq!(of("func_func_success", r#"{func_name="To\nUpper"}"#), Some(1.0));
        assert_eq!(of("func_func_fail", r#"{func_name="To\nUpper"}"#), Some(1.0));
        assert_eq!(of("worker_close_count", r#"{worker_ip="10.1.1.1"}"#), Some(1.0));
        let threat = r#"{ip="10.6.6.6",zone="",country="",prov="",city="",lat="",lon=""}"#;
        assert_eq!(of("ip_threat_ip", threat), Some(1.0));
        assert_eq!(of("client_discovery_count", r#"{discovery_name="etcd"}"#), Some(0.0));
        for (name, kind) in [
            ("client_request_count", "counter"),
            ("client_request_during", "counter"),
            ("client_request_duration", "histogram"),
            ("worker_close_count", "counter"),
            ("worker_func_count", "gauge"),
            ("worker_func_success", "counter"),
            ("worker_func_fail", "counter"),
            ("func_func_count", "gauge"),
            ("func_func_success", "counter"),
            ("func_func_fail", "counter"),
            ("ip_threat_ip", "counter"),
            ("client_discovery_count", "counter"),
        ] {
            assert!(page.contains(&format!("# TYPE nmid_server_{name} {kind}\n")), "{name}");
        }
    }

    #[test]
    fn a_worker_that_goes_takes_its_gauge_along_and_leaves_its_counters() {
        let page = page(&[Counters::default()], &busy_catalog(), true);
        assert!(!page.contains("worker_id=\"9\""));
        assert_eq!(value(&page, "nmid_server_func_func_count{func_name=\"\u{fffd}\\\\\"}"), Some(0.0));
        assert_eq!(value(&page, "nmid_server_func_func_fail{func_name=\"\u{fffd}\\\\\"}"), Some(1.0));
    }

    #[test]
    fn the_time_of_registration_can_be_left_out() {
        let catalog = busy_catalog();
        let with = r#"worker_func_count{worker_id="8",worker_name="",worker_ip="127.0.0.1",func_name="To\nUpper",create_time="2026-01-02 03:04:05.678901"}"#;
        assert_eq!(value(&page(&[], &catalog, true), &format!("nmid_server_{with}")), Some(1.0));
        let page = page(&[], &catalog, false);
        assert!(!page.contains("create_time"));
        let without = r#"worker_func_count{worker_id="8",worker_name="",worker_ip="127.0.0.1",func_name="To\nUpper"}"#;
        assert_eq!(value(&page, &format!("nmid_server_{without}")), Some(1.0));
    }

    #[test]
    fn reactors_are_added_up_and_units_are_seconds_and_bytes() {
        let counters = [Counters::default(), Counters::default()];
        for (one, http) in counters.iter().map(|one| (one, &one.protocols[Protocol::Http])) {
            one.busy_nanos.add(1_500_000_000);
            one.dropped_late.add(2);
            one.http_4xx.add(3);
            http.opened.add(4);
            http.closed.count();
            http.received.add(100);
            http.latency.observe(250);
            http.malformed(Malformed::Header).count();
        }
        let page = page(&counters, &busy_catalog(), true);
        let of = |series: &str| value(&page, &format!("msf_agent_{series}"));
        assert_eq!(of(r#"connections{protocol="http"}"#), Some(6.0));
        assert_eq!(of(r#"received_bytes_total{protocol="http"}"#), Some(200.0));
        assert_eq!(of(r#"malformed_total{protocol="http",reason="header"}"#), Some(2.0));
        assert_eq!(of(r#"http_answers_total{status="4xx"}"#), Some(6.0));
        assert_eq!(of(r#"request_duration_seconds_bucket{protocol="http",le="0.00025"}"#), Some(2.0));
        assert_eq!(of(r#"request_duration_seconds_sum{protocol="http"}"#), Some(0.0005));
        assert_eq!(of(r#"dropped_answers_total{reason="late"}"#), Some(4.0));
        assert_eq!(of(r#"reactor_busy_seconds_total{reactor="1"}"#), Some(1.5));
        assert_eq!(of(r#"function_queue_depth{function="To\nUpper"}"#), Some(5.0));
        assert_eq!(of(r#"function_in_flight{function="To\nUpper"}"#), Some(1.0));
        assert_eq!(of(r#"function_refusals_total{function="To\nUpper",reason="deadline"}"#), Some(1.0));
        assert_eq!(of(r#"build_info{version="1.2.3"}"#), Some(1.0));
    }

    #[test]
    fn every_series_is_there_once_whatever_the_names_are() {
        let mut catalog = Catalog::new(1);
        for number in 0..MOST_WORKERS + 50 {
            // The same label twice, from one connection.
            let id = (number / 2).to_string();
            catalog.enrol(labels(&id, "w", "f"));
            catalog.enrol(labels(&id, "w", &format!("f{number}")));
        }
        let page = page(&[Counters::default()], &catalog, true);
        let mut series: Vec<&str> =
            page.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap().0).collect();
        let all = series.len();
        series.sort();
        series.dedup();
        assert_eq!(series.len(), all);
        let gauges = page.lines().filter(|line| line.starts_with("nmid_server_worker_func_count{"));
        let workers: u64 = gauges.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum();
        assert_eq!(workers, 2 * (MOST_WORKERS as u64 + 50));
    }

    #[test]
    fn the_manual_has_every_name_with_its_type_and_no_other() {
        let page = page(&[Counters::default()], &busy_catalog(), true);
        let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let shown: BTreeMap<&str, &str> = types.collect();
        let rows = include_str!("../../../doc/metrics.md").lines().filter_map(|line| line.strip_prefix("| `"));
        let rows = rows.filter_map(|row| row.split_once("` | ")).filter(|(name, _)| name.contains('_'));
        let named: BTreeMap<&str, &str> =
            rows.map(|(name, rest)| (name, rest.split([' ', ':']).next().unwrap_or_default())).collect();
        assert_eq!(named, shown);
    }

    #[test]
    fn promtool_reads_it_and_complains_about_nmids_names_alone() {
        let page = page(&[Counters::default()], &busy_catalog(), true);
        let mut promtool = Command::new("promtool");
        promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut promtool = promtool.spawn().expect("promtool, of the Debian package prometheus");
        promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let output = promtool.wait_with_output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let complaints: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
        assert!(complaints.iter().all(|line| line.starts_with("nmid_server_")), "{said}");
        // It has read them: these two rules they break.
        assert!(
            said.contains("nmid_server_client_request_count counter metrics should have \"_total\" suffix"),
            "{said}"
        );
        assert_eq!(output.status.code(), Some(3), "3 says lint, 1 says unreadable: {said}");
    }
}
