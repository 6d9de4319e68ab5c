//! From a layout to a class: tables that fold away where the layout is constant.

use super::{Context, literal};
use hakmem_spec::{NO_SLOT, SizeTable};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};

/// Rows of the small table, by the logarithm of the alignment: 1 to 128, so that an index of three bits needs no check. Beyond
/// C's 16 it is 128 that programs ask for, to keep what two processors write apart.
const ALIGNMENTS: usize = 8;

pub(super) fn emit(context: &Context) -> TokenStream {
    let small = small(context);
    let (medium, at_medium) = medium(context);
    let largest = literal(context.spec.classes.last().map_or(0, hakmem_spec::Class::usable));
    let mut ascending: Vec<usize> = (0..context.plan.slots.len()).collect();
    ascending.sort_by_key(|&slot| context.plan.slots[slot].size);
    let (ascending, count) = (ascending.into_iter().map(literal), literal(context.plan.slots.len()));
    let alignments = literal(ALIGNMENTS);
    quote! {
        #small
        #medium

        /// The slots, smallest class first.
        static ASCENDING: [u8; #count] = [#(#ascending),*];

        /// The largest request that a class serves.
        const LARGEST: usize = #largest;

        /// The place of the smallest class that serves this layout; `None` for a large block.
        #[inline(always)]
        fn place_of(size: usize, align: usize) -> ::core::option::Option<usize> {
            match place_at_hand(size, align) {
                ::core::option::Option::None => place_sought(size, align),
                place => place,
            }
        }

        /// The same where a table tells it, without a call; else `None`.
        #[inline(always)]
        fn place_at_hand(size: usize, align: usize) -> ::core::option::Option<usize> {
            if size <= SMALL_LARGEST && align <= ALIGN_OF_ALL {
                return ::core::option::Option::Some(place_of_small(size));
            }
            match place_of_aligned(size, align) {
                ::core::option::Option::None => #at_medium,
                place => place,
            }
        }

        /// The place of the smallest class that serves a size up to `SMALL_LARGEST`, of ordinary alignment.
        #[inline(always)]
        fn place_of_small(size: usize) -> usize {
            SMALL[0][(size + 7) >> 3] as usize
        }

        /// The place of the smallest class that serves a small size of an alignment that not every class has.
        #[inline(always)]
        fn place_of_aligned(size: usize, align: usize) -> ::core::option::Option<usize> {
            if size <= SMALL_LARGEST && align < 1 << #alignments {
                let place = SMALL[align.trailing_zeros() as usize & (#alignments - 1)][(size + 7) >> 3];
                if place != NO_PLACE {
                    return ::core::option::Option::Some(place as usize);
                }
            }
            ::core::option::Option::None
        }

        /// The same where no table tells it: only unusual alignments come here, and sizes that no class serves.
        #[cold]
        #[inline(never)]
        fn place_sought(size: usize, align: usize) -> ::core::option::Option<usize> {
            if size > LARGEST {
                return ::core::option::Option::None;
            }
            let serves = |slot: &usize| CLASSES[*slot].usable as usize >= size && CLASSES[*slot].align as usize >= align;
            ASCENDING.iter().map(|&slot| slot as usize).find(serves).map(|slot| PLACES[slot] as usize)
        }
    }
}

/// The table of small sizes. It is written as slots, which a reader can follow; the compiler makes places of them.
fn small(context: &Context) -> TokenStream {
    let plan = context.plan;
    let (largest, align_of_all) = (literal(plan.small.max_size()), literal(plan.small.align));
    let (entries, none, alignments) = (literal(plan.small.entries.len()), literal(NO_SLOT), literal(ALIGNMENTS));
    let tables: [(&str, &SizeTable); 5] = [
        ("ORDINARY", &plan.small),
        ("ALIGNED_TO_16", &plan.aligned[0]),
        ("ALIGNED_TO_32", &plan.aligned[1]),
        ("ALIGNED_TO_64", &plan.aligned[2]),
        ("ALIGNED_TO_128", &plan.aligned[3]),
    ];
    // Rows that are the same are written once, under the name of the first.
    let name = |table: &SizeTable| {
        let (name, _) = tables.iter().find(|(_, other)| other.entries == table.entries).unwrap_or(&tables[0]);
        format_ident!("{name}")
    };
    let rows = tables.iter().filter(|(text, table)| name(table) == text).map(|(_, table)| {
        let (name, slots) = (name(table), table.entries.iter().copied().map(literal));
        quote! { const #name: [u8; #entries] = [#(#slots),*]; }
    });
    let [ordinary, to_16, to_32, to_64, to_128] = tables.map(|(_, table)| name(table));
    quote! {
        /// The largest size that `SMALL` knows.
        const SMALL_LARGEST: usize = #largest;

        /// The largest alignment that every class has, which needs no thought.
        const ALIGN_OF_ALL: usize = #align_of_all;

        /// By the logarithm of the alignment and by the size in units of 8 bytes, rounded up: the slot of the smallest
        /// class that serves.
        const SMALL_SLOTS: [[u8; #entries]; #alignments] = {
            #(#rows)*
            [#ordinary, #ordinary, #ordinary, #ordinary, #to_16, #to_32, #to_64, #to_128]
        };

        /// What `SMALL_SLOTS` holds where no class has the alignment.
        const NO_SLOT: u8 = #none;

        /// The same as places: where the state of the class's first layer is, in `UNIT`s from the start of `Thread`. Where
        /// the layout is a constant, so is the place.
        static SMALL: [[u16; #entries]; #alignments] = {
            let mut places = [[NO_PLACE; #entries]; #alignments];
            let mut row = 0;
            while row < #alignments {
                let mut entry = 0;
                while entry < #entries {
                    let slot = SMALL_SLOTS[row][entry];
                    if slot != NO_SLOT {
                        places[row][entry] = PLACES[slot as usize];
                    }
                    entry += 1;
                }
                row += 1;
            }
            places
        };

        /// What `SMALL` holds there.
        const NO_PLACE: u16 = u16::MAX;
    }
}

/// The table of the sizes above, and what it tells; nothing where there are none.
fn medium(context: &Context) -> (TokenStream, TokenStream) {
    let Some(medium) = &context.plan.medium else {
        return (TokenStream::new(), quote! { ::core::option::Option::None });
    };
    let (entries, grain) = (literal(medium.entries.len()), literal(medium.granularity));
    let (slots, align) = (medium.entries.iter().copied().map(literal), literal(medium.align));
    let about =
        format!(" By the size in units of {grain} bytes, rounded up: the slot of the smallest class that serves.");
    let table = quote! {
        #[doc = #about]
        const MEDIUM_SLOTS: [u8; #entries] = [#(#slots),*];

        /// The same as places.
        static MEDIUM: [u16; #entries] = {
            let mut places = [0; #entries];
            let mut entry = 0;
            while entry < #entries {
                places[entry] = PLACES[MEDIUM_SLOTS[entry] as usize];
                entry += 1;
            }
            places
        };

        /// The largest alignment that every class in `MEDIUM` has.
        const MEDIUM_ALIGN: usize = #align;

        /// The place of the smallest class that serves a size above `SMALL_LARGEST`, of ordinary alignment.
        #[inline(always)]
        fn place_of_medium(size: usize, align: usize) -> ::core::option::Option<usize> {
            if size > SMALL_LARGEST && size <= LARGEST && align <= MEDIUM_ALIGN {
                ::core::option::Option::Some(MEDIUM[size.div_ceil(#grain)] as usize)
            } else {
                ::core::option::Option::None
            }
        }
    };
    (table, quote! { place_of_medium(size, align) })
}
