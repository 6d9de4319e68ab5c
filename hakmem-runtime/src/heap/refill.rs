//! Refill: blocks from the slabs to the front, in a batch, in whatever form the layer wants them.

use super::acquire::Heap;
use crate::slab::Slab;
use core::ptr;

impl Heap {
    /// What `take` gets from a slab of `class`; it is asked for one slab after the other until it gets something. `None`
    /// only when there is no memory.
    #[inline]
    pub(crate) fn refill<T>(&self, class: u32, mut take: impl FnMut(&Slab) -> Option<T>) -> Option<T> {
        self.tick();
        let bin = self.bin(class);
        let mut in_use = true;
        loop {
            let slab = bin.current();
            if !slab.is_null() {
                // SAFETY: the current slab is ours.
                if let Some(taken) = take(unsafe { &*slab }) {
                    return Some(taken);
                }
                // Every block is handed out. Nothing is left to look after, so nobody needs to own it; but where others of
                // the class wait for frees, it may as well.
                bin.set_current(ptr::null_mut());
                // SAFETY: ours, and in no bin now.
                if !unsafe { in_use && bin.wait(slab) || self.allocator().pool().abandon(slab) } {
                    bin.set_current(slab); // Blocks came back in this very moment.
                    continue;
                }
            }
            in_use = false;
            let next = self.acquire(class);
            if next.is_null() {
                return None;
            }
            bin.set_current(next);
        }
    }

    /// A block of `class` known to be zero, if the slab in use has memory never touched; else null.
    pub fn carve_zeroed(&self, class: usize) -> *mut u8 {
        let class = class as u32;
        let bin = self.bin(class);
        if bin.current().is_null() {
            bin.set_current(self.acquire(class));
        }
        let slab = bin.current();
        if slab.is_null() {
            return ptr::null_mut();
        }
        // SAFETY: the current slab is ours.
        unsafe {
            if (*slab).free_count() > 0 || (*slab).remote.count() > 0 {
                return ptr::null_mut(); // Blocks in use before are taken first: memory must not grow for a memset.
            }
            (*slab).carve_zeroed()
        }
    }
}
