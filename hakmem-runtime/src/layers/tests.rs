//! Every layer, alone and on top of another, against the simplest model there is: a set of blocks, each in one place.

use super::{Below, Layer, Over, Sll, Unified};
use crate::block::{Block, Chain};
use std::collections::HashSet;
use std::vec::Vec;

/// The bottom of a stack in these tests: makes blocks, takes them back, and knows which ones it has.
struct Bottom {
    home: Vec<*mut Block>,
    made: usize,
    batch: u32,
}

impl Bottom {
    fn new(batch: u32) -> Bottom {
        Bottom { home: Vec::new(), made: 0, batch }
    }

    fn take(&mut self) -> *mut Block {
        self.home.pop().unwrap_or_else(|| {
            self.made += 1;
            std::boxed::Box::into_raw(std::boxed::Box::new([0_u64; 4])).cast()
        })
    }
}

impl Below for &mut Bottom {
    fn demand(&mut self, want: u32) -> Chain {
        assert!(want > 0, "a demand for nothing");
        let mut chain = Chain::EMPTY;
        for _ in 0..want {
            chain.append(self.take());
        }
        chain.close();
        chain
    }

    fn absorb(&mut self, mut chain: Chain) {
        let count = chain.count();
        for _ in 0..count {
            self.home.push(chain.pop());
        }
        assert!(chain.is_empty() && chain.head().is_null(), "the chain is as long as it says");
    }

    fn batch(&self) -> u32 {
        self.batch
    }

    fn tick(&mut self) {}
}

/// A stack of one or two layers, as generated code would call it.
struct Stack<F, S> {
    first: F,
    second: Option<S>,
    limits: (u32, u32),
}

impl<F: Layer, S: Layer> Stack<F, S> {
    fn allocate(&self, bottom: &mut Bottom) -> *mut Block {
        // SAFETY: one thread, one class.
        unsafe {
            let block = self.first.pop();
            if !block.is_null() {
                return block;
            }
            match &self.second {
                Some(second) => self.first.miss(self.limits.0, &mut Over::new(second, self.limits.1, bottom)),
                None => self.first.miss(self.limits.0, &mut { bottom }),
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
                    self.first.overflow(block, self.limits.0, &mut Over::new(second, self.limits.1, bottom))
                }
                None => self.first.overflow(block, self.limits.0, &mut { bottom }),
            }
        }
    }

    fn drain(&self, mut bottom: &mut Bottom) {
        // SAFETY: as above.
        unsafe {
            bottom.absorb(self.first.drain(self.limits.0));
            if let Some(second) = &self.second {
                bottom.absorb(second.drain(self.limits.1));
            }
        }
    }
}

/// Random traffic: no block is handed out twice, none is lost, and what the layers keep stays within their limits.
fn check<F: Layer, S: Layer>(second: Option<S>, limits: (u32, u32), batch: u32) {
    let has_second = second.is_some();
    let stack = Stack { first: F::EMPTY, second, limits };
    let mut bottom = Bottom::new(batch);
    let mut live: Vec<*mut Block> = Vec::new();
    let mut random = 0x1234_5678_9ABC_DEF0_u64;
    for step in 0..20_000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // Phases of growth and of shrinking, so that lists run over and run empty.
        let growing = step / 1000 % 2 == 0;
        if live.is_empty() || random.is_multiple_of(4) != growing {
            let block = stack.allocate(&mut bottom);
            assert!(!live.contains(&block), "handed out twice");
            live.push(block);
        } else {
            let index = (random >> 32) as usize % live.len();
            stack.free(live.swap_remove(index), &mut bottom);
        }
        let kept = bottom.made - live.len() - bottom.home.len();
        let most = limits.0 + if has_second { limits.1 } else { 0 };
        assert!(kept <= most as usize, "{kept} blocks kept, limit {most}");
    }
    for block in live.drain(..) {
        stack.free(block, &mut bottom);
    }
    stack.drain(&mut bottom);
    let home: HashSet<*mut Block> = bottom.home.iter().copied().collect();
    assert_eq!((home.len(), bottom.home.len()), (bottom.made, bottom.made), "every block came home once");
    for block in home {
        // SAFETY: made by `Bottom::take`, and nobody has it any more.
        drop(unsafe { std::boxed::Box::from_raw(block.cast::<[u64; 4]>()) });
    }
}

#[test]
fn every_stack_keeps_its_blocks_and_its_limits() {
    for (first, second, batch) in [(1, 1, 1), (2, 1, 1), (2, 40, 2), (8, 8, 8), (64, 16, 32), (5, 100, 3)] {
        check::<Unified, Sll>(None, (first, 0), batch.min(first));
        check::<Sll, Unified>(None, (first, 0), batch.min(first));
        check::<Unified, Sll>(Some(Sll::EMPTY), (first, second), batch.min(first));
        check::<Sll, Unified>(Some(Unified::EMPTY), (first, second), batch.min(first));
        check::<Unified, Unified>(Some(Unified::EMPTY), (first, second), batch.min(first));
    }
}

#[test]
fn the_first_operation_of_a_thread_is_cold() {
    let mut memory = [0_u64; 4];
    let block: *mut Block = memory.as_mut_ptr().cast();
    // SAFETY: one thread; the block is ours.
    unsafe {
        let (unified, sll) = (Unified::EMPTY, Sll::EMPTY);
        assert!(unified.pop().is_null() && sll.pop().is_null());
        assert!(!unified.push(block) && !sll.push(block));
    }
}
