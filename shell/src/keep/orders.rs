//! The keeper's thread, and the orders it carries out one after the other. What they do is in [`crate::keep::change`] and
//! [`crate::keep::upgrade`]; what is shown is in [`crate::keep::show`].

use crate::apart::annex::Annex;
use crate::keep::change::Report;
use crate::keep::keeper::Keeper;
use msf_conf::tree::{Map, Value};
use msf_sys::rest::HostThread;
use msf_sys::thread;
use std::io;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, mpsc};
use std::time::Instant;

/// What the keeper can be told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Show the services.
    List,
    /// Show what they use.
    Stats,
    /// Make everything as the file says.
    Reload,
    /// Make the services of the folder as it says now.
    Follow,
    /// Take this service up.
    Load(String),
    /// Take it down.
    Unload(String),
    /// Exchange its library.
    Upgrade(String),
    /// Have the processes of isolated services open their logs anew.
    Rotate,
}

enum Order {
    Do(What, mpsc::Sender<Value>),
    /// The last one.
    Down,
}

/// A way to the keeper.
#[derive(Clone)]
pub struct Orders(mpsc::Sender<Order>);

/// The keeper at work; its last words are what failed on the way down.
pub struct AtWork {
    orders: Orders,
    failures: mpsc::Receiver<Vec<String>>,
    hurry: Arc<AtomicBool>,
}

impl Orders {
    /// Has something done, and waits for the answer; `None` when the keeper is gone.
    pub fn ask(&self, what: What) -> Option<Value> {
        let (tell, hear) = mpsc::channel();
        self.0.send(Order::Do(what, tell)).ok()?;
        hear.recv().ok()
    }

    /// Has something done; nobody waits for it.
    pub fn give(&self, what: What) {
        let _ = self.0.send(Order::Do(what, mpsc::channel().0));
    }
}

impl AtWork {
    /// A thread for the keeper.
    pub fn start(mut keeper: Keeper) -> io::Result<AtWork> {
        let (give, take) = mpsc::channel();
        let (tell, failures) = mpsc::channel();
        let hurry = Arc::clone(&keeper.house.hurry);
        let its = give.clone();
        thread::spawn("msf_shell:keep", move || {
            let _host = HostThread::this();
            let orders = Orders(its);
            keeper.offer();
            keeper.watch(&orders);
            while let Some(Order::Do(what, answer)) = next(&take, &mut keeper) {
                // On the way down the orders before it are not carried out any more.
                if !keeper.house.hurry.load(Ordering::Acquire) {
                    let _ = answer.send(aside(&mut keeper, &what));
                    keeper.watch(&orders);
                }
            }
            let _ = tell.send(keeper.down());
        })?;
        Ok(AtWork { orders: Orders(give), failures, hurry })
    }

    /// A way to it.
    pub fn orders(&self) -> Orders {
        self.orders.clone()
    }

    /// Has everything taken down.
    pub fn down(self) -> Vec<String> {
        self.hurry.store(true, Ordering::Release);
        let _ = self.orders.0.send(Order::Down);
        self.failures.recv().unwrap_or_else(|_| vec!["the keeper's thread is gone".to_owned()])
    }
}

/// The next order. While there is none, services are looked after.
fn next(take: &mpsc::Receiver<Order>, keeper: &mut Keeper) -> Option<Order> {
    while !keeper.house.hurry.load(Ordering::Acquire) {
        let Some(due) = keeper.next_check() else { break };
        match take.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(order) => return Some(order),
            Err(RecvTimeoutError::Timeout) => keeper.check(),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
    take.recv().ok()
}

/// On a thread that ends with the order: what the C library caches for a thread goes with it, and the keeper's own would
/// gather some of what each library has left.
fn aside(keeper: &mut Keeper, what: &What) -> Value {
    let done = std::thread::scope(|scope| {
        let order = || {
            let _host = HostThread::this();
            carry_out(keeper, what)
        };
        let named = std::thread::Builder::new().name("msf_shell:order".to_owned());
        let thread = named.spawn_scoped(scope, order).ok()?;
        Some(thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    // Where no thread is to be had, the keeper does it itself.
    done.unwrap_or_else(|| carry_out(keeper, what))
}

fn carry_out(keeper: &mut Keeper, what: &What) -> Value {
    keeper.revisit();
    let answer = match what {
        What::List => keeper.list(),
        What::Stats => keeper.stats(),
        What::Reload => told(keeper.reload()),
        What::Follow => told(keeper.follow()),
        What::Load(name) => told(keeper.load_service(name)),
        What::Unload(name) => told(keeper.unload_service(name)),
        What::Upgrade(name) => told(keeper.upgrade_service(name)),
        What::Rotate => {
            keeper.annexes().for_each(Annex::rotate);
            Value::Null
        }
    };
    keeper.offer();
    answer
}

fn told(Report { done, failed }: Report) -> Value {
    let mut answer = Map::from_iter([("done".to_owned(), Value::from(done))]);
    if !failed.is_empty() {
        answer.insert("error".to_owned(), Value::from(failed.join("\n")));
    }
    Value::Object(answer)
}
