//! Every layer, alone and on top of another, against the simplest model there is: a set of blocks, each in one place.

use super::heapv2::Depot;
use super::inline::SharedPair;
use super::{
    Below, C23, Fast, HeapV2, Hot, Inline, Layer, Limit, Quarantine, Ring, Sfc, Sll, Stacked, Supply, UltraHot, Unified,
};
use crate::heap::Portion;
use crate::slab::block::{Block, Chain, Run};
use crate::slab::class::Class;
use std::collections::HashSet;
use std::vec::Vec;

/// The bottom of a stack in these tests: makes blocks, takes them back, and knows which ones it has.
struct Bottom {
    home: Vec<*mut Block>,
    made: usize,
    class: &'static Class,
    /// Memory for the blocks, which are carved from it in order.
    memory: std::boxed::Box<[[u64; 4]]>,
    dry: bool,
}

const BLOCKS: usize = 20_000;

impl Bottom {
    fn new(batch: u32) -> Bottom {
        let class = Class::new((32, 32, 32), (1, 0, 2048, 0), batch, &[]);
        Bottom {
            home: Vec::new(),
            made: 0,
            class: std::boxed::Box::leak(std::boxed::Box::new(class)),
            memory: std::vec![[0; 4]; BLOCKS].into_boxed_slice(),
            dry: false,
        }
    }

    fn take(&mut self) -> *mut Block {
        if self.dry {
            return core::ptr::null_mut();
        }
        self.home.pop().unwrap_or_else(|| {
            self.made += 1;
            (&raw mut self.memory[self.made - 1]).cast()
        })
    }
}

impl Below for &mut Bottom {
    fn class(&self) -> &'static Class {
        self.class
    }

    fn demand(&mut self, want: u32) -> Chain {
        assert!(want > 0, "a demand for nothing");
        let mut chain = Chain::EMPTY;
        for _ in 0..want {
            let block = self.take();
            if block.is_null() {
                break;
            }
            chain.append(block);
        }
        chain.close();
        chain
    }

    fn supply(&mut self, want: u32) -> Supply {
        if self.dry || self.made + want as usize > BLOCKS {
            return Supply::Chain(self.demand(want));
        }
        let start = (&raw mut self.memory[self.made]).addr();
        self.made += want as usize;
        Supply::Run(Run { start, count: want, size: 32 })
    }

    fn absorb(&mut self, chain: Chain) {
        let (count, before) = (chain.count() as usize, self.home.len());
        self.home.extend(chain);
        assert_eq!(self.home.len() - before, count, "the chain is as long as it says");
    }

    fn tick(&mut self) {}
}

/// A stack of one or two layers, as generated code would call it.
struct Stack<'a, F: Layer, S: Layer> {
    first: F,
    second: Option<S>,
    shared: (&'a F::Shared, &'a S::Shared),
}

impl<F: Layer, S: Layer> Stack<'_, F, S> {
    fn allocate(&self, bottom: &mut Bottom) -> *mut Block {
        // SAFETY: one thread, one class.
        unsafe {
            let block = self.first.pop();
            if !block.is_null() {
                return block;
            }
            match &self.second {
                Some(second) => self.first.miss(self.shared.0, &mut Stacked::new(second, self.shared.1, bottom)),
                None => self.first.miss(self.shared.0, &mut { bottom }),
            }
        }
    }

    fn free(&self, block: *mut Block, bottom: &mut Bottom) {
        // SAFETY: as above; the block came from `allocate`.
        unsafe {
            if self.first.push(block) {
                return;
            }
            match &self.second {
                Some(second) => {
                    self.first.overflow(block, self.shared.0, &mut Stacked::new(second, self.shared.1, bottom))
                }
                None => self.first.overflow(block, self.shared.0, &mut { bottom }),
            }
        }
    }

    fn drain(&self, mut bottom: &mut Bottom) {
        // SAFETY: as above.
        unsafe {
            self.first.drain(self.shared.0, &mut bottom);
            F::release(self.shared.0, Portion::All, &mut bottom);
            if let Some(second) = &self.second {
                second.drain(self.shared.1, &mut bottom);
                S::release(self.shared.1, Portion::All, &mut bottom);
            }
        }
    }
}

/// What the layers of a stack may keep: blocks, or no bound that holds at every moment.
type Most = Option<usize>;

/// Random traffic: no block is handed out twice, none is lost, and what the layers keep stays within their limits.
fn check<F: Layer, S: Layer>(second: Option<S>, shared: (&F::Shared, &S::Shared), most: Most, batch: u32) {
    let stack = Stack { first: F::EMPTY, second, shared };
    let mut bottom = Bottom::new(batch);
    let mut live: Vec<*mut Block> = Vec::new();
    let mut random = 0x1234_5678_9ABC_DEF0_u64;
    for step in 0..20_000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // Phases of growth and of shrinking, so that lists run over and run empty; and now and then no memory.
        let growing = step / 1000 % 2 == 0;
        bottom.dry = step % 5000 > 4900;
        if live.is_empty() || random.is_multiple_of(4) != growing {
            let block = stack.allocate(&mut bottom);
            if block.is_null() {
                assert!(bottom.dry, "no block though there was memory");
                continue;
            }
            assert!(!live.contains(&block), "handed out twice");
            live.push(block);
        } else {
            let index = (random >> 32) as usize % live.len();
            stack.free(live.swap_remove(index), &mut bottom);
        }
        let kept = bottom.made - live.len() - bottom.home.len();
        assert!(most.is_none_or(|most| kept <= most), "{kept} blocks kept, limit {most:?}");
    }
    for block in live.drain(..) {
        stack.free(block, &mut bottom);
    }
    stack.drain(&mut bottom);
    // SAFETY: one thread.
    assert!(unsafe { stack.first.pop() }.is_null(), "drained means empty");
    let home: HashSet<*mut Block> = bottom.home.iter().copied().collect();
    assert_eq!((home.len(), bottom.home.len()), (bottom.made, bottom.made), "every block came home once");
}

/// One layer as the first: alone, over a list, and over an array.
fn check_first<F: Layer>(shared: impl Fn(u32) -> F::Shared, most: impl Fn(u32) -> Most) {
    for (first, second, batch) in [(1, 1, 1), (2, 1, 1), (2, 40, 2), (8, 8, 8), (30, 16, 30), (5, 30, 3)] {
        let (own, limit) = (shared(first), Limit::new(second));
        let with = |more: u32| most(first).map(|most| most + more as usize);
        check::<F, Sll>(None, (&own, &limit), with(0), batch);
        check::<F, Sll>(Some(Sll::EMPTY), (&own, &limit), with(second), batch);
        check::<F, Unified>(Some(Unified::EMPTY), (&own, &limit), with(second), batch);
        check::<F, Fast<32>>(Some(Fast::EMPTY), (&own, &limit), with(second), batch);
        check::<F, Ring<64>>(Some(Ring::EMPTY), (&own, &limit), with(second), batch);
        check::<F, Hot>(Some(Hot::EMPTY), (&own, &limit), with(second), batch);
        check::<F, C23>(Some(C23::EMPTY), (&own, &limit), None, batch);
        check::<F, Sfc<32>>(Some(Sfc::EMPTY), (&own, &limit), with(second.max(batch)), batch);
        check::<F, Quarantine<64>>(Some(Quarantine::EMPTY), (&own, &limit), with(63), batch);
        check::<F, HeapV2>(Some(HeapV2::EMPTY), (&own, &Depot::new(second)), None, batch);
    }
}

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
fn a_layer_ahead_of_another_does() {
    let both = |limit| SharedPair::new(Limit::new(2), Limit::new(limit));
    check_first::<Inline<UltraHot<2>, Unified>>(both, |limit| Some(2 + limit as usize));
    check_first::<Inline<UltraHot<2>, Ring<32>>>(both, |limit| Some(2 + limit as usize));
    check_first::<Inline<UltraHot<2>, Quarantine<64>>>(both, |_| Some(2 + 63));
}

/// The first operation of a thread, whichever it is, takes the cold path.
fn begins_cold<L: Layer>() {
    let mut memory = [0_u64; 4];
    let block: *mut Block = memory.as_mut_ptr().cast();
    // SAFETY: one thread; the block is ours.
    unsafe {
        assert!(L::EMPTY.pop().is_null());
        assert!(!L::EMPTY.push(block));
    }
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
    begins_cold::<HeapV2>();
    begins_cold::<UltraHot<3>>();
    begins_cold::<Inline<UltraHot<2>, Unified>>();
}

#[test]
fn ring_hands_out_in_the_order_of_frees() {
    let (limit, mut bottom) = (Limit::new(7), Bottom::new(1));
    let stack = Stack { first: Ring::<8>::EMPTY, second: None::<Sll>, shared: (&limit, &limit) };
    let blocks: Vec<*mut Block> = (0..6).map(|_| stack.allocate(&mut bottom)).collect();
    for &block in &blocks {
        stack.free(block, &mut bottom);
    }
    assert!(blocks.iter().all(|&block| stack.allocate(&mut bottom) == block));
}

/// A stack of `quarantine` for five blocks over a list, and its bottom.
fn quarantined(limit: &Limit) -> (Stack<'_, Quarantine<8>, Sll>, Bottom) {
    (Stack { first: Quarantine::EMPTY, second: None, shared: (limit, limit) }, Bottom::new(1))
}

#[test]
fn quarantine_lets_a_block_go_when_as_many_were_freed_after_it() {
    let limit = Limit::new(5);
    let (stack, mut bottom) = quarantined(&limit);
    let blocks: Vec<*mut Block> = (0..8).map(|_| stack.allocate(&mut bottom)).collect();
    for &block in &blocks {
        stack.free(block, &mut bottom);
        // SAFETY: the memory is the bottom's, and nobody writes to it now.
        assert_eq!(unsafe { block.cast::<[u8; 32]>().read() }, [0xF5; 32]);
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
        struct Nowhere(Vec<*mut Block>, &'static Class);
        impl Below for Nowhere {
            fn class(&self) -> &'static Class {
                self.1
            }
            fn demand(&mut self, _: u32) -> Chain {
                unreachable!("a chain is linked through blocks")
            }
            fn absorb(&mut self, chain: Chain) {
                assert!(chain.is_empty());
            }
            fn fetch(&mut self, slots: &mut [*mut Block]) -> usize {
                for slot in slots.iter_mut() {
                    *slot = self.0.pop().expect("enough blocks");
                }
                slots.len()
            }
            fn give(&mut self, blocks: &[*mut Block]) {
                self.0.extend(blocks);
            }
            fn tick(&mut self) {}
        }
        let blocks = (1..=100).map(|number| core::ptr::without_provenance_mut::<Block>(number * 64)).collect();
        let class = std::boxed::Box::leak(std::boxed::Box::new(Class::new((64, 64, 64), (1, 0, 1024, 0), 4, &[])));
        let (mut below, limit, layer) = (Nowhere(blocks, class), Limit::new(10), L::EMPTY);
        // SAFETY: one thread, one class.
        unsafe {
            let mut live = Vec::new();
            for _ in 0..60 {
                let block = layer.pop();
                live.push(if block.is_null() { layer.miss(&limit, &mut below) } else { block });
            }
            for block in live {
                if !layer.push(block) {
                    layer.overflow(block, &limit, &mut below);
                }
            }
            layer.drain(&limit, &mut below);
        }
        assert_eq!(below.0.iter().collect::<HashSet<_>>().len(), 100);
    }
    traffic::<Fast<16>>();
    traffic::<Sfc<16>>();
    traffic::<Ring<16>>();
}

#[test]
fn sfc_grows_where_blocks_are_wanted_back_and_shrinks_where_not() {
    let (limit, mut bottom) = (Limit::new(256), Bottom::new(8));
    let stack = Stack { first: Sfc::<256>::EMPTY, second: None::<Sll>, shared: (&limit, &limit) };
    let swing = |bottom: &mut Bottom| {
        let blocks: Vec<*mut Block> = (0..200).map(|_| stack.allocate(bottom)).collect();
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
    let many: Vec<*mut Block> = (0..4000).map(|_| stack.allocate(&mut bottom)).collect();
    for block in many {
        stack.free(block, &mut bottom);
    }
    let kept = bottom.made - bottom.home.len();
    assert!(kept <= 16, "frees and nothing else: {kept} kept");
}

/// A thread that frees and one that allocates, over one depot: magazines pass, blocks do not go home.
#[test]
fn heapv2_exchanges_magazines_whole() {
    let (depot, mut bottom) = (Depot::new(16), Bottom::new(16));
    let limit = Limit::new(1);
    let producer = Stack { first: HeapV2::EMPTY, second: None::<Sll>, shared: (&depot, &limit) };
    let consumer = Stack { first: HeapV2::EMPTY, second: None::<Sll>, shared: (&depot, &limit) };
    for _ in 0..100 {
        let blocks: Vec<*mut Block> = (0..32).map(|_| producer.allocate(&mut bottom)).collect();
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
fn is_inert<L: Layer + core::fmt::Debug>() -> bool {
    let (state, mut block) = (L::EMPTY, [7_u64; 4]);
    let before = std::format!("{state:?}");
    // SAFETY: the only thread; the block is ours and stays so, as whatever took it in is dropped.
    unsafe {
        assert!(state.pop().is_null() && !state.push((&raw mut block).cast()));
    }
    std::format!("{state:?}") == before && block == [7; 4]
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
    ] {
        assert!(is || !says);
    }
    assert!(HeapV2::INERT && !is_inert::<Unified>());
}
