//! What an operator is shown of the services, as documents; how they look on a terminal is [`crate::door::ask`]'s business.

use crate::apart::sandbox::Enforced;
use crate::copy::generation::Stage;
use crate::keep::keeper::Keeper;
use crate::library::libraries;
use crate::text::object;
use msf_conf::tree::Value;

impl Keeper {
    /// The services, and the libraries that are mapped without any.
    pub fn list(&self) -> Value {
        let mut services: Vec<Value> = self.seats().into_iter().filter_map(|seat| self.row(seat)).collect();
        services.extend(self.missing.iter().map(|(name, why)| {
            object([("name", name.as_str().into()), ("state", "missing".into()), ("why", why.as_str().into())])
        }));
        let left = self.graves.iter().map(|grave| {
            object([
                ("services", grave.services.clone().into()),
                ("generation", grave.number.into()),
                ("library", grave.file.display().to_string().into()),
                ("why", grave.why.clone().into()),
            ])
        });
        object([
            ("process", self.settings.name.as_str().into()),
            ("pid", std::process::id().into()),
            ("services", services.into()),
            ("left", left.collect::<Vec<_>>().into()),
            ("unmapped", self.unmapped.into()),
        ])
    }

    fn row(&self, (of, at): (usize, usize)) -> Option<Value> {
        let generation = self.generations.get(of)?;
        let member = generation.members.get(at)?;
        let table = if member.traits.of_2019 { "struct msf_svc" } else { "struct msf_svc_ops" };
        let mut row = vec![
            ("name", member.conf.name.as_str().into()),
            ("state", member.stage.word().into()),
            ("generation", generation.number.into()),
            ("version", member.traits.version.clone().into()),
            ("table", table.into()),
            ("hands_over", member.traits.hands_over.into()),
            ("functions", member.traits.functions.clone().into()),
            ("calls", self.routes.calls(&member.conf.name).into()),
            ("worker", self.workers.row(&member.conf.name).into()),
            ("library", generation.file.display().to_string().into()),
            ("file", libraries::written(&self.settings, &member.conf).display().to_string().into()),
        ];
        if let Some(annex) = generation.annex() {
            row.extend([("isolated", true.into()), ("respawns", annex.respawns().into())]);
            row.push(("pid", annex.pid().into()));
            let Enforced { holds, lacks } = annex.sandbox();
            row.extend([("sandbox", holds.into()), ("sandbox_lacks", lacks.into())]);
        }
        let gone = generation
            .annex()
            .filter(|annex| !annex.is_up())
            .map(|annex| format!("{}, and none is up", annex.last_end()));
        let why = match (&member.stage, generation.stuck()) {
            (Stage::Failed(why), _) => Some(why.clone()),
            (Stage::Started, _) if gone.is_some() => gone,
            (_, Some(stuck)) => Some(format!("its thread has not come back from {stuck}")),
            _ => None,
        };
        row.extend(why.map(|why| ("why", why.into())));
        Some(object(row))
    }
}
