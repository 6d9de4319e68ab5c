//! The layers of a group as types of the runtime.
//!
//! Most layers are a level of their own: an array of states in `Thread`, and a static with what all threads share. One
//! that stands ahead of another forms a level with it. Policies wrap: each layer is counted where the spec wants
//! statistics, and the first level stands behind the queue of deferred frees.

use super::{Context, literal};
use hakmem_spec::{Arguments, Free, Group, LayerKind};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use std::ops::Range;

/// A level of a group's front.
pub(super) struct Level {
    /// The number of its group.
    pub(super) group: usize,
    /// Its place among the group's levels.
    pub(super) number: usize,
    /// Its layers, by their place in the stack: one, or one with what stands ahead of it.
    pub(super) layers: Range<usize>,
    /// Its layers' names, as a reader would say them.
    pub(super) title: String,
    /// The field of `Thread` with a state for each class.
    pub(super) field: Ident,
    /// The type of a state.
    pub(super) alias: Ident,
    /// The static with what all threads share, for each class.
    pub(super) shared: Ident,
}

/// The levels of group `number`, first to last.
pub(super) fn of(context: &Context, number: usize) -> Vec<Level> {
    let group = &context.plan.groups[number];
    let mut levels: Vec<Level> = Vec::new();
    let mut start = 0;
    while start < group.layers.len() {
        let mut end = start + 1;
        while end < group.layers.len() && group.layers[end - 1].ahead {
            end += 1;
        }
        let names: Vec<&str> = group.layers[start..end].iter().map(|layer| layer.name).collect();
        let pascal: String = group.layers[start..end].iter().map(|layer| layer.type_name).collect();
        let snake = names.join("_");
        levels.push(Level {
            group: number,
            number: levels.len(),
            layers: start..end,
            title: names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" ahead of "),
            field: format_ident!("group_{}_{}", number, snake),
            alias: format_ident!("Group{}{}", number, pascal),
            shared: format_ident!("GROUP_{}_{}", number, snake.to_uppercase()),
        });
        start = end;
    }
    levels
}

impl Level {
    fn of_group<'a>(&self, context: &'a Context) -> &'a Group {
        &context.plan.groups[self.group]
    }

    /// Whether threads share blocks in one of its layers.
    pub(super) fn shares(&self, context: &Context) -> bool {
        self.of_group(context).layers[self.layers.clone()].iter().any(|layer| layer.shares)
    }

    /// The type of a state.
    pub(super) fn state(&self, context: &Context) -> TokenStream {
        let group = self.of_group(context);
        let layers = self.layers.clone().map(|position| {
            let kind = layer(context, group, position);
            if group.stats {
                quote! { hakmem::Counted<#kind> }
            } else {
                kind
            }
        });
        let front = layers.rev().reduce(|behind, ahead| quote! { hakmem::Inline<#ahead, #behind> });
        let front = front.unwrap_or_default();
        if self.number == 0 && group.free == Free::Deferred {
            quote! { hakmem::Deferred<#front> }
        } else {
            front
        }
    }

    /// What all threads share of the class at `slot`.
    pub(super) fn shared_of(&self, context: &Context, slot: usize) -> TokenStream {
        let group = self.of_group(context);
        let class = &context.spec.classes[context.plan.slots[slot].class];
        let layers = self.layers.clone().map(|position| {
            let (kind, limit) = (layer(context, group, position), literal(class.stack[position].limit));
            let shared = quote! { <#kind as hakmem::Layer>::Shared::new(#limit) };
            if group.stats {
                quote! { hakmem::Counters::new(#shared) }
            } else {
                shared
            }
        });
        layers.rev().reduce(|behind, ahead| quote! { hakmem::SharedPair::new(#ahead, #behind) }).unwrap_or_default()
    }

    /// For each layer, its name and the way from what the class at `index` of the group shares to its counts.
    pub(super) fn counts(&self, context: &Context, index: usize) -> Vec<(&'static str, TokenStream)> {
        let (group, shared, index) = (self.of_group(context), &self.shared, literal(index));
        let mut path = quote! { #shared[#index] };
        let mut counts = Vec::new();
        for position in self.layers.clone() {
            let name = group.layers[position].name;
            let last = position + 1 == self.layers.end;
            let here = if last {
                path.clone()
            } else {
                quote! { #path.ahead() }
            };
            counts.push((name, quote! { #here.counts() }));
            path = quote! { #path.behind() };
        }
        counts
    }
}

/// The type of a layer of the runtime, for the classes of a group.
fn layer(context: &Context, group: &Group, position: usize) -> TokenStream {
    let LayerKind { type_name, arguments, .. } = group.layers[position];
    let kind = format_ident!("{}", type_name);
    match arguments {
        Arguments::None => quote! { hakmem::#kind },
        Arguments::Array(array) => {
            let limit = |slot: usize| context.spec.classes[context.plan.slots[slot].class].stack[position].limit;
            let places = literal(array.places(group.slots.clone().map(limit).max().unwrap_or(1)));
            quote! { hakmem::#kind<#places> }
        }
        Arguments::Geometry => {
            let slab = literal(context.spec.geometry.slab.trailing_zeros());
            let superslab = literal(context.spec.geometry.superslab);
            // A hit beside a heap has two loads more; C's malloc is to take no more than sixteen instructions.
            let prefetch = !context.beside();
            quote! { hakmem::#kind<#slab, { hakmem::region_shift(#superslab) }, #prefetch> }
        }
    }
}
