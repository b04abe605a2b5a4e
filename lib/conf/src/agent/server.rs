//! nmid's own file, `server.yaml`, as keys of ours.
//!
//! What nmid reads in it has the same effect here, but for the black list, which nmid applies the wrong way round. What
//! it only carries along is named in one warning. A section that is not written starts nothing, as a scalar that is not
//! written is empty in nmid.

use super::lists;
use super::word::{NOBODY, Word};
use crate::json::Object;
use crate::net::{Network, NoNetwork};
use crate::{ConfError, yaml};
use std::path::Path;

/// What a file says.
pub struct Said {
    /// In keys of ours.
    pub words: Vec<Word>,
    /// What is odd but not wrong.
    pub warnings: Vec<String>,
    /// It has no `Prometheus`.
    pub without_metrics: bool,
}

/// Reads `text`, the contents of `file`.
pub fn read(file: &Path, text: &str) -> Result<Said, ConfError> {
    let doc = yaml::parse(file, text)?;
    let top = doc.top();
    let said = Said { words: Vec::new(), warnings: Vec::new(), without_metrics: !top.says("Prometheus") };
    let mut reader = Reader { file, said };
    reader.strangers(&top)?;
    reader.addresses(&top)?;
    reader.prometheus(&top)?;
    reader.list(&top, "WhiteList", "white_list", &["allow_list"], &["allow_list_mask"])?;
    let masks = ["no_allow_list_mask", "allow_list_mask"];
    reader.list(&top, "BlackList", "black_list", &["no_allow_list", "allow_list"], &masks)?;
    Ok(reader.said)
}

struct Reader<'a> {
    file: &'a Path,
    said: Said,
}

impl Reader<'_> {
    /// What has no meaning here, in one warning, and what has none anywhere, in one each.
    fn strangers(&mut self, top: &Object<'_>) -> Result<(), ConfError> {
        let idle: Vec<&str> = top.keys().filter(|key| IDLE.contains(key)).collect();
        if !idle.is_empty() {
            let what = "accepted without effect: nothing here is set by them";
            self.said.warnings.push(ConfError::key(self.file, idle.join(", "), what).to_string());
        }
        let sections = SECTIONS.iter().map(|(name, _)| *name);
        let tops: Vec<&str> = sections.chain(HISTORY).chain(IDLE.iter().copied()).collect();
        self.unknown(top, &tops);
        for (name, keys) in SECTIONS {
            if let Some(section) = section(top, name)? {
                self.unknown(&section, keys);
            }
        }
        Ok(())
    }

    fn unknown(&mut self, object: &Object<'_>, known: &[&str]) {
        self.said.warnings.extend(object.unknown(known).iter().map(ConfError::to_string));
    }

    /// Where nmid and HTTP are: `RpcServer`, or `Server`, or nothing around it.
    fn addresses(&mut self, top: &Object<'_>) -> Result<(), ConfError> {
        let mut sections = Vec::new();
        for name in ["Server", "RpcServer"] {
            sections.extend(section(top, name)?);
        }
        if sections.is_empty() && !HISTORY.iter().any(|name| top.says(name)) {
            return Ok(());
        }
        let part = |names| one(top, &sections, names);
        if let Some((path, network)) = part(NETWORK)? {
            let what = match network.as_str() {
                "tcp" | "http" => None,
                "ws" | "wss" => {
                    Some(format!("{network}: nmid's frames are not served over WebSocket; expected \"tcp\""))
                }
                _ => Some(format!("expected \"tcp\", found \"{network}\"")),
            };
            if let Some(what) = what {
                return Err(ConfError::key(self.file, path, what));
            }
        }
        let host = part(HOST)?.map(|(path, host)| match host.as_str() {
            "localhost" => (path, "127.0.0.1".to_owned()),
            _ => (path, host),
        });
        let port = part(PORT)?;
        let http = part(HTTP_PORT)?;
        self.say("nmid_enable", port.as_ref().map(|(path, _)| (path.clone(), "true".to_owned())));
        self.say("nmid_ip", host.clone());
        self.say("nmid_port", port);
        match http {
            Some((path, port)) => {
                self.say("http_enable", Some((path.clone(), "true".to_owned())));
                self.say("http_ip", host);
                self.say("http_port", Some((path, port)));
            }
            None => self.say("http_enable", Some(("RpcServer.http_port".to_owned(), "false".to_owned()))),
        }
        Ok(())
    }

    fn prometheus(&mut self, top: &Object<'_>) -> Result<(), ConfError> {
        let Some(section) = section(top, "Prometheus")? else { return Ok(()) };
        let port = written(&section, "port")?;
        let enabled = truth(&section, "enable")? && port.is_some();
        self.say("metrics_enable", Some((section.path_of("enable"), enabled.to_string())));
        if enabled {
            self.say("metrics_ip", written(&section, "host")?);
            self.say("metrics_port", port);
            self.say("metrics_path", written(&section, "path")?);
        }
        Ok(())
    }

    /// A white or a black list. What is no address is skipped, as nmid does, but not without a word.
    fn list(
        &mut self,
        top: &Object<'_>,
        name: &str,
        key: &'static str,
        addresses: &[&str],
        masks: &[&str],
    ) -> Result<(), ConfError> {
        let Some(section) = section(top, name)? else { return Ok(()) };
        let mut networks: Vec<Network> = Vec::new();
        for list in addresses.iter().filter(|list| section.says(list)) {
            let Some(list) = section.object(list)? else { continue };
            for address in list.keys() {
                if truth(&list, address)? {
                    networks.extend(self.network(&list, address, address));
                }
            }
        }
        for list in masks.iter().filter(|list| section.says(list)) {
            for (index, mask) in section.strings(list)?.into_iter().flatten().enumerate() {
                networks.extend(self.network(&section, &format!("{list}[{index}]"), mask));
            }
        }
        let networks: Vec<String> = networks.iter().map(Network::to_string).collect();
        let value = match truth(&section, "enable")? {
            false => lists::OFF.to_owned(),
            true if networks.is_empty() => NOBODY.to_owned(),
            true => networks.join(","),
        };
        self.say(key, Some((section.path_of("enable"), value)));
        Ok(())
    }

    fn network(&mut self, object: &Object<'_>, key: &str, text: &str) -> Option<Network> {
        let skipped = |error: &NoNetwork| object.error(key, format!("{error}, found \"{text}\"; skipped")).to_string();
        text.parse().inspect_err(|error| self.said.warnings.push(skipped(error))).ok()
    }

    fn say(&mut self, key: &'static str, written: Option<(String, String)>) {
        let word = written.map(|(path, value)| Word { file: self.file.to_owned(), path, key, value });
        self.said.words.extend(word);
    }
}

/// A section with something in it.
fn section<'a>(top: &Object<'a>, name: &str) -> Result<Option<Object<'a>>, ConfError> {
    if top.says(name) { top.object(name) } else { Ok(None) }
}

/// A scalar with something in it, and where it is.
fn written(object: &Object<'_>, key: &str) -> Result<Option<(String, String)>, ConfError> {
    let text = object.loose_string(key)?.filter(|text| !text.is_empty());
    Ok(text.map(|text| (object.path_of(key), text)))
}

fn truth(object: &Object<'_>, key: &str) -> Result<bool, ConfError> {
    if object.says(key) { Ok(object.boolean(key)?.unwrap_or_default()) } else { Ok(false) }
}

/// A part of the address, which may stand at the top in its spelling of history, and in any of `sections` in both; but
/// only once.
fn one(top: &Object<'_>, sections: &[Object<'_>], names: [&str; 2]) -> Result<Option<(String, String)>, ConfError> {
    let [_, history] = names;
    let inside = sections.iter().flat_map(|section| names.map(|name| (section, name)));
    let mut found: Option<(String, String)> = None;
    for (object, name) in [(top, history)].into_iter().chain(inside) {
        let Some(next) = written(object, name)? else { continue };
        if let Some((first, _)) = &found {
            return Err(object.error(name, format!("written already as {first}")));
        }
        found = Some(next);
    }
    Ok(found)
}

/// The parts of the address, as they are spelt since July 2022 and as they were before.
const NETWORK: [&str; 2] = ["network", "NETWORK"];
const HOST: [&str; 2] = ["host", "HOST"];
const PORT: [&str; 2] = ["port", "PORT"];
const HTTP_PORT: [&str; 2] = ["http_port", "HTTPPORT"];
const HISTORY: [&str; 4] = ["NETWORK", "HOST", "PORT", "HTTPPORT"];

/// The sections that mean something, and what may stand in them.
const SECTIONS: &[(&str, &[&str])] = &[
    ("RpcServer", ADDRESSES),
    ("Server", ADDRESSES),
    ("Prometheus", &["enable", "host", "port", "path"]),
    ("WhiteList", &["enable", "allow_list", "allow_list_mask"]),
    ("BlackList", &["enable", "no_allow_list", "no_allow_list_mask", "allow_list", "allow_list_mask"]),
];

const ADDRESSES: &[&str] = &["network", "host", "port", "http_port", "NETWORK", "HOST", "PORT", "HTTPPORT"];

/// What nmid carries along, or has for what is no part of this broker.
const IDLE: &[&str] =
    &["SideCar", "LogConfig", "Registry", "Breaker", "BreakerConfig", "TraceConfig", "DingTalkConfig", "Dashboard"];

#[cfg(test)]
mod tests {
    use crate::ConfError;
    use crate::agent::Settings;
    use std::path::Path;

    fn files(files: &[(&str, &str)]) -> Result<Settings, ConfError> {
        Settings::parse(files.iter().map(|(file, text)| (Path::new(*file), *text)))
    }

    fn server(text: &str) -> Settings {
        files(&[("server.yaml", text)]).unwrap()
    }

    fn refused(text: &str) -> String {
        files(&[("server.yaml", text)]).unwrap_err().to_string()
    }

    /// Where nmid, HTTP and the metrics are.
    fn places(settings: &Settings) -> [Option<String>; 3] {
        let all = [settings.nmid.listen, settings.http.listen, settings.metrics.listen];
        all.map(|endpoint| endpoint.enable.then(|| endpoint.address().to_string()))
    }

    fn place(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    /// Every key of nmid's own sample, with its values.
    const SAMPLE: &str = include_str!("../../tests/server.yaml");

    #[test]
    fn nmids_sample_is_applied_with_one_warning_that_names_what_has_no_meaning() {
        let settings = server(SAMPLE);
        let idle = "server.yaml: Breaker, DingTalkConfig, Dashboard, LogConfig, Registry, SideCar, TraceConfig: ";
        assert_eq!(settings.warnings.len(), 1, "{:?}", settings.warnings);
        let named = |text: &str| {
            let mut names: Vec<String> = text.split(": ").nth(1).unwrap().split(", ").map(str::to_owned).collect();
            names.sort();
            names
        };
        assert_eq!(named(&settings.warnings[0]), named(idle));
        assert_eq!(places(&settings), [place("0.0.0.0:6808"), place("0.0.0.0:6809"), place("0.0.0.0:9081")]);
        assert_eq!((settings.metrics.path.as_str(), settings.lists.white), ("/metrics", None));
        assert!(settings.lists.black.is_none() && settings.nmid.listen.configured);
        // librpc's side is not asked about.
        assert!(settings.unix_enable && settings.net_enable && !settings.net_configured && settings.tcp_port == 9999);
    }

    #[test]
    fn a_section_that_is_not_written_starts_nothing() {
        let settings = server("RpcServer: {host: 127.0.0.1, port: 7000}\n");
        assert_eq!(places(&settings), [place("127.0.0.1:7000"), None, None]);
        let settings = server("RpcServer: {port: 7000, http_port: ''}\nPrometheus: {enable: true, port: ''}\n");
        assert_eq!(places(&settings), [place("127.0.0.1:7000"), None, None]);
        let settings = server("Prometheus: {enable: false, port: 9000}\n");
        assert_eq!(places(&settings), [place("127.0.0.1:6808"), place("127.0.0.1:6809"), None]);
    }

    #[test]
    fn a_conf_beside_it_may_say_what_it_does_not() {
        let conf = ("a.conf", "metrics_enable=true\nnet_enable=false\nin_flight=4\n");
        let yaml = ("server.yaml", "RpcServer: {port: 7000}\n");
        for order in [[conf, yaml], [yaml, conf]] {
            let settings = files(&order).unwrap();
            assert_eq!(places(&settings), [place("127.0.0.1:7000"), None, place("127.0.0.1:9081")]);
            assert!(!settings.net_enable && settings.rules.in_flight == 4);
        }
        let settings = files(&[yaml, ("b.conf", "nmid_port=7001\n")]).unwrap();
        assert_eq!(settings.nmid.listen.port, 7001);
        assert_eq!(settings.blame(&["nmid_enable"], "x"), "server.yaml: RpcServer.port: x");
    }

    #[test]
    fn the_spellings_of_history_are_read_and_each_part_is_written_once() {
        for text in [
            "Server:\n  NETWORK: tcp\n  HOST: 10.0.0.1\n  PORT: 7000\n  HTTPPORT: \"7001\"\n",
            "NETWORK: tcp\nHOST: 10.0.0.1\nPORT: \"7000\"\nHTTPPORT: 7001\n",
            "RpcServer: {network: http, host: 10.0.0.1, port: 7000, http_port: 7001}\n",
        ] {
            let settings = server(text);
            assert_eq!(settings.warnings, Vec::<String>::new(), "{text}");
            assert_eq!(places(&settings), [place("10.0.0.1:7000"), place("10.0.0.1:7001"), None], "{text}");
        }
        let said = refused("PORT: 1\nRpcServer: {port: 2}\n");
        assert_eq!(said, "server.yaml: RpcServer.port: written already as PORT");
    }

    #[test]
    fn wrong_types_and_ranges_name_the_file_and_the_keys_path() {
        for (text, said) in [
            ("RpcServer: {port: [1]}", "RpcServer.port: expected a string or a whole number, found an array"),
            ("RpcServer: {port: 70000}", "RpcServer.port: expected a whole number from 0 to 65535, found \"70000\""),
            ("RpcServer: {port: 0x10}", "RpcServer.port: expected a whole number from 0 to 65535, found \"0x10\""),
            ("RpcServer: {port: true}", "RpcServer.port: expected a string or a whole number, found a truth value"),
            (
                "RpcServer: {host: example.org}",
                "RpcServer.host: expected an IP address or NULL for any, found \"example.org\"",
            ),
            ("RpcServer: 6808", "RpcServer: expected an object, found a number"),
            ("Prometheus: {enable: maybe}", "Prometheus.enable: expected true or false, found a string"),
            (
                "Prometheus: {enable: true, port: 1, path: x}",
                "Prometheus.path: expected a path such as /metrics, found \"x\"",
            ),
            (
                "WhiteList: {enable: true, allow_list: [10.0.0.1]}",
                "WhiteList.allow_list: expected an object, found an array",
            ),
            (
                "WhiteList: {allow_list: {10.0.0.1: 1}}",
                "WhiteList.allow_list.10.0.0.1: expected true or false, found a number",
            ),
            (
                "BlackList: {no_allow_list_mask: [1]}",
                "BlackList.no_allow_list_mask[0]: expected a string, found a number",
            ),
            ("a: 1\na: 2\n", "the key \"a\" is written twice at line 2 column 1"),
            ("- RpcServer\n", "expected an object at the top, found an array"),
        ] {
            assert_eq!(refused(text), format!("server.yaml: {said}"), "{text}");
        }
    }

    #[test]
    fn a_network_that_is_not_served_is_refused_in_words() {
        for network in ["ws", "wss"] {
            let said = refused(&format!("RpcServer: {{network: {network}, port: 1}}\n"));
            let words = "nmid's frames are not served over WebSocket; expected \"tcp\"";
            assert_eq!(said, format!("server.yaml: RpcServer.network: {network}: {words}"));
        }
        let said = refused("RpcServer: {network: udp}\n");
        assert_eq!(said, "server.yaml: RpcServer.network: expected \"tcp\", found \"udp\"");
    }

    #[test]
    fn unknown_keys_name_the_nearest() {
        let text = "RpcServr: 1\nRpcServer: {prot: 1, port: 2}\nPrometheus: {pth: /x}\nLogConfg:\n";
        let nearest = [
            ("RpcServr", "RpcServer"),
            ("RpcServer.prot", "port"),
            ("Prometheus.pth", "path"),
            ("LogConfg", "LogConfig"),
        ];
        let mut expected =
            nearest.map(|(key, near)| format!("server.yaml: {key}: unknown key; did you mean \"{near}\"?"));
        let mut said = server(text).warnings;
        said.sort();
        expected.sort();
        assert_eq!(said, expected);
    }

    #[test]
    fn the_lists_let_in_and_keep_out_whom_they_name() {
        let admitted = |text: &str| {
            let lists = server(text).lists;
            let all = ["10.0.0.1", "10.0.0.2", "192.168.1.1", "2001:db8::1"];
            all.into_iter().filter(|address| lists.admit(address.parse().unwrap())).collect::<Vec<_>>()
        };
        let white = "WhiteList: {enable: true, allow_list: {10.0.0.1: true, 10.0.0.2: false}, allow_list_mask: [\"2001:db8::/32\"]}";
        assert_eq!(admitted(white), ["10.0.0.1", "2001:db8::1"]);
        assert_eq!(admitted(&white.replacen("true", "false", 1)).len(), 4);
        assert!(admitted("WhiteList:\n  enable: true\n  allow_list:\n").is_empty());
        let black = "BlackList: {enable: true, no_allow_list: {10.0.0.1: true}, no_allow_list_mask: [192.168.0.0/16]}";
        assert_eq!(admitted(black), ["10.0.0.2", "2001:db8::1"]);
        assert_eq!(admitted(&format!("{white}\n{black}\n")), ["2001:db8::1"]);
    }

    #[test]
    fn what_is_no_address_in_a_list_is_skipped_with_a_warning() {
        let settings =
            server("WhiteList: {enable: true, allow_list: {host: true}, allow_list_mask: [10.0.0.0/40, 10.0.0.0/8]}\n");
        let what = "expected an address or a CIDR such as 10.0.0.0/8";
        let expected = [
            format!("server.yaml: WhiteList.allow_list.host: {what}, found \"host\"; skipped"),
            format!("server.yaml: WhiteList.allow_list_mask[0]: {what}, found \"10.0.0.0/40\"; skipped"),
        ];
        assert_eq!(settings.warnings, expected);
        assert_eq!(settings.lists.white.unwrap().to_string(), "10.0.0.0/8");
    }

    #[test]
    fn an_empty_file_is_a_file_that_says_nothing() {
        for text in ["", "# nothing\n", "---\n"] {
            assert!(server(text).warnings.is_empty());
        }
        let both =
            files(&[("a.conf", "white_list=10.0.0.1"), ("server.yaml", "WhiteList: {enable: false}\n")]).unwrap();
        assert_eq!(both.lists.white, None);
    }
}
