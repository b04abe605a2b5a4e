//! The numbers for Prometheus: asked for now and then, and made only when somebody asks.
//!
//! What the kernel knows of a thousand processes takes a moment to ask. So it is asked of a few at a time, and in between
//! others have their turn; and the page is used again until ten times that moment has passed: however many ask for it,
//! they get a tenth of the daemon's time.

use crate::face::metrics::{Subject, page};
use crate::face::scrape::{Need, Stall};
use crate::run::driver::{Driver, Due, MODULE, Watched};
use msf_conf::daemon::Metrics;
use msf_core::event::{Reactor, Token};
use msf_core::log;
use msf_core::log::Level;
use msf_core::sysinfo::process;
use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

/// The place where they are shown, and the page as it was last written.
#[derive(Debug, Default)]
pub struct Show {
    stall: Option<(Stall, Token)>,
    page: String,
    written: Option<Instant>,
    took: Duration,
    /// The next page, while it is being made.
    round: Option<Round>,
}

/// What has been asked of the kernel for a page, and for whom it is.
#[derive(Debug)]
struct Round {
    pids: Vec<i32>,
    usage: HashMap<i32, process::Process>,
    took: Duration,
    waiting: Vec<Token>,
}

impl Driver {
    /// Shows the numbers there from now on. A place that cannot be had is no reason not to supervise.
    pub(in crate::run) fn show_metrics(&mut self, reactor: &Reactor, place: Option<&Metrics>) -> Result<(), String> {
        let shown = self.show.stall.as_ref().map(|(stall, _)| &stall.place);
        if shown == place {
            return Ok(());
        }
        if let Some((_, token)) = self.show.stall.take() {
            self.watched.remove(token);
        }
        let Some(place) = place else { return Ok(()) };
        self.open_stall(reactor, place).map_err(|e| {
            log!(Level::Error, MODULE, "{e}");
            e.to_string()
        })
    }

    fn open_stall(&mut self, reactor: &Reactor, place: &Metrics) -> io::Result<()> {
        let stall = Stall::open(place)?;
        let full = || io::Error::other("no slot is left for a descriptor");
        let token = self.watched.insert(Watched::Stall).ok_or_else(full)?;
        stall.watch(reactor, token)?;
        log!(Level::Info, MODULE, "metrics are shown at {place}");
        self.show.stall = Some((stall, token));
        Ok(())
    }

    /// Somebody comes to look.
    pub(in crate::run) fn receive_scrapers(&mut self, reactor: &Reactor) {
        while let Some((stall, _)) = &self.show.stall {
            match stall.accept() {
                Ok(Some(scraper)) => {
                    self.send_away_scrapers(MOST_SCRAPERS - 1);
                    let Some(token) = self.watched.insert(Watched::Scraper(Box::new(scraper))) else { return };
                    if let Some(Watched::Scraper(scraper)) = self.watched.get(token)
                        && let Err(e) = scraper.watch(reactor, token)
                    {
                        log!(Level::Warn, MODULE, "metrics: cannot listen to who asks: {e}");
                        self.watched.remove(token);
                    }
                }
                Ok(None) => return,
                Err(e) => {
                    // Those who are there hold the descriptors that are missing; the next one who comes is heard again.
                    log!(Level::Warn, MODULE, "metrics: cannot accept: {e}");
                    return self.send_away_scrapers(0);
                }
            }
        }
    }

    /// Whoever has been there longest has to go.
    fn send_away_scrapers(&mut self, most: usize) {
        loop {
            let here = self.watched.iter().filter_map(|(token, watched)| match watched {
                Watched::Scraper(scraper) => Some((scraper.since, token)),
                _ => None,
            });
            let here: Vec<(Instant, Token)> = here.collect();
            match here.iter().min_by_key(|(since, _)| *since) {
                Some((_, oldest)) if here.len() > most => drop(self.watched.remove(*oldest)),
                _ => return,
            }
        }
    }

    /// Somebody asks, or can read more.
    pub(in crate::run) fn scrape(&mut self, reactor: &mut Reactor, token: Token) {
        let Some(Watched::Scraper(scraper)) = self.watched.get_mut(token) else { return };
        let ended = match scraper.go_on() {
            Ok(Need::Nothing) => false,
            Ok(Need::Page) => {
                let Show { written, took, round, .. } = &mut self.show;
                match round {
                    Some(round) if round.waiting.contains(&token) => return,
                    Some(round) => return round.waiting.push(token),
                    None if written.is_some_and(|written| Instant::now() < written + *took * REST) => {}
                    None => return self.begin_page(reactor, token),
                }
                scraper.serve(&self.show.page).is_err()
            }
            Ok(Need::End) | Err(_) => true,
        };
        if ended {
            self.watched.remove(token);
        }
    }

    fn begin_page(&mut self, reactor: &mut Reactor, token: Token) {
        let own = i32::try_from(std::process::id()).ok();
        let pids = self.roll.iter().filter_map(|service| service.pid()).chain(own).collect();
        let usage = HashMap::new();
        self.show.round = Some(Round { pids, usage, took: Duration::ZERO, waiting: vec![token] });
        self.go_on_with_page(reactor);
    }

    /// Some more of the processes; behind the last one the page is written.
    pub(in crate::run) fn go_on_with_page(&mut self, reactor: &mut Reactor) {
        let began = Instant::now();
        let Some(round) = &mut self.show.round else { return };
        for pid in round.pids.drain(round.pids.len().saturating_sub(AT_ONCE)..) {
            round.usage.extend(process::of(pid).ok().map(|process| (pid, process)));
        }
        round.took += began.elapsed();
        if !round.pids.is_empty() && self.arm(reactor, Duration::ZERO, Due::Page).is_some() {
            return;
        }
        let Some(round) = self.show.round.take() else { return };
        let (status, events) = (self.status(), self.audience.chronicle.count());
        self.show.page = page(&Subject { status: &status, usage: &round.usage, events });
        let now = Instant::now();
        (self.show.took, self.show.written) = (round.took + began.elapsed(), Some(now));
        for token in round.waiting {
            if let Some(Watched::Scraper(scraper)) = self.watched.get_mut(token)
                && scraper.serve(&self.show.page).is_err()
            {
                self.watched.remove(token);
            }
        }
    }
}

/// As many may ask at a time.
const MOST_SCRAPERS: usize = 16;
/// So many times as long as writing the page took it is used again.
const REST: u32 = 10;
/// So many processes are looked at before others have their turn.
const AT_ONCE: usize = 16;
