//! The desk for the process that goes on with it. Rules and what is counted come with the routes; deadlines are armed
//! again for the moments they had.

use super::super::job::{JobId, Jobs, Place};
use super::super::rules::Rulebook;
use super::Desk;
use msf_wire::snapshot::{Damage, Reader, State, What, Writer};
use std::sync::Arc;

impl Desk {
    /// Appends everything that has not ended.
    pub fn save(&self, out: &mut Writer) {
        self.jobs.save(out);
        self.functions.save(out);
        self.workers.save(out);
        self.services.save(out);
        self.orphans.save(out);
    }

    /// Goes on with what another process has saved. Until the next routes these rules hold.
    ///
    /// # Errors
    /// Whatever is not what [`Desk::save`] writes.
    pub fn resume(&mut self, from: &mut Reader<'_>, rulebook: &Rulebook) -> Result<(), Damage> {
        self.jobs = Jobs::load(from)?;
        self.functions = State::load(from)?;
        self.workers = State::load(from)?;
        self.services = State::load(from)?;
        self.orphans = State::load(from)?;
        if !self.jobs.is_of(self.me as u8) {
            return Err(from.damage(What::Contradiction("the jobs of another reactor")));
        }
        self.service_rules = Arc::clone(&rulebook.usual);
        let all: Vec<JobId> = self.jobs.iter().map(|(id, _)| id).collect();
        for id in all {
            if let Some(job) = self.jobs.get_mut(id) {
                job.rules = match job.place {
                    Place::Service(..) => Arc::clone(&rulebook.usual),
                    _ => rulebook.of(&job.function),
                };
            }
            self.arm(id);
        }
        Ok(())
    }

    /// Appends how it is laid out.
    #[cfg(test)]
    pub fn shape(out: &mut String) {
        use super::Identity;
        use msf_wire::snapshot::shape_of;
        shape_of(|desk: &Desk| &desk.jobs, out);
        shape_of(|desk: &Desk| &desk.functions, out);
        shape_of(|desk: &Desk| &desk.workers, out);
        shape_of(|desk: &Desk| &desk.services, out);
        <Vec<(JobId, Identity)>>::shape(out);
    }
}
