//! A broker of a hundred lines, so that the driver is tested against something that is not our agent: it forwards
//! frames between whoever logged in, and cuts every connection when told to.

use msf_client::{Inbox, Place};
use msf_wire::librpc::{Frame, Header, Step, cmd, errcode, id, opcode};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::{env, fs, process, thread};

type Routes = Arc<Mutex<HashMap<u32, UnixStream>>>;

pub struct Broker {
    folder: PathBuf,
    routes: Routes,
}

impl Broker {
    pub fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("msf-client-{}-{number}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let listener = UnixListener::bind(folder.join("agent.sock")).unwrap();
        let routes = Routes::default();
        let known = Arc::clone(&routes);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, routes) = (stream.unwrap(), Arc::clone(&known));
                thread::spawn(move || session(stream, &routes));
            }
        });
        Self { folder, routes }
    }

    pub fn place(&self) -> Place {
        Place::Local(vec![self.folder.join("nobody.sock"), self.folder.join("agent.sock")])
    }

    pub fn cut_everybody(&self) {
        for (_, stream) in self.routes.lock().unwrap().drain() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Sends a frame of our own to whoever is logged in under `dstid`.
    pub fn inject(&self, head: Header, body: &[u8]) {
        send(self.routes.lock().unwrap().get_mut(&head.dstid).unwrap(), head, body);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn session(mut stream: UnixStream, routes: &Routes) {
    let mut inbox = Inbox::default();
    while let Ok(count @ 1..) = stream.read(inbox.space(1 << 20).unwrap()) {
        inbox.filled(count);
        while let Ok(Step::Frame(frame, used)) = inbox.step(1 << 20) {
            route(&mut stream, routes, frame);
            inbox.consume(used);
        }
    }
}

fn route(stream: &mut UnixStream, routes: &Routes, frame: Frame<'_>) {
    let head = frame.head;
    let mut routes = routes.lock().unwrap();
    match (head.dstid, head.cmd) {
        (id::MSG_SRV, cmd::LOGIN) if routes.contains_key(&head.srcid) => {
            send(stream, head.ack(errcode::LOGIN_FAIL, 0), b"");
        }
        (id::MSG_SRV, cmd::LOGIN) => {
            routes.insert(head.srcid, stream.try_clone().unwrap());
            send(stream, head.ack(errcode::EXEC_SUCC, 0), b"");
        }
        (id::MSG_SRV, cmd::LOGOUT) => {
            routes.remove(&head.srcid);
            let _ = stream.shutdown(Shutdown::Both);
        }
        (id::MSG_SRV, _) => {}
        (to, _) => match routes.get_mut(&to) {
            Some(peer) => send(peer, head, frame.body),
            None if head.opcode == opcode::REQ => send(stream, head.ack(errcode::PEER_OFFLINE, 0), b""),
            None => {}
        },
    }
}

fn send(stream: &mut UnixStream, head: Header, body: &[u8]) {
    let mut bytes = Vec::new();
    Frame { head, body }.append_to(&mut bytes);
    let _ = stream.write_all(&bytes);
}
