//! The numbers for Prometheus: asked for now and then, and made only when somebody asks.
//!
//! What the kernel knows of a thousand processes takes a moment to ask, in which nobody is started. So the page is used
//! again until ten times that moment has passed: however many ask, they get a tenth of the daemon's time.

use super::driver::{Driver, MODULE, Watched};
use crate::face::metrics::{Subject, page};
use crate::face::scrape::{Need, Stall};
use msf_conf::daemon::Metrics;
use msf_core::event::{Reactor, Token};
use msf_core::log;
use msf_core::log::Level;
use msf_core::sysinfo::process;
use std::io;
use std::time::{Duration, Instant};

/// The place where they are shown, and the page as it was last written.
#[derive(Debug, Default)]
pub struct Show {
    stall: Option<(Stall, Token)>,
    page: String,
    written: Option<Instant>,
    took: Duration,
}

impl Driver {
    /// Shows the numbers there from now on. A place that cannot be had is no reason not to supervise.
    pub(super) fn show_metrics(&mut self, reactor: &Reactor, place: Option<&Metrics>) -> Result<(), String> {
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
    pub(super) fn receive_scrapers(&mut self, reactor: &Reactor) {
        while let Some((stall, _)) = &self.show.stall {
            match stall.accept() {
                Ok(Some(scraper)) => {
                    self.send_away_scrapers(MOST_SCRAPERS - 1);
                    let Some(token) = self.watched.insert(Watched::Scraper(scraper)) else { return };
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
    pub(super) fn scrape(&mut self, token: Token) {
        let Some(Watched::Scraper(scraper)) = self.watched.get_mut(token) else { return };
        let ended = match scraper.go_on() {
            Ok(Need::Nothing) => false,
            Ok(Need::Page) => {
                self.renew_page();
                let Some(Watched::Scraper(scraper)) = self.watched.get_mut(token) else { return };
                scraper.serve(&self.show.page).is_err()
            }
            Ok(Need::End) | Err(_) => true,
        };
        if ended {
            self.watched.remove(token);
        }
    }

    fn renew_page(&mut self) {
        let began = Instant::now();
        if self.show.written.is_some_and(|written| began < written + self.show.took * REST) {
            return;
        }
        let status = self.status();
        let own = i32::try_from(status.pid).ok();
        let pids = status.processes.iter().filter_map(|row| row.pid).chain(own);
        let usage = pids.filter_map(|pid| Some((pid, process::of(pid).ok()?))).collect();
        let events = self.audience.chronicle.count();
        self.show.page = page(&Subject { status: &status, usage: &usage, events });
        let now = Instant::now();
        self.show.took = now - began;
        self.show.written = Some(now);
    }
}

/// As many may ask at a time.
const MOST_SCRAPERS: usize = 16;
/// So many times as long as writing the page took it is used again.
const REST: u32 = 10;
