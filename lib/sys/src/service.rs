//! One service of a loaded library: its table, and calling what it offers.
//!
//! A table is a `struct msf_svc_ops` called `<svc_name>_ops`, or 2019's `struct msf_svc` called `<svc_name>`. Whoever
//! hosts a service makes all its calls from one thread; a [`Service`] may be moved there, and is not shared.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::ptr::{self, NonNull};

use crate::event::Base;
use crate::ffi::msf as c;
use crate::library::Library;
use crate::outcome::c_string;
use crate::table::{self, Offer, Unusable};

/// The slots a host calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Makes the service ready; not yet at work.
    Init,
    /// Sets it to work.
    Start,
    /// The reverse of `Start`.
    Stop,
    /// The reverse of `Init`.
    Deinit,
}

/// What calling a service came to.
#[derive(Debug)]
pub enum Answer {
    /// The service does not offer it.
    Absent,
    /// 0 or more.
    Done(i32),
    /// Below 0, and what errno said then (it may be stale: services of 2019 do not set it).
    Failed(i32, io::Error),
}

/// What a host says to a service of itself.
#[derive(Clone, Debug)]
pub struct About {
    /// `svc_name`.
    pub name: String,
    /// Its configuration as JSON text.
    pub config: String,
    /// 1, and one more with each upgrade.
    pub generation: u32,
    /// The bytes of its `_ops` variable, where the file tells.
    pub table: Option<u64>,
}

/// A service of a loaded library.
pub struct Service {
    offer: Offer,
    context: NonNull<Context>,
    base: Option<Base>,
}

/// What the service sees, and the strings it points to.
struct Context {
    seen: c::msf_svc_ctx,
    _name: CString,
    _config: CString,
}

// SAFETY: the pointers are to a library's table and to a box of our own; by msf_svc.h a service's calls may come from
// any thread as long as it is one at a time, which `&mut self` sees to.
unsafe impl Send for Service {}

impl Service {
    /// Finds the service `about.name` in `library`, and gives it its context. Nothing of it is called.
    pub fn find(library: &Library, about: &About) -> Result<Service, Unusable> {
        let offer = table::find(library, &about.name, about.table)?;
        let name = c_string(&about.name).map_err(Unusable::System)?;
        let config = c_string(&about.config).map_err(Unusable::System)?;
        let seen = c::msf_svc_ctx {
            size: size_of::<c::msf_svc_ctx>() as u32,
            generation: about.generation,
            name: name.as_ptr(),
            config: config.as_ptr(),
            base: ptr::null_mut(),
            data: ptr::null_mut(),
        };
        let context = Box::new(Context { seen, _name: name, _config: config });
        Ok(Service { offer, context: NonNull::from(Box::leak(context)), base: None })
    }

    /// Whether its table asks for a loop.
    pub fn wants_loop(&self) -> bool {
        matches!(&self.offer, Offer::Ops(ops) if ops.flags & c::MSF_SVC_LOOP != 0)
    }

    /// Gives it a loop, which the thread that makes its calls turns. Before its `init`.
    pub fn give_loop(&mut self, base: &Base) {
        let seen = self.seen();
        // SAFETY: the context is ours, and no call of the service runs.
        unsafe { (*seen).base = base.raw() };
        self.base = Some(base.clone());
    }

    /// The loop it was given.
    pub fn base(&self) -> Option<&Base> {
        self.base.as_ref()
    }

    /// Whether it has a table of 2019.
    pub fn is_of_2019(&self) -> bool {
        matches!(self.offer, Offer::Slots(_))
    }

    /// What it calls its version.
    pub fn version(&self) -> Option<String> {
        let Offer::Ops(ops) = &self.offer else { return None };
        // SAFETY: null, or a string of the library, which is loaded.
        (!ops.version.is_null()).then(|| unsafe { CStr::from_ptr(ops.version) }.to_string_lossy().into_owned())
    }

    /// Whether its state can pass to the code that comes after it, and from the code before it.
    pub fn hands_over(&self) -> bool {
        matches!(&self.offer, Offer::Ops(ops) if ops.export_state.is_some() && ops.import_state.is_some())
    }

    /// The names of its functions, in the order of its table.
    pub fn functions(&self) -> Vec<String> {
        self.function_table().map(|(name, _)| name.to_string_lossy().into_owned()).collect()
    }

    /// What `g_proc` shows of it: its variable of 2019, if that is what it has.
    pub fn slots(&self) -> Option<NonNull<c_void>> {
        if let Offer::Slots(slots) = self.offer { Some(slots.cast()) } else { None }
    }

    /// Whether it has something in that slot now.
    pub fn offers(&self, slot: Slot) -> bool {
        match &self.offer {
            Offer::Ops(ops) => slot_of(ops, slot).is_some(),
            Offer::Slots(slots) => old_slot_of(*slots, slot).is_some(),
        }
    }

    /// Calls one slot, on this thread. A service of 2019 is called with (NULL, 0).
    pub fn run(&mut self, slot: Slot) -> Answer {
        match &self.offer {
            Offer::Ops(ops) => {
                let Some(call) = slot_of(ops, slot) else { return Answer::Absent };
                let context = self.seen();
                // SAFETY: a function of a loaded library, of the type its header gives it, and its own context.
                answered(|| unsafe { call(context) })
            }
            Offer::Slots(slots) => {
                let Some(call) = old_slot_of(*slots, slot) else { return Answer::Absent };
                // SAFETY: as above; NULL and 0 are what the host promises every service.
                answered(|| unsafe { call(ptr::null_mut(), 0) })
            }
        }
    }

    /// Has a command carried out: a function of that name, else the service's `call`; of a service of 2019 the slot
    /// `get_param`, `set_param` or `msg_handler`. The answer's bytes, or the reason of a refusal, come with it.
    pub fn call(&mut self, command: &str, params: &[u8]) -> (Answer, Vec<u8>) {
        let Ok(word) = CString::new(command) else { return (Answer::Absent, Vec::new()) };
        let Offer::Ops(ops) = &self.offer else { return self.call_of_2019(command, params) };
        let (context, mut result) = (self.seen(), Gather::new());
        let (given, len, out) = (params.as_ptr().cast(), params.len(), result.out());
        let function = self.function_table().find(|(name, _)| *name == word.as_c_str()).and_then(|(_, run)| run);
        let answer = match (function, ops.call) {
            // SAFETY: a function of a loaded library, of the type its header gives it; all it gets lives until it returns.
            (Some(run), _) => answered(|| unsafe { run(context, given, len, out) }),
            // SAFETY: as above.
            (None, Some(call)) => answered(|| unsafe { call(context, word.as_ptr(), given, len, out) }),
            (None, None) => Answer::Absent,
        };
        (answer, result.bytes)
    }

    /// Its state, in bytes and with their version.
    pub fn export(&mut self) -> (Answer, u32, Vec<u8>) {
        let Offer::Ops(ops) = &self.offer else { return (Answer::Absent, 0, Vec::new()) };
        let Some(export) = ops.export_state else { return (Answer::Absent, 0, Vec::new()) };
        let (context, mut state) = (self.seen(), Gather::new());
        let out = state.out();
        // SAFETY: as in `call`.
        (answered(|| unsafe { export(context, out) }), ops.state, state.bytes)
    }

    /// Hands it the state of its predecessor.
    pub fn import(&mut self, version: u32, state: &[u8]) -> Answer {
        let Offer::Ops(c::msf_svc_ops { import_state: Some(import), .. }) = &self.offer else { return Answer::Absent };
        let context = self.seen();
        // SAFETY: as in `call`.
        answered(|| unsafe { import(context, version, state.as_ptr().cast(), state.len()) })
    }

    /// How it is, and what it says of that.
    pub fn health(&mut self) -> (Answer, String) {
        let Offer::Ops(c::msf_svc_ops { health: Some(health), .. }) = &self.offer else {
            return (Answer::Absent, String::new());
        };
        let (context, mut text) = (self.seen(), Gather::new());
        let out = text.out();
        // SAFETY: as in `call`.
        let answer = answered(|| unsafe { health(context, out) });
        (answer, String::from_utf8_lossy(&text.bytes).into_owned())
    }

    /// The three slots of 2019 that are the services' own: bytes go in, and come out as the slot left them.
    fn call_of_2019(&mut self, command: &str, params: &[u8]) -> (Answer, Vec<u8>) {
        let Offer::Slots(slots) = &self.offer else { return (Answer::Absent, Vec::new()) };
        // SAFETY: it points at the msf_svc of a library that is loaded. Read here: services may change their slots.
        let slots = unsafe { slots.read() };
        let slot = match command {
            "get_param" => slots.get_param,
            "set_param" => slots.set_param,
            "msg_handler" => slots.msg_handler,
            _ => None,
        };
        let (Some(slot), Ok(len)) = (slot, u32::try_from(params.len())) else { return (Answer::Absent, Vec::new()) };
        let mut room = params.to_vec();
        let data = if room.is_empty() { ptr::null_mut() } else { room.as_mut_ptr().cast() };
        // SAFETY: a function of a loaded library, of the type its header gives it; `room` has `len` bytes.
        let answer = answered(|| unsafe { slot(data, len) });
        (answer, room)
    }

    fn function_table(&self) -> impl Iterator<Item = (&CStr, RunFunction)> {
        let first = if let Offer::Ops(ops) = &self.offer { ops.functions } else { ptr::null() };
        let entries = (0..MOST_FUNCTIONS).map_while(move |at| {
            // SAFETY: null is not read; else the table ends with an entry that has no name, where we end.
            let entry = if first.is_null() { None } else { Some(unsafe { first.wrapping_add(at).read() }) };
            entry.filter(|entry| !entry.name.is_null())
        });
        // SAFETY: not null, and a string of the loaded library.
        entries.map(|entry| (unsafe { CStr::from_ptr(entry.name) }, entry.run))
    }

    fn seen(&self) -> *mut c::msf_svc_ctx {
        // SAFETY: the context is a box of ours that lives as long as this service.
        unsafe { &raw mut (*self.context.as_ptr()).seen }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // SAFETY: it was a Box, and the service's last call has returned.
        drop(unsafe { Box::from_raw(self.context.as_ptr()) });
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("of_2019", &self.is_of_2019()).finish_non_exhaustive()
    }
}

/// What a service puts into. The C side sees its first member only.
#[repr(C)]
struct Gather {
    seen: c::msf_svc_out,
    bytes: Vec<u8>,
}

impl Gather {
    fn new() -> Box<Gather> {
        let seen = c::msf_svc_out { size: size_of::<c::msf_svc_out>() as u32, put: Some(put) };
        Box::new(Gather { seen, bytes: Vec::new() })
    }

    fn out(&mut self) -> *mut c::msf_svc_out {
        ptr::from_mut(self).cast()
    }
}

/// # Safety
/// `out` is a [`Gather`]'s, and `len` bytes may be read at `data`.
unsafe extern "C" fn put(out: *mut c::msf_svc_out, data: *const c_void, len: usize) -> c_int {
    // SAFETY: our caller's promise; while a service's call runs, nobody else uses what it puts into.
    let gather = unsafe { &mut *out.cast::<Gather>() };
    if gather.bytes.len().saturating_add(len) > MOST_BYTES || gather.bytes.try_reserve(len).is_err() {
        set_errno(libc::ENOMEM);
        return -1;
    }
    if len > 0 {
        // SAFETY: our caller's promise.
        gather.bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(data.cast::<u8>(), len) });
    }
    0
}

type RunFunction =
    Option<unsafe extern "C" fn(*mut c::msf_svc_ctx, *const c_void, usize, *mut c::msf_svc_out) -> c_int>;
type RunSlot = Option<unsafe extern "C" fn(*mut c::msf_svc_ctx) -> c_int>;

fn slot_of(ops: &c::msf_svc_ops, slot: Slot) -> RunSlot {
    match slot {
        Slot::Init => ops.init,
        Slot::Start => ops.start,
        Slot::Stop => ops.stop,
        Slot::Deinit => ops.deinit,
    }
}

fn old_slot_of(slots: NonNull<c::msf_svc>, slot: Slot) -> c::svc_func {
    // SAFETY: it points at the msf_svc of a library that is loaded. Read here, not at load time: services may change
    // their slots.
    let slots = unsafe { slots.read() };
    match slot {
        Slot::Init => slots.init,
        Slot::Start => slots.start,
        Slot::Stop => slots.stop,
        Slot::Deinit => slots.deinit,
    }
}

/// Errno is read at once, before anybody can change it.
fn answered(call: impl FnOnce() -> c_int) -> Answer {
    set_errno(0);
    let code = call();
    if code < 0 { Answer::Failed(code, io::Error::last_os_error()) } else { Answer::Done(code) }
}

fn set_errno(value: c_int) {
    // SAFETY: glibc and musl give every thread an errno of its own.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the pointer of the line above is this thread's for its whole life.
    unsafe { *errno = value };
}

/// Copies `text` for C and refuses what does not fit, rather than show half of it.
pub(crate) fn fill(room: &mut [c_char], text: &[u8]) -> io::Result<()> {
    if text.len() >= room.len() || text.contains(&0) {
        let shown = String::from_utf8_lossy(text);
        let why = format!("{shown}: at most {} bytes without NUL are allowed", room.len() - 1);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    room.fill(0);
    for (to, from) in room.iter_mut().zip(text) {
        *to = *from as c_char;
    }
    Ok(())
}

/// A table without an end is a mistake, too.
const MOST_FUNCTIONS: usize = 4096;
/// What one call may put. Nobody means more, and the process has other services.
const MOST_BYTES: usize = 256 << 20;
