//! The classes, the runtime's static, and the thread-local state.

use super::{Context, literal, sizes_of};
use hakmem_spec::LayerKind;
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

/// The field of `Thread` with the states of a layer of a group.
pub(super) fn layer_name(group: usize, layer: &str) -> Ident {
    format_ident!("group_{}_{}", group, layer)
}

/// The static with that layer's limits.
pub(super) fn limit_name(group: usize, layer: &str) -> Ident {
    format_ident!("GROUP_{}_{}_LIMIT", group, layer.to_uppercase())
}

pub(super) fn emit(context: &Context) -> TokenStream {
    let classes = classes(context);
    let runtime = runtime(context);
    let thread = thread(context);
    quote! { #classes #runtime #thread }
}

fn classes(context: &Context) -> TokenStream {
    let count = literal(context.plan.slots.len());
    let rows = context.plan.slots.iter().map(|slot| {
        let class = &context.spec.classes[slot.class];
        let (size, align, batch) = (literal(class.size), literal(class.align), literal(class.batch));
        let (units, blocks, tail) = (literal(class.slab.units), literal(class.slab.blocks), literal(class.slab.tail));
        let layers = class.stack.iter().map(|layer| layer.kind.name);
        quote! { hakmem::Class::new(#size, #align, (#units, #blocks, #tail), #batch, &[#(#layers),*]) }
    });
    let slab = literal(context.spec.geometry.slab);
    quote! {
        /// The classes by slot: classes with the same stack stand side by side.
        ///
        /// Size, alignment, (slabs a span, blocks a span, bytes left over), blocks a refill, layers.
        pub(super) static CLASSES: [hakmem::Class; #count] = [#(#rows),*];

        /// The same, to print.
        pub(super) const CLASS_TABLE: hakmem::ClassTable = hakmem::ClassTable::new(&CLASSES, #slab);
    }
}

fn runtime(context: &Context) -> TokenStream {
    let count = literal(context.plan.slots.len());
    let (superslab, slab) = (literal(context.spec.geometry.superslab), literal(context.spec.geometry.slab));
    let huge_pages = context.spec.huge_pages;
    let delay = match context.spec.purge.delay_ms {
        Some(delay) => {
            let delay = literal(delay);
            quote! { ::core::option::Option::Some(#delay) }
        }
        None => quote! { ::core::option::Option::None },
    };
    let large_cache = literal(context.spec.large.cache);
    quote! {
        /// Slabs of each class with free blocks that no thread owns.
        static PARTIAL: [hakmem::SlabStack; #count] = [const { hakmem::SlabStack::empty() }; #count];

        /// The runtime's part of this allocator: what is not per class.
        pub(super) static RUNTIME: hakmem::Allocator = hakmem::Allocator::new(
            hakmem::Config {
                superslab: #superslab,
                slab: #slab,
                huge_pages: #huge_pages,
                purge_delay_ms: #delay,
                large_cache: #large_cache,
            },
            &CLASSES,
            &PARTIAL,
        );
    }
}

/// One array of the thread's front: the states of a layer for all classes of a group.
struct Array<'a> {
    group: usize,
    position: usize,
    layer: &'a LayerKind,
}

/// The arrays in the order of the struct: all first layers side by side, which are what hits touch; then the others.
fn arrays<'a>(context: &'a Context) -> Vec<Array<'a>> {
    let mut arrays: Vec<Array> = context
        .plan
        .groups
        .iter()
        .enumerate()
        .flat_map(|(group, of)| {
            of.layers.iter().enumerate().map(move |(position, &layer)| Array { group, position, layer })
        })
        .collect();
    arrays.sort_by_key(|array| (array.position > 0, array.group, array.position));
    arrays
}

fn thread(context: &Context) -> TokenStream {
    let mut fields = TokenStream::new();
    let mut values = TokenStream::new();
    let mut drains = TokenStream::new();
    let mut limits = TokenStream::new();
    for Array { group, position, layer } in arrays(context) {
        let slots = context.plan.groups[group].slots.clone();
        let (first, count) = (literal(slots.start), literal(slots.len()));
        let field = layer_name(group, layer.name);
        let limit = limit_name(group, layer.name);
        let kind = format_ident!("{}", layer.type_name);
        let about = format!(" `{}` of {}.", layer.name, sizes_of(context, &slots));
        fields.extend(quote! { #[doc = #about] #field: [hakmem::#kind; #count], });
        values.extend(quote! { #field: [const { hakmem::#kind::EMPTY }; #count], });
        let about = format!(" Blocks that `{}` may keep of {}.", layer.name, sizes_of(context, &slots));
        let per_class =
            slots.map(|slot| literal(context.spec.classes[context.plan.slots[slot].class].stack[position].limit));
        limits.extend(quote! { #[doc = #about] static #limit: [u32; #count] = [#(#per_class),*]; });
        drains.extend(quote! { drain_layer(&thread.#field, &#limit, thread, #first); });
    }
    quote! {
        #limits

        /// A thread's front: for each group of classes with the same stack, an array per layer; and the way to the
        /// thread's slabs. All empty at first, without a destructor, so that an access is an access and nothing else.
        #[repr(C, align(64))]
        struct Thread {
            #fields
            /// The thread's slabs; empty until the first miss.
            heap: hakmem::HeapSlot,
        }

        impl Thread {
            /// The front of a thread that has not allocated yet.
            const EMPTY: Thread = Thread { #values heap: hakmem::HeapSlot::empty() };
        }

        hakmem::thread_local! {
            static THREAD: Thread = const { Thread::EMPTY };
        }

        /// The thread's heap, started if need be; `None` without memory for it.
        #[inline]
        fn heap_of(thread: &Thread) -> ::core::option::Option<&hakmem::Heap> {
            // SAFETY: `drain` takes what is passed for it, the state that the slot is in.
            unsafe { thread.heap.get_or_start(&RUNTIME, ::core::ptr::from_ref(thread).cast(), drain_at_exit) }
        }

        /// Empties every layer into the slabs.
        #[cold]
        fn drain(thread: &Thread) {
            #drains
        }

        /// Empties `layers`, one layer of the classes from slot `first` on, into the slabs of `thread`, whose front
        /// they are of.
        fn drain_layer(layers: &[impl hakmem::Layer], limits: &[u32], thread: &Thread, first: usize) {
            for (index, (layer, &limit)) in layers.iter().zip(limits).enumerate() {
                // SAFETY: the state is this thread's, and it and the heap are of the class in this slot.
                unsafe {
                    let chain = layer.drain(limit);
                    hakmem::Below::absorb(&mut hakmem::Slabs::new(&RUNTIME, thread.heap.get(), first + index), chain);
                }
            }
        }

        /// [`drain`] at the end of the thread, whose heap is gone then.
        ///
        /// # Safety
        /// `thread` is the calling thread's [`Thread`].
        unsafe fn drain_at_exit(thread: *const ()) {
            // SAFETY: the runtime passes what `heap_of` gave it, on the thread that it belongs to.
            let thread = unsafe { &*thread.cast::<Thread>() };
            drain(thread);
            thread.heap.clear();
        }

        /// Gives back all that is free, of this thread and of none.
        pub(super) fn purge() {
            THREAD.with(|thread| {
                drain(thread);
                RUNTIME.purge(thread.heap.get());
            });
        }
    }
}
