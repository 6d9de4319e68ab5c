//! Mappings of ours that the kernel did not unmap. They stay known, and it is asked again.
//!
//! The list is in the mappings themselves: their first words say where the next one is, and how long this one is.

use super::mmap::{page_size, purge, unmap};
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

/// The last mapping that was put here; 0: none.
static NEWEST: AtomicUsize = AtomicUsize::new(0);

/// The most refusals of a [`retry`]: each takes a call, and the next one is likely to be refused as well.
const REFUSALS: u32 = 8;

struct Leftover {
    next: AtomicUsize,
    length: AtomicUsize,
}

/// # Safety
/// `address` is that of a mapping that can be written, at a multiple of a page, which is nobody's but the list's.
unsafe fn leftover_at<'a>(address: usize) -> &'a Leftover {
    // SAFETY: mapped, aligned, and two atomics, for which any value is valid (the caller's contract).
    unsafe { &*ptr::with_exposed_provenance(address) }
}

/// Unmaps a mapping that can be written, which the caller gives up. If the kernel refuses, its memory goes back but for a
/// page, and the addresses later.
pub(crate) fn discard(address: usize, length: usize) {
    if !unmap(address, length) {
        keep(address, length);
    }
}

#[cold]
#[inline(never)]
fn keep(address: usize, length: usize) {
    let page = page_size();
    if length > page {
        purge(address.wrapping_add(page), length.wrapping_sub(page));
    }
    push(address, length);
}

fn push(address: usize, length: usize) {
    // SAFETY: the caller's mapping, which it gave up.
    let node = unsafe { leftover_at(address) };
    node.length.store(length, Ordering::Relaxed);
    // Release: whoever takes the list reads the nodes.
    let link = |newest| {
        node.next.store(newest, Ordering::Relaxed);
        Some(address)
    };
    let _always = NEWEST.fetch_update(Ordering::Release, Ordering::Relaxed, link);
}

/// Whether there are any.
#[inline]
pub(crate) fn is_any() -> bool {
    NEWEST.load(Ordering::Relaxed) != 0
}

/// Unmaps what the kernel takes now.
#[inline]
pub(crate) fn retry() {
    if is_any() {
        retry_cold();
    }
}

#[cold]
#[inline(never)]
fn retry_cold() {
    // All of them at once: nobody else has them then. (A child that is forked meanwhile does not know them.)
    let mut next = NEWEST.swap(0, Ordering::Acquire);
    let mut refused = 0;
    while next != 0 {
        let address = next;
        // SAFETY: a mapping that `push` put into the list, from which it was taken just now.
        let node = unsafe { leftover_at(address) };
        let length = node.length.load(Ordering::Relaxed);
        next = node.next.load(Ordering::Relaxed);
        if refused == REFUSALS {
            push(address, length);
        } else if !unmap(address, length) {
            refused += 1;
            keep(address, length);
        }
    }
}
