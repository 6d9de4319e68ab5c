//! From a layout to a slot: tables that fold away where the layout is constant.

use super::Context;
use proc_macro2::{Literal, TokenStream};
use quote::quote;

/// Rows of the small table, by the logarithm of the alignment: 1 to 64, and one that is never used, so that an index
/// of three bits needs no check.
const ALIGNMENTS: usize = 8;

pub(super) fn emit(context: &Context) -> TokenStream {
    let plan = context.plan;
    let small_largest = plan.small.max_size() as usize;
    let entries = plan.small.entries.len();
    let none = hakmem_spec::NO_SLOT;
    let row = |slots: &[u8]| {
        let slots = slots.iter().map(|&slot| Literal::u8_unsuffixed(slot));
        quote! { [#(#slots),*] }
    };
    let rows: Vec<TokenStream> = (0..ALIGNMENTS)
        .map(|row_number| match row_number {
            0..=3 => row(&plan.small.entries),
            4..=6 => row(&plan.aligned[row_number - 4].entries),
            _ => row(&vec![none; entries]),
        })
        .collect();
    let medium = match &plan.medium {
        None => quote! {},
        Some(medium) => {
            let largest = medium.max_size() as usize;
            let entries = medium.entries.len();
            let grain = medium.granularity as usize;
            let slots = medium.entries.iter().map(|&slot| Literal::u8_unsuffixed(slot));
            let about = format!(
                "By the size in units of {grain} bytes, rounded up: the slot of the smallest class that serves."
            );
            quote! {
                if size <= #largest {
                    #[doc = #about]
                    static MEDIUM: [u8; #entries] = [#(#slots),*];
                    let slot = MEDIUM[size.div_ceil(#grain)] as usize;
                    if align <= CLASSES[slot].align as usize {
                        return ::core::option::Option::Some(slot);
                    }
                }
            }
        }
    };
    let ascending = {
        let mut slots: Vec<usize> = (0..plan.slots.len()).collect();
        slots.sort_by_key(|&slot| context.spec.classes[plan.slots[slot].class].size);
        slots.into_iter().map(|slot| Literal::u8_unsuffixed(slot as u8)).collect::<Vec<_>>()
    };
    let count = ascending.len();
    quote! {
        /// The largest size that `SMALL` knows.
        const SMALL_LARGEST: usize = #small_largest;

        /// What `SMALL` holds where no small class has the alignment.
        const NO_SLOT: u8 = #none;

        /// By the logarithm of the alignment and by the size in units of 8 bytes, rounded up: the slot of the smallest
        /// class that serves. Where the layout is a constant, so is the slot.
        static SMALL: [[u8; #entries]; #ALIGNMENTS] = [#(#rows),*];

        /// The slots, smallest class first.
        static ASCENDING: [u8; #count] = [#(#ascending),*];

        /// The slot of the smallest class that serves this layout; `None` for a large block.
        #[inline(always)]
        fn slot_of(size: usize, align: usize) -> ::core::option::Option<usize> {
            if size <= SMALL_LARGEST && align <= 64 {
                let slot = SMALL[align.trailing_zeros() as usize & 7][(size + 7) >> 3];
                if slot != NO_SLOT {
                    return ::core::option::Option::Some(slot as usize);
                }
            }
            slot_of_other(size, align)
        }

        /// The same for sizes and alignments that the small table does not know.
        #[inline(never)]
        fn slot_of_other(size: usize, align: usize) -> ::core::option::Option<usize> {
            if size > SMALL_LARGEST {
                #medium
            }
            // Only unusual alignments come here, and what is too large for any class.
            let serves = |slot: &usize| CLASSES[*slot].size as usize >= size && CLASSES[*slot].align as usize >= align;
            ASCENDING.iter().map(|&slot| slot as usize).find(serves)
        }
    }
}
