//! Every layer, alone and on top of another, against the simplest model there is: a set of blocks, each in one place.
//! Once over a bottom that makes blocks and counts them, and once over the slabs of a real heap, which `pages` needs.

use super::depot::Depot;
use super::stacked::SharedPair;
use super::{
    Below, C23, Deferred, Fast, HeapV2, Hot, Inline, Layer, Limit, Pages, Quarantine, Rest, Ring, Sfc, Slabs, Sll,
    Then, UltraHot, Under, Unified,
};
use crate::global::{Allocator, Config};
use crate::heap::{Heap, LayerHooks, Portion};
use crate::meta::tagged_stack::NodeStack;
use crate::slab::class::Class;
use crate::slab::{Batch, FreeBlock, Slab};
use core::cell::Cell;
use std::boxed::Box;
use std::collections::HashSet;
use std::vec::Vec;

/// A block at `memory`, which may be any that the layer in question does not touch.
fn block(memory: *mut u8) -> FreeBlock {
    // SAFETY: the tests pass memory of their own, enough for a block of the class, and each once until it comes back.
    unsafe { FreeBlock::from_raw(memory) }
}

/// The words of a block of the tests.
fn words<'a>(block: *mut u8) -> &'a [Cell<u64>; 4] {
    // SAFETY: the tests' blocks have four words, which nobody uses but they and the layers, one after the other.
    unsafe { &*block.cast() }
}

/// What is below the layers in these tests.
trait Bottom: Below {
    /// From now on there is no memory, or there is again.
    fn set_dry(&mut self, dry: bool);

    /// Blocks that the layers and the program have; `None` where nobody counts.
    fn out(&self) -> Option<usize>;

    /// After everything was flushed: no block is lost or came twice.
    fn check(&self);
}

/// A bottom that makes blocks, takes them back, and knows which ones it has.
struct Made {
    home: Vec<*mut u8>,
    made: usize,
    class: &'static Class,
    /// Memory for the blocks, which are cut from it in order.
    memory: Box<[[u64; 4]]>,
    dry: bool,
}

const BLOCKS: usize = 20_000;

fn class(batch: u32) -> Class {
    Class::new((32, 32, 32), (1, 0, 2048, 0), batch, &[])
}

impl Made {
    fn new(batch: u32) -> Made {
        let memory = std::vec![[0; 4]; BLOCKS].into_boxed_slice();
        Made { home: Vec::new(), made: 0, class: Box::leak(Box::new(class(batch))), memory, dry: false }
    }

    fn take(&mut self) -> Option<FreeBlock> {
        if self.dry {
            return None;
        }
        Some(block(self.home.pop().unwrap_or_else(|| {
            self.made += 1;
            (&raw mut self.memory[self.made - 1]).cast()
        })))
    }
}

impl Below for Made {
    fn class(&self) -> &'static Class {
        self.class
    }

    fn refill(&mut self, batch: &mut Batch<'_>) {
        assert!(batch.room() > 0, "a refill of nothing");
        batch.fill(|| self.take());
    }

    fn flush(&mut self, mut batch: Batch<'_>) {
        let before = self.home.len();
        while let Some(block) = batch.pop() {
            self.home.push(block.into_raw());
        }
        self.home[before..].reverse();
    }

    fn tick(&mut self) {}
}

impl Bottom for Made {
    fn set_dry(&mut self, dry: bool) {
        self.dry = dry;
    }

    fn out(&self) -> Option<usize> {
        Some(self.made - self.home.len())
    }

    fn check(&self) {
        let home: HashSet<*mut u8> = self.home.iter().copied().collect();
        assert_eq!((home.len(), self.home.len()), (self.made, self.made), "every block came home once");
    }
}

/// The slabs of a heap of an allocator of its own.
struct Real {
    allocator: &'static Allocator,
    slabs: Slabs<'static>,
    dry: bool,
}

impl Real {
    fn new(batch: u32) -> Real {
        const SLAB: u32 = 64 << 10;
        let config = Config {
            superslab: 32 * SLAB,
            slab: SLAB,
            huge_pages: false,
            purge_delay_ms: Some(10),
            background: false,
            large_cache: 0,
        };
        let classes = Box::leak(Box::new([class(batch)]));
        let abandoned = Box::leak(Box::new([NodeStack::empty()]));
        let hooks = LayerHooks::new(None, true, 0);
        let allocator: &'static Allocator = Box::leak(Box::new(Allocator::new(config, classes, abandoned, hooks)));
        allocator.initialise();
        let heap = Heap::for_worker(allocator.backing());
        // SAFETY: the heap is this thread's, which alone frees blocks of the only class.
        Real { allocator, slabs: unsafe { Slabs::new(allocator.backing(), heap, 0) }, dry: false }
    }
}

impl Below for Real {
    fn class(&self) -> &'static Class {
        self.slabs.class()
    }
    fn refill(&mut self, batch: &mut Batch<'_>) {
        if !self.dry {
            self.slabs.refill(batch);
        }
    }
    fn flush(&mut self, batch: Batch<'_>) {
        self.slabs.flush(batch);
    }
    fn tick(&mut self) {
        self.slabs.tick();
    }
    fn heap(&self) -> Option<(&Heap, u32)> {
        self.slabs.heap()
    }
    fn refill_page(&mut self) -> Option<&'static Slab> {
        if self.dry { None } else { self.slabs.refill_page() }
    }
}

impl Bottom for Real {
    fn set_dry(&mut self, dry: bool) {
        self.dry = dry;
    }

    fn out(&self) -> Option<usize> {
        None
    }

    fn check(&self) {
        let pool = self.allocator.backing().pool();
        let slabs = pool.regions().flat_map(|region| region.slabs(pool.geometry()));
        for slab in slabs.filter(|slab| slab.class_index() == 0) {
            slab.unlist();
            assert!(slab.is_empty(), "a block is lost: {slab:?}");
            assert_eq!(slab.free_count(), slab.carved(), "every block that was cut is free");
        }
    }
}

/// A stack of a first layer over a rest, as a group would call it.
struct Stack<'a, F: Layer, R: Rest> {
    first: F,
    rest: R,
    shared: (&'a F::Shared, &'a R::Shared),
}

impl<F: Layer, R: Rest> Stack<'_, F, R> {
    fn allocate(&self, bottom: &mut impl Below) -> *mut u8 {
        let block = self
            .first
            .pop()
            .or_else(|| self.first.refill(self.shared.0, &mut Under::new(&self.rest, self.shared.1, bottom)));
        crate::slab::free_list::into_raw(block)
    }

    fn free(&self, freed: *mut u8, bottom: &mut impl Below) {
        let mut below = Under::new(&self.rest, self.shared.1, bottom);
        self.first.push_or_overflow(block(freed), below.owner(), self.shared.0, &mut below);
    }

    fn drain(&self, bottom: &mut impl Below) {
        self.first.drain(self.shared.0, bottom);
        self.rest.drain(self.shared.1, bottom);
        F::trim(self.shared.0, Portion::All, bottom);
        R::trim(self.shared.1, Portion::All, bottom);
    }
}

/// A layer right above the slabs.
fn alone<F: Layer>(shared: &F::Shared) -> Stack<'_, F, ()> {
    Stack { first: F::EMPTY, rest: (), shared: (shared, &()) }
}

/// What the layers of a stack may keep: blocks, or no bound that holds at every moment.
type Most = Option<usize>;

/// Random traffic: no block is handed out twice, none is lost, and what the layers keep stays within their limits.
fn check<F: Layer, R: Rest>(shared: (&F::Shared, &R::Shared), most: Most, mut bottom: impl Bottom) {
    let stack = Stack { first: F::EMPTY, rest: R::EMPTY, shared };
    let mut live: Vec<*mut u8> = Vec::new();
    let mut random = 0x1234_5678_9ABC_DEF0_u64;
    for step in 0..20_000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // Phases of growth and of shrinking, so that lists run over and run empty; and now and then no memory.
        let growing = step / 1000 % 2 == 0;
        let dry = step % 5000 > 4900;
        bottom.set_dry(dry);
        if live.is_empty() || random.is_multiple_of(4) != growing {
            let block = stack.allocate(&mut bottom);
            if block.is_null() {
                assert!(dry, "no block though there was memory");
                continue;
            }
            assert!(!live.contains(&block), "handed out twice");
            live.push(block);
        } else {
            let index = (random >> 32) as usize % live.len();
            stack.free(live.swap_remove(index), &mut bottom);
        }
        let kept = bottom.out().map_or(0, |out| out - live.len());
        assert!(most.is_none_or(|most| kept <= most), "{kept} blocks kept, limit {most:?}");
    }
    for block in live.drain(..) {
        stack.free(block, &mut bottom);
    }
    stack.drain(&mut bottom);
    assert!(stack.first.pop().is_none(), "drained means empty");
    bottom.check();
}

/// One layer as the first: alone, over a list, and over an array.
fn check_first<F: Layer>(shared: impl Fn(u32) -> F::Shared, most: impl Fn(u32) -> Most) {
    for (first, second, batch) in [(1, 1, 1), (2, 1, 1), (2, 40, 2), (8, 8, 8), (30, 16, 30), (5, 30, 3)] {
        let own = shared(first);
        let limit = SharedPair::new(Limit::new(second), ());
        let with = |more: u32| most(first).map(|most| most + more as usize);
        let made = || Made::new(batch);
        check::<F, ()>((&own, &()), with(0), made());
        check::<F, Then<Sll, ()>>((&own, &limit), with(second), made());
        check::<F, Then<Unified, ()>>((&own, &limit), with(second), made());
        check::<F, Then<Fast<32>, ()>>((&own, &limit), with(second), made());
        check::<F, Then<Ring<64>, ()>>((&own, &limit), with(second), made());
        check::<F, Then<Hot, ()>>((&own, &limit), with(second), made());
        check::<F, Then<C23, ()>>((&own, &limit), None, made());
        check::<F, Then<Sfc<32>, ()>>((&own, &limit), with(second.max(batch)), made());
        check::<F, Then<Quarantine<64>, ()>>((&own, &limit), with(63), made());
        check::<F, Then<HeapV2, ()>>((&own, &SharedPair::new(Depot::new(second), ())), None, made());
    }
    check_real::<F>(shared);
}

/// The same over the slabs of a heap, alone and with the layers below it that work on slabs or on lists.
fn check_real<F: Layer>(shared: impl Fn(u32) -> F::Shared) {
    for (first, second, batch) in [(1, 1, 1), (8, 16, 8), (30, 4, 32)] {
        let own = shared(first);
        let limit = SharedPair::new(Limit::new(second), ());
        check::<F, ()>((&own, &()), None, Real::new(batch));
        check::<F, Then<Sll, ()>>((&own, &limit), None, Real::new(batch));
        check::<F, Then<Page, ()>>((&own, &limit), None, Real::new(batch));
    }
}

/// `pages`, for the slabs of `Real`.
type Page = Pages<16, 26, true>;

fn blocks(limit: u32) -> Most {
    Some(limit as usize)
}

#[test]
fn unified_keeps_its_blocks_and_its_limit() {
    check_first::<Unified>(Limit::new, blocks);
}

#[test]
fn sll_keeps_its_blocks_and_its_limit() {
    check_first::<Sll>(Limit::new, blocks);
}

#[test]
fn fast_keeps_its_blocks_and_its_limit() {
    check_first::<Fast<32>>(Limit::new, blocks);
}

#[test]
fn sfc_keeps_its_blocks_and_its_limit() {
    check_first::<Sfc<32>>(Limit::new, blocks);
}

#[test]
fn ring_keeps_its_blocks_and_its_limit() {
    check_first::<Ring<32>>(Limit::new, blocks);
}

#[test]
fn c23_keeps_its_blocks() {
    check_first::<C23>(Limit::new, |_| None);
}

#[test]
fn hot_keeps_its_blocks_and_its_limit() {
    check_first::<Hot>(Limit::new, |limit| Some(2 * limit as usize));
}

#[test]
fn heapv2_keeps_its_blocks() {
    // The depot's limit is in bytes, and more than all of these: see `heapv2.rs`.
    check_first::<HeapV2>(Depot::new, |_| None);
}

#[test]
fn quarantine_keeps_its_blocks_and_its_limit() {
    // What may go stays as long as there is a place for it.
    check_first::<Quarantine<64>>(Limit::new, |_| Some(63));
}

#[test]
fn ultrahot_keeps_its_blocks_and_its_limit() {
    check_first::<UltraHot<2>>(Limit::new, |_| Some(2));
    check_first::<UltraHot<4>>(Limit::new, |_| Some(4));
}

#[test]
fn deferred_keeps_its_blocks() {
    check_first::<Deferred<Unified>>(Limit::new, |limit| Some(256 + limit as usize));
    check_real::<Deferred<Page>>(Limit::new);
}

#[test]
fn pages_keeps_its_blocks() {
    check_real::<Page>(Limit::new);
}

#[test]
fn a_layer_that_is_tried_inline_does() {
    let both = |limit| SharedPair::new(Limit::new(2), Limit::new(limit));
    check_first::<Inline<UltraHot<2>, Unified>>(both, |limit| Some(2 + limit as usize));
    check_first::<Inline<UltraHot<2>, Ring<32>>>(both, |limit| Some(2 + limit as usize));
    check_first::<Inline<UltraHot<2>, Quarantine<64>>>(both, |_| Some(2 + 63));
}

/// The first operation of a thread, whichever it is, takes the cold path.
fn begins_cold<L: Layer>() {
    let mut memory = [0_u64; 4];
    assert!(L::EMPTY.pop().is_none());
    assert!(!L::EMPTY.push(block(memory.as_mut_ptr().cast()), 0));
}

#[test]
fn the_first_operation_of_a_thread_is_cold() {
    begins_cold::<Unified>();
    begins_cold::<Sll>();
    begins_cold::<Fast<8>>();
    begins_cold::<Sfc<8>>();
    begins_cold::<Ring<8>>();
    begins_cold::<Quarantine<8>>();
    begins_cold::<C23>();
    begins_cold::<Hot>();
    begins_cold::<Deferred<Unified>>();
    begins_cold::<HeapV2>();
    begins_cold::<UltraHot<3>>();
    begins_cold::<Inline<UltraHot<2>, Unified>>();
}

#[test]
fn ring_hands_out_in_the_order_of_frees() {
    let (limit, mut bottom) = (Limit::new(7), Made::new(1));
    let stack = alone::<Ring<8>>(&limit);
    let blocks: Vec<*mut u8> = (0..6).map(|_| stack.allocate(&mut bottom)).collect();
    for &block in &blocks {
        stack.free(block, &mut bottom);
    }
    assert!(blocks.iter().all(|&block| stack.allocate(&mut bottom) == block));
}

/// A stack of `quarantine`, and its bottom.
fn quarantined(limit: &Limit) -> (Stack<'_, Quarantine<8>, ()>, Made) {
    (alone(limit), Made::new(1))
}

#[test]
fn quarantine_lets_a_block_go_when_as_many_were_freed_after_it() {
    let limit = Limit::new(5);
    let (stack, mut bottom) = quarantined(&limit);
    let blocks: Vec<*mut u8> = (0..8).map(|_| stack.allocate(&mut bottom)).collect();
    for &block in &blocks {
        stack.free(block, &mut bottom);
        assert!(words(block).iter().all(|word| word.get() == 0xF5F5_F5F5_F5F5_F5F5));
    }
    // Five wait, three may go; two of these had to make room, as one of the eight places is always free.
    assert_eq!(bottom.home, blocks[..2]);
    assert_eq!(stack.allocate(&mut bottom), blocks[2]);
    let from_home = [stack.allocate(&mut bottom), stack.allocate(&mut bottom)];
    assert_eq!(from_home, [blocks[1], blocks[0]], "the others still wait");
    // Until there is no other memory.
    bottom.dry = true;
    for &block in &blocks[3..] {
        assert_eq!(stack.allocate(&mut bottom), block);
    }
    assert!(stack.allocate(&mut bottom).is_null());
}

/// Blocks whose memory would fault if anybody read or wrote it.
#[test]
fn fast_and_ring_touch_no_block() {
    fn traffic<L: Layer<Shared = Limit>>() {
        struct Nowhere(Vec<*mut u8>, &'static Class);
        impl Below for Nowhere {
            fn class(&self) -> &'static Class {
                self.1
            }
            fn refill(&mut self, batch: &mut Batch<'_>) {
                batch.fill(|| self.0.pop().map(block));
            }
            fn flush(&mut self, mut batch: Batch<'_>) {
                while let Some(block) = batch.pop() {
                    self.0.push(block.into_raw());
                }
            }
            fn tick(&mut self) {}
        }
        let blocks = (1..=100).map(|number| core::ptr::without_provenance_mut::<u8>(number * 64)).collect();
        let class = std::boxed::Box::leak(std::boxed::Box::new(Class::new((64, 64, 64), (1, 0, 1024, 0), 4, &[])));
        let (mut below, limit) = (Nowhere(blocks, class), Limit::new(10));
        let stack = alone::<L>(&limit);
        let live: Vec<*mut u8> = (0..60).map(|_| stack.allocate(&mut below)).collect();
        for block in live {
            stack.free(block, &mut below);
        }
        stack.drain(&mut below);
        assert_eq!(below.0.iter().collect::<HashSet<_>>().len(), 100);
    }
    traffic::<Fast<16>>();
    traffic::<Sfc<16>>();
    traffic::<Ring<16>>();
}

#[test]
fn sfc_grows_where_blocks_are_wanted_back_and_shrinks_where_not() {
    let (limit, mut bottom) = (Limit::new(256), Made::new(8));
    let stack = alone::<Sfc<256>>(&limit);
    let swing = |bottom: &mut Made| {
        let blocks: Vec<*mut u8> = (0..200).map(|_| stack.allocate(bottom)).collect();
        for block in blocks {
            stack.free(block, bottom);
        }
    };
    swing(&mut bottom);
    let first = bottom.home.len();
    for _ in 0..20 {
        swing(&mut bottom);
    }
    let kept = bottom.made - bottom.home.len();
    assert!(kept >= 200 && first > 100, "a swing of 200 fits in the end: {kept} kept, {first} sent home at first");
    let many: Vec<*mut u8> = (0..4000).map(|_| stack.allocate(&mut bottom)).collect();
    for block in many {
        stack.free(block, &mut bottom);
    }
    let kept = bottom.made - bottom.home.len();
    assert!(kept <= 16, "frees and nothing else: {kept} kept");
}

/// A thread that frees and one that allocates, over one depot: magazines pass, blocks do not go home.
#[test]
fn heapv2_exchanges_magazines_whole() {
    let (depot, mut bottom) = (Depot::new(16), Made::new(16));
    let (producer, consumer) = (alone::<HeapV2>(&depot), alone::<HeapV2>(&depot));
    for _ in 0..100 {
        let blocks: Vec<*mut u8> = (0..32).map(|_| producer.allocate(&mut bottom)).collect();
        for block in blocks {
            consumer.free(block, &mut bottom);
        }
    }
    assert!(bottom.home.is_empty() && bottom.made <= 6 * 16, "{} blocks made", bottom.made);
    producer.drain(&mut bottom);
    consumer.drain(&mut bottom);
    assert_eq!(bottom.home.len(), bottom.made);
}

/// Whether a pop and a push of an empty state leave it, and the block, as they were.
fn leaves<L: Layer + core::fmt::Debug>(freed: *mut u8) -> bool {
    let state = L::EMPTY;
    words(freed).iter().for_each(|word| word.set(7));
    let before = std::format!("{state:?}");
    assert!(state.pop().is_none());
    // As of a thread that has not started, whose owner id is an address that is no heap's.
    assert!(!state.push(block(freed), core::ptr::from_ref(&state).addr()));
    std::format!("{state:?}") == before && words(freed).iter().all(|word| word.get() == 7)
}

fn is_inert<L: Layer + core::fmt::Debug>() -> bool {
    leaves::<L>([0_u64; 4].as_mut_ptr().cast())
}

/// The same of `pages`, whose push looks at the block's slab.
fn pages_are_inert() -> bool {
    let (limit, mut real) = (Limit::new(1), Real::new(1));
    let stack = alone::<Page>(&limit);
    let freed = stack.allocate(&mut real);
    let slab = real.allocator.backing().slab_at(freed.addr()).expect("a block is in a slab");
    let before = std::format!("{slab:?}");
    let inert = leaves::<Page>(freed) && std::format!("{slab:?}") == before;
    stack.free(freed, &mut real);
    stack.drain(&mut real);
    inert
}

#[test]
fn layers_that_say_so_are_inert() {
    for (says, is) in [
        (Fast::<8>::INERT, is_inert::<Fast<8>>()),
        (HeapV2::INERT, is_inert::<HeapV2>()),
        (Quarantine::<8>::INERT, is_inert::<Quarantine<8>>()),
        (Unified::INERT, is_inert::<Unified>()),
        (Sll::INERT, is_inert::<Sll>()),
        (C23::INERT, is_inert::<C23>()),
        (Page::INERT, pages_are_inert()),
    ] {
        assert!(is || !says);
    }
    assert!(HeapV2::INERT && Page::INERT && !is_inert::<Unified>());
}
