//! The layers of a group as types of the runtime: the state of the first one, and of what is below it, as nested types.
//!
//! A layer that is tried inline forms one type with the next. Policies wrap types: `Counted` each layer under
//! `stats = true`, `Deferred` the first type under `free = "deferred"`.

use super::{Context, literal};
use hakmem_spec::{Arguments, Free, Group, Refill};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use std::ops::Range;

/// The stack of a group.
pub(super) struct Stack<'a> {
    context: &'a Context<'a>,
    group: &'a Group,
    /// For each type, the positions in the stack of the layers that form it.
    types: Vec<Range<usize>>,
}

impl<'a> Stack<'a> {
    pub(super) fn new(context: &'a Context<'a>, group: &'a Group) -> Stack<'a> {
        let mut types: Vec<Range<usize>> = Vec::new();
        for position in 0..group.layers.len() {
            match types.last_mut() {
                Some(last) if group.layers[position - 1].inline => last.end += 1,
                _ => types.push(position..position + 1),
            }
        }
        Stack { context, group, types }
    }

    /// The state of the first layer of a class.
    pub(super) fn first(&self) -> TokenStream {
        let first = self.state(&self.types[0]);
        if self.group.free == Free::Deferred {
            quote! { hakmem::Deferred<#first> }
        } else {
            first
        }
    }

    /// The states of the layers below.
    pub(super) fn rest(&self) -> TokenStream {
        let below = self.types[1..].iter().map(|layers| self.state(layers));
        self.fold(
            below,
            quote! { () },
            quote! { hakmem::Queued },
            |last| quote! { hakmem::RefillVia<#last> },
            |layer, rest| {
                quote! { hakmem::Then<#layer, #rest> }
            },
        )
    }

    /// What all threads share of a class.
    pub(super) fn shared(&self, class_index: usize) -> TokenStream {
        let shared = |layers: &Range<usize>| self.shared_of(layers, class_index);
        let (first, below) = (shared(&self.types[0]), self.types[1..].iter().map(shared));
        let rest = self.fold(
            below,
            quote! { () },
            quote! { hakmem::Queue::new(0) },
            |last| last,
            |layer, rest| {
                quote! { hakmem::SharedPair::new(#layer, #rest) }
            },
        );
        quote! { hakmem::SharedPair::new(#first, #rest) }
    }

    /// Nests `parts`, one for each layer below the first. Innermost is what the refill policy puts at the bottom.
    fn fold(
        &self,
        parts: impl DoubleEndedIterator<Item = TokenStream>,
        end: TokenStream,
        queue: TokenStream,
        refill_via: impl Fn(TokenStream) -> TokenStream,
        then: impl Fn(TokenStream, TokenStream) -> TokenStream,
    ) -> TokenStream {
        let mut parts = parts.rev();
        let end = match self.group.refill {
            Refill::Legacy => parts.next().map_or(end, refill_via),
            Refill::Background => queue,
            _ => end,
        };
        parts.fold(end, |rest, layer| then(layer, rest))
    }

    /// The type of one state.
    fn state(&self, layers: &Range<usize>) -> TokenStream {
        let layers = layers.clone().map(|position| {
            let layer = self.layer(position);
            if self.group.stats {
                quote! { hakmem::Counted<#layer> }
            } else {
                layer
            }
        });
        layers.rev().reduce(|second, first| quote! { hakmem::Inline<#first, #second> }).unwrap_or_default()
    }

    /// What all threads share of one state.
    fn shared_of(&self, layers: &Range<usize>, class_index: usize) -> TokenStream {
        let layers = layers.clone().map(|position| {
            let (layer, limit) = (self.layer(position), literal(self.limit(class_index, position)));
            let shared = quote! { <#layer as hakmem::Layer>::Shared::new(#limit) };
            if self.group.stats {
                quote! { hakmem::Counters::new(#shared) }
            } else {
                shared
            }
        });
        layers.rev().reduce(|second, first| quote! { hakmem::SharedPair::new(#first, #second) }).unwrap_or_default()
    }

    fn limit(&self, class_index: usize, position: usize) -> u32 {
        let Context { spec, plan } = self.context;
        spec.classes[plan.classes[class_index].spec_index].stack[position].limit
    }

    /// The type of a layer.
    fn layer(&self, position: usize) -> TokenStream {
        let layer = self.group.layers[position];
        let name = format_ident!("{}", layer.type_name);
        match layer.arguments {
            Arguments::None => quote! { hakmem::#name },
            Arguments::Array(array) => {
                let limits = self.group.classes.clone().map(|class_index| self.limit(class_index, position));
                let slots = literal(array.places(limits.max().unwrap_or(1)));
                quote! { hakmem::#name<#slots> }
            }
            Arguments::Geometry => {
                let [slab, region] = self.context.shifts();
                // A hit beside a heap has two more loads, and C's `malloc` a budget of 16 instructions: no prefetch
                // there.
                let prefetch = !self.context.beside_heap();
                quote! { hakmem::#name<#slab, #region, #prefetch> }
            }
        }
    }
}
