//! Events on the broker: everything that is written down is published on an agent, if one is configured. The only file
//! that names `msf_client`.
//!
//! A thread of its own waits for the agent as long as it likes; the loop never does. What happens while no agent answers
//! waits here, of bounded number; what did not fit is counted, and told by the next event that goes out. The thread
//! connects when there is something to say and sleeps when there is not.

use crate::face::event::{Happening, What};
use crate::face::json::json;
use crate::run::driver::MODULE;
use msf_client::wire::{COMPONENT_OFFLINE, COMPONENT_ONLINE};
use msf_client::{Backoff, Client, ClientError, Place};
use msf_conf::daemon::{Broker, BrokerPlace};
use msf_core::log;
use msf_core::log::Level;
use msf_core::thread::Builder;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

/// The daemon's end.
#[derive(Debug, Default)]
pub struct Herald {
    broker: Option<Broker>,
    thread: Option<Thread>,
    /// Events that did not fit since the last one that did.
    lost: u64,
}

/// Ends soon after this is dropped.
#[derive(Debug)]
struct Thread {
    news: SyncSender<News>,
    _wanted: Arc<()>,
}

/// An event, and how many before it were lost.
type News = (Happening, u64);

struct Errand {
    broker: Broker,
    news: Receiver<News>,
    wanted: Weak<()>,
    client: Option<Client>,
}

impl Herald {
    /// From now on events are published there, or nowhere.
    pub fn follow(&mut self, broker: Option<&Broker>) {
        if self.broker.as_ref() == broker {
            return;
        }
        self.broker = broker.cloned();
        self.thread = broker.and_then(|broker| match Thread::start(broker) {
            Ok(thread) => Some(thread),
            Err(e) => {
                log!(Level::Error, MODULE, "no event is published: cannot make a thread: {e}");
                None
            }
        });
    }

    /// Publishes an event, as soon as there is an agent that takes it.
    pub fn tell(&mut self, happening: &Happening) {
        let Some(thread) = &self.thread else { return };
        match thread.news.try_send((happening.clone(), self.lost)) {
            Ok(()) => self.lost = 0,
            Err(_) => {
                if self.lost == 0 {
                    log!(Level::Error, MODULE, "events are lost to the broker: {QUEUE} wait for it already");
                }
                self.lost += 1;
            }
        }
    }
}

impl Thread {
    fn start(broker: &Broker) -> std::io::Result<Thread> {
        let (ours, news) = sync_channel(QUEUE);
        let wanted = Arc::new(());
        let errand = Errand { broker: broker.clone(), news, wanted: Arc::downgrade(&wanted), client: None };
        let thread = Builder::new().name("msf-herald").stack(STACK);
        thread.start(move || errand.run())?;
        Ok(Thread { news: ours, _wanted: wanted })
    }
}

impl Errand {
    /// Until nobody gives him news any more.
    fn run(mut self) {
        while let Ok((happening, lost)) = self.news.recv() {
            let (name, data) = publication(&happening, lost);
            if !self.deliver(name, &data) {
                return;
            }
        }
    }

    /// Tries until it is said; false when nobody wants that any more.
    fn deliver(&mut self, name: &[u8], data: &str) -> bool {
        let mut backoff = Backoff::new();
        let mut told = false;
        while self.wanted.strong_count() > 0 {
            match self.publish(name, data) {
                Ok(()) => return true,
                Err(e @ (ClientError::Answered(_) | ClientError::TooLong(_))) => {
                    // It would be answered the same again; an agent of before says so to all of them.
                    log!(Level::Error, MODULE, "an event is lost: the broker does not take it: {e}");
                    return true;
                }
                Err(e) => {
                    self.client = None;
                    // That a connection has ended is no news before the next one cannot be made.
                    if !told && !matches!(e, ClientError::Lost(_)) {
                        log!(Level::Warn, MODULE, "events wait for the broker: {e}");
                        told = true;
                    }
                }
            }
            thread::sleep(backoff.wait());
        }
        false
    }

    fn publish(&mut self, name: &[u8], data: &str) -> Result<(), ClientError> {
        let client = match &mut self.client {
            Some(client) => client,
            None => {
                let fresh = Client::connect(&place(&self.broker.place), self.broker.id, LOGIN, Duration::ZERO)?;
                log!(Level::Info, MODULE, "events are published as service {:#x}", self.broker.id);
                self.client.insert(fresh)
            }
        };
        client.publish(name, data.as_bytes(), PATIENCE)
    }
}

fn place(place: &BrokerPlace) -> Place {
    match place {
        BrokerPlace::Local => Place::local(std::env::var_os),
        BrokerPlace::Unix(path) => Place::Local(vec![PathBuf::from(path)]),
        BrokerPlace::Tcp(host, port) => {
            let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            Place::Remote { host: bare.to_owned(), port: *port }
        }
    }
}

/// Under which name, and what: the line of the events file, with a word for the reason where that is a component's.
fn publication(happening: &Happening, lost: u64) -> (&'static [u8], String) {
    let (name, reason) = match &happening.what {
        What::State { from, to, exit_code, signal, .. } => match (lives(from), to == "up", lives(to)) {
            (false, true, _) => (COMPONENT_ONLINE, Some("ready")),
            (true, _, false) => (COMPONENT_OFFLINE, Some(ending(*exit_code, *signal))),
            _ => (COMPONENT_STATE, None),
        },
        What::Alarm { .. } | What::Upgrade { .. } => (COMPONENT_STATE, None),
    };
    let line = happening.json(lost);
    let open = line.trim_end().strip_suffix('}').unwrap_or_default();
    let reason = reason.map_or_else(String::new, |word| format!(",\"reason\":{}", json!(word)));
    (name, format!("{open}{reason},\"by\":\"msf_daemon\"}}"))
}

/// Whether a process that is so has been ready and has not ended. An upgrade is no end, and no beginning.
fn lives(word: &str) -> bool {
    matches!(word, "up" | "upgrading" | "stopping")
}

fn ending(exit_code: Option<i32>, signal: Option<i32>) -> &'static str {
    match (exit_code, signal) {
        (_, Some(_)) => "signal",
        (Some(_), None) => "exit",
        // Somebody else has collected it.
        (None, None) => "gone",
    }
}

const LOGIN: &str = "msf_daemon";
/// What is neither of the two.
const COMPONENT_STATE: &[u8] = b"component_state";
const QUEUE: usize = 1024;
const STACK: usize = 256 << 10;
/// How long the agent may take to say that it has an event.
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::json::parse;

    fn change(from: &str, to: &str, exit_code: Option<i32>, signal: Option<i32>) -> Happening {
        let what = What::State { from: from.to_owned(), to: to.to_owned(), exit_code, signal, restarts: 3 };
        Happening::new("one", Some(7), "why", what)
    }

    #[test]
    fn ready_is_online_an_end_is_offline_and_the_rest_is_state() {
        let name = |from, to| publication(&change(from, to, Some(0), None), 0).0;
        assert_eq!([name("starting", "up"), name("held", "up")], [COMPONENT_ONLINE, COMPONENT_ONLINE]);
        assert_eq!([name("up", "starting"), name("stopping", "down"), name("up", "waiting")], [COMPONENT_OFFLINE; 3]);
        assert_eq!(
            [name("down", "starting"), name("up", "stopping"), name("starting", "waiting")],
            [COMPONENT_STATE; 3]
        );
        // Whatever comes of an upgrade, somebody was there all the time, but if the one who was there ended early.
        let upgrade = [name("up", "upgrading"), name("upgrading", "up"), name("upgrading", "stopping")];
        assert_eq!((upgrade, name("upgrading", "starting")), ([COMPONENT_STATE; 3], COMPONENT_OFFLINE));
        let alarm = What::Alarm { alarm: "rss".to_owned(), state: "raised".to_owned(), severity: "warning".to_owned() };
        assert_eq!(publication(&Happening::new("one", None, "", alarm), 0).0, COMPONENT_STATE);
    }

    #[test]
    fn what_is_published_is_the_line_of_the_file_and_why_in_a_word() {
        let said = |exit_code, signal, lost| {
            let (_, data) = publication(&change("up", "starting", exit_code, signal), lost);
            assert_eq!(data.lines().count(), 1);
            parse(&data).unwrap()
        };
        let killed = said(None, Some(9), 0);
        assert_eq!((&killed["name"], &killed["pid"], &killed["signal"]), (&json!("one"), &json!(7), &json!(9)));
        assert_eq!((&killed["reason"], &killed["by"]), (&json!("signal"), &json!("msf_daemon")));
        assert_eq!(killed.get("lost"), None);
        assert_eq!((&said(Some(0), None, 2)["reason"], &said(Some(0), None, 2)["lost"]), (&json!("exit"), &json!(2)));
        assert_eq!(said(None, None, 0)["reason"], "gone");
    }

    #[test]
    fn what_does_not_fit_is_counted_and_nobody_waits() {
        let nowhere = Broker { place: BrokerPlace::Unix("/nowhere/at/all".to_owned()), id: 16 };
        let mut herald = Herald::default();
        herald.tell(&change("down", "starting", None, None));
        herald.follow(Some(&nowhere));
        // The thread takes one, at some time.
        let told = (1..=2 * QUEUE).find(|_| {
            herald.tell(&change("down", "starting", None, None));
            herald.lost == 5
        });
        assert!(told.is_some_and(|told| told >= QUEUE + 5), "{told:?}");
        let gone = Arc::downgrade(&herald.thread.as_ref().unwrap()._wanted);
        herald.follow(None);
        assert!(herald.thread.is_none() && gone.strong_count() == 0);
    }
}
