//! The daemon's numbers as a page for Prometheus.

use super::status::Status;
use msf_core::exposition::{Exposition, Kind};
use msf_core::sysinfo::process::Process;
use std::collections::HashMap;
use std::time::Duration;

/// What the page is about.
#[derive(Debug)]
pub struct Subject<'a> {
    /// The daemon and its processes.
    pub status: &'a Status,
    /// What the kernel says of those that run, by pid.
    pub usage: &'a HashMap<i32, Process>,
    /// The number of the last event.
    pub events: u64,
}

/// The page.
pub fn page(subject: &Subject<'_>) -> String {
    let Subject { status, usage, events } = subject;
    let mut page = Exposition::default();
    let rows = || status.processes.iter();
    let mut family = page.family("msf_process_up", Kind::Gauge, "Whether the process is up: running and ready.");
    rows().for_each(|row| family.sample(&[("name", &row.name)], u8::from(row.uptime.is_some())));
    let mut family = page.family("msf_process_state", Kind::Gauge, "What the process is, as status calls it.");
    rows().for_each(|row| family.sample(&[("name", &row.name), ("state", row.state)], 1));
    let mut family =
        page.family("msf_process_restarts_total", Kind::Counter, "How often the process was started again by itself.");
    rows().for_each(|row| family.sample(&[("name", &row.name)], row.restarts));
    let mut family = page.family("msf_process_uptime_seconds", Kind::Gauge, "How long the process has been up.");
    rows().for_each(|row| family.sample(&[("name", &row.name)], seconds(row.uptime.unwrap_or_default())));
    let running = || rows().filter_map(|row| Some((row.name.as_str(), usage.get(&row.pid?)?)));
    let mut family = page.family("msf_process_rss_bytes", Kind::Gauge, "Memory the process has in use.");
    running().for_each(|(name, process)| family.sample(&[("name", name)], process.resident));
    let mut family =
        page.family("msf_process_cpu_seconds_total", Kind::Counter, "Processor time of the process since it started.");
    running().for_each(|(name, process)| family.sample(&[("name", name)], seconds(process.busy())));
    let mut family = page.family("msf_process_open_fds", Kind::Gauge, "Descriptors the process has open.");
    for (name, process) in running() {
        if let Some(count) = process.descriptors {
            family.sample(&[("name", name)], count);
        }
    }
    let mut family = page.family("msf_process_threads", Kind::Gauge, "Threads of the process.");
    running().for_each(|(name, process)| family.sample(&[("name", name)], process.threads));
    page.family("msf_daemon_uptime_seconds", Kind::Gauge, "How long the daemon has been running.")
        .sample(&[], seconds(status.uptime));
    page.family("msf_daemon_events_total", Kind::Counter, "The number of the last event.").sample(&[], events);
    if let Some(own) = i32::try_from(status.pid).ok().and_then(|pid| usage.get(&pid)) {
        page.family("process_resident_memory_bytes", Kind::Gauge, "Memory the daemon has in use.")
            .sample(&[], own.resident);
        page.family("process_cpu_seconds_total", Kind::Counter, "Processor time of the daemon.")
            .sample(&[], seconds(own.busy()));
        page.family("process_open_fds", Kind::Gauge, "Descriptors the daemon has open.")
            .sample(&[], own.descriptors.unwrap_or_default());
        page.family("process_threads", Kind::Gauge, "Threads of the daemon.").sample(&[], own.threads);
    }
    page.finish()
}

fn seconds(span: Duration) -> String {
    format!("{}.{:03}", span.as_secs(), span.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::super::status::Row;
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    fn shown() -> String {
        let row = |name: &str, state, pid| Row {
            index: 0,
            name: name.to_owned(),
            state,
            pid,
            uptime: pid.map(|_| Duration::from_millis(61_250)),
            restarts: 3,
            heir: None,
            left: Vec::new(),
            next_start: None,
            held_by: None,
            says: None,
            last: None,
            output: None,
            error_output: None,
            crash: None,
            health: None,
            above: Vec::new(),
        };
        let pid = std::process::id();
        let status = Status {
            pid,
            uptime: Duration::from_secs(7),
            config: String::new(),
            version: String::new(),
            events: String::new(),
            processes: vec![row("a \"b\\\nc", "up", i32::try_from(pid).ok()), row("down", "waiting", None)],
        };
        let own = msf_core::sysinfo::process::current().unwrap();
        page(&Subject { status: &status, usage: &HashMap::from([(own.pid, own)]), events: 9 })
    }

    #[test]
    fn every_process_has_its_numbers_and_no_name_breaks_a_line() {
        let page = shown();
        for line in [
            r#"msf_process_up{name="a \"b\\\nc"} 1"#,
            r#"msf_process_up{name="down"} 0"#,
            r#"msf_process_state{name="down",state="waiting"} 1"#,
            r#"msf_process_restarts_total{name="down"} 3"#,
            r#"msf_process_uptime_seconds{name="a \"b\\\nc"} 61.250"#,
            "msf_daemon_events_total 9",
        ] {
            assert!(page.lines().any(|other| other == line), "{line} in\n{page}");
        }
        assert!(!page.contains(r#"rss_bytes{name="down"}"#) && page.contains("process_open_fds "), "{page}");
    }

    #[test]
    fn promtool_has_nothing_to_say_against_it() {
        let mut promtool = Command::new("promtool");
        promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut promtool = promtool.spawn().expect("promtool, of the Debian package prometheus");
        promtool.stdin.take().unwrap().write_all(shown().as_bytes()).unwrap();
        let output = promtool.wait_with_output().unwrap();
        assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
    }
}
