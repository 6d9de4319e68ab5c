//! What callers in C need of a front, who free by address: `CFront`. Emitted where fronts stand beside their heaps.

use super::groups::{choose, module, told};
use super::{Context, literal};
use hakmem_spec::{Arguments, Free, Group, Header, Refill};
use proc_macro2::{Ident, TokenStream};
use quote::quote;

/// Whether a free of a block of the group is a hit by its address alone: its only layer finds the slab by arithmetic, and no
/// policy wants to know the class.
pub(super) fn by_address(group: &Group) -> bool {
    let alone = group.layers.len() == 1 && group.layers[0].arguments == Arguments::Geometry;
    alone && group.free == Free::Immediate && group.header == Header::None && !group.stats
}

pub(super) fn emit(context: &Context, name: &Ident) -> TokenStream {
    if !context.beside() {
        return TokenStream::new();
    }
    let plan = context.plan;
    let background =
        context.spec.purge.background || plan.groups.iter().any(|group| group.refill == Refill::Background);
    let stats = plan.groups.iter().any(|group| group.stats);
    let pop = choose(context, &told(context, &plan.aligned[0].entries), |number| {
        let module = module(number);
        quote! { #module::pop(place) }
    });
    let (hit, emptied) = release_hit(context);
    quote! {
        /// The row of `SMALL` for what C allocates.
        const C_ROW: usize = hakmem::C_ALIGN.trailing_zeros() as usize;

        /// Whether every small size has a class in that row.
        const C_ROW_IS_FULL: bool = {
            let mut full = true;
            let mut entry = 0;
            while entry < SMALL_SLOTS[C_ROW].len() {
                full &= SMALL_SLOTS[C_ROW][entry] != NO_SLOT;
                entry += 1;
            }
            full
        };

        /// The place of a slot that is not known to the compiler.
        #[inline]
        fn place_of_slot(slot: usize) -> usize {
            static ALL: [u16; PLACES.len()] = PLACES;
            // A slab's class is a slot.
            ALL.get(slot).map_or(0, |&place| place as usize)
        }

        // SAFETY: as of `Front`; what C allocates goes to classes of its alignment.
        unsafe impl hakmem::CFront for super::#name {
            const BACKGROUND: bool = #background;
            const STATS: bool = #stats;

            #[inline(always)]
            fn allocate_hit(size: usize) -> *mut u8 {
                if size > SMALL_LARGEST {
                    return ::core::ptr::null_mut();
                }
                let place = SMALL[C_ROW][(size + 7) >> 3];
                if !C_ROW_IS_FULL && place == NO_PLACE {
                    return ::core::ptr::null_mut();
                }
                let place = place as usize;
                #pop
            }

            #[inline(always)]
            unsafe fn release_hit(block: *mut u8) -> bool {
                #hit
            }

            #[inline]
            unsafe fn release_of(block: *mut u8, slot: usize) {
                // SAFETY: the caller's contract, and the place is that of the class.
                unsafe { release_at(block, place_of_slot(slot)) }
            }

            fn remember(block: *const u8) {
                if has_begun() {
                    THREAD.with(|thread| thread.regions.learn(block.addr()));
                }
            }

            fn layer_stats() -> hakmem::LayerTable {
                layer_stats()
            }

            fn purge() {
                purge()
            }
        }

        #emptied
    }
}

/// The hit of a free by address, and what follows it out of line.
fn release_hit(context: &Context) -> (TokenStream, TokenStream) {
    let numbers: Vec<usize> =
        (0..context.plan.groups.len()).filter(|&number| by_address(&context.plan.groups[number])).collect();
    if numbers.is_empty() {
        return (
            quote! {
                let _ = block;
                false
            },
            TokenStream::new(),
        );
    }
    let overflow = choose(context, &numbers, |number| {
        let module = module(number);
        quote! { unsafe { #module::overflow(block, place) } }
    });
    let slab = literal(context.spec.geometry.slab.trailing_zeros());
    let hit = quote! {
        const REGIONS: usize = FRONT + ::core::mem::offset_of!(Thread, regions);
        // SAFETY: the regions are there; a slab of this heap's name is of a class of such a group.
        match unsafe { hakmem::Pages::<#slab, REGION, false>::push_own::<REGIONS>(block, heap_name()) } {
            ::core::option::Option::None => false,
            ::core::option::Option::Some(true) => true,
            ::core::option::Option::Some(false) => {
                // SAFETY: the push has just said so.
                unsafe { emptied(block) };
                true
            }
        }
    };
    let emptied = quote! {
        /// No block of the page of `block` is in use any more.
        ///
        /// # Safety
        /// The page is this thread's, and `block` was just pushed to it.
        #[cold]
        #[inline(never)]
        unsafe extern "C" fn emptied(block: *mut u8) {
            // SAFETY: the block is in a slab in use.
            let place = place_of_slot(unsafe { RUNTIME.slot_of(block) });
            // SAFETY: right after the push that calls for it.
            #overflow
        }
    };
    (hit, emptied)
}
