//! `crash_report = true`: what a program says before it ends by a signal, and that it ends as it would have without.

#[path = "../common/cargo.rs"]
#[allow(dead_code, reason = "other binaries use the rest")]
mod cargo;
#[path = "../common/kernel.rs"]
mod kernel;
#[path = "../common/rerun.rs"]
#[allow(dead_code, reason = "other binaries use the rest")]
mod rerun;

mod handlers;
mod places;
mod programs;

use rerun::{is_child, rerun_with, text};
use std::alloc::{GlobalAlloc as _, Layout};
use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

hakmem::allocator! {
    pub(crate) struct Heap {
        crash_report = true

        [[class]]
        sizes = { from = 8, to = 1024, step = 8 }

        [[class]]
        size = 4096
        layers = ["quarantine"]

        [[class]]
        size = 8192
        header = "region-id"
    }
}

mod other {
    hakmem::allocator! {
        /// Has a thread of its own.
        pub(crate) struct Other {
            crash_report = true

            [purge]
            delay_ms = 1
            background = true

            [[class]]
            sizes = [64, 4096]
        }
    }
}

#[global_allocator]
static GLOBAL: Heap = Heap;

const PAGE: usize = 4096;

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("a valid layout")
}

fn alloc(size: usize) -> *mut u8 {
    // SAFETY: no size in these tests is 0.
    let block = unsafe { Heap.alloc(layout(size)) };
    assert!(!block.is_null());
    block
}

fn free(block: *mut u8, size: usize) {
    // SAFETY: a block of `alloc`, freed once. What is done with it afterwards is the mistake that these tests are about.
    unsafe { Heap.dealloc(block, layout(size)) };
}

/// Forbids access, or writes alone, to the page of an address.
fn protect(address: *mut u8, protection: i32) {
    let page = address.map_addr(|address| address & !(PAGE - 1));
    // SAFETY: none: nobody else needs the page before the end, which is near.
    assert_eq!(unsafe { libc::mprotect(page.cast(), PAGE, protection) }, 0);
}

/// The access that ends the program.
#[inline(never)]
fn write(address: *mut u8) {
    // SAFETY: none.
    unsafe { address.write_volatile(1) };
}

/// How a process ended, and what it wrote to standard error.
struct End {
    status: ExitStatus,
    errors: String,
}

impl End {
    /// The lines of the allocator.
    fn lines(&self) -> Vec<&str> {
        self.errors.lines().filter(|line| line.starts_with("hakmem: ")).collect()
    }

    /// Checks that the process ended by this signal, with one line.
    #[track_caller]
    fn check(&self, signal: i32, line: &str) {
        assert_eq!(self.status.signal(), Some(signal), "{}\n{}", self.status, self.errors);
        let [found] = self.lines()[..] else { panic!("one line was expected:\n{}", self.errors) };
        let name = match signal {
            libc::SIGABRT => "SIGABRT",
            libc::SIGBUS => "SIGBUS",
            _ => "SIGSEGV",
        };
        let rest = found.strip_prefix(&format!("hakmem: {name} (")).unwrap_or_else(|| panic!("{found}"));
        let (said, thread) = rest.split_once("thread ").unwrap_or_else(|| panic!("{found}"));
        assert!(said.contains(line) && thread.trim_end_matches(')').parse::<u32>().is_ok(), "{found}");
    }
}

/// Runs `body` in a process of its own, with these variables. `None` in that process, if it survives.
#[track_caller]
fn end_with(test: &str, variables: &[(&str, &str)], body: impl FnOnce()) -> Option<End> {
    if is_child() {
        no_core();
        body();
        println!("survived");
        return None;
    }
    let variables: Vec<(&str, &OsStr)> = variables.iter().map(|(name, value)| (*name, OsStr::new(value))).collect();
    let output = rerun_with(test, &variables);
    Some(End { status: output.status, errors: text(&output.stderr) + &text(&output.stdout) })
}

/// [`end_with`], where the process has to end by this signal, with a line that contains this text.
#[track_caller]
fn crashes(test: &str, body: impl FnOnce(), signal: i32, line: &str) {
    if let Some(end) = end_with(test, &[], body) {
        end.check(signal, line);
    }
}

/// So many crashes would leave much on the disk.
fn no_core() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is a live local.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
}
