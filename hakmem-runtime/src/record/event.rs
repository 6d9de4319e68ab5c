//! What an allocation, a free and a reallocation change in the counters.

use super::block_header::BlockHeader;
use super::counters::Thread;
use super::requests::Key;
use super::{process, start, ticks, timeline};
use crate::global_alloc::{CompiledSpec, block_size};

/// Records an allocation, and returns the new block's header.
pub(super) fn allocated<S: CompiledSpec>(size: usize, align: usize) -> BlockHeader {
    let thread = start::current_thread();
    if let Some(thread) = thread {
        thread.count_allocation(Key::new(size, align, S::LARGEST), size, || block_size::<S>(size, align));
        publish_bytes(thread);
    }
    BlockHeader { allocated_at: ticks::now(), thread: thread.map_or(0, Thread::number) }
}

/// Records a free of a block with this header.
pub(super) fn freed<S: CompiledSpec>(size: usize, align: usize, header: BlockHeader) {
    if !is_recorded(header) {
        return;
    }
    let Some(thread) = start::current_thread() else { return };
    let key = Key::new(size, align, S::LARGEST);
    let lifetime = ticks::nanoseconds_of(ticks::now().wrapping_sub(header.allocated_at));
    thread.count_free(key, size, lifetime, header.thread, || block_size::<S>(size, align));
    publish_bytes(thread);
}

/// Records a successful reallocation of a block with this header.
pub(super) fn resized<S: CompiledSpec>(size: usize, new_size: usize, align: usize, header: BlockHeader) {
    if !is_recorded(header) {
        return;
    }
    let Some(thread) = start::current_thread() else { return };
    let [old, new] = [size, new_size].map(|size| Key::new(size, align, S::LARGEST));
    thread.count_resize_from(old, size, || block_size::<S>(size, align));
    thread.count_resize_to(new, new_size, || block_size::<S>(new_size, align));
    publish_bytes(thread);
}

/// Whether the block's allocation is in this process's profile. It is not if it happened before a fork, in the parent.
fn is_recorded(header: BlockHeader) -> bool {
    header.allocated_at >= process::start()
}

/// Adds the change in the thread's live bytes to the total if it amounts to a batch.
#[inline]
fn publish_bytes(thread: &Thread) {
    if let Some(bytes) = thread.take_batch() {
        timeline::add(bytes);
    }
}
