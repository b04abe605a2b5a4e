//! Services in Rust: a type that is a [`Plugin`], and [`msf_plugin!`](crate::msf_plugin) to export it.
//!
//! The host sees the table of msf_svc.h and nothing of Rust. A panic ends at it: it is told in the log, the call fails, and
//! so does every call that comes after it but `stop` and `deinit`, for what the service holds may be half done. A plugin
//! is a `cdylib` of its own (its copy of the standard library goes with it) built with `panic = "unwind"`.
//!
//! ```ignore
//! use msf_sys::plugin::{Context, Failure, Plugin};
//!
//! struct Greeter;
//!
//! impl Plugin for Greeter {
//!     fn init(_context: &Context<'_>) -> Result<Greeter, Failure> {
//!         Ok(Greeter)
//!     }
//!     fn call(&mut self, command: &str, params: &[u8]) -> Result<Vec<u8>, Failure> {
//!         match command {
//!             "greet" => Ok(format!("hello, {}", str::from_utf8(params)?).into_bytes()),
//!             other => Err(format!("no command {other}").into()),
//!         }
//!     }
//! }
//!
//! msf_sys::msf_plugin!(greeter_ops = Greeter);    // svc_name: greeter
//! ```

use std::any::Any;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use crate::event::Base;
use crate::ffi::msf as c;
use crate::log::Level;

/// What went wrong, in words.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A function that others may call by its name.
pub type Function<P> = (&'static CStr, fn(&mut P, &[u8]) -> Result<Vec<u8>, Failure>);

/// A service. All its functions are called from one thread, one after the other; dropping it is its `deinit`.
pub trait Plugin: Sized + 'static {
    /// Shown to people.
    const VERSION: &'static CStr = c"0";
    /// Whether it wants a loop, see [`Context::base`].
    const LOOP: bool = false;
    /// Whether [`export`](Plugin::export) and [`import`](Plugin::import) are offered.
    const HANDS_OVER: bool = false;
    /// The version of what it exports.
    const STATE: u32 = 1;
    /// Functions that others may call by their names; at most [`MOST_FUNCTIONS`].
    const FUNCTIONS: &'static [Function<Self>] = &[];

    /// Gets ready; takes nothing that its predecessor may still hold.
    fn init(context: &Context<'_>) -> Result<Self, Failure>;

    /// Goes to work.
    fn start(&mut self, _context: &Context<'_>) -> Result<(), Failure> {
        Ok(())
    }

    /// The reverse of `start`, which may follow again.
    fn stop(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// A command that is none of its functions.
    fn call(&mut self, command: &str, _params: &[u8]) -> Result<Vec<u8>, Failure> {
        Err(format!("no command \"{command}\"").into())
    }

    /// What its successor has to know; between `stop` and the end.
    fn export(&mut self) -> Result<Vec<u8>, Failure> {
        Err("it has no state to hand over".into())
    }

    /// What its predecessor knew; between `init` and `start`.
    fn import(&mut self, _version: u32, _state: &[u8]) -> Result<(), Failure> {
        Err("it takes no state over".into())
    }

    /// How it is, for people.
    fn health(&mut self) -> Result<String, Failure> {
        Ok(String::new())
    }
}

/// What a service is told of itself.
#[derive(Debug)]
pub struct Context<'a> {
    seen: *mut c::msf_svc_ctx,
    _lent: PhantomData<&'a ()>,
}

impl Context<'_> {
    /// Its `svc_name`.
    pub fn name(&self) -> &str {
        // SAFETY: the host lends the context for the call.
        let name = unsafe { (*self.seen).name };
        // SAFETY: the host keeps its strings until deinit has returned.
        unsafe { text(name) }
    }

    /// Its entry's `config` as JSON text; `{}` when there is none.
    pub fn config(&self) -> &str {
        // SAFETY: as above.
        let config = unsafe { (*self.seen).config };
        // SAFETY: as above.
        unsafe { text(config) }
    }

    /// 1, and one more with each upgrade.
    pub fn generation(&self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.seen).generation }
    }

    /// The loop that the service's own thread turns, if it has asked for one. Its events are to be dropped by the end.
    pub fn base(&self) -> Option<Base> {
        // SAFETY: as above.
        let base = unsafe { (*self.seen).base };
        // SAFETY: the host keeps its base until deinit has returned, and frees it then.
        ptr::NonNull::new(base).map(|base| unsafe { Base::lent(base) })
    }
}

/// # Safety
/// `string` is null or terminated, and stays for `'a`.
unsafe fn text<'a>(string: *const c_char) -> &'a str {
    if string.is_null() {
        return "";
    }
    // SAFETY: our caller's promise.
    unsafe { CStr::from_ptr(string) }.to_str().unwrap_or_default()
}

/// Exports a type that is a [`Plugin`] as a service: `msf_plugin!(greeter_ops = Greeter)` is the service `greeter`.
#[macro_export]
macro_rules! msf_plugin {
    ($symbol:ident = $plugin:ty) => {
        #[cfg(not(panic = "unwind"))]
        compile_error!("a plugin has to be built with panic = \"unwind\": a panic would end the whole process");

        #[allow(unsafe_code, non_upper_case_globals, missing_docs)]
        #[unsafe(no_mangle)]
        pub static $symbol: $crate::plugin::Table = $crate::plugin::Table::of::<$plugin>();
    };
}

/// The table of a service, as the host finds it.
#[repr(transparent)]
#[derive(Debug)]
pub struct Table(c::msf_svc_ops);

// SAFETY: nobody writes to a table, and what it points to is static.
unsafe impl Sync for Table {}

impl Table {
    /// The table of `P`.
    pub const fn of<P: Plugin>() -> Table {
        Table(c::msf_svc_ops {
            size: size_of::<c::msf_svc_ops>() as u32,
            abi: c::MSF_SVC_ABI,
            flags: if P::LOOP { c::MSF_SVC_LOOP } else { 0 },
            state: P::STATE,
            version: P::VERSION.as_ptr(),
            init: Some(init::<P>),
            start: Some(start::<P>),
            stop: Some(stop::<P>),
            deinit: Some(deinit::<P>),
            call: Some(call::<P>),
            export_state: if P::HANDS_OVER { Some(export::<P>) } else { None },
            import_state: if P::HANDS_OVER { Some(import::<P>) } else { None },
            health: Some(health::<P>),
            functions: Functions::<P>::TABLE.as_ptr(),
        })
    }
}

/// What `ctx->data` points to.
struct Seat<P> {
    plugin: P,
    /// It has panicked.
    poisoned: bool,
}

/// The shims' table of a type.
struct Functions<P>(PhantomData<P>);

impl<P: Plugin> Functions<P> {
    const TABLE: &'static [c::msf_svc_function; MOST_FUNCTIONS + 1] = &[
        entry::<P, 0>(),
        entry::<P, 1>(),
        entry::<P, 2>(),
        entry::<P, 3>(),
        entry::<P, 4>(),
        entry::<P, 5>(),
        entry::<P, 6>(),
        entry::<P, 7>(),
        entry::<P, 8>(),
        entry::<P, 9>(),
        entry::<P, 10>(),
        entry::<P, 11>(),
        entry::<P, 12>(),
        entry::<P, 13>(),
        entry::<P, 14>(),
        entry::<P, 15>(),
        entry::<P, 16>(),
    ];
}

const fn entry<P: Plugin, const AT: usize>() -> c::msf_svc_function {
    assert!(P::FUNCTIONS.len() <= MOST_FUNCTIONS, "a plugin has at most MOST_FUNCTIONS functions");
    if AT < P::FUNCTIONS.len() {
        let name = P::FUNCTIONS[AT].0.as_ptr();
        c::msf_svc_function { name, run: Some(function::<P, AT>), flags: 0, reserved: 0 }
    } else {
        c::msf_svc_function { name: ptr::null(), run: None, flags: 0, reserved: 0 }
    }
}

/// # Safety
/// `ctx` is the host's, and no other call of the service runs.
unsafe extern "C" fn init<P: Plugin>(ctx: *mut c::msf_svc_ctx) -> c_int {
    let context = Context { seen: ctx, _lent: PhantomData };
    match caught(&context, "init", || P::init(&context)) {
        Ok(plugin) => {
            let seat = Box::into_raw(Box::new(Seat { plugin, poisoned: false }));
            // SAFETY: our caller's promise; `data` is the service's own.
            unsafe { (*ctx).data = seat.cast() };
            0
        }
        Err(why) => told(&context, "init", &why),
    }
}

/// # Safety
/// As [`init`].
unsafe extern "C" fn start<P: Plugin>(ctx: *mut c::msf_svc_ctx) -> c_int {
    let context = Context { seen: ctx, _lent: PhantomData };
    // SAFETY: our caller's promise.
    let done = unsafe { seated::<P, ()>(&context, "start", |plugin| plugin.start(&context)) };
    done.map_or_else(|why| told(&context, "start", &why), |()| 0)
}

/// # Safety
/// As [`init`].
unsafe extern "C" fn stop<P: Plugin>(ctx: *mut c::msf_svc_ctx) -> c_int {
    let context = Context { seen: ctx, _lent: PhantomData };
    // SAFETY: our caller's promise; it is stopped even when it has panicked.
    let Some(seat) = (unsafe { seat_of::<P>(&context) }) else { return -1 };
    let done = caught(&context, "stop", || seat.plugin.stop());
    done.map_or_else(|why| told(&context, "stop", &why), |()| 0)
}

/// # Safety
/// As [`init`], and no call comes after it.
unsafe extern "C" fn deinit<P: Plugin>(ctx: *mut c::msf_svc_ctx) -> c_int {
    let context = Context { seen: ctx, _lent: PhantomData };
    // SAFETY: our caller's promise; `data` is the service's own.
    let data = unsafe { std::mem::replace(&mut (*ctx).data, ptr::null_mut()) };
    if data.is_null() {
        return -1;
    }
    // SAFETY: `init` has put it there, and nobody else has taken it.
    let seat = unsafe { Box::from_raw(data.cast::<Seat<P>>()) };
    let done = caught(&context, "deinit", || {
        drop(seat);
        Ok(())
    });
    done.map_or_else(|why| told(&context, "deinit", &why), |()| 0)
}

/// # Safety
/// As [`init`]; `command` is terminated, `len` bytes may be read at `params`, and `result` is the host's.
unsafe extern "C" fn call<P: Plugin>(
    ctx: *mut c::msf_svc_ctx,
    command: *const c_char,
    params: *const c_void,
    len: usize,
    result: *mut c::msf_svc_out,
) -> c_int {
    let context = Context { seen: ctx, _lent: PhantomData };
    // SAFETY: our caller's promise.
    let command = unsafe { text(command) };
    // SAFETY: as above.
    let params = unsafe { bytes(params, len) };
    // SAFETY: as above.
    let answer = unsafe { seated::<P, _>(&context, command, |plugin| plugin.call(command, params)) };
    // SAFETY: as above.
    unsafe { put_or_why(result, answer) }
}

/// # Safety
/// As [`call`].
unsafe extern "C" fn function<P: Plugin, const AT: usize>(
    ctx: *mut c::msf_svc_ctx,
    params: *const c_void,
    len: usize,
    result: *mut c::msf_svc_out,
) -> c_int {
    let context = Context { seen: ctx, _lent: PhantomData };
    let Some((name, run)) = P::FUNCTIONS.get(AT) else { return -1 };
    // SAFETY: our caller's promise.
    let params = unsafe { bytes(params, len) };
    let name = name.to_str().unwrap_or_default();
    // SAFETY: as above.
    let answer = unsafe { seated::<P, _>(&context, name, |plugin| run(plugin, params)) };
    // SAFETY: as above.
    unsafe { put_or_why(result, answer) }
}

/// # Safety
/// As [`init`]; `state` is the host's.
unsafe extern "C" fn export<P: Plugin>(ctx: *mut c::msf_svc_ctx, state: *mut c::msf_svc_out) -> c_int {
    let context = Context { seen: ctx, _lent: PhantomData };
    // SAFETY: our caller's promise.
    match unsafe { seated::<P, _>(&context, "export_state", Plugin::export) } {
        // SAFETY: as above.
        Ok(bytes) => unsafe { put(state, &bytes) },
        Err(why) => told(&context, "export_state", &why),
    }
}

/// # Safety
/// As [`init`]; `len` bytes may be read at `state`.
unsafe extern "C" fn import<P: Plugin>(
    ctx: *mut c::msf_svc_ctx,
    version: u32,
    state: *const c_void,
    len: usize,
) -> c_int {
    let context = Context { seen: ctx, _lent: PhantomData };
    // SAFETY: our caller's promise.
    let state = unsafe { bytes(state, len) };
    // SAFETY: as above.
    let done = unsafe { seated::<P, ()>(&context, "import_state", |plugin| plugin.import(version, state)) };
    done.map_or_else(|why| told(&context, "import_state", &why), |()| 0)
}

/// # Safety
/// As [`export`].
unsafe extern "C" fn health<P: Plugin>(ctx: *mut c::msf_svc_ctx, out: *mut c::msf_svc_out) -> c_int {
    let context = Context { seen: ctx, _lent: PhantomData };
    // SAFETY: our caller's promise.
    let said = unsafe { seated::<P, _>(&context, "health", |plugin| plugin.health().map(String::into_bytes)) };
    // SAFETY: as above.
    unsafe { put_or_why(out, said) }
}

/// # Safety
/// The context is the host's, `init` has succeeded, and no other call of the service runs for `'a`.
unsafe fn seat_of<'a, P: Plugin>(context: &Context<'a>) -> Option<&'a mut Seat<P>> {
    // SAFETY: our caller's promise.
    let data = unsafe { (*context.seen).data }.cast::<Seat<P>>();
    // SAFETY: null, or what `init` has put there, which is ours alone during a call.
    unsafe { data.as_mut() }
}

/// Runs something of a plugin that has not panicked; from its first panic on it is not called any more.
///
/// # Safety
/// As [`seat_of`].
unsafe fn seated<P: Plugin, T>(
    context: &Context<'_>,
    what: &str,
    run: impl FnOnce(&mut P) -> Result<T, Failure>,
) -> Result<T, Failure> {
    // SAFETY: our caller's promise.
    let seat = unsafe { seat_of::<P>(context) }.ok_or("it was not initialised")?;
    if seat.poisoned {
        return Err("it has panicked before, and is not called any more".into());
    }
    seat.poisoned = true;
    let done = catch(|| run(&mut seat.plugin));
    match done {
        Ok(done) => {
            seat.poisoned = false;
            done
        }
        Err(panic) => Err(panicked(context, what, &*panic)),
    }
}

fn caught<T>(context: &Context<'_>, what: &str, run: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch(run).unwrap_or_else(|panic| Err(panicked(context, what, &*panic)))
}

fn catch<T>(run: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    catch_unwind(AssertUnwindSafe(run))
}

fn panicked(context: &Context<'_>, what: &str, panic: &(dyn Any + Send)) -> Failure {
    let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let said = said.unwrap_or("without words");
    crate::log!(Level::Error, MODULE, "service {}: panic in {what}: {said}", context.name());
    format!("panic: {said}").into()
}

/// Where a failure has no other place to go.
fn told(context: &Context<'_>, what: &str, why: &Failure) -> c_int {
    crate::log!(Level::Error, MODULE, "service {}: {what}: {why}", context.name());
    -1
}

/// # Safety
/// `len` bytes may be read at `data` for `'a`.
unsafe fn bytes<'a>(data: *const c_void, len: usize) -> &'a [u8] {
    if data.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: our caller's promise.
    unsafe { std::slice::from_raw_parts(data.cast(), len) }
}

/// # Safety
/// `out` is the host's.
unsafe fn put(out: *mut c::msf_svc_out, bytes: &[u8]) -> c_int {
    // SAFETY: our caller's promise.
    let Some(put) = (unsafe { (*out).put }) else { return -1 };
    // SAFETY: as above; as many bytes may be read as we say.
    unsafe { put(out, bytes.as_ptr().cast(), bytes.len()) }
}

/// # Safety
/// As [`put`].
unsafe fn put_or_why(out: *mut c::msf_svc_out, answer: Result<Vec<u8>, Failure>) -> c_int {
    match answer {
        // SAFETY: our caller's promise.
        Ok(bytes) => unsafe { put(out, &bytes) },
        Err(why) => {
            // SAFETY: as above.
            unsafe { put(out, why.to_string().as_bytes()) };
            -1
        }
    }
}

/// How many functions a plugin may have.
pub const MOST_FUNCTIONS: usize = 16;
const MODULE: &str = "PLUGIN";
