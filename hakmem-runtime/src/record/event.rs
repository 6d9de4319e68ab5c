//! What happens, as the recorder sees it.

use super::requests::Key;
use super::wrap::{Header, Recorded};
use super::{start, thread, ticks};

/// An allocation. Returns the number of the calling thread, 0 where nothing can be recorded.
pub(super) fn allocated<F: Recorded>(size: usize, align: usize) -> u64 {
    let Some(thread) = thread::current() else { return 0 };
    let key = Key::new(size, align, F::LARGEST);
    thread.allocation(key, size, || F::block_size(size, align));
    thread.number()
}

/// A free of a block with this header.
pub(super) fn freed<F: Recorded>(size: usize, align: usize, header: Header) {
    let Some(thread) = thread::current().filter(|_| is_ours(header)) else { return };
    let key = Key::new(size, align, F::LARGEST);
    let lifetime = ticks::nanoseconds_of(ticks::now().wrapping_sub(header.ticks));
    thread.free(key, size, lifetime, header.thread, || F::block_size(size, align));
}

/// A reallocation that succeeded, of a block with this header.
pub(super) fn resized<F: Recorded>(size: usize, new_size: usize, align: usize, header: Header) {
    let Some(thread) = thread::current().filter(|_| is_ours(header)) else { return };
    let [old, new] = [size, new_size].map(|size| Key::new(size, align, F::LARGEST));
    thread.step(old, false, size, || F::block_size(size, align));
    thread.step(new, true, new_size, || F::block_size(new_size, align));
}

/// Whether this process allocated the block: not the parent, before a fork.
fn is_ours(header: Header) -> bool {
    header.ticks >= start::beginning()
}
