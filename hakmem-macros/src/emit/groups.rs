//! The groups: for each, a type that implements the runtime's `Group`. The logic is in `hakmem-runtime`'s `group.rs`.

use super::layers::Stack;
use super::{Context, literal, sizes_of};
use hakmem_spec::{Arguments, Free, Group, Header};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

/// The name of the type of group `number`.
pub(super) fn type_name(number: usize) -> Ident {
    format_ident!("Group{number}")
}

/// The fields of `ThreadCache` with the states of group `number`: first layer, and below.
pub(super) fn array_names(number: usize) -> [Ident; 2] {
    [format_ident!("group_{number}"), format_ident!("group_{number}_rest")]
}

pub(super) fn emit(context: &Context) -> TokenStream {
    context.plan.groups.iter().enumerate().map(|(number, group)| one(context, number, group)).collect()
}

fn one(context: &Context, number: usize, group: &Group) -> TokenStream {
    let stack = Stack::new(context, group);
    let layers: Vec<&str> = group.layers.iter().map(|layer| layer.name).collect();
    let (name, [states, rest_states]) = (type_name(number), array_names(number));
    let shared = format_ident!("GROUP_{number}_{}", layers.join("_").to_uppercase());
    let (first, rest) = (stack.first(), stack.rest());
    let (first_class, count) = (literal(group.classes.start), literal(group.classes.len()));
    let of_classes = group.classes.clone().map(|class_index| stack.shared(class_index));
    let (inlining, how) = if group.specialise {
        ("Always", "Hits are always inlined.")
    } else if context.serves(group, &context.plan.small.entries) {
        ("Never", "Hits are never inlined: one copy of the code.")
    } else {
        ("Hint", "Hits are inlined into out-of-line functions.")
    };
    let inlining = format_ident!("{inlining}");
    let about =
        format!(" The group of {}: {}, then the slabs. {how}", sizes_of(context, group), layers.join(", then "));
    let header = (group.header == Header::RegionId).then(|| quote! { const HEADER: bool = true; });
    let needs_class = context.needs_class(group).then(|| quote! { const NEEDS_CLASS: bool = true; });
    quote! {
        #[doc = #about]
        pub struct #name;

        /// For each class, what threads share of its layers: for most layers only the limit in blocks.
        static #shared: [hakmem::Shared<#name>; #count] = [#(#of_classes),*];

        // SAFETY: the offsets are those of two arrays in the cache. These and `shared` have one element for each class
        // of the group; its classes are adjacent, and share header and `NEEDS_CLASS` (`Plan`). There is a
        // class in each group.
        unsafe impl hakmem::Group for #name {
            type Cache = ThreadCache;
            type First = #first;
            type Rest = #rest;
            const FIRST_CLASS: usize = #first_class;
            const CLASSES: usize = #count;
            const FIRST_OFFSET: usize = ::core::mem::offset_of!(ThreadCache, #states);
            const REST_OFFSET: usize = ::core::mem::offset_of!(ThreadCache, #rest_states);
            const INLINING: hakmem::Inlining = hakmem::Inlining::#inlining;
            #header
            #needs_class
            fn shared() -> &'static [hakmem::Shared<Self>] {
                &#shared
            }
        }
    }
}

/// Whether a free can hit knowing only the block's address: the group's only layer finds the slab by masking, and no
/// policy needs the class.
pub(super) fn by_address(group: &Group) -> bool {
    let alone = group.layers.len() == 1 && group.layers[0].arguments == Arguments::Geometry;
    alone && group.free == Free::Immediate && group.header == Header::None && !group.stats
}

/// The groups for which `wanted` holds, as the runtime's `Groups`: a binary tree of tuples.
pub(super) fn choice(context: &Context, wanted: impl Fn(&Group) -> bool) -> TokenStream {
    let groups = context.plan.groups.iter().enumerate().filter(|(_, group)| wanted(group));
    choice_of(&groups.map(|(number, _)| type_name(number)).collect::<Vec<_>>())
}

/// Up to `FEW` groups are tried one after the other, smallest classes first; more are split in halves.
fn choice_of(names: &[Ident]) -> TokenStream {
    const FEW: usize = 8;
    let (left, right) = match names {
        [] => return quote! { () },
        [one] => return quote! { (#one,) },
        few if few.len() <= FEW => few.split_at(1),
        many => many.split_at(many.len() / 2),
    };
    let (left, right) = (choice_of(left), choice_of(right));
    quote! { (#left, #right) }
}
