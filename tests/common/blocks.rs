//! Allocators as a trait, and blocks that check themselves.

#[path = "random.rs"]
mod random;

pub(crate) use random::Random;
use std::alloc::{GlobalAlloc, Layout};
use std::marker::PhantomData;

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
        impl crate::blocks::Subject for $heap {
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
        let mut piece = Piece { address, layout, seed, heap: PhantomData };
        piece.check_place();
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
        self.check_place();
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

    /// The block is aligned, and the allocator knows it from its first to its last byte.
    fn check_place(&self) {
        assert_eq!(self.address() % self.layout.align(), 0, "{:?} is not aligned for {:?}", self.address, self.layout);
        assert!(A::owns(self.pointer()) && A::owns(self.pointer().wrapping_add(self.size() - 1)), "{:?}", self.layout);
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

impl Random {
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
