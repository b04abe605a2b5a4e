//! An alarm as those read it who are told: a record of the log, JSON, the message of a DingTalk robot.

use super::json::{Value, json};
use msf_conf::daemon::{Form, Secret, Webhook};
use msf_core::crypto::{HmacSha256, base64};
use std::fmt::Write;

/// One alarm, ready to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// When, in UTC.
    pub time: String,
    /// On which machine.
    pub host: String,
    /// Of which process.
    pub service: String,
    /// Its pid, if it runs.
    pub pid: Option<i32>,
    /// What is wrong.
    pub kind: &'static str,
    /// How bad it is.
    pub severity: &'static str,
    /// `raised` or `recovered`.
    pub state: &'static str,
    /// In words.
    pub text: String,
}

impl Letter {
    /// As a member of a JSON message.
    fn shown(&self) -> Value {
        json!({
            "time": self.time, "host": self.host, "service": self.service, "pid": self.pid, "kind": self.kind,
            "severity": self.severity, "state": self.state, "text": self.text,
        })
    }

    /// As a record of the log.
    pub fn line(&self) -> String {
        let Letter { service, kind, severity, state, text, .. } = self;
        match *state {
            "recovered" => format!("{service}: alarm over: {kind}: {text}"),
            _ => format!("{service}: alarm: {kind} ({severity}): {text}"),
        }
    }

    /// As variables of a command's environment.
    pub fn variables(&self) -> [(&'static str, String); 8] {
        let owned = str::to_owned;
        [
            ("MSF_ALARM_TIME", self.time.clone()),
            ("MSF_ALARM_HOST", self.host.clone()),
            ("MSF_ALARM_SERVICE", self.service.clone()),
            ("MSF_ALARM_PID", self.pid.map(|pid| pid.to_string()).unwrap_or_default()),
            ("MSF_ALARM_KIND", owned(self.kind)),
            ("MSF_ALARM_SEVERITY", owned(self.severity)),
            ("MSF_ALARM_STATE", owned(self.state)),
            ("MSF_ALARM_TEXT", self.text.clone()),
        ]
    }
}

/// A message as a JSON object in one line.
pub fn message(letters: &[Letter], lost: u64) -> String {
    let alarms: Vec<Value> = letters.iter().map(Letter::shown).collect();
    format!("{}\n", json!({"alarms": alarms, "lost": lost}))
}

/// What is posted to a server.
pub fn body(webhook: &Webhook, letters: &[Letter], lost: u64) -> String {
    match webhook.form {
        Form::Json => message(letters, lost),
        Form::DingTalk => dingtalk(letters, lost),
    }
}

/// Where it is posted to at this time (milliseconds since 1970).
pub fn url(webhook: &Webhook, now_ms: u64) -> String {
    let Webhook { url, secret, .. } = webhook;
    let Some(Secret(secret)) = secret else { return url.clone() };
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}timestamp={now_ms}&sign={}", in_query(&signature(secret, now_ms)))
}

/// DingTalk's: HMAC-SHA-256 of the time and the secret under the secret.
fn signature(secret: &str, now_ms: u64) -> String {
    let mut hmac = HmacSha256::new(secret.as_bytes());
    hmac.update(format!("{now_ms}\n{secret}").as_bytes());
    base64::encode(&hmac.finish())
}

/// Base64 has three characters that mean something else in a query.
fn in_query(base64: &str) -> String {
    base64.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}

fn dingtalk(letters: &[Letter], lost: u64) -> String {
    let mut text = String::new();
    for Letter { time, service, kind, severity, state, text: words, .. } in letters {
        let mark = if *state == "recovered" { "recovered" } else { severity };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "- **{mark}** {service}: {kind}: {words} ({time})");
    }
    if lost > 0 {
        let _ = writeln!(text, "- and {lost} more");
    }
    let host = letters.first().map_or("", |letter| &letter.host);
    let title = match letters {
        [one] => format!("{host}: {} {} {}", one.service, one.kind, one.state),
        many => format!("{host}: {} alarms", many.len()),
    };
    // A robot refuses more than 20000 bytes.
    let text: String = format!("### {title}\n{text}").chars().take(5000).collect();
    json!({"msgtype": "markdown", "markdown": {"title": title, "text": text}}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn letter() -> Letter {
        Letter {
            time: "2026-01-02T03:04:05.000Z".to_owned(),
            host: "gw".to_owned(),
            service: "modem".to_owned(),
            pid: None,
            kind: "held",
            severity: "warning",
            state: "raised",
            text: "waits for /dev/\"x\"".to_owned(),
        }
    }

    fn robot(url: &str, secret: Option<&str>) -> Webhook {
        Webhook {
            url: url.to_owned(),
            form: Form::DingTalk,
            secret: secret.map(|secret| Secret(secret.to_owned())),
            ca_file: None,
            timeout: Duration::from_secs(1),
            retries: 0,
        }
    }

    #[test]
    fn a_message_is_one_line_of_json() {
        let text = message(&[letter(), letter()], 3);
        assert_eq!(text.matches('\n').count(), 1);
        let message: Value = text.parse().unwrap();
        assert_eq!((&message["lost"], &message["alarms"][1]["text"]), (&json!(3), &json!("waits for /dev/\"x\"")));
        assert_eq!(message["alarms"][0]["pid"], Value::Null);
    }

    /// Compared with `printf '1700000000000\nSECabc' | openssl dgst -sha256 -hmac SECabc -binary | base64`.
    #[test]
    fn the_signature_is_dingtalks() {
        let signed = url(&robot("https://r/send?access_token=t", Some("SECabc")), 1_700_000_000_000);
        let (before, sign) = signed.split_once("&sign=").unwrap();
        assert_eq!(before, "https://r/send?access_token=t&timestamp=1700000000000");
        assert_eq!(sign, SIGNED);
        assert_eq!(url(&robot("http://r/send", Some("s")), 1).split_once("timestamp=1").unwrap().0, "http://r/send?");
        assert_eq!(url(&robot("http://r/send", None), 1), "http://r/send");
    }

    #[test]
    fn a_robots_message_names_host_process_and_fault_and_is_never_too_long() {
        let message: Value = body(&robot("http://r", None), &[letter()], 0).parse().unwrap();
        assert_eq!(message["markdown"]["title"], "gw: modem held raised");
        assert!(message["markdown"]["text"].as_str().unwrap().contains("**warning** modem: held: waits for"));
        let many = vec![letter(); 500];
        assert!(body(&robot("http://r", None), &many, 9).len() < 20_000);
    }

    const SIGNED: &str = "jcUpW0QmtKduN03n4JqQ0PBosVjqnM8gU7fIIvsDmCM%3D";
}
