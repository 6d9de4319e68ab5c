//! The classes, and the tables from a layout to a class: emitted as runs of class indices, which const evaluation
//! expands to class offsets.

use super::{Context, groups, literal};
use hakmem_spec::{MEDIUM_GRAIN, NO_CLASS, SizeTable};
use proc_macro2::TokenStream;
use quote::quote;

pub(super) fn emit(context: &Context) -> TokenStream {
    let (classes, plan) = (classes(context), context.plan);
    let count = literal(plan.classes.len());
    let states = plan.groups.iter().enumerate().map(|(number, _)| {
        let group = groups::type_name(number);
        quote! { hakmem::states_of::<#group>() }
    });
    let mut by_size: Vec<usize> = (0..plan.classes.len()).collect();
    by_size.sort_by_key(|&class_index| plan.classes[class_index].size);
    let by_size = by_size.into_iter().map(literal);
    let small = [&plan.small].into_iter().chain(&plan.aligned).map(runs);
    let (medium, entries) =
        plan.medium.as_ref().map_or_else(Default::default, |table| (runs(table), table.entries.len()));
    let entries = literal(entries);
    quote! {
        #classes

        /// The offset of each class: where the state of its first layer is in the thread cache.
        static OFFSETS: [u16; #count] = hakmem::class_offsets::<ThreadCache, #count>(&[#(#states),*]);

        /// The class indices, smallest class first.
        static BY_SIZE: [u8; #count] = [#(#by_size),*];

        /// The smallest class for a small request, by alignment and by size in units of 8 bytes, rounded up. The first
        /// row is for alignments that every class has, the others for 16, 32, 64 and 128; each is a list of runs (last
        /// entry, class index).
        static SMALL: hakmem::SmallTable = hakmem::small_table(&OFFSETS, [#(&[#small]),*]);

        /// The same for larger sizes, in units of `MEDIUM_GRAIN` bytes.
        static MEDIUM: [u16; #entries] = hakmem::expand(&OFFSETS, &[#medium]);
    }
}

fn runs(table: &SizeTable) -> TokenStream {
    let runs = table.runs().into_iter().map(|(last, class_index)| {
        let (last, class_index) = (literal(last), literal(class_index));
        quote! { (#last, #class_index) }
    });
    quote! { #(#runs),* }
}

fn classes(context: &Context) -> TokenStream {
    let count = literal(context.plan.classes.len());
    let rows = context.plan.classes.iter().map(|planned| {
        let class = &context.spec.classes[planned.spec_index];
        let shape = class.slab;
        let request = [class.size, class.usable(), class.align].map(literal);
        let span = [shape.slabs, shape.first_block_offset, shape.blocks, shape.slack].map(literal);
        let (batch, layers) = (literal(class.batch), class.stack.iter().map(|layer| layer.kind.name));
        let needs_class = context.needs_class(&context.plan.groups[planned.group]);
        let needs_class = needs_class.then(|| quote! { .needing_class() });
        quote! { hakmem::Class::new((#(#request),*), (#(#span),*), #batch, &[#(#layers),*]) #needs_class }
    });
    quote! {
        /// The classes by class index; those of a group are adjacent.
        ///
        /// (Size, largest request, alignment), (slabs per span, offset of the first block, blocks per span, slack),
        /// blocks per refill, layers.
        pub(super) static CLASSES: [hakmem::Class; #count] = [#(#rows),*];
    }
}

/// The constants of `CompiledSpec` that describe the tables.
pub(super) fn constants(context: &Context) -> TokenStream {
    let plan = context.plan;
    let medium_align = literal(plan.medium.as_ref().map_or(1, |table| table.align));
    let medium_grain = literal(MEDIUM_GRAIN);
    let (small_max, small_align) = (literal(plan.small.max_size()), literal(plan.small.align));
    let largest = literal(plan.largest);
    quote! {
        const SMALL_MAX: usize = #small_max;
        const SMALL_ALIGN: usize = #small_align;
        const MEDIUM_GRAIN: usize = #medium_grain;
        const MEDIUM_ALIGN: usize = #medium_align;
        const LARGEST: usize = #largest;
    }
}

/// The entries of the rows for alignments that not every class has.
pub(super) fn aligned_entries(context: &Context) -> Vec<u8> {
    context
        .plan
        .aligned
        .iter()
        .flat_map(|table| table.entries.iter().copied())
        .filter(|&entry| entry != NO_CLASS)
        .collect()
}

/// The entries of the medium table that are looked up: those above `SMALL_MAX`.
pub(super) fn medium_entries<'a>(context: &Context<'a>) -> &'a [u8] {
    let first = (hakmem_spec::SMALL_MAX / MEDIUM_GRAIN) as usize + 1;
    context.plan.medium.as_ref().map_or(&[], |table| &table.entries[first..])
}
