//! A service that does what makes Rust libraries hard to unmap, and what makes hosts fall over: thread-locals with
//! destructors, threads, `thread::current`, panics, threads that are left behind.
#![deny(unsafe_code)]

use msf_sys::plugin::{Context, Failure, Plugin};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

struct Drops(Vec<u8>);

impl Drop for Drops {
    fn drop(&mut self) {
        SEEN.lock().map(|mut seen| *seen += self.0.len()).unwrap_or_default();
    }
}

static SEEN: Mutex<usize> = Mutex::new(0);

thread_local! {
    static LAZY: RefCell<Drops> = RefCell::new(Drops(vec![7; 100]));
    static MAP: RefCell<HashMap<String, Vec<u8>>> = RefCell::new(HashMap::new());
}

struct Hostile {
    name: String,
    total: i64,
}

impl Plugin for Hostile {
    const HANDS_OVER: bool = true;

    fn init(context: &Context<'_>) -> Result<Hostile, Failure> {
        match context.config() {
            "{\"panic\":\"init\"}" => panic!("in init"),
            "{\"fail\":\"init\"}" => Err("told to".into()),
            _ => Ok(Hostile { name: context.name().to_owned(), total: 0 }),
        }
    }

    fn start(&mut self, context: &Context<'_>) -> Result<(), Failure> {
        exercise();
        assert_ne!(context.config(), "{\"panic\":\"start\"}", "in start");
        Ok(())
    }

    fn stop(&mut self) -> Result<(), Failure> {
        exercise();
        Ok(())
    }

    fn call(&mut self, command: &str, params: &[u8]) -> Result<Vec<u8>, Failure> {
        match command {
            "add" => {
                exercise();
                self.total += str::from_utf8(params)?.parse::<i64>()?;
                Ok(self.total.to_string().into_bytes())
            }
            "name" => Ok(self.name.clone().into_bytes()),
            "panic" => panic!("told to"),
            "index" => Ok(vec![params[params.len() + 1]]),
            "leave" => {
                thread::Builder::new().name("left by rust".to_owned()).spawn(|| {
                    while !Path::new("go").exists() {
                        thread::sleep(Duration::from_millis(5));
                    }
                })?;
                Ok(Vec::new())
            }
            "abort" => std::process::abort(),
            "overflow" => Ok(vec![deep(&[1; 1000])]),
            other => Err(format!("no command {other}").into()),
        }
    }

    fn export(&mut self) -> Result<Vec<u8>, Failure> {
        Ok(self.total.to_le_bytes().to_vec())
    }

    fn import(&mut self, _version: u32, state: &[u8]) -> Result<(), Failure> {
        self.total = i64::from_le_bytes(state.try_into()?);
        Ok(())
    }
}

/// Everything that pins a library when its host's own threads do it.
fn exercise() {
    LAZY.with_borrow_mut(|drops| drops.0.push(1));
    MAP.with_borrow_mut(|map| map.entry(format!("{:?}", thread::current().id())).or_default().push(1));
    let (tell, hear) = mpsc::channel();
    let thread = thread::spawn(move || {
        LAZY.with_borrow_mut(|drops| drops.0.push(2));
        tell.send(thread::current().name().map(str::to_owned)).is_ok()
    });
    let _ = hear.recv();
    let _ = thread.join();
    let caught = std::panic::catch_unwind(|| {
        if thread::current().name() == Some("nobody") {
            panic!("here")
        }
    });
    assert!(caught.is_ok());
}

#[inline(never)]
fn deep(room: &[u8; 1000]) -> u8 {
    let mut next = *room;
    next[1] = room[1].wrapping_add(1);
    let below = if std::hint::black_box(next[0]) == 0 { 0 } else { deep(std::hint::black_box(&next)) };
    below.wrapping_add(next[2])
}

msf_sys::msf_plugin!(hostile_ops = Hostile);
