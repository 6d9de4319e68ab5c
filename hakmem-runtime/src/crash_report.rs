//! `crash_report = true`: a program that ends by SIGSEGV, SIGBUS or SIGABRT writes one line first.
//!
//! ```text
//! hakmem: SIGSEGV (address 0x7f31e4a10050, in Heap: a freed block of class 64, offset 16, thread 4711)
//! ```
//!
//! The handler takes no lock, allocates nothing and calls only what is async-signal-safe, so it does not matter what the
//! thread was doing: it reads the page map, atomics of slabs and records of extents. Then it passes on to whoever handled the
//! signal before (`sys/signals.rs`), so that a core dump, a sanitizer or the program's own handler is what it was. A process
//! writes one line: of two threads that crash, the second passes on at once, and so does the `abort` at the end of a handler.
//!
//! **When it is installed.** Rust's std installs its handler for stack overflows and its threads' alternate stacks only if
//! nobody handles SIGSEGV when `main` starts, so an earlier handler would cost the program its message. Hence the end of a slow
//! path looks whether there is a handler now, and then puts ours in front; SIGABRT, which std leaves alone, is taken on the first
//! slow path. Until then each slow path empties the thread's cache, so that the next allocation is another: the first one after
//! std's handler is there finds it. In a program without std's handler, ours come when another thread takes a slow path, or with
//! the 256th (`MAX_WAIT`) of the main thread. Before a first allocation there is no heap to tell of.
//!
//! **Stacks.** std gives its threads an alternate stack. Where a thread has none, as those that C code starts, the handler runs on
//! the thread's own stack; if that has overflowed, the kernel ends the program as it would without us.

use crate::cache::PATTERN_WORD;
use crate::extent::{ExtentAt, Extents};
use crate::global::Allocator;
use crate::meta::page_map::{self, Occupant};
use crate::slab::class::header_byte;
use crate::slab::{NO_CLASS, Slab};
use crate::sys::atomic_ref::AtomicRef;
use crate::sys::errno;
use crate::sys::fatal::Message;
use crate::sys::signals::{self, Cause, FATAL, Fatal, Handler, Received};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

/// After so many slow paths of the main thread without a handler of std's there will be none. Before std installs it, a
/// program takes some: its constructors do, and C's streams if `malloc` is exported.
const MAX_WAIT: u32 = 256;

/// How far from the stack pointer an address looks like that of a stack that overflowed.
const STACK_REACH: usize = 64 << 10;

/// Addresses below this are null with an offset.
const NULL_REACH: usize = 64 << 10;

/// An allocator whose memory the line tells of. Generated code has one in a static.
#[derive(Debug)]
pub struct CrashReport {
    allocator: &'static Allocator,
    name: &'static str,
    /// Nothing is left to do at the end of a slow path.
    is_ready: AtomicBool,
    is_known: AtomicBool,
    next: AtomicRef<CrashReport>,
}

/// The allocators to look through, newest first.
static KNOWN: AtomicRef<CrashReport> = AtomicRef::none();

/// Slow paths while std had no handler.
static WAITED: AtomicU32 = AtomicU32::new(0);

/// The process that has written its line; 0: none. A forked child has a line of its own.
static REPORTED: AtomicI32 = AtomicI32::new(0);

impl CrashReport {
    /// For the allocator of the type `name`.
    pub const fn new(allocator: &'static Allocator, name: &'static str) -> CrashReport {
        CrashReport {
            allocator,
            name,
            is_ready: AtomicBool::new(false),
            is_known: AtomicBool::new(false),
            next: AtomicRef::none(),
        }
    }

    /// Called at the end of a slow path. Installs the handlers as soon as it is time; until then it calls `empty`, which
    /// empties the thread's cache.
    #[inline]
    pub fn install_when_due(&'static self, empty: impl FnOnce()) {
        if !self.is_ready.load(Ordering::Relaxed) && !self.prepare() {
            empty();
        }
    }

    #[cold]
    #[inline(never)]
    fn prepare(&'static self) -> bool {
        if !self.is_known.swap(true, Ordering::Relaxed) {
            KNOWN.push(self, |next| self.next.set(next));
        }
        let [abort, access @ ..] = &FATAL;
        abort.take::<CrashReport>();
        let is_time = access.iter().any(Fatal::is_handled)
            || WAITED.fetch_add(1, Ordering::Relaxed) >= MAX_WAIT
            || !signals::is_main_thread();
        if is_time {
            access.iter().for_each(|fatal| fatal.take::<CrashReport>());
            self.is_ready.store(true, Ordering::Relaxed);
        }
        is_time
    }
}

impl Handler for CrashReport {
    fn handle(received: Received<'_>) {
        let process = signals::process_id();
        if REPORTED.swap(process, Ordering::Relaxed) != process {
            let (cause, registers) = (received.cause(), received.registers());
            errno::preserve(|| line(received.fatal.name, cause, registers).write());
        }
        received.pass_on();
    }
}

/// The line.
fn line(signal: &str, cause: Cause, (stack_pointer, registers): (usize, [usize; 15])) -> Message {
    let mut line = Message::new();
    line.text(signal).text(" (");
    match cause {
        Cause::Access(address) => {
            line.text("address ").hexadecimal(address, 12).text(", ");
            place(&mut line, address, stack_pointer);
            line.text(", ");
        }
        Cause::NoAddress if registers.contains(&PATTERN_WORD) => {
            line.text("no valid address: read from a freed block in quarantine, ");
        }
        Cause::NoAddress => {
            line.text("no valid address, ");
        }
        Cause::Raised => {}
        Cause::Sent(process) => {
            line.text("sent by process ").number(process.unsigned_abs() as usize).text(", ");
        }
    }
    line.text("thread ").number(signals::thread_id().unsigned_abs() as usize).text(")");
    line
}

/// Says what is at `address`.
fn place(line: &mut Message, address: usize, stack_pointer: usize) {
    let mut known = core::iter::successors(KNOWN.get(), |report| report.next.get());
    if let Some(report) = known.find(|report| report.allocator.owns(address)) {
        line.text("in ").text(report.name).text(": ");
        return match page_map::occupant_of(address) {
            Occupant::Segment(id, _) => extent(line, id, address),
            _ => block(line, report.allocator, address),
        };
    }
    line.text(if address < NULL_REACH {
        "null or close to it"
    } else if address.abs_diff(stack_pointer) < STACK_REACH {
        "close to the stack pointer, as when a stack overflows"
    } else {
        "in no heap"
    });
}

/// Says what is at an address of a segment.
fn extent(line: &mut Message, id: u8, address: usize) {
    match Extents::extent_at(id, address) {
        Some(ExtentAt::Block(start, bytes)) if address >= start => {
            line.text("a large block of ").number(bytes).text(" bytes, live, offset ").number(address - start);
        }
        Some(ExtentAt::Records) => {
            line.text("records of large blocks");
        }
        _ => {
            line.text("pages of no large block");
        }
    }
}

/// Says what is at an address of a region.
fn block(line: &mut Message, allocator: &'static Allocator, address: usize) {
    let backing = allocator.backing();
    let Some(slab) = backing.slab_at(address) else { return };
    let class_index = slab.class_index();
    let Some(class) = backing.classes().get(class_index as usize).filter(|_| class_index != NO_CLASS) else {
        line.text("a slab that is not in use");
        return;
    };
    let (size, from_base) = (class.size as usize, address.wrapping_sub(slab.base()));
    let index = from_base / size;
    if address < slab.base() || index >= class.blocks as usize {
        line.text("no block, in a slab of class ").number(size);
        return;
    }
    let start = address - from_base % size;
    line.text(state(allocator, slab, class_index as usize, (index as u32, start)));
    line.text(" block of class ").number(size).text(", offset ").number(address - start);
}

/// What became of the block at this index, which starts at this address. What a layer keeps is no different from what the
/// program has, unless the block says so itself.
fn state(
    allocator: &'static Allocator,
    slab: &'static Slab,
    class_index: usize,
    (index, start): (u32, usize),
) -> &'static str {
    if index >= slab.carved() {
        return "a never allocated";
    }
    if allocator.backing().pool().geometry().is_free(slab, index) {
        return "a free";
    }
    let Some(class) = allocator.classes().get(class_index) else { return "a" };
    if class.layers.iter().any(is_quarantine) && signals::read_word(start) == Some(PATTERN_WORD) {
        return "a quarantined";
    }
    if class.has_header() {
        let before = signals::read_word(start.wrapping_sub(size_of::<usize>())).map(usize::to_ne_bytes);
        let live = header_byte(class_index);
        return match before {
            Some([.., header]) if header == live => "a live",
            Some([.., header]) if header == !live => "a freed",
            _ => "a live or cached",
        };
    }
    "a live or cached"
}

fn is_quarantine(layer: &&str) -> bool {
    *layer == "quarantine"
}
