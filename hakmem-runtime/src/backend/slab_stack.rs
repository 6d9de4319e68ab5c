//! Lock-free stacks of slabs.

use crate::meta::tagged_stack::{NODE_SHIFT, NodeStack};
use crate::slab::Slab;
use core::ptr;

const _: () = assert!(align_of::<Slab>() >= 1 << NODE_SHIFT, "a node is a slab entry's address without its low bits");

fn node(slab: &'static Slab) -> u64 {
    ptr::from_ref(slab).expose_provenance() as u64 >> NODE_SHIFT
}

/// The slab at a node that [`node`] made.
fn slab_at(node: u64) -> &'static Slab {
    let slab = ptr::with_exposed_provenance::<Slab>((node as usize) << NODE_SHIFT);
    // SAFETY: nodes on these stacks come from `push` alone, which makes them of a `&'static Slab`. Its provenance was
    // exposed there, the bits shifted out are 0 (asserted above), and entries are never unmapped.
    unsafe { &*slab }
}

/// Pushes a slab, which the caller owns and gives up, and which is on no other stack.
pub(super) fn push(stack: &NodeStack, slab: &'static Slab) {
    stack.push(node(slab), &slab.stack_link);
}

/// Pops a slab, which the caller then owns.
pub(super) fn pop(stack: &NodeStack) -> Option<&'static Slab> {
    stack.pop(|node| &slab_at(node).stack_link).map(slab_at)
}
