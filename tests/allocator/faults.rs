//! Calls of the allocator to the kernel and the C library, counted, and refused one by one: `syscall`, by which it makes all
//! of its system calls, and the functions of POSIX threads that can fail.
//!
//! What is counted is in memory that forked processes share, so the numbers go on in a child.

use crate::kernel::{kernel, stand_before_syscall};
use libc::{c_int, c_long, c_void};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::ffi::CStr;
use std::mem::transmute;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The kernel, or the C library, answers.
    Pass,
    /// It is refused, with this error, and does nothing.
    Refuse(i32),
    /// The same, but a move to a given place has unmapped what was there, as before Linux 6.17.
    RefuseHalfDone(i32),
}

/// What is called, and the error of a refusal.
const CALLS: [(&str, i32); 11] = [
    ("mmap", libc::ENOMEM),
    ("mprotect", libc::ENOMEM),
    ("munmap", libc::ENOMEM),
    ("madvise", libc::EAGAIN),
    ("mremap", libc::ENOMEM),
    ("membarrier", libc::EPERM),
    ("futex", libc::EINTR),
    ("pthread_key_create", libc::EAGAIN),
    ("pthread_setspecific", libc::ENOMEM),
    ("pthread_attr_init", libc::ENOMEM),
    ("pthread_create", libc::EAGAIN),
];

const MREMAP: usize = 4;

/// The most calls that are noted, and the bytes for each.
const NOTED: usize = 4096;
const LINE: usize = 256;

/// Which calls are refused, by number. The first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    None,
    /// One.
    Once(u32),
    /// One; if it moves pages to a given place, that is unmapped by then.
    HalfDone(u32),
    /// One, with the error of a kernel that does not know the call.
    Unknown(u32),
    /// That one and all that follow.
    From(u32),
    /// The same, with the error of a kernel that does not know the calls.
    UnknownFrom(u32),
}

/// What processes share. All zero at first.
struct Shared {
    counts: AtomicBool,
    /// Whether the place of each call in the source is noted.
    notes: AtomicBool,
    calls: AtomicU32,
    refused: AtomicU32,
    /// The bytes of refused calls to unmap.
    kept: AtomicUsize,
    /// A move to a given place was refused, which was not unmapped.
    moves: AtomicBool,
    from: AtomicU32,
    to: AtomicU32,
    how: AtomicU32,
    /// For each call a line: what it is and where it comes from.
    lines: [[AtomicU8; LINE]; NOTED],
}

static SHARED: AtomicPtr<Shared> = AtomicPtr::new(ptr::null_mut());

thread_local! {
    /// Whether this thread's calls count: those of the script and of threads that the allocator starts.
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

fn shared() -> Option<&'static Shared> {
    // SAFETY: null, or what `prepare` mapped.
    unsafe { SHARED.load(Ordering::Relaxed).as_ref() }
}

/// Maps what is shared. For processes that fork for each run.
pub(crate) fn prepare() {
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping.
    let memory = unsafe { libc::mmap(ptr::null_mut(), size_of::<Shared>(), access, flags, -1, 0) };
    assert_ne!(memory, libc::MAP_FAILED);
    SHARED.store(memory.cast(), Ordering::Relaxed);
}

/// Counts from now on, from 1, and refuses.
pub(crate) fn start(refused: Refused, notes: bool) {
    let shared = shared().expect("prepared");
    let (from, to, how) = match refused {
        Refused::None => (u32::MAX, u32::MAX, 0),
        Refused::Once(number) => (number, number, 0),
        Refused::HalfDone(number) => (number, number, 1),
        Refused::Unknown(number) => (number, number, 2),
        Refused::From(number) => (number, u32::MAX, 0),
        Refused::UnknownFrom(number) => (number, u32::MAX, 2),
    };
    shared.from.store(from, Ordering::Relaxed);
    shared.to.store(to, Ordering::Relaxed);
    shared.how.store(how, Ordering::Relaxed);
    shared.calls.store(0, Ordering::Relaxed);
    shared.refused.store(0, Ordering::Relaxed);
    shared.kept.store(0, Ordering::Relaxed);
    shared.moves.store(false, Ordering::Relaxed);
    shared.notes.store(notes, Ordering::Relaxed);
    shared.counts.store(true, Ordering::SeqCst);
}

/// All calls pass from now on.
pub(crate) fn stop() {
    shared().expect("prepared").counts.store(false, Ordering::SeqCst);
}

/// What was counted since the start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) calls: u32,
    pub(crate) refused: u32,
    /// Bytes that stayed mapped because a call to unmap them was refused.
    pub(crate) kept: usize,
    /// Whether a move to a given place was refused that was not unmapped. The allocator cannot tell, and does not touch that
    /// place again.
    pub(crate) is_place_lost: bool,
}

pub(crate) fn counts() -> Counts {
    let shared = shared().expect("prepared");
    Counts {
        calls: shared.calls.load(Ordering::SeqCst),
        refused: shared.refused.load(Ordering::SeqCst),
        kept: shared.kept.load(Ordering::SeqCst),
        is_place_lost: shared.moves.load(Ordering::SeqCst),
    }
}

/// Where each call came from, while they were noted.
pub(crate) fn noted() -> Vec<String> {
    let calls = counts().calls;
    assert!((calls as usize) < NOTED, "{calls} calls are too many");
    let lines = shared().expect("prepared").lines.iter().skip(1).take(calls as usize);
    let text = lines.map(|line| {
        let bytes: Vec<u8> =
            line.iter().map(|byte| byte.load(Ordering::Relaxed)).take_while(|&byte| byte > 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    });
    text.collect()
}

/// Lets the calls of this thread count, until it has ended.
pub(crate) fn count_this_thread() {
    COUNTED.set(true);
}

/// Does what is the test's own: its calls do not count.
pub(crate) fn aside<T>(body: impl FnOnce() -> T) -> T {
    let counted = COUNTED.replace(false);
    let result = body();
    COUNTED.set(counted);
    result
}

/// What is done to the calls of all threads, whether they count or not.
pub(crate) struct Orders {
    /// So many moves to a given place are refused.
    pub(crate) moves: AtomicU32,
    /// What is in the place is unmapped by then.
    pub(crate) half_done: AtomicBool,
    /// Moves to a given place that were not refused.
    pub(crate) moved: AtomicU32,
    /// Nothing is unmapped, and no memory goes back.
    pub(crate) keep: AtomicBool,
}

pub(crate) static ORDERS: Orders = Orders {
    moves: AtomicU32::new(0),
    half_done: AtomicBool::new(false),
    moved: AtomicU32::new(0),
    keep: AtomicBool::new(false),
};

impl Orders {
    fn verdict(&self, number: c_long, [_, _, advice, flags, ..]: [c_long; 6]) -> Option<Verdict> {
        if is_move(number, flags) {
            let more = |left: u32| left.checked_sub(1);
            if self.moves.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_err() {
                self.moved.fetch_add(1, Ordering::SeqCst);
                return None;
            }
            let refuse = if self.half_done.load(Ordering::SeqCst) { Verdict::RefuseHalfDone } else { Verdict::Refuse };
            return Some(refuse(libc::ENOMEM));
        }
        let gives =
            number == libc::SYS_munmap || number == libc::SYS_madvise && advice == c_long::from(libc::MADV_DONTNEED);
        (gives && self.keep.load(Ordering::SeqCst)).then_some(Verdict::Refuse(libc::ENOMEM))
    }
}

/// Whether a call moves pages to a given place.
fn is_move(number: c_long, flags: c_long) -> bool {
    number == libc::SYS_mremap && flags & c_long::from(libc::MREMAP_FIXED) != 0
}

stand_before_syscall!(answer);

/// The answer to a system call.
///
/// # Safety
/// As the call's.
unsafe fn answer(number: c_long, arguments: [c_long; 6]) -> c_long {
    // SAFETY: the caller's call, passed on, or half of it.
    unsafe {
        match ORDERS.verdict(number, arguments).unwrap_or_else(|| judge(number, arguments)) {
            Verdict::Pass => kernel(number, arguments),
            Verdict::Refuse(error) => -c_long::from(error),
            Verdict::RefuseHalfDone(error) => {
                let [_, _, length, _, target, _] = arguments;
                kernel(libc::SYS_munmap, [target, length, 0, 0, 0, 0]);
                -c_long::from(error)
            }
        }
    }
}

/// What becomes of a system call.
fn judge(number: c_long, arguments: [c_long; 6]) -> Verdict {
    let kind = match number {
        libc::SYS_mmap => 0,
        libc::SYS_mprotect => 1,
        libc::SYS_munmap => 2,
        libc::SYS_madvise => 3,
        libc::SYS_mremap => MREMAP,
        libc::SYS_membarrier => 5,
        // The kernel never refuses to wake.
        libc::SYS_futex if arguments[1] as c_int & libc::FUTEX_CMD_MASK == libc::FUTEX_WAIT => 6,
        _ => return Verdict::Pass,
    };
    let verdict = judge_kind(kind);
    let (Some(shared), Verdict::Refuse(error) | Verdict::RefuseHalfDone(error)) = (shared(), verdict) else {
        return Verdict::Pass;
    };
    if error == libc::EINTR {
        std::thread::sleep(Duration::from_micros(200)); // Who waits comes back at once.
    }
    if number == libc::SYS_munmap {
        shared.kept.fetch_add(arguments[1] as usize, Ordering::SeqCst);
    }
    if !is_move(number, arguments[3]) {
        return Verdict::Refuse(error);
    }
    if let Verdict::Refuse(_) = verdict {
        shared.moves.store(true, Ordering::SeqCst);
    }
    verdict
}

fn judge_kind(kind: usize) -> Verdict {
    let Some(shared) = shared() else { return Verdict::Pass };
    if !COUNTED.get() || !shared.counts.load(Ordering::SeqCst) {
        return Verdict::Pass;
    }
    let number = shared.calls.fetch_add(1, Ordering::SeqCst) + 1;
    if shared.notes.load(Ordering::Relaxed) {
        aside(|| note(&shared.lines[number as usize % NOTED], kind));
    }
    if number < shared.from.load(Ordering::Relaxed) || number > shared.to.load(Ordering::Relaxed) {
        return Verdict::Pass;
    }
    shared.refused.fetch_add(1, Ordering::SeqCst);
    match shared.how.load(Ordering::Relaxed) {
        0 => Verdict::Refuse(CALLS[kind].1),
        1 => Verdict::RefuseHalfDone(CALLS[kind].1),
        _ => Verdict::Refuse(if kind == MREMAP { libc::EINVAL } else { libc::ENOSYS }),
    }
}

/// Whether a thread is tracing its calls back. std has a lock for that, which a child would find held for good.
static TRACES: AtomicBool = AtomicBool::new(false);

extern "C" fn hold_traces() {
    while TRACES.swap(true, Ordering::Acquire) {
        std::thread::yield_now();
    }
}

extern "C" fn release_traces() {
    TRACES.store(false, Ordering::Release);
}

/// Registers before the allocators do, so that a fork holds the traces last: a thread that traces may have one of their
/// locks.
extern "C" fn hold_traces_at_forks() {
    // SAFETY: the handlers are functions of this program.
    let error = unsafe { libc::pthread_atfork(Some(hold_traces), Some(release_traces), Some(release_traces)) };
    assert_eq!(error, 0);
}

#[used]
// SAFETY: the section holds pointers to functions that the C library calls, with arguments that this one ignores.
#[unsafe(link_section = ".init_array.00100")]
static BEFORE_OTHERS: extern "C" fn() = hold_traces_at_forks;

/// Writes down where a call comes from: the innermost line of the runtime outside of `sys`.
fn note(line: &[AtomicU8], kind: usize) {
    const SOURCE: &str = "hakmem-runtime/src/";
    hold_traces();
    let trace = Backtrace::force_capture().to_string();
    release_traces();
    let lines = trace.lines().filter_map(|line| line.trim().strip_prefix("at ")?.split_once(SOURCE));
    let mut places = lines.map(|(_, place)| place.rsplit_once(':').map_or(place, |(place, _)| place));
    let place = places.find(|place| !place.starts_with("sys/")).unwrap_or("elsewhere");
    let text = format!("{}: {place}", CALLS[kind].0);
    line.iter().zip(text.bytes()).for_each(|(to, from)| to.store(from, Ordering::Relaxed));
}

/// The C library's function of a name.
fn next(name: &CStr) -> *mut c_void {
    // SAFETY: the name is a C string.
    let function = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    assert!(!function.is_null());
    function
}

/// The error of a function of POSIX threads, if the call is to be refused.
fn refusal(kind: usize) -> Option<c_int> {
    match judge_kind(kind) {
        Verdict::Pass => None,
        Verdict::Refuse(_) | Verdict::RefuseHalfDone(_) => Some(CALLS[kind].1),
    }
}

type Destructor = unsafe extern "C" fn(*mut c_void);
type Start = extern "C" fn(*mut c_void) -> *mut c_void;

#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_key_create(key: *mut libc::pthread_key_t, end: Option<Destructor>) -> c_int {
    type Function = unsafe extern "C" fn(*mut libc::pthread_key_t, Option<Destructor>) -> c_int;
    // SAFETY: the function has this type; the caller's call, passed on.
    refusal(7).unwrap_or_else(|| unsafe { transmute::<*mut c_void, Function>(next(c"pthread_key_create"))(key, end) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_setspecific(key: libc::pthread_key_t, value: *const c_void) -> c_int {
    type Function = unsafe extern "C" fn(libc::pthread_key_t, *const c_void) -> c_int;
    // SAFETY: as above.
    refusal(8)
        .unwrap_or_else(|| unsafe { transmute::<*mut c_void, Function>(next(c"pthread_setspecific"))(key, value) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_attr_init(attributes: *mut libc::pthread_attr_t) -> c_int {
    type Function = unsafe extern "C" fn(*mut libc::pthread_attr_t) -> c_int;
    // SAFETY: as above.
    refusal(9).unwrap_or_else(|| unsafe { transmute::<*mut c_void, Function>(next(c"pthread_attr_init"))(attributes) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    start: Start,
    argument: *mut c_void,
) -> c_int {
    type Function =
        unsafe extern "C" fn(*mut libc::pthread_t, *const libc::pthread_attr_t, Start, *mut c_void) -> c_int;
    if let Some(error) = refusal(10) {
        return error;
    }
    // SAFETY: as above; `start_counted` takes the box.
    unsafe {
        let function = transmute::<*mut c_void, Function>(next(c"pthread_create"));
        if !COUNTED.get() {
            return function(thread, attributes, start, argument);
        }
        let boxed = Box::into_raw(Box::new((start, argument)));
        let error = function(thread, attributes, start_counted, boxed.cast());
        if error != 0 {
            drop(Box::from_raw(boxed));
        }
        error
    }
}

/// What a thread starts with that the allocator has started.
extern "C" fn start_counted(boxed: *mut c_void) -> *mut c_void {
    // SAFETY: `pthread_create` above made the box.
    let (start, argument) = *unsafe { Box::from_raw(boxed.cast::<(Start, *mut c_void)>()) };
    count_this_thread();
    start(argument)
}
