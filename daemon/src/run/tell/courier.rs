//! Alarms to a server: a thread for each, which may wait for it as long as it likes. The only file that names `ureq`, and
//! `rustls` where that is built in.
//!
//! Nobody waits for a courier. What he cannot deliver he tries again, ever more slowly; what comes meanwhile waits in his
//! outbox, of bounded size.

use crate::face::letter::{Letter, body, url};
use crate::law::outbox::{Next, Outbox};
use crate::run::driver::MODULE;
use msf_conf::daemon::{Form, Target, To, Webhook};
use msf_core::log;
use msf_core::log::Level;
use msf_core::thread::Builder;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use ureq::Agent;
use ureq::config::ConfigBuilder;
use ureq::typestate::AgentScope;

/// The daemon's end of a courier.
#[derive(Debug)]
pub struct Courier {
    letters: SyncSender<Letter>,
}

type Building = ConfigBuilder<AgentScope>;

struct Errand {
    webhook: Webhook,
    letters: Receiver<Letter>,
    outbox: Outbox<Letter>,
    agent: Agent,
}

/// Why a message was not delivered.
enum Failure {
    /// Another attempt may help.
    Now(String),
    /// It would meet the same.
    ForGood(String),
}

impl Courier {
    /// Sends one to `webhook`. He does not move before there is a letter.
    pub fn new(webhook: &Webhook, per_minute: u32) -> Result<Courier, String> {
        let agent = agent(webhook)?;
        let (ours, letters) = sync_channel(QUEUE);
        let errand = Errand { webhook: webhook.clone(), letters, outbox: Outbox::new(per_minute), agent };
        let thread = Builder::new().name("msf-alarm").stack(STACK);
        thread.start(move || errand.run()).map_err(|e| format!("cannot make a thread: {e}"))?;
        Ok(Courier { letters: ours })
    }

    /// Hands him a letter; false when he has too many already.
    pub fn take(&self, letter: Letter) -> bool {
        !matches!(self.letters.try_send(letter), Err(TrySendError::Full(_) | TrySendError::Disconnected(_)))
    }
}

impl Errand {
    /// Until nobody gives him letters any more.
    fn run(mut self) {
        loop {
            let until = match self.outbox.next(Instant::now()) {
                Next::Send { letters, lost } => {
                    if self.deliver(&letters, lost) {
                        continue;
                    } else {
                        return;
                    }
                }
                Next::Wait(until) => Some(until),
                Next::Idle => None,
            };
            if !self.listen(until) {
                return;
            }
        }
    }

    /// Takes letters until then, or until there is one if there is no end to it; false when nobody gives any more.
    fn listen(&mut self, until: Option<Instant>) -> bool {
        loop {
            let got = match until {
                None => self.letters.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(until) => self.letters.recv_timeout(until.saturating_duration_since(Instant::now())),
            };
            match got {
                Ok(letter) => self.outbox.push(letter),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
            if until.is_none() {
                return true;
            }
        }
    }

    fn deliver(&mut self, letters: &[Letter], lost: u64) -> bool {
        let body = body(&self.webhook, letters, lost);
        let mut pause = FIRST_PAUSE;
        for attempt in 0..=self.webhook.retries {
            let place = place(&self.webhook.url);
            match self.post(&body) {
                Ok(()) => return true,
                Err(Failure::ForGood(what)) => {
                    log!(Level::Error, MODULE, "{place}: an alarm is lost: {what}");
                    return true;
                }
                Err(Failure::Now(what)) if attempt == self.webhook.retries => {
                    log!(Level::Error, MODULE, "{place}: an alarm is lost after {} attempts: {what}", attempt + 1);
                    return true;
                }
                Err(Failure::Now(what)) if attempt == 0 => {
                    log!(Level::Warn, MODULE, "{place}: cannot be told, and will be tried again: {what}");
                }
                Err(Failure::Now(_)) => {}
            }
            if !self.listen(Some(Instant::now() + pause)) {
                return false;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        true
    }

    fn post(&self, body: &str) -> Result<(), Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // The signature is good for an hour: each attempt has its own.
        let url = url(&self.webhook, u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        let request = self.agent.post(&url).header("content-type", "application/json; charset=utf-8");
        let mut answer = request.send(body).map_err(|e| Failure::Now(without(&url, &e.to_string())))?;
        let status = answer.status();
        if !status.is_success() {
            let what = format!("HTTP status {}", status.as_u16());
            let may_pass = status.is_server_error() || status.as_u16() == 408 || status.as_u16() == 429;
            return Err(if may_pass { Failure::Now(what) } else { Failure::ForGood(what) });
        }
        let said = answer.body_mut().with_config().limit(LONGEST_ANSWER).read_to_string();
        if self.webhook.form == Form::Json {
            return Ok(());
        }
        robot_said(&said.map_err(|e| Failure::Now(e.to_string()))?)
    }
}

/// A robot answers 200 whatever it thinks of the message.
fn robot_said(answer: &str) -> Result<(), Failure> {
    let said = answer.parse::<crate::face::json::Value>().ok();
    match said.as_ref().and_then(|said| said.get("errcode")?.as_i64()) {
        Some(0) => Ok(()),
        // Too many messages; the system is busy.
        Some(code @ (130_101 | 130_102 | -1)) => Err(Failure::Now(format!("errcode {code}"))),
        Some(code) => {
            let words = said.as_ref().and_then(|said| said.get("errmsg")?.as_str()).unwrap_or_default();
            Err(Failure::ForGood(format!("errcode {code}: {words}")))
        }
        None => Err(Failure::Now("the answer has no errcode".to_owned())),
    }
}

/// Scheme and host alone: the rest may be what proves who we are.
fn place(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |at| host + at);
    &url[..end]
}

fn without(url: &str, text: &str) -> String {
    text.replace(url, place(url))
}

/// What this program cannot do; asked before anything is started.
pub fn refused(targets: &[Target]) -> Option<String> {
    targets.iter().enumerate().find_map(|(index, target)| match &target.to {
        To::Webhook(webhook) => agent(webhook).err().map(|what| format!("alarms[{index}]: {what}")),
        _ => None,
    })
}

fn agent(webhook: &Webhook) -> Result<Agent, String> {
    let config = Agent::config_builder().timeout_global(Some(webhook.timeout)).max_redirects(0);
    // One alarm a week: nothing is gained by a connection that is kept.
    let config = config.max_idle_connections(0).http_status_as_error(false).user_agent("msf_daemon");
    match webhook.url.starts_with("https://") {
        true => Ok(tls::trusting(config, webhook.ca_file.as_deref())?.build().into()),
        false => Ok(config.build().into()),
    }
}

#[cfg(feature = "tls")]
mod tls {
    //! Who is trusted: the configuration's CA, or those of the system.

    use super::Building;
    use std::path::Path;
    use std::sync::Arc;
    use std::{env, fs};
    use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

    pub fn trusting(config: Building, ca_file: Option<&str>) -> Result<Building, String> {
        let file = match ca_file {
            Some(file) => file.to_owned(),
            None => bundle().ok_or("no certificates of the system were found; expected a \"ca_file\"")?,
        };
        let text = fs::read(&file).map_err(|e| format!("ca_file {file}: {e}"))?;
        let certificates: Vec<Certificate<'static>> = parse_pem(&text)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if certificates.is_empty() {
            return Err(format!("ca_file {file}: no certificate in it; expected PEM"));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(certificates)));
        Ok(config.tls_config(tls.unversioned_rustls_crypto_provider(provider).build()))
    }

    /// Where distributions keep them.
    fn bundle() -> Option<String> {
        let own = env::var("SSL_CERT_FILE").ok();
        own.into_iter().chain(BUNDLES.iter().map(|&file| file.to_owned())).find(|file| Path::new(file).is_file())
    }

    const BUNDLES: &[&str] = &[
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ];
}

#[cfg(not(feature = "tls"))]
mod tls {
    //! There is none.

    pub fn trusting(_config: super::Building, _ca_file: Option<&str>) -> Result<super::Building, String> {
        Err("this msf_daemon is built without TLS; expected a url with http, or a command".to_owned())
    }
}

const QUEUE: usize = 256;
const STACK: usize = 512 << 10;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_ANSWER: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_the_host_is_not_told() {
        assert_eq!(place("https://h:1/send?access_token=t"), "https://h:1");
        assert_eq!(place("http://h?x"), "http://h");
        assert_eq!(place("http://h"), "http://h");
    }

    #[test]
    fn what_a_robot_says_decides() {
        assert!(robot_said(r#"{"errcode": 0, "errmsg": "ok"}"#).is_ok());
        let refused = robot_said(r#"{"errcode": 310000, "errmsg": "sign not match"}"#);
        assert!(matches!(refused, Err(Failure::ForGood(what)) if what.ends_with("sign not match")));
        assert!(matches!(robot_said(r#"{"errcode": 130101}"#), Err(Failure::Now(_))));
        assert!(matches!(robot_said("<html>"), Err(Failure::Now(_))));
    }
}
