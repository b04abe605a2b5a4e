//! The processes under test: one broker and the services, in a run directory of their own.

use super::SERVICES;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use std::{fs, thread};

/// Everything started, and where. Dropping it kills what still runs and removes the directory; a broker that ran before,
/// and its directory, are somebody else's.
pub struct House {
    dir: PathBuf,
    service: PathBuf,
    agent: Option<Child>,
    services: Vec<(u32, Child)>,
}

impl House {
    /// Starts the services beside the broker that runs in `dir`.
    pub fn beside(dir: &Path, service: &Path) -> Result<House, String> {
        let mut house = House { dir: dir.to_owned(), service: service.to_owned(), agent: None, services: Vec::new() };
        house.start_services()?;
        Ok(house)
    }

    /// Starts the broker, waits until it listens, and starts the services.
    pub fn start(agent: &Path, service: &Path) -> Result<House, String> {
        let dir = std::env::temp_dir().join(format!("msf-soak-{}", std::process::id()));
        for folder in [&dir, &Self::rings(&dir)] {
            fs::create_dir_all(folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
        }
        let conf = dir.join("msf_agent.conf");
        fs::write(&conf, "net_enable=false\n").map_err(|e| format!("cannot write {}: {e}", conf.display()))?;
        let agent = Self::command(&dir, agent).arg("-c").arg(&conf).spawn();
        let agent = agent.map_err(|e| format!("cannot start the agent: {e}"))?;
        let mut house = House { dir, service: service.to_owned(), agent: Some(agent), services: Vec::new() };
        house.wait_for_socket()?;
        house.start_services()?;
        Ok(house)
    }

    fn start_services(&mut self) -> Result<(), String> {
        for id in SERVICES {
            let child = self.spawn_service(id)?;
            self.services.push((id, child));
        }
        Ok(())
    }

    /// Where the broker listens.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("msf_agent.sock")
    }

    /// Kills one service with SIGKILL and starts its successor at once.
    pub fn kill_and_restart(&mut self, id: u32) -> Result<(), String> {
        let index = self.services.iter().position(|(known, _)| *known == id).ok_or("no such service")?;
        let child = &mut self.services[index].1;
        child.kill().and_then(|()| child.wait()).map_err(|e| format!("cannot kill service {id}: {e}"))?;
        self.services[index].1 = self.spawn_service(id)?;
        Ok(())
    }

    /// Stops the broker as an operator would; it must leave with exit code 0.
    pub fn stop(&mut self) -> Result<(), String> {
        self.end_services();
        let Some(agent) = &mut self.agent else { return Ok(()) };
        let asked = Command::new("kill").arg("-TERM").arg(agent.id().to_string()).status();
        asked.map_err(|e| format!("cannot signal the agent: {e}"))?;
        let status = agent.wait().map_err(|e| format!("cannot wait for the agent: {e}"))?;
        if status.success() { Ok(()) } else { Err(format!("the agent ended with {status}")) }
    }

    /// What the killed leave behind of their logs is to go with the rest.
    fn rings(dir: &Path) -> PathBuf {
        Path::new("/dev/shm").join(dir.file_name().unwrap_or_default())
    }

    fn command(dir: &Path, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("MSF_RUN_DIR", dir).env("MSF_LOG_DIR", dir.join("log")).env_remove("MSF_AGENT_SOCK");
        if Self::rings(dir).exists() {
            command.env("MSF_LOG_RING_DIR", Self::rings(dir));
        }
        command.current_dir(dir);
        command
    }

    fn spawn_service(&self, id: u32) -> Result<Child, String> {
        let child = Self::command(&self.dir, &self.service).arg(id.to_string()).spawn();
        child.map_err(|e| format!("cannot start service {id}: {e}"))
    }

    fn wait_for_socket(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while UnixStream::connect(self.socket()).is_err() {
            if let Some(Ok(Some(status))) = self.agent.as_mut().map(Child::try_wait) {
                return Err(format!("the agent ended before it listened: {status}"));
            }
            if Instant::now() > deadline {
                return Err(format!("the agent does not listen on {}", self.socket().display()));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn end_services(&mut self) {
        for (_, mut child) in self.services.drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.end_services();
        if let Some(agent) = &mut self.agent {
            let _ = agent.kill();
            let _ = agent.wait();
            let _ = fs::remove_dir_all(&self.dir);
            let _ = fs::remove_dir_all(Self::rings(&self.dir));
        }
    }
}
