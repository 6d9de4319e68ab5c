//! A block with a pattern.

use crate::random::Random;
use crate::specs::Subject;
use std::alloc::Layout;
use std::marker::PhantomData;
use std::ptr;

const WORD: usize = size_of::<u64>();
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Blocks up to here are read in full where they must be zero.
const READ: usize = MIB;

/// A block of the allocator, which is checked whenever it is resized or freed.
pub(crate) struct Block<A: Subject> {
    address: *mut u8,
    layout: Layout,
    seed: u64,
    heap: PhantomData<A>,
}

// SAFETY: the block is owned, and the allocators are for any thread.
unsafe impl<A: Subject> Send for Block<A> {}

/// Mostly small, at times of every kind.
pub(crate) fn layout(random: &mut Random) -> Layout {
    let most = match random.below(4000) {
        0 => 64 * MIB,
        1..10 => 4 * MIB,
        10..100 => 300 * KIB,
        100..400 => 20 * KIB,
        400..1200 => KIB,
        _ => 144,
    };
    let align = match random.below(1000) {
        0 => 1 << random.below(23),
        1..100 => 1 << random.below(13),
        _ => 8,
    };
    Layout::from_size_align(1 + random.below(most), align).expect("a power of two")
}

impl<A: Subject> Block<A> {
    /// `None`: no memory.
    pub(crate) fn new(layout: Layout, random: &mut Random) -> Option<Block<A>> {
        let (seed, zeroed) = (random.next(), random.below(4) == 0);
        // SAFETY: the size is not 0.
        let address = unsafe { if zeroed { A::default().alloc_zeroed(layout) } else { A::default().alloc(layout) } };
        if address.is_null() {
            return None;
        }
        let block = Block { address, layout, seed, heap: PhantomData };
        block.check_place();
        if zeroed {
            block.check_zero();
        }
        block.fill();
        Some(block)
    }

    pub(crate) fn size(&self) -> usize {
        self.layout.size()
    }

    /// `false`: no memory, and the block is as it was.
    pub(crate) fn resize(&mut self, size: usize) -> bool {
        // SAFETY: the block is ours, of this layout, and the size is neither 0 nor near the end of the address space.
        let address = unsafe { A::default().realloc(self.address, self.layout, size) };
        if address.is_null() {
            self.check();
            return false;
        }
        self.address = address;
        self.check_first(size.min(self.size()));
        self.layout = Layout::from_size_align(size, self.layout.align()).expect("the alignment was right before");
        self.check_place();
        self.fill();
        true
    }

    pub(crate) fn check(&self) {
        self.check_first(self.size());
    }

    /// The words that have a pattern, none of which overlaps another: all of a small block, and of a large one some of
    /// each page.
    fn words(&self) -> impl Iterator<Item = usize> + use<A> {
        let size = self.size();
        let step = match size {
            ..1025 => WORD,
            1025..65537 => 256,
            _ => 4 * KIB,
        };
        (0..).step_by(step).take_while(move |at| at + 2 * WORD <= size).chain(size.checked_sub(WORD))
    }

    fn fill(&self) {
        if self.size() < WORD {
            // SAFETY: the block is ours, of this size.
            unsafe { self.address.write_bytes(self.seed as u8, self.size()) };
        }
        for at in self.words() {
            // SAFETY: the word lies in the block.
            unsafe { self.address.add(at).cast::<u64>().write_unaligned(self.value(at)) };
        }
    }

    fn value(&self, at: usize) -> u64 {
        self.seed ^ at as u64
    }

    /// Whether the first `size` bytes, which are no more than the block had when it was filled, are as they were.
    fn check_first(&self, size: usize) {
        if self.size() < WORD {
            // SAFETY: the block is ours, and was filled to here.
            let bytes = unsafe { std::slice::from_raw_parts(self.address, size) };
            assert!(bytes.iter().all(|&byte| byte == self.seed as u8), "{}", self.told(0));
        }
        for at in self.words().filter(|at| at + WORD <= size) {
            // SAFETY: the word lies in the block.
            let found = unsafe { self.address.add(at).cast::<u64>().read_unaligned() };
            assert_eq!(found, self.value(at), "{}", self.told(at));
        }
    }

    #[cold]
    fn told(&self, at: usize) -> String {
        format!("{:p}, a block of {:?}, was written to at {at}", self.address, self.layout)
    }

    fn check_place(&self) {
        let last = self.address.wrapping_add(self.size() - 1);
        assert!(self.address.addr().is_multiple_of(self.layout.align()), "{:p} for {:?}", self.address, self.layout);
        assert!(A::owns(self.address) && A::owns(last), "{:p} for {:?}", self.address, self.layout);
    }

    fn check_zero(&self) {
        let zero = if self.size() <= READ {
            // SAFETY: the block is ours, and was said to be zero.
            let bytes = unsafe { std::slice::from_raw_parts(self.address, self.size()) };
            bytes.iter().all(|&byte| byte == 0)
        } else {
            // SAFETY: the word lies in the block.
            self.words().all(|at| unsafe { self.address.add(at).cast::<u64>().read_unaligned() } == 0)
        };
        assert!(zero, "{:p} for {:?} is not zero", self.address, self.layout);
    }
}

impl<A: Subject> Drop for Block<A> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check();
        }
        let address = std::mem::replace(&mut self.address, ptr::null_mut());
        // SAFETY: the block is ours, of this layout, and nobody uses it any more.
        unsafe { A::default().dealloc(address, self.layout) };
    }
}
