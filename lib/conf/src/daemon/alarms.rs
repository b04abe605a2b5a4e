//! `alarms`: who is told when something is wrong with a process, and how.

use super::read::{millis, one_of, optional_path, whole, words};
use crate::ConfError;
use crate::json::Object;
use crate::tree::{Map, Value, json};
use std::fmt;
use std::time::Duration;

/// Somebody who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `to`: how.
    pub to: To,
    /// `per_minute`: how many alarms at most; what is above is summed up in the next one.
    pub per_minute: u32,
}

/// How somebody is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// A record in the log.
    Log,
    /// A program that is run, with the alarm on its input.
    Command {
        /// `command`: its words.
        command: Vec<String>,
        /// `timeout_ms`: how long it may run.
        timeout: Duration,
    },
    /// A request to a server.
    Webhook(Webhook),
}

/// A server that takes alarms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// `url`.
    pub url: String,
    /// `form`: what is posted.
    pub form: Form,
    /// `secret`: what the request is signed with, where its form is a signed one.
    pub secret: Option<Secret>,
    /// `ca_file`: whose signature the server's certificate has to bear; those whom the system trusts where not written.
    pub ca_file: Option<String>,
    /// `timeout_ms`: how long one attempt may take.
    pub timeout: Duration,
    /// `retries`: how often one that failed is tried again.
    pub retries: u32,
}

/// What is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The alarm as a JSON object.
    Json,
    /// A message of a DingTalk robot, signed if there is a secret.
    DingTalk,
}

/// A text that is not to be seen in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Target {
    /// All of the file; the log alone where nothing is written.
    pub(super) fn read_all(top: &Object, strangers: &mut Vec<ConfError>) -> Result<Vec<Target>, ConfError> {
        let Some(objects) = top.objects("alarms")? else {
            return Ok(vec![Target { to: To::Log, per_minute: PER_MINUTE }]);
        };
        objects.iter().map(|object| Target::read(object, strangers)).collect()
    }

    fn read(object: &Object, strangers: &mut Vec<ConfError>) -> Result<Target, ConfError> {
        let to = one_of(object, "to", WAYS)?;
        let to = to.ok_or_else(|| object.error("to", "missing; expected \"log\", \"command\" or \"webhook\""))?;
        let (to, keys): (_, &[&str]) = match to {
            Way::Log => (To::Log, &["to", "per_minute"]),
            Way::Command => (command(object)?, &["to", "per_minute", "command", "timeout_ms"]),
            Way::Webhook => (To::Webhook(Webhook::read(object)?), WEBHOOK_KEYS),
        };
        strangers.extend(object.unknown(keys));
        let per_minute = object.integer("per_minute", 1..=6000)?.map_or(PER_MINUTE, |many| many.unsigned_abs() as u32);
        Ok(Target { to, per_minute })
    }

    pub(super) fn shown(&self) -> Value {
        let mut shown = match &self.to {
            To::Log => json!({"to": "log"}),
            To::Command { command, timeout } => json!({"to": "command", "command": command, "timeout_ms": ms(timeout)}),
            To::Webhook(webhook) => webhook.shown(),
        };
        shown["per_minute"] = json!(self.per_minute);
        shown
    }
}

fn command(object: &Object) -> Result<To, ConfError> {
    let command = words(object, "command")?;
    if command.first().is_none_or(String::is_empty) {
        return Err(object.error("command", "missing or empty; expected the words of a command"));
    }
    Ok(To::Command { command, timeout: millis(object, "timeout_ms", 1)?.unwrap_or(TIMEOUT) })
}

impl Webhook {
    fn read(object: &Object) -> Result<Webhook, ConfError> {
        let url = object.required("url")?;
        let host = ["http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme));
        let strange = |c: char| c.is_whitespace() || c.is_control();
        if host.is_none_or(|host| host.is_empty() || host.starts_with('/')) || url.contains(strange) {
            return Err(object.error("url", format!("expected http://… or https://… without blanks, found {url:?}")));
        }
        let ca_file = optional_path(object, "ca_file")?;
        if ca_file.is_some() && url.starts_with("http://") {
            return Err(object.error("ca_file", "of no use with http; expected a url with https"));
        }
        let secret = match object.has("secret") {
            true => Some(Secret(whole(object, "secret", object.required("secret")?)?)),
            false => None,
        };
        let form = one_of(object, "form", FORMS)?.unwrap_or(Form::Json);
        if secret.is_some() && form == Form::Json {
            return Err(object.error("secret", "the form \"json\" is not signed; expected \"form\": \"dingtalk\""));
        }
        Ok(Webhook {
            url: url.to_owned(),
            form,
            secret,
            ca_file,
            timeout: millis(object, "timeout_ms", 1)?.unwrap_or(TIMEOUT),
            retries: object.integer("retries", 0..=1000)?.map_or(RETRIES, |many| many.unsigned_abs() as u32),
        })
    }

    fn shown(&self) -> Value {
        let form = FORMS.iter().find(|(_, form)| *form == self.form).map(|(word, _)| *word);
        let mut shown = Map::from_iter([
            ("to".to_owned(), json!("webhook")),
            ("url".to_owned(), json!(self.url)),
            ("form".to_owned(), json!(form)),
            ("timeout_ms".to_owned(), json!(ms(&self.timeout))),
            ("retries".to_owned(), json!(self.retries)),
        ]);
        if let Some(Secret(secret)) = &self.secret {
            shown.insert("secret".to_owned(), json!(secret));
        }
        if let Some(file) = &self.ca_file {
            shown.insert("ca_file".to_owned(), json!(file));
        }
        Value::Object(shown)
    }
}

fn ms(time: &Duration) -> u64 {
    time.as_millis() as u64
}

#[derive(Clone, Copy)]
enum Way {
    Log,
    Command,
    Webhook,
}

const WAYS: &[(&str, Way)] = &[("log", Way::Log), ("command", Way::Command), ("webhook", Way::Webhook)];
const FORMS: &[(&str, Form)] = &[("json", Form::Json), ("dingtalk", Form::DingTalk)];
const WEBHOOK_KEYS: &[&str] = &["to", "per_minute", "url", "form", "secret", "ca_file", "timeout_ms", "retries"];
/// Above it a DingTalk robot is silent for ten minutes.
const PER_MINUTE: u32 = 20;
const TIMEOUT: Duration = Duration::from_secs(10);
const RETRIES: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Doc;
    use std::path::Path;

    fn targets(text: &str) -> Result<Vec<Target>, ConfError> {
        let mut strangers = Vec::new();
        let read = Target::read_all(&Doc::parse(Path::new("d.json"), text)?.top(), &mut strangers)?;
        match strangers.pop() {
            Some(stranger) => Err(stranger),
            None => Ok(read),
        }
    }

    #[test]
    fn who_writes_nothing_is_told_by_the_log_and_who_writes_none_by_nobody() {
        assert_eq!(targets("{}").unwrap(), [Target { to: To::Log, per_minute: 20 }]);
        assert_eq!(targets(r#"{"alarms": []}"#).unwrap(), []);
    }

    #[test]
    fn what_cannot_be_told_to_is_named() {
        let complaint = |target: &str| targets(&format!(r#"{{"alarms": [{target}]}}"#)).unwrap_err().to_string();
        assert!(complaint("{}").starts_with("d.json: alarms[0].to: missing"));
        assert!(complaint(r#"{"to": "command"}"#).starts_with("d.json: alarms[0].command: missing or empty"));
        assert!(complaint(r#"{"to": "webhook", "url": "ftp://x"}"#).contains("expected http://… or https://…"));
        assert!(complaint(r#"{"to": "webhook", "url": "http:///x"}"#).contains("alarms[0].url"));
        assert!(complaint(r#"{"to": "webhook", "url": "http://a b"}"#).contains("alarms[0].url"));
        assert!(complaint(r#"{"to": "webhook", "url": "http://a", "secret": "s"}"#).contains("alarms[0].secret"));
        assert!(complaint(r#"{"to": "webhook", "url": "http://a", "ca_file": "s"}"#).contains("alarms[0].ca_file"));
        let typo = complaint(r#"{"to": "webhook", "url": "http://a", "retires": 1}"#);
        assert_eq!(typo, "d.json: alarms[0].retires: unknown key; did you mean \"retries\"?");
    }

    #[test]
    fn a_secret_is_not_seen_where_settings_are_printed_for_finding_faults() {
        let all =
            targets(r#"{"alarms": [{"to": "webhook", "url": "http://a", "form": "dingtalk", "secret": "SECx"}]}"#);
        assert!(!format!("{all:?}").contains("SECx"));
    }
}
