//! From a layout to a class: tables that fold away where the layout is constant.

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
        None => TokenStream::new(),
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
                        return ::core::option::Option::Some(PLACES[slot] as usize);
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
    let align_of_all = plan.small.align as usize;
    quote! {
        /// The largest size that `SMALL` knows.
        const SMALL_LARGEST: usize = #small_largest;

        /// The largest alignment that every class has, which needs no thought.
        const ALIGN_OF_ALL: usize = #align_of_all;

        /// By the logarithm of the alignment and by the size in units of 8 bytes, rounded up: the slot of the smallest
        /// class that serves.
        const SMALL_SLOTS: [[u8; #entries]; #ALIGNMENTS] = [#(#rows),*];

        /// The same as places: where the state of the class's first layer is, in bytes from the start of `Thread`. Where
        /// the layout is a constant, so is the place.
        static SMALL: [[u16; #entries]; #ALIGNMENTS] = {
            let mut places = [[NO_PLACE; #entries]; #ALIGNMENTS];
            let mut row = 0;
            while row < #ALIGNMENTS {
                let mut entry = 0;
                while entry < #entries {
                    let slot = SMALL_SLOTS[row][entry];
                    if slot != #none {
                        places[row][entry] = PLACES[slot as usize];
                    }
                    entry += 1;
                }
                row += 1;
            }
            places
        };

        /// What `SMALL` holds where no small class has the alignment.
        const NO_PLACE: u16 = u16::MAX;

        /// The slots, smallest class first.
        static ASCENDING: [u8; #count] = [#(#ascending),*];

        /// The place of the smallest class that serves this layout; `None` for a large block.
        #[inline(always)]
        fn place_of(size: usize, align: usize) -> ::core::option::Option<usize> {
            if size <= SMALL_LARGEST && align <= ALIGN_OF_ALL {
                return ::core::option::Option::Some(SMALL[0][(size + 7) >> 3] as usize);
            }
            place_of_other(size, align)
        }

        /// The same for what `SMALL[0]` does not know: larger sizes and alignments.
        #[inline(never)]
        fn place_of_other(size: usize, align: usize) -> ::core::option::Option<usize> {
            if size <= SMALL_LARGEST && align <= 64 {
                let place = SMALL[align.trailing_zeros() as usize & 7][(size + 7) >> 3];
                if place != NO_PLACE {
                    return ::core::option::Option::Some(place as usize);
                }
            }
            if size > SMALL_LARGEST {
                #medium
            }
            // Only unusual alignments come here, and what is too large for any class.
            let serves = |slot: &usize| CLASSES[*slot].size as usize >= size && CLASSES[*slot].align as usize >= align;
            ASCENDING.iter().map(|&slot| slot as usize).find(serves).map(|slot| PLACES[slot] as usize)
        }
    }
}
