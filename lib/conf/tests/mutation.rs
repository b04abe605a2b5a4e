//! Tens of thousands of broken configurations: none may panic, every refusal is a sentence that names the file and the key,
//! and every file that is accepted keeps its promises.
//!
//! Half of them are broken byte by byte, half are JSON still, of another shape. `MSF_MUTATIONS` asks for more;
//! `MSF_SAMPLES` names a folder for some of those that were accepted, so that the programs can be given them.
#![allow(clippy::unwrap_used)]

mod mutate;
mod seed;

use msf_conf::ConfError;
use msf_conf::agent;
use msf_conf::daemon::Settings;
use msf_conf::shell::Shell;
use mutate::{Random, is_place};
use seed::{AGENT_CONF, AGENT_JSON, DAEMON, SERVER, SHELL};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many of each, which is 20,000 in all; `MSF_MUTATIONS` asks for more.
fn each() -> usize {
    std::env::var("MSF_MUTATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(4_000)
}

fn attack<T>(file: &str, text: &str, parse: impl Fn(&str) -> Result<T, ConfError>, check: impl Fn(&T)) {
    let (mut random, mut samples) = (Random(0x9e37_79b9_7f4a_7c15), Samples::of(file));
    let tree = msf_conf::tree::parse(text).ok();
    let (mut accepted, mut keys, each) = (0, 0, each());
    for number in 0..each {
        let reshaped = tree.as_ref().filter(|_| number % 2 == 0).map(|tree| random.reshaped(tree));
        let broken = reshaped.as_ref().map_or_else(|| random.broken(text), ToString::to_string);
        match parse(&broken) {
            Ok(settings) => {
                check(&settings);
                accepted += 1;
                samples.keep(&broken, number);
            }
            Err(e) => {
                let sentence = e.to_string();
                assert!(sentence.starts_with(file) && sentence.len() > file.len() + 10, "{sentence:?} of {broken}");
                assert_eq!(sentence.lines().count(), 1, "{sentence:?} of {broken}");
                match (&e, &reshaped) {
                    (ConfError::Key { key, .. }, Some(tree)) => {
                        assert!(is_place(tree, key), "{sentence:?} of {broken}")
                    }
                    (ConfError::Key { key, .. }, None) => assert!(!key.is_empty(), "{sentence:?} of {broken}"),
                    (_, Some(_)) => panic!("no key is named: {sentence:?} of {broken}"),
                    (_, None) => continue,
                }
                keys += 1;
            }
        }
    }
    println!("{file}: of {each}, {accepted} were accepted, of {keys} a key was complained about");
    // The mutations must reach all three ends, or they would test the JSON reader only.
    assert!(accepted > each / 100 && keys > each / 100, "{accepted} accepted, {keys} complaints about a key");
}

/// Some of those that were accepted, as files.
struct Samples {
    folder: Option<PathBuf>,
    file: String,
    kept: usize,
}

impl Samples {
    fn of(file: &str) -> Samples {
        Samples { folder: std::env::var_os("MSF_SAMPLES").map(PathBuf::from), file: file.replace('/', "-"), kept: 0 }
    }

    fn keep(&mut self, text: &str, number: usize) {
        // From the whole run, and not its beginning only.
        if let Some(folder) = &self.folder
            && number * MOST_SAMPLES >= self.kept * each()
        {
            self.kept += 1;
            std::fs::write(folder.join(format!("{number}-{}", self.file)), text).unwrap();
        }
    }
}

#[test]
fn no_daemon_file_breaks_the_reader() {
    let parse = |text: &str| Settings::parse(Path::new("msf/daemon.json"), text);
    attack("msf/daemon.json", DAEMON, parse, |settings| {
        assert!(!settings.processes.is_empty());
        for process in &settings.processes {
            assert!(!process.name.is_empty() && !process.name.contains(['/', '\0']) && !process.launch.path.is_empty());
            let strings = process.launch.args.iter().chain(process.launch.env.values()).chain(&process.launch.conf);
            assert!(strings.chain([&process.launch.path]).all(|text| !text.contains('\0')));
            assert!(process.restart.delay <= process.restart.delay_max);
        }
        // What -k parse shows is a configuration again, and the same one.
        let again = Settings::parse(Path::new("shown.json"), &settings.to_string()).unwrap();
        assert_eq!(again, Settings { warnings: Vec::new(), ..settings.clone() });
    });
}

#[test]
fn no_shell_file_breaks_the_reader() {
    let parse = |text: &str| Shell::parse(Path::new("msf/shell.json"), text);
    attack("msf/shell.json", SHELL, parse, |shell| {
        assert!(shell.name.len() <= 31 && !shell.name.contains(['/', '\0']) && !shell.services.is_empty());
        assert!(shell.services.iter().all(|service| service.name.len() <= 63 && !service.library.contains('\0')));
    });
}

#[test]
fn no_agent_file_breaks_the_reader() {
    for (file, text) in [("msf/agent.conf", AGENT_CONF), ("msf/agent.json", AGENT_JSON), ("msf/agent.yaml", SERVER)] {
        let parse = |text: &str| agent::Settings::parse([(Path::new(file), text)].into_iter());
        attack(file, text, parse, |settings| {
            assert!(
                settings.outbox_soft <= settings.outbox_hard && settings.max_conns > 0 && settings.pending_limit > 0
            );
            assert!(settings.warnings.iter().all(|warning| warning.starts_with(file)));
            assert!(settings.nmid.payload_limit <= settings.outbox_hard && settings.metrics.path.starts_with('/'));
            assert!(settings.functions.keys().chain(settings.workers.keys()).all(|name| !name.is_empty()));
            // What -k parse shows is a configuration again, and the same one.
            let again = parse_again(&settings.to_string());
            assert_eq!(again, agent::Settings { warnings: Vec::new(), ..settings.clone() });
        });
    }
}

fn parse_again(text: &str) -> agent::Settings {
    agent::Settings::parse([(Path::new("shown.conf"), text)].into_iter()).unwrap()
}

#[test]
fn depth_is_a_complaint_and_not_the_end_of_the_stack() {
    for deep in ["[".repeat(200_000), r#"{"a":"#.repeat(200_000)] {
        let text = SHELL.replacen("\"msf_agent\"", &deep, 1);
        let error = Shell::parse(Path::new("x.json"), &text).unwrap_err().to_string();
        assert!(error.starts_with("x.json: not JSON: recursion limit exceeded at line 2"), "{error}");
    }
}

#[test]
fn regress_many_processes_and_services_cost_no_time() {
    let many = |count: usize, one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>().join(",");
    let start = SHELL.find('[').unwrap() + 1;
    let read = |count: usize| {
        let processes =
            many(count, &|i| format!(r#"{{"proc_idx": {i}, "proc_name": "process-number-{i}", "proc_path": "x"}}"#));
        let daemon = format!(r#"{{"msf_author": "", "msf_version": "", "msf_desc": "", "msf_procs": [{processes}]}}"#);
        let services = many(count, &|i| format!(r#"{{"svc_name": "service_number_{i}", "svc_libs": "x"}}"#));
        let shell = format!("{}{services}]}}", &SHELL[..start]);
        let began = on_a_processor();
        assert_eq!(Settings::parse(Path::new("x.json"), &daemon).unwrap().processes.len(), count);
        assert_eq!(Shell::parse(Path::new("x.json"), &shell).unwrap().services.len(), count);
        on_a_processor() - began
    };
    let (few, many) = (read(10_000), read(40_000));
    // Sixteen times as long if each were compared with each.
    assert!(many < 10 * few.max(Duration::from_millis(50)), "{few:?} for 10,000, {many:?} for 40,000");
}

/// How long this thread has been on a processor. The time of day passes as others like it.
fn on_a_processor() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(told.split(' ').next().unwrap().parse().unwrap())
}

#[test]
fn regress_an_agents_long_keys_cost_no_time() {
    let long = "k".repeat(3_000_000);
    let began = on_a_processor();
    let files = [("x.conf", format!("{long}=1\nfunction.{long}.{long}=1\n")), ("x.yaml", format!("? {long}\n: 1\n"))];
    for (file, text) in &files {
        let settings = agent::Settings::parse([(Path::new(file), text.as_str())].into_iter()).unwrap();
        assert_eq!(settings.warnings.len(), text.matches('1').count(), "{file}");
    }
    let text = format!(r#"{{"version": 1, "{long}": 1}}"#);
    assert!(agent::Settings::parse([(Path::new("x.json"), text.as_str())].into_iter()).is_err());
    let took = on_a_processor() - began;
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn long_keys_and_names_cost_no_time() {
    let long = "k".repeat(1_000_000);
    let text = SHELL.replacen('{', &format!("{{\"{long}\": 1,"), 1);
    assert_eq!(Shell::parse(Path::new("x.json"), &text).unwrap().warnings.len(), 1);
    let text = DAEMON.replace("\"msf_agent\"", &format!("\"{long}\""));
    assert_eq!(Settings::parse(Path::new("x.json"), &text).map(|settings| settings.processes.len()).unwrap_or(0), 3);
}

/// Of each kind of file.
const MOST_SAMPLES: usize = 100;
