//! What several test files need: allocators as a trait, blocks that check themselves, processes of their own, and the
//! kernel's view of memory.

// Each test file is a program of its own and uses a part of this.
#![allow(dead_code, unused_imports, unused_macros)]

pub(crate) mod processes;

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::OsStr;
use std::io::Read;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) const KIB: usize = 1 << 10;
pub(crate) const MIB: usize = 1 << 20;

/// A generated allocator, so that a test can be written once for several specs.
pub(crate) trait Subject: GlobalAlloc + Copy + Default + Send + Sync + 'static {
    fn owns(pointer: *const u8) -> bool;
    fn purge();
    fn stats() -> hakmem::Stats;
}

/// Makes generated allocators [`Subject`]s.
macro_rules! subjects {
    ($($heap:ty),* $(,)?) => {$(
        impl crate::common::Subject for $heap {
            fn owns(pointer: *const u8) -> bool {
                <$heap>::owns(pointer)
            }
            fn purge() {
                <$heap>::purge();
            }
            fn stats() -> hakmem::Stats {
                <$heap>::stats()
            }
        }
    )*};
}
pub(crate) use subjects;

/// Blocks that the slabs of all classes have handed out.
pub(crate) fn blocks_live<A: Subject>() -> u64 {
    let mut sum = 0;
    A::stats().for_each(|class| sum += class.blocks_live);
    sum
}

/// Spans of slabs that have a class.
pub(crate) fn slabs<A: Subject>() -> u64 {
    let mut sum = 0;
    A::stats().for_each(|class| sum += class.slabs);
    sum
}

/// The layout of a block of `size` bytes, aligned to a word.
pub(crate) fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("a power of two")
}

/// A block with a pattern in it, which is checked when it is resized and when it is freed, at its drop.
#[derive(Debug)]
pub(crate) struct Piece<A: Subject> {
    address: *mut u8,
    layout: Layout,
    seed: u8,
    heap: PhantomData<A>,
}

// SAFETY: the piece owns its block, and the allocators under test are for any thread.
unsafe impl<A: Subject> Send for Piece<A> {}

impl<A: Subject> Piece<A> {
    /// A new block, filled with `seed`; with `zeroed`, found zero before that.
    pub(crate) fn new(layout: Layout, seed: u8, zeroed: bool) -> Piece<A> {
        let heap = A::default();
        // SAFETY: no layout in these tests has size 0.
        let address = unsafe { if zeroed { heap.alloc_zeroed(layout) } else { heap.alloc(layout) } };
        assert!(!address.is_null(), "no memory for {layout:?}");
        assert_eq!(address.addr() % layout.align(), 0, "{address:?} is not aligned for {layout:?}");
        let mut piece = Piece { address, layout, seed, heap: PhantomData };
        if zeroed {
            assert!(is_all(piece.bytes(), 0), "zeroed memory of {layout:?} is not zero");
        }
        piece.bytes().fill(seed);
        piece
    }

    /// As `GlobalAlloc::realloc`.
    pub(crate) fn resize(&mut self, size: usize) {
        let kept = size.min(self.layout.size());
        // SAFETY: the block is ours, of this layout, and `size` is not 0 and no more than a few MiB.
        let address = unsafe { A::default().realloc(self.address, self.layout, size) };
        assert!(!address.is_null(), "no memory for {size} bytes");
        self.address = address;
        self.layout = Layout::from_size_align(size, self.layout.align()).expect("the alignment was right before");
        assert_eq!(address.addr() % self.layout.align(), 0, "{address:?} is not aligned for {:?}", self.layout);
        let seed = self.seed;
        assert!(is_all(&self.bytes()[..kept], seed), "realloc to {size} lost contents");
        self.bytes().fill(seed);
    }

    pub(crate) fn address(&self) -> usize {
        self.address.addr()
    }

    pub(crate) fn pointer(&self) -> *mut u8 {
        self.address
    }

    pub(crate) fn size(&self) -> usize {
        self.layout.size()
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the block has this many bytes and is ours. Either it was zeroed, or filled, or these are only written.
        unsafe { std::slice::from_raw_parts_mut(self.address, self.layout.size()) }
    }
}

impl<A: Subject> Drop for Piece<A> {
    fn drop(&mut self) {
        let seed = self.seed;
        let intact = is_all(self.bytes(), seed);
        // A second panic would end the process and hide the first.
        assert!(intact || std::thread::panicking(), "somebody wrote into a block of {:?}", self.layout);
        // SAFETY: the block is ours, of this layout, and nobody uses it any more.
        unsafe { A::default().dealloc(self.address, self.layout) };
    }
}

/// So many blocks of `size` bytes.
pub(crate) fn pieces<A: Subject>(size: usize, count: usize) -> Vec<Piece<A>> {
    (0..count).map(|number| Piece::new(layout(size), number as u8 | 1, false)).collect()
}

/// Runs `body` on a thread of its own, and waits for the end of both.
pub(crate) fn on_a_thread<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(body).join().expect("the thread ends well"))
}

/// Whether all `bytes` are `value`; by `memcmp`, because a loop over megabytes takes its time without optimization.
pub(crate) fn is_all(bytes: &[u8], value: u8) -> bool {
    match bytes {
        [] => true,
        [first, rest @ ..] => *first == value && rest == &bytes[..rest.len()],
    }
}

/// Random numbers (xorshift64*), the same in every run.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// A layout as programs have them: mostly small, seldom up to `largest`, almost always aligned to a word.
    pub(crate) fn layout(&mut self, largest: usize) -> Layout {
        let bound = match self.below(64) {
            0 => largest,
            1..=3 => largest.min(32 * KIB),
            4..=15 => largest.min(KIB),
            _ => largest.min(128),
        };
        let align = if self.below(16) == 0 { 1 << self.below(13) } else { 8 };
        Layout::from_size_align(1 + self.below(bound), align).expect("a power of two")
    }
}

const CHILD: &str = "HAKMEM_TEST_CHILD";

/// Whether this process is one that [`rerun`] started.
pub(crate) fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Runs the test called `test` again, in a process of its own in which [`is_child`] is true.
pub(crate) fn rerun(test: &str) -> Output {
    rerun_with(test, CHILD, "1")
}

/// The same with one more variable in its environment.
pub(crate) fn rerun_with(test: &str, variable: &str, value: impl AsRef<OsStr>) -> Output {
    Command::new(std::env::current_exe().expect("the test is a file"))
        .args(["--exact", test, "--include-ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .env(variable, value)
        .output()
        .expect("the test starts again")
}

/// Runs `body` in a process of its own, in which no other test changes what is measured. `test` is the name of the
/// calling test.
pub(crate) fn isolated(test: &str, body: impl FnOnce()) -> String {
    if is_child() {
        body();
        return String::new();
    }
    let output = rerun(test);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && stdout.contains("1 passed"), "{}\n{stdout}\n{stderr}", output.status);
    stdout
}

/// Builds an example with `profile` and returns the folder that it is in. Those who want one share a target directory, and with it
/// what the examples depend on.
pub(crate) fn build_example(example: &str, profile: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--example", example, "--profile", profile, "--target-dir"])
        .arg(&target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("RUSTFLAGS")
        .status()
        .expect("cargo runs");
    assert!(status.success(), "examples/{example} does not build with --profile {profile}");
    target.join(profile).join("examples")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Bytes of address space of this process.
pub(crate) fn mapped() -> usize {
    statm(0)
}

/// Resident bytes of this process.
pub(crate) fn resident() -> usize {
    statm(1)
}

/// A field of `/proc/self/statm` in bytes, read without an allocation that would change it.
fn statm(field: usize) -> usize {
    let mut buffer = [0; 256];
    let mut file = std::fs::File::open("/proc/self/statm").expect("proc is mounted");
    let length = file.read(&mut buffer).expect("statm can be read");
    let line = std::str::from_utf8(&buffer[..length]).expect("statm is text");
    let pages: usize = line.split(' ').nth(field).and_then(|number| number.parse().ok()).expect("statm has numbers");
    pages * page_size()
}

pub(crate) fn page_size() -> usize {
    // SAFETY: sysconf has no preconditions.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).expect("a page has a size")
}
