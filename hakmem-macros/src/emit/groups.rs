//! The paths: per group of classes with one stack, a hit that is inlined and a miss that is not; and the choice of the
//! group.

use super::Context;
use super::statics::layer_name;
use hakmem_spec::Group;
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

pub(super) fn emit(context: &Context) -> TokenStream {
    let paths = context.plan.groups.iter().enumerate().map(|(number, group)| paths(context, number, group));
    let entries = entries(context);
    quote! { #(#paths)* #entries }
}

/// The layers of `group` behind the first, on top of the slabs, as a value of a type that implements `Below`.
fn below(number: usize, group: &Group) -> TokenStream {
    let mut stack = quote! { hakmem::Slabs::new(&RUNTIME, heap_of(thread), FIRST + index) };
    for layer in group.layers.iter().skip(1).rev() {
        let field = layer_name(number, layer.name);
        let limit = format_ident!("{}_LIMIT", field.to_string().to_uppercase());
        stack = quote! { hakmem::Over::new(&thread.#field[index], #limit[index], #stack) };
    }
    stack
}

/// One group's functions, in a module of its own.
fn paths(context: &Context, number: usize, group: &Group) -> TokenStream {
    let module = format_ident!("group_{}", number);
    let first_layer = &group.layers[0];
    let field = layer_name(number, first_layer.name);
    let limit = format_ident!("{}_LIMIT", field.to_string().to_uppercase());
    let below = below(number, group);
    let (first, count) = (group.slots.start, group.slots.len());
    let classes: Vec<u32> =
        group.slots.clone().map(|slot| context.spec.classes[context.plan.slots[slot].class].size).collect();
    let stack: Vec<&str> = group.layers.iter().map(|layer| layer.name).collect();
    let about = format!(
        "{count} classes of {} to {} bytes: {}, then the slabs. {}",
        classes[0],
        classes[count - 1],
        stack.join(", then "),
        if group.specialise { "Inlined where they are used." } else { "Called, not inlined: their code is here once." },
    );
    let inline = if group.specialise {
        quote! { #[inline(always)] }
    } else {
        quote! { #[inline(never)] }
    };
    quote! {
        #[doc = #about]
        mod #module {
            use super::*;

            /// The slot of this group's first class.
            const FIRST: usize = #first;

            /// Takes a block from the first layer; null is a miss.
            #[inline(always)]
            pub(super) fn pop(slot: usize) -> *mut hakmem::Block {
                // SAFETY: the tables name slots of this group for it, and the state is this thread's.
                THREAD.with(|thread| unsafe { thread.#field.get_unchecked(slot - FIRST).pop() })
            }

            /// Allocates: a hit, or the way down the stack.
            #inline
            pub(super) fn allocate(slot: usize) -> *mut u8 {
                let block = pop(slot);
                if block.is_null() { miss(slot) } else { block.cast() }
            }

            /// Frees: a hit, or the way down the stack.
            #inline
            pub(super) unsafe fn release(block: *mut u8, slot: usize) {
                let block = block.cast::<hakmem::Block>();
                // SAFETY: as in `pop`; the caller gives the block, which is of this slot's class.
                if !THREAD.with(|thread| unsafe { thread.#field.get_unchecked(slot - FIRST).push(block) }) {
                    // SAFETY: the block was refused, so it is still ours to give.
                    unsafe { overflow(block, slot) }
                }
            }

            #[cold]
            #[inline(never)]
            fn miss(slot: usize) -> *mut u8 {
                THREAD.with(|thread| {
                    let index = slot - FIRST;
                    // SAFETY: the state is this thread's, and every layer is taken at the index of the same class.
                    unsafe { thread.#field[index].miss(#limit[index], &mut #below).cast() }
                })
            }

            #[cold]
            #[inline(never)]
            unsafe fn overflow(block: *mut hakmem::Block, slot: usize) {
                THREAD.with(|thread| {
                    let index = slot - FIRST;
                    // SAFETY: as in `miss`; the block is the caller's.
                    unsafe { thread.#field[index].overflow(block, #limit[index], &mut #below) }
                })
            }
        }
    }
}

/// Calls `function` of the group that `slot` is in, told apart by comparing, among the groups with these numbers.
fn choose(context: &Context, numbers: &[usize], call: impl Fn(&Ident) -> TokenStream) -> TokenStream {
    let Some((&last, others)) = numbers.split_last() else { return quote! { ::core::unreachable!() } };
    let mut choice = call(&format_ident!("group_{}", last));
    for &number in others.iter().rev() {
        let end = context.plan.groups[number].slots.end;
        let here = call(&format_ident!("group_{}", number));
        choice = quote! { if slot < #end { #here } else { #choice } };
    }
    choice
}

/// `allocate` and `release`, and what the runtime needs besides.
fn entries(context: &Context) -> TokenStream {
    let plan = context.plan;
    let all: Vec<usize> = (0..plan.groups.len()).collect();
    let is_small = |slot: usize| {
        plan.small
            .entries
            .iter()
            .chain(plan.aligned.iter().flat_map(|table| &table.entries))
            .any(|&small| usize::from(small) == slot)
    };
    let small: Vec<usize> =
        all.iter().copied().filter(|&number| plan.groups[number].slots.clone().any(is_small)).collect();
    let allocate_small = choose(context, &small, |group| quote! { #group::allocate(slot) });
    let release_small = choose(context, &small, |group| quote! { unsafe { #group::release(block, slot) } });
    let allocate_any = choose(context, &all, |group| quote! { #group::allocate(slot) });
    let release_any = choose(context, &all, |group| quote! { unsafe { #group::release(block, slot) } });
    let pop_any = choose(context, &all, |group| quote! { #group::pop(slot).cast() });
    quote! {
        /// `GlobalAlloc::alloc`. Sizes and alignments of the small table go straight to their group, where the slot is a
        /// constant if the layout is.
        #[inline(always)]
        pub(super) fn allocate(size: usize, align: usize) -> *mut u8 {
            if size <= SMALL_LARGEST && align <= 8 {
                // Rows 0 to 3 are the same, so that an alignment that is not known costs one comparison.
                let slot = SMALL[0][(size + 7) >> 3] as usize;
                return #allocate_small;
            }
            if size <= SMALL_LARGEST && align <= 64 {
                let slot = SMALL[align.trailing_zeros() as usize & 7][(size + 7) >> 3] as usize;
                if slot != NO_SLOT as usize {
                    return #allocate_small;
                }
            }
            allocate_other(size, align)
        }

        /// `GlobalAlloc::dealloc`. The class comes from the layout; nothing is read of the block or its slab.
        ///
        /// # Safety
        /// `block` was allocated here with this layout, and is not used any more.
        #[inline(always)]
        pub(super) unsafe fn release(block: *mut u8, size: usize, align: usize) {
            if size <= SMALL_LARGEST && align <= 8 {
                let slot = SMALL[0][(size + 7) >> 3] as usize;
                // SAFETY: the caller's contract, and the slot is that of the layout.
                return #release_small;
            }
            if size <= SMALL_LARGEST && align <= 64 {
                let slot = SMALL[align.trailing_zeros() as usize & 7][(size + 7) >> 3] as usize;
                if slot != NO_SLOT as usize {
                    // SAFETY: as above.
                    return #release_small;
                }
            }
            // SAFETY: as above.
            unsafe { release_other(block, size, align) }
        }

        /// Allocates what the small table does not know: larger classes, unusual alignments, large blocks.
        #[inline(never)]
        fn allocate_other(size: usize, align: usize) -> *mut u8 {
            match slot_of_other(size, align) {
                ::core::option::Option::Some(slot) => #allocate_any,
                ::core::option::Option::None => RUNTIME.large().allocate(&RUNTIME, size, align),
            }
        }

        /// Frees what the small table does not know.
        #[inline(never)]
        unsafe fn release_other(block: *mut u8, size: usize, align: usize) {
            match slot_of_other(size, align) {
                // SAFETY: the caller's contract, and the slot is that of the layout.
                ::core::option::Option::Some(slot) => #release_any,
                // SAFETY: as above; no class serves the layout, so the block is a large one.
                ::core::option::Option::None => unsafe { RUNTIME.large().free(&RUNTIME, block) },
            }
        }

        /// A hit of the class in `slot`, or null.
        #[inline]
        fn pop(slot: usize) -> *mut u8 {
            #pop_any
        }

        /// A block of the class in `slot` that is zero already, or null.
        #[cold]
        fn carve_zeroed(slot: usize) -> *mut u8 {
            THREAD.with(|thread| heap_of(thread).map_or(::core::ptr::null_mut(), |heap| heap.carve_zeroed(slot)))
        }
    }
}
