//! The generated allocator, from the outside in: the user's type, its methods, and a private module with the rest.

mod anchors;
mod beside;
mod exports;
mod groups;
mod levels;
mod record;
mod sizes;
mod statics;

use crate::input::Input;
use crate::source::Found;
use hakmem_spec::{Plan, Spec};
use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use std::ops::Range;
use std::path::Path;
use syn::ext::IdentExt as _;

/// Everything the parts of the generator look at.
pub(crate) struct Context<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) plan: &'a Plan,
}

/// A valid spec's allocator.
///
/// There is no `allow` in it: rustc and clippy do not hold what a macro of another crate wrote to most lints of the user,
/// and an `allow(unsafe_code)` is an error where `forbid` is in force. `tests/fixtures.rs` builds under all of them.
pub(crate) fn allocator(input: &Input, found: &Found, spec: &Spec) -> TokenStream {
    let plan = Plan::new(spec);
    let context = Context { spec, plan: &plan };
    let Input { hakmem, name, .. } = input;
    let module = module_name(name);
    let summary = format!(" The allocator behind [`{name}`](super::{name}), generated from {}.", found.source.name);
    let type_item = type_item(input, &context, &found.source.name);
    let tracked = tracked(found.tracked.as_deref());
    let statics = statics::emit(&context, name);
    let sizes = sizes::emit(&context);
    let groups = groups::emit(&context);
    let front = front(name);
    let exports = exports::emit(&context, name);
    let extras = extras(name, &context);
    quote! {
        #type_item

        #[doc = #summary]
        #[doc(hidden)]
        mod #module {
            use #hakmem::__private as hakmem;
            use hakmem::Layer as _;

            #tracked
            #statics
            #sizes
            #groups
            #front
            #exports
            #extras
        }
    }
}

/// What features of hakmem add for `cargo hakmem`; nothing, as a program is built otherwise.
fn extras(name: &Ident, context: &Context) -> TokenStream {
    let mut extras = TokenStream::new();
    if cfg!(feature = "anchors") {
        extras.extend(anchors::emit(context));
    }
    if cfg!(feature = "record") {
        extras.extend(record::emit(name));
    }
    extras
}

/// A broken spec's: the messages, and a type that does nothing but keep its users from failing, too.
pub(crate) fn failed(input: &Input, tracked_file: Option<&str>, messages: &[String]) -> TokenStream {
    let Input { hakmem, attributes, visibility, name, .. } = input;
    let span = input.spec_span();
    let errors = messages.iter().map(|message| quote_spanned! { span => ::core::compile_error! { #message } });
    let tracked = tracked(tracked_file);
    let exported = failed_front(input);
    quote! {
        #(#errors)*
        #tracked
        #(#attributes)*
        #[derive(Clone, Copy, Debug, Default)]
        #visibility struct #name;

        impl #name {
            pub const CLASSES: &'static [#hakmem::Class] = &[];

            pub fn classes() -> #hakmem::ClassTable {
                ::core::unreachable!()
            }

            pub fn stats() -> #hakmem::Stats {
                ::core::unreachable!()
            }

            pub fn layer_stats() -> #hakmem::LayerTable {
                ::core::unreachable!()
            }

            pub fn owns(_: *const u8) -> bool {
                ::core::unreachable!()
            }

            pub fn prewarm(_: ::core::alloc::Layout) -> bool {
                ::core::unreachable!()
            }

            pub fn purge() {}
        }

        // SAFETY: the program does not compile.
        unsafe impl ::core::alloc::GlobalAlloc for #name {
            unsafe fn alloc(&self, _: ::core::alloc::Layout) -> *mut u8 {
                ::core::ptr::null_mut()
            }
            unsafe fn dealloc(&self, _: *mut u8, _: ::core::alloc::Layout) {}
        }

        #exported
    }
}

/// What `export_malloc!` asks of a type, of a broken spec's.
fn failed_front(Input { hakmem, name, .. }: &Input) -> TokenStream {
    quote! {
        // SAFETY: the program does not compile.
        unsafe impl #hakmem::__private::Front for #name {
            fn runtime() -> &'static #hakmem::__private::Allocator {
                ::core::unreachable!()
            }
            fn class_of(_: usize, _: usize) -> ::core::option::Option<usize> {
                ::core::option::Option::None
            }
            fn class_at_hand(_: usize, _: usize) -> ::core::option::Option<usize> {
                ::core::option::Option::None
            }
            fn allocate(_: usize, _: usize) -> *mut u8 {
                ::core::ptr::null_mut()
            }
            unsafe fn release(_: *mut u8, _: usize, _: usize) {}
            fn allocate_at(_: usize) -> *mut u8 {
                ::core::ptr::null_mut()
            }
            unsafe fn release_at(_: *mut u8, _: usize) {}
            fn pop(_: usize) -> *mut u8 {
                ::core::ptr::null_mut()
            }
            fn carve_zeroed(_: usize) -> *mut u8 {
                ::core::ptr::null_mut()
            }
        }

        // SAFETY: as above.
        unsafe impl #hakmem::__private::CFront for #name {
            const BACKGROUND: bool = false;
            const STATS: bool = false;

            fn allocate_hit(_: usize) -> *mut u8 {
                ::core::ptr::null_mut()
            }
            unsafe fn release_hit(_: *mut u8) -> bool {
                true
            }
            unsafe fn release_of(_: *mut u8, _: usize) {}
            fn remember(_: *const u8) {}
            fn layer_stats() -> #hakmem::LayerTable {
                ::core::unreachable!()
            }
            fn purge() {}
        }
    }
}

/// The private module of an allocator called `name`.
fn module_name(name: &Ident) -> Ident {
    let mut snake = String::new();
    for (position, letter) in name.unraw().to_string().chars().enumerate() {
        if letter.is_uppercase() && position > 0 {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    format_ident!("__hakmem_{}", snake)
}

/// Makes an edit of the spec rebuild the crate; not a byte of it reaches the binary.
fn tracked(file: Option<&str>) -> TokenStream {
    let Some(file) = file else { return TokenStream::new() };
    let path = if Path::new(file).is_absolute() {
        quote! { #file }
    } else {
        quote! { ::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), "/", #file) }
    };
    quote! {
        const _: &str = ::core::include_str!(#path);
    }
}

/// A number without a suffix: where it stands, its type is known.
fn literal(value: impl TryInto<u64>) -> Literal {
    value.try_into().map_or_else(|_| unreachable!("usize fits u64"), Literal::u64_unsuffixed)
}

/// How comments call the classes in these slots.
fn sizes_of(context: &Context, slots: &Range<usize>) -> String {
    let sizes = &context.plan.slots[slots.clone()];
    match sizes {
        [only] => format!("the class of {} bytes", only.size),
        [first, .., last] => format!("the {} classes from {} to {} bytes", sizes.len(), first.size, last.size),
        [] => unreachable!("a group has a class"),
    }
}

/// The user's type with its public methods.
fn type_item(input: &Input, context: &Context, source: &str) -> TokenStream {
    let Input { hakmem, attributes, visibility, name, .. } = input;
    let module = module_name(name);
    let count = context.plan.slots.len();
    let largest = context.spec.classes.last().map_or(0, hakmem_spec::Class::usable);
    let about = format!(
        " An allocator generated by hakmem from {source}: {count} classes up to {largest} bytes. Use it as \
         `#[global_allocator]`, or through its [`GlobalAlloc`](::core::alloc::GlobalAlloc) methods."
    );
    let methods = if cfg!(feature = "record") { record::methods(input) } else { methods(input) };
    let gap = attributes.iter().any(|attribute| attribute.path().is_ident("doc")).then(|| quote! { #[doc = ""] });
    quote! {
        #(#attributes)*
        #gap
        #[doc = #about]
        #[derive(Clone, Copy, Debug, Default)]
        #visibility struct #name;

        impl #name {
            /// What the spec says of each class, in no particular order.
            pub const CLASSES: &'static [#hakmem::Class] = &#module::CLASSES;

            /// The classes as a table to print, each row with its own waste.
            #[must_use]
            pub const fn classes() -> #hakmem::ClassTable {
                #module::CLASS_TABLE
            }

            /// Live statistics, computed from slab metadata: a table to print, or JSON.
            #[must_use]
            pub const fn stats() -> #hakmem::Stats {
                #hakmem::Stats::of(&#module::RUNTIME)
            }

            /// What the layers did of those classes whose spec says `stats = true`; a table to print, without rows where
            /// none does.
            #[must_use]
            pub fn layer_stats() -> #hakmem::LayerTable {
                #module::layer_stats()
            }

            /// Whether `pointer` points into memory of this allocator. Constant time; the memory is not touched.
            #[must_use]
            pub fn owns(pointer: *const u8) -> bool {
                #module::RUNTIME.owns(pointer.addr())
            }

            /// Fills this thread's front for blocks of `layout`, so that the first request already is a hit. `false`:
            /// there was no memory.
            pub fn prewarm(layout: ::core::alloc::Layout) -> bool {
                #hakmem::__private::global_alloc::prewarm::<#name>(layout.size(), layout.align())
            }

            /// Gives this thread's kept blocks back to their slabs, and all free memory back to the system, without
            /// waiting for the purge delay.
            pub fn purge() {
                #module::purge()
            }
        }

        #methods
    }
}

/// `GlobalAlloc` for the type.
fn methods(input: &Input) -> TokenStream {
    let Input { hakmem, name, .. } = input;
    let module = module_name(name);
    quote! {
        // SAFETY: the generated front hands out blocks of at least the layout's size and alignment, each to one owner at
        // a time, and null when there is none; it neither panics nor unwinds.
        unsafe impl ::core::alloc::GlobalAlloc for #name {
            #[inline]
            unsafe fn alloc(&self, layout: ::core::alloc::Layout) -> *mut u8 {
                #module::allocate(layout.size(), layout.align())
            }

            #[inline]
            unsafe fn dealloc(&self, block: *mut u8, layout: ::core::alloc::Layout) {
                // SAFETY: the caller's contract.
                unsafe { #module::release(block, layout.size(), layout.align()) }
            }

            #[inline]
            unsafe fn alloc_zeroed(&self, layout: ::core::alloc::Layout) -> *mut u8 {
                #hakmem::__private::global_alloc::allocate_zeroed::<#name>(layout.size(), layout.align())
            }

            #[inline]
            unsafe fn realloc(&self, block: *mut u8, layout: ::core::alloc::Layout, new_size: usize) -> *mut u8 {
                // SAFETY: the caller's contract.
                unsafe {
                    #hakmem::__private::global_alloc::reallocate::<#name>(block, layout.size(), layout.align(), new_size)
                }
            }
        }
    }
}

/// The generated front as the runtime sees it.
fn front(name: &Ident) -> TokenStream {
    quote! {
        // SAFETY: `allocate` and `release` go by the same tables as `class_of`.
        unsafe impl hakmem::Front for super::#name {
            fn runtime() -> &'static hakmem::Allocator {
                &RUNTIME
            }

            #[inline]
            fn class_of(size: usize, align: usize) -> ::core::option::Option<usize> {
                place_of(size, align)
            }

            #[inline]
            fn class_at_hand(size: usize, align: usize) -> ::core::option::Option<usize> {
                place_at_hand(size, align)
            }

            #[inline]
            fn allocate(size: usize, align: usize) -> *mut u8 {
                allocate(size, align)
            }

            #[inline]
            unsafe fn release(block: *mut u8, size: usize, align: usize) {
                // SAFETY: the caller's contract.
                unsafe { release(block, size, align) }
            }

            #[inline]
            fn allocate_at(place: usize) -> *mut u8 {
                allocate_at(place)
            }

            #[inline]
            unsafe fn release_at(block: *mut u8, place: usize) {
                // SAFETY: the caller's contract.
                unsafe { release_at(block, place) }
            }

            #[inline]
            fn pop(place: usize) -> *mut u8 {
                pop(place)
            }

            fn carve_zeroed(place: usize) -> *mut u8 {
                carve_zeroed(place)
            }
        }
    }
}
