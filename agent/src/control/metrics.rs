//! `/metrics`: the page for Prometheus, by HTTP, from the control thread.
//!
//! No number is asked for: the reactors' counters are read where they stand. Writing the page takes the control thread
//! a moment, so a page is used again until ten times that moment has passed: scrapers, however many and however greedy,
//! get a tenth of the thread.

use super::guests::{Guest, Guests, Rules};
use super::listener::Listener;
use crate::observe::exposition::MEDIA_TYPE;
use crate::observe::page::{self, Subject};
use crate::observe::process::Process;
use msf_core::event::{Reactor, Token};
use msf_wire::http::{Decoder, Head, Limits, Persistence, Response, Step};
use msf_wire::snapshot::{Reader, Writer};
use std::io;
use std::time::{Duration, Instant};

/// The server of the metrics.
pub struct Metrics {
    guests: Guests<Decoder>,
    page: Page,
}

/// The page as it was last written.
struct Page {
    path: String,
    create_time: bool,
    text: String,
    written: Option<Instant>,
    took: Duration,
}

impl Metrics {
    /// Behind `listener`, at `path`; with the label `create_time` or without.
    pub fn new(reactor: &Reactor, listener: Listener, path: &str, create_time: bool) -> io::Result<Metrics> {
        let page =
            Page { path: path.to_owned(), create_time, text: String::new(), written: None, took: Duration::ZERO };
        Ok(Metrics { guests: Guests::new(reactor, listener, RULES)?, page })
    }

    /// Goes on with the guests of another process.
    pub fn resumed(reactor: &mut Reactor, path: &str, create_time: bool, from: &mut Reader<'_>) -> io::Result<Metrics> {
        let guests = Guests::resumed(reactor, RULES, from)?;
        let page =
            Page { path: path.to_owned(), create_time, text: String::new(), written: None, took: Duration::ZERO };
        Ok(Metrics { guests, page })
    }

    /// Appends the listener.
    pub fn save_listener(&self, out: &mut Writer) {
        self.guests.save_listener(out);
    }

    /// Ends: the listener is another process's.
    pub fn let_go(self, reactor: &Reactor) {
        self.guests.let_go(reactor);
    }

    /// Where it listens.
    pub fn place(&self) -> String {
        self.guests.place()
    }

    /// Appends who is here.
    pub fn save(&self, out: &mut Writer) {
        self.guests.save(out);
    }

    /// Appends how that is laid out.
    #[cfg(test)]
    pub fn shape(out: &mut String) {
        Guests::<Decoder>::shape(out);
    }

    /// Whether an event is for them.
    pub fn own(&self, token: Token) -> bool {
        self.guests.own(token)
    }

    /// Whether a timer is theirs.
    pub fn own_timer(&self, key: u64) -> bool {
        self.guests.own_timer(key)
    }

    /// Something has happened at one of their sockets; `subject` is what the page would be about.
    pub fn ready(&mut self, reactor: &mut Reactor, token: Token, subject: &Subject<'_>) {
        let page = &mut self.page;
        self.guests.ready(reactor, token, |_, guest| answer(guest, page, subject));
    }

    /// Their timer has fired.
    pub fn sweep(&mut self, reactor: &mut Reactor) {
        self.guests.sweep(reactor);
    }
}

/// Answers the next request of a guest, if it is whole.
fn answer(guest: &mut Guest<Decoder>, page: &mut Page, subject: &Subject<'_>) {
    let inbox = std::mem::take(&mut guest.inbox);
    let mut out = Vec::new();
    let (used, ends) = match guest.talk.step(&inbox, &LIMITS) {
        Ok(Step::Request(request, used)) => {
            page.respond(&request.head, &mut out, subject);
            (used, request.head.persistence() == Persistence::Ends)
        }
        Ok(Step::NeedMore(used) | Step::Continue(used)) => (used, false),
        Err(refusal) => {
            let text = format!("{refusal}\n");
            Response::new(&mut out, refusal.status(), Persistence::Ends).body(text.as_bytes());
            (inbox.len(), true)
        }
    };
    guest.ends |= ends;
    guest.inbox = inbox;
    guest.inbox.drain(..used);
    guest.inbox.shrink_to(LIMITS.head);
    guest.out().append(&mut out);
}

impl Page {
    fn respond(&mut self, head: &Head<'_>, out: &mut Vec<u8>, subject: &Subject<'_>) {
        let plain = |out, status| Response::new(out, status, head.persistence()).header("Content-Type", PLAIN);
        match head.method {
            "GET" | "HEAD" if head.path() == self.path => {
                self.renew(subject);
                let response = Response::new(out, 200, head.persistence());
                let response = response.header("Content-Type", MEDIA_TYPE.as_bytes());
                match head.method {
                    "HEAD" => drop(response.body_of(self.text.len())),
                    _ => response.body(self.text.as_bytes()),
                }
            }
            "GET" => plain(out, 404).body(format!("the metrics are at {}\n", self.path).as_bytes()),
            "HEAD" => drop(plain(out, 404).body_of(0)),
            _ => plain(out, 405).header("Allow", b"GET, HEAD").body(b"the metrics can be read, and nothing else\n"),
        }
    }

    fn renew(&mut self, subject: &Subject<'_>) {
        let began = Instant::now();
        if self.written.is_some_and(|written| began < written + self.took * REST) {
            return;
        }
        let subject = Subject { process: Process::now(), create_time: self.create_time, ..*subject };
        self.text = page::write(&subject);
        let now = Instant::now();
        self.took = now - began;
        self.written = Some(now);
    }
}

const RULES: Rules = Rules {
    base: 0x4_0000,
    most: 32,
    inbox: LIMITS.head,
    idle: Duration::from_secs(75),
    slow: Duration::from_secs(10),
    // The address it listens at says who may read it.
    admits: |_| true,
};
/// What a scraper sends; nobody sends a body with a GET.
const LIMITS: Limits = Limits { head: 8 * 1024, body: 0 };
/// So many times as long as writing the page took it is used again.
const REST: u32 = 10;
const PLAIN: &[u8] = b"text/plain; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::catalog::Catalog;

    fn ask(page: &mut Page, request: &str) -> String {
        let catalog = Catalog::new(1);
        let subject = Subject { counters: &[], catalog: &catalog, process: None, create_time: true, version: "1" };
        let mut decoder = Decoder::default();
        let Ok(Step::Request(request, _)) = decoder.step(request.as_bytes(), &LIMITS) else { panic!("{request}") };
        let mut out = Vec::new();
        page.respond(&request.head, &mut out, &subject);
        String::from_utf8(out).unwrap()
    }

    fn page() -> Page {
        Page { path: "/m".to_owned(), create_time: true, text: String::new(), written: None, took: Duration::ZERO }
    }

    #[test]
    fn only_the_path_and_only_reading_is_answered() {
        let mut page = page();
        let got = ask(&mut page, "GET /m?x=1 HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(got.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"), "{got}");
        assert!(got.contains("\nmsf_agent_build_info{version=\"1\"} 1\n"), "{got}");
        let head = ask(&mut page, "HEAD /m HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(head.ends_with("\r\n\r\n") && head.contains(&format!("Content-Length: {}\r\n", page.text.len())));
        assert!(ask(&mut page, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 404 "));
        let got = ask(&mut page, "DELETE /m HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(got.starts_with("HTTP/1.1 405 ") && got.contains("Allow: GET, HEAD\r\n"), "{got}");
    }

    #[test]
    fn a_page_that_took_long_is_used_again() {
        let mut page = page();
        ask(&mut page, "GET /m HTTP/1.1\r\nHost: a\r\n\r\n");
        page.text = "old".to_owned();
        page.took = Duration::from_secs(60);
        assert!(ask(&mut page, "GET /m HTTP/1.1\r\nHost: a\r\n\r\n").ends_with("\r\n\r\nold"));
        page.took = Duration::ZERO;
        assert!(!ask(&mut page, "GET /m HTTP/1.1\r\nHost: a\r\n\r\n").ends_with("\r\n\r\nold"));
    }
}
