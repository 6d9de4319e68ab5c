//! The generated allocator, from the outside in: the user's type, its methods, and a private module with tables, types
//! and thread state. The logic is in `hakmem-runtime`; only what differs from spec to spec is generated.

mod anchors;
mod attributes;
mod exports;
mod groups;
mod layers;
mod tables;
mod thread;

use crate::input::{Build, Input};
use crate::source::Found;
use hakmem_spec::{Background, Group, Plan, Spec, Tls};
use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use std::path::Path;
use syn::ext::IdentExt as _;

/// What every part of the generator reads.
pub(crate) struct Context<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) plan: &'a Plan,
}

impl Context<'_> {
    /// Whether a thread cache is stored beside its heap.
    fn beside_heap(&self) -> bool {
        self.spec.tls == Tls::InitialExec
    }

    /// The base-2 logarithms of the sizes of a slab and of a region.
    fn shifts(&self) -> [TokenStream; 2] {
        let (slab, superslab) =
            (literal(self.spec.geometry.slab.trailing_zeros()), literal(self.spec.geometry.superslab));
        [quote! { #slab }, quote! { { hakmem::region_shift(#superslab) } }]
    }

    /// Whether a free of a group's blocks needs their class, while other groups' blocks can be freed by address alone.
    /// The owner of the group's slabs says so, in bit 0.
    fn needs_class(&self, group: &Group) -> bool {
        self.beside_heap() && !groups::by_address(group)
    }

    /// Whether one of a group's classes is an entry of a size table.
    fn serves(&self, group: &Group, entries: &[u8]) -> bool {
        entries.iter().any(|&entry| group.classes.contains(&entry.into()))
    }
}

/// A valid spec's allocator.
///
/// It contains no `allow`: rustc and clippy exempt code from another crate's macro from most lints, and
/// `allow(unsafe_code)` is an error under `forbid`. `tests/codegen/fixtures.rs` compiles it under strict lints.
pub(crate) fn allocator(input: &Input, found: &Found, spec: &Spec) -> TokenStream {
    let plan = Plan::new(spec);
    let context = Context { spec, plan: &plan };
    let Input { hakmem, name, .. } = input;
    let module = module_name(name);
    let summary = format!(" The allocator behind [`{name}`](super::{name}), generated from {}.", found.source.name);
    let type_item = type_item(input, &context, &found.source.name);
    let tracked = tracked(found.tracked.as_deref());
    let allocator = allocator_static(&context, name);
    let (tables, groups) = (tables::emit(&context), groups::emit(&context));
    let thread = thread::emit(&context, name);
    let compiled_spec = compiled_spec(&context, name);
    let exports = exports::emit(&context, name);
    let anchors = (input.build == Build::Anchored).then(|| anchors::emit(&context, name));
    let also = attributes::of_items(&input.attributes);
    quote! {
        #type_item

        #also
        #[doc = #summary]
        #[doc(hidden)]
        mod #module {
            use #hakmem::__private as hakmem;

            #tracked
            #tables
            #allocator
            #groups
            #thread
            #compiled_spec
            #exports
            #anchors
        }
    }
}

/// The expansion for a broken spec: its errors, and a stub type so that uses of the type do not fail too.
pub(crate) fn failed(input: &Input, tracked_file: Option<&str>, messages: &[String]) -> TokenStream {
    let Input { hakmem, attributes, visibility, name, .. } = input;
    let methods = methods(input, None);
    let derives = derives();
    let also = attributes::of_items(attributes);
    let span = input.spec_span();
    let errors = messages.iter().map(|message| {
        let error = quote_spanned! { span => ::core::compile_error! { #message } };
        quote! { #also #error }
    });
    let tracked = tracked_file.map(|file| {
        let tracked = tracked(Some(file));
        quote! { #also #tracked }
    });
    quote! {
        #(#errors)*
        #tracked
        #(#attributes)*
        #derives
        #visibility struct #name;

        #also
        impl #name {
            #methods
        }

        #also
        // SAFETY: the program does not compile.
        unsafe impl ::core::alloc::GlobalAlloc for #name {
            unsafe fn alloc(&self, _: ::core::alloc::Layout) -> *mut u8 {
                ::core::ptr::null_mut()
            }
            unsafe fn dealloc(&self, _: *mut u8, _: ::core::alloc::Layout) {}
        }

        #also
        #hakmem::__private::failed_spec!(#name);
    }
}

/// What every allocator's type derives, by names that need no prelude.
fn derives() -> TokenStream {
    quote! {
        #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug, ::core::default::Default)]
    }
}

/// The private module of an allocator called `name`: another for each name. In words, if the name is as types are named;
/// else the name as it is, after one more underscore, which no words begin with.
fn module_name(name: &Ident) -> Ident {
    let name = name.unraw().to_string();
    if !name.starts_with(|first: char| first.is_ascii_uppercase())
        || !name.chars().all(|letter| letter.is_ascii_alphanumeric())
    {
        return format_ident!("__hakmem__{name}");
    }
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push('_');
        }
        words.push(letter.to_ascii_lowercase());
    }
    format_ident!("__hakmem_{words}")
}

/// Makes cargo rebuild the crate when the spec changes. Its text does not reach the binary.
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

/// An integer literal without a suffix: its type is inferred.
fn literal(value: impl TryInto<u64>) -> Literal {
    value.try_into().map_or_else(|_| unreachable!("usize fits u64"), Literal::u64_unsuffixed)
}

/// How doc comments name the classes of a group.
fn sizes_of(context: &Context, group: &Group) -> String {
    match &context.plan.classes[group.classes.clone()] {
        [only] => format!("the class of {} bytes", only.size),
        [first, .., last] => format!("the {} classes from {} to {} bytes", group.classes.len(), first.size, last.size),
        [] => unreachable!("a group has a class"),
    }
}

/// The user's type with its public methods.
fn type_item(input: &Input, context: &Context, source: &str) -> TokenStream {
    let Input { attributes, visibility, name, .. } = input;
    let (count, largest) = (context.plan.classes.len(), context.plan.largest);
    let about = format!(
        " An allocator generated by hakmem from {source}: {count} classes up to {largest} bytes. Use it as \
         `#[global_allocator]`, or through its [`GlobalAlloc`](::core::alloc::GlobalAlloc) methods."
    );
    let methods = methods(input, Some(context.spec.geometry.slab));
    let global_alloc = global_alloc(input);
    let derives = derives();
    let also = attributes::of_items(attributes);
    let gap = attributes.iter().any(|attribute| attribute.path().is_ident("doc")).then(|| quote! { #[doc = ""] });
    quote! {
        #(#attributes)*
        #gap
        #[doc = #about]
        #derives
        #visibility struct #name;

        #also
        impl #name {
            #methods
        }

        #also
        #global_alloc
    }
}

/// The type's public constant and methods. `slab` is the size of a slab in bytes; `None`: the spec is broken, and the
/// methods are there so that their uses add no errors.
fn methods(Input { hakmem, name, build, .. }: &Input, slab: Option<u32>) -> TokenStream {
    let module = module_name(name);
    let body = |code: TokenStream| {
        if slab.is_some() {
            code
        } else {
            quote! { ::core::unreachable!() }
        }
    };
    let constant = if slab.is_some() {
        quote! { &#module::CLASSES }
    } else {
        quote! { &[] }
    };
    let slab = literal(slab.unwrap_or_default());
    let classes = body(quote! { #hakmem::ClassTable::new(Self::CLASSES, #slab) });
    let stats = body(quote! { #hakmem::Stats::of(&#module::ALLOCATOR) });
    let layer_stats = body(quote! { #hakmem::__private::layer_stats::<#name>() });
    // Where every block is the system's, nobody can tell whose a pointer is, and there is nothing to fill or to return.
    let [owns, prewarm, purge, purge_all, idle] = if *build == Build::System {
        [
            quote! { !pointer.is_null() },
            quote! { layout.size() <= isize::MAX as usize },
            TokenStream::new(),
            quote! { 0 },
            TokenStream::new(),
        ]
    } else {
        [
            quote! { #module::ALLOCATOR.owns(pointer.addr()) },
            quote! { #hakmem::__private::prewarm::<#name>(layout.size(), layout.align()) },
            quote! { #hakmem::__private::purge::<#name>() },
            quote! { #hakmem::__private::purge_all::<#name>() },
            quote! { #hakmem::__private::idle::<#name>() },
        ]
    }
    .map(body);
    quote! {
        /// The size classes, in no particular order.
        pub const CLASSES: &'static [#hakmem::Class] = #constant;

        /// The classes as a table to print, each row with its own waste.
        #[must_use]
        pub const fn classes() -> #hakmem::ClassTable {
            #classes
        }

        /// Live statistics, computed from slab metadata: a table to print, or JSON.
        #[must_use]
        pub const fn stats() -> #hakmem::Stats {
            #stats
        }

        /// Counts of what the layers of classes with `stats = true` did: a table to print, empty if there are none.
        #[must_use]
        pub fn layer_stats() -> #hakmem::LayerTable {
            #layer_stats
        }

        /// Whether `pointer` points into memory of this allocator. Constant time; the memory is not touched.
        #[must_use]
        pub fn owns(pointer: *const u8) -> bool {
            #owns
        }

        /// Fills this thread's cache for blocks of `layout`, so that even the first request is a hit. Returns
        /// `false` if there was no memory. Does nothing useful for a layout that no class serves.
        pub fn prewarm(layout: ::core::alloc::Layout) -> bool {
            #prewarm
        }

        /// Flushes this thread's cache to the slabs and returns all free memory to the system, without waiting for
        /// the purge delay.
        pub fn purge() {
            #purge
        }

        /// [`purge`](Self::purge), after what the other threads keep was taken from them, where they do not need it: free
        /// blocks and pages of those that are in no slow path of the allocator, asleep or not. Returns how many threads could
        /// not be reached; 1 or more where the kernel has no `membarrier`. Layers other than `pages` and `heapv2` at the top
        /// of a stack keep their blocks.
        pub fn purge_all() -> usize {
            #purge_all
        }

        /// For a thread that is about to wait for long: gives what it keeps for itself to the other threads, and to the
        /// thread that purges. Its next allocation of each class is slower. Returns nothing to the system itself.
        pub fn idle() {
            #idle
        }
    }
}

/// `GlobalAlloc` for the type: the runtime's functions; under `cargo hakmem record` those of its recorder; under `--cfg
/// hakmem_system` those of the system's allocator.
fn global_alloc(Input { hakmem, name, build, .. }: &Input) -> TokenStream {
    let path = match build {
        Build::Plain | Build::Anchored => quote! { #hakmem::__private:: },
        Build::Recorded => quote! { #hakmem::__private::record::wrap:: },
        Build::System => quote! { #hakmem::__private::system:: },
    };
    quote! {
        // SAFETY: a block has at least the layout's size and alignment and one owner at a time; null means no memory.
        // Nothing panics or unwinds.
        unsafe impl ::core::alloc::GlobalAlloc for #name {
            #[inline]
            unsafe fn alloc(&self, layout: ::core::alloc::Layout) -> *mut u8 {
                #path alloc::<#name>(layout.size(), layout.align())
            }

            #[inline]
            unsafe fn dealloc(&self, block: *mut u8, layout: ::core::alloc::Layout) {
                // SAFETY: the caller's contract.
                unsafe { #path dealloc::<#name>(block, layout.size(), layout.align()) }
            }

            #[inline]
            unsafe fn alloc_zeroed(&self, layout: ::core::alloc::Layout) -> *mut u8 {
                #path alloc_zeroed::<#name>(layout.size(), layout.align())
            }

            #[inline]
            unsafe fn realloc(&self, block: *mut u8, layout: ::core::alloc::Layout, new_size: usize) -> *mut u8 {
                // SAFETY: the caller's contract.
                unsafe { #path realloc::<#name>(block, layout.size(), layout.align(), new_size) }
            }
        }
    }
}

/// The allocator's static.
fn allocator_static(context: &Context, name: &Ident) -> TokenStream {
    let Spec { geometry, huge_pages, purge, large, .. } = context.spec;
    let count = literal(context.plan.classes.len());
    let (superslab, slab, cache) = (literal(geometry.superslab), literal(geometry.slab), literal(large.cache));
    let delay = match purge.delay_ms.map(literal) {
        Some(delay) => quote! { ::core::option::Option::Some(#delay) },
        None => quote! { ::core::option::Option::None },
    };
    let background = purge.background == Background::OnSlowPath;
    quote! {
        /// For each class, its abandoned slabs (owned by no thread) that have free blocks.
        static ABANDONED: [hakmem::NodeStack; #count] = [const { hakmem::NodeStack::empty() }; #count];

        /// The runtime's state of this allocator, except thread caches.
        pub(super) static ALLOCATOR: hakmem::Allocator = hakmem::Allocator::new(
            hakmem::Config {
                superslab: #superslab,
                slab: #slab,
                huge_pages: #huge_pages,
                purge_delay_ms: #delay,
                background: #background,
                large_cache: #cache,
            },
            &CLASSES,
            &ABANDONED,
            hakmem::layer_hooks::<super::#name>(),
        );
    }
}

/// The implementation of `CompiledSpec`, by which the runtime reaches the generated parts.
fn compiled_spec(context: &Context, name: &Ident) -> TokenStream {
    let constants = tables::constants(context);
    let [all, small, aligned, medium] = [
        groups::choice(context, |_| true),
        groups::choice(context, |group| context.serves(group, &context.plan.small.entries)),
        groups::choice(context, |group| context.serves(group, &tables::aligned_entries(context))),
        groups::choice(context, |group| context.serves(group, tables::medium_entries(context))),
    ];
    let wake_purger = (context.spec.purge.background != Background::No).then(|| {
        quote! {
            fn wake_purger() {
                PURGER_WORKER.wake();
            }
        }
    });
    quote! {
        // SAFETY: an entry of a table is the offset of a class that serves its layouts, or `NO_OFFSET`, and the groups
        // named for the table are those of its entries (`assert_tables`). `ALLOCATOR` has these classes, and its threads
        // have `ThreadCache`s.
        unsafe impl hakmem::CompiledSpec for super::#name {
            type Cache = ThreadCache;
            type Groups = #all;
            type Small = #small;
            type Aligned = #aligned;
            type Medium = #medium;
            const CLASSES: &'static [hakmem::Class] = &CLASSES;
            #constants

            fn allocator() -> &'static hakmem::Allocator {
                &ALLOCATOR
            }

            #[inline(always)]
            fn small() -> &'static hakmem::SmallTable {
                &SMALL
            }

            #[inline(always)]
            fn medium() -> &'static [u16] {
                &MEDIUM
            }

            fn by_size() -> &'static [u8] {
                &BY_SIZE
            }

            fn offsets() -> &'static [u16] {
                &OFFSETS
            }

            #wake_purger
        }

        const _: () = hakmem::assert_tables::<super::#name>(hakmem::Tables {
            small: &SMALL,
            medium: &MEDIUM,
            by_size: &BY_SIZE,
            offsets: &OFFSETS,
        });
    }
}
