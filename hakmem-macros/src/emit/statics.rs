//! The classes, the runtime's static, and the thread-local state.

use super::levels::{self, Level};
use super::{Context, beside, exports, literal, sizes_of};
use hakmem_spec::Refill;
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

pub(super) fn emit(context: &Context, name: &Ident) -> TokenStream {
    let classes = classes(context);
    let runtime = runtime(context);
    let workers = workers(context);
    let thread = thread(context, name);
    quote! { #classes #runtime #workers #thread }
}

/// The static with the queues of a group whose refills are `background`.
pub(super) fn queue_name(group: usize) -> Ident {
    format_ident!("GROUP_{}_QUEUE", group)
}

fn classes(context: &Context) -> TokenStream {
    let count = literal(context.plan.slots.len());
    let rows = context.plan.slots.iter().map(|slot| {
        let class = &context.spec.classes[slot.class];
        let (size, usable, align) = (literal(class.size), literal(class.usable()), literal(class.align));
        let (units, lead, batch) = (literal(class.slab.units), literal(class.slab.lead), literal(class.batch));
        let (blocks, tail) = (literal(class.slab.blocks), literal(class.slab.tail));
        let layers = class.stack.iter().map(|layer| layer.kind.name);
        let apart = (context.beside() && !exports::by_address(&context.plan.groups[slot.group])).then(|| quote! { .apart() });
        quote! {
            hakmem::Class::new((#size, #usable, #align), (#units, #lead, #blocks, #tail), #batch, &[#(#layers),*]) #apart
        }
    });
    let slab = literal(context.spec.geometry.slab);
    quote! {
        /// The classes by slot: classes with the same stack stand side by side.
        ///
        /// (Size, the largest request, alignment), (slabs a span, bytes in front, blocks a span, bytes left over), blocks
        /// a refill, layers.
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
    let front = context.beside().then(|| quote! { .with_front(::core::mem::size_of::<Thread>()) });
    let reclaim = shares(context).then(|| quote! { .with_reclaim(reclaim) });
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
        )
        #reclaim
        #front;
    }
}

/// The threads of the allocator's own, where the spec asks for any, and what they work on.
fn workers(context: &Context) -> TokenStream {
    let (filler, purger) = (filler(context), purger(context));
    quote! { #filler #purger }
}

/// The thread behind `refill = "background"`, and its queues.
fn filler(context: &Context) -> TokenStream {
    let groups = || context.plan.groups.iter().enumerate().filter(|(_, group)| group.refill == Refill::Background);
    let queues = groups().map(|(number, group)| {
        let (queue, count) = (queue_name(number), literal(group.slots.len()));
        let about = format!(" Batches that are ready for {}.", sizes_of(context, &group.slots));
        let slots = group.slots.clone().map(literal);
        quote! {
            #[doc = #about]
            static #queue: [hakmem::Queue; #count] = [#(hakmem::Queue::new(#slots)),*];
        }
    });
    let names: Vec<Ident> = groups().map(|(number, _)| queue_name(number)).collect();
    if names.is_empty() {
        return TokenStream::new();
    }
    quote! {
        #(#queues)*

        /// What fills the queues.
        static FILLER: hakmem::Filler = hakmem::Filler::new(&RUNTIME, &[#(&#names),*]);

        /// The thread that does.
        static FILLER_WORKER: hakmem::Worker = hakmem::Worker::new(&FILLER);
    }
}

/// The thread behind `background = true` in `[purge]`.
fn purger(context: &Context) -> TokenStream {
    let Some(delay) = context.spec.purge.delay_ms.filter(|_| context.spec.purge.background) else {
        return TokenStream::new();
    };
    let delay = literal(delay);
    quote! {
        /// What gives free memory back to the system.
        static PURGER: hakmem::Purger = hakmem::Purger::new(&RUNTIME, #delay);

        /// The thread that does.
        static PURGER_WORKER: hakmem::Worker = hakmem::Worker::new(&PURGER);
    }
}

/// The levels of all groups in the order of the struct: the first of each side by side, which are what hits touch; then
/// the others.
fn in_order(context: &Context) -> Vec<Level> {
    let mut all: Vec<Level> = (0..context.plan.groups.len()).flat_map(|number| levels::of(context, number)).collect();
    all.sort_by_key(|level| (level.number > 0, level.group, level.number));
    all
}

/// The rows of the table of what layers did, and how a thread's own counts get into it. Nothing is there to count where
/// no class asks.
fn layer_stats(context: &Context) -> TokenStream {
    let mut rows = TokenStream::new();
    let mut publish = TokenStream::new();
    for (number, group) in context.plan.groups.iter().enumerate().filter(|(_, group)| group.stats) {
        let levels = levels::of(context, number);
        for (index, slot) in group.slots.clone().enumerate() {
            let size = literal(context.plan.slots[slot].size);
            for (name, counts) in levels.iter().flat_map(|level| level.counts(context, index)) {
                rows.extend(quote! { hakmem::LayerRow::new(#size, #name, #counts), });
            }
        }
        for Level { field, shared, .. } in &levels {
            publish.extend(quote! {
                for (layer, shared) in thread.#field.iter().zip(&#shared) {
                    layer.publish(shared);
                }
            });
        }
    }
    let (publish, table) = if rows.is_empty() {
        (TokenStream::new(), quote! { &[] })
    } else {
        // What nobody wrote to counts nothing, and must stay so.
        let ask = context.beside().then(|| quote! { if has_begun() });
        (quote! { #ask { THREAD.with(|thread| { #publish }); } }, quote! { const { &[#rows] } })
    };
    quote! {
        /// What the layers did of those classes that count.
        pub(super) fn layer_stats() -> hakmem::LayerTable {
            #publish
            hakmem::LayerTable::new(#table)
        }
    }
}

/// Whether threads share blocks in any layer.
fn shares(context: &Context) -> bool {
    in_order(context).iter().any(|level| level.shares(context))
}

/// The functions that take these back: `releases` does, level by level.
fn reclaim(releases: &TokenStream) -> TokenStream {
    quote! {
        /// Gives a portion of the blocks that threads share in their layers back to the slabs. `true`: there were any. `heap`
        /// is the calling thread's.
        fn reclaim(heap: ::core::option::Option<&hakmem::Heap>, portion: hakmem::Portion) -> bool {
            let mut any = false;
            #releases
            any
        }

        /// Does so for one level of the classes from slot `first` on.
        fn release_level<L: hakmem::Layer>(
            shared: &[L::Shared],
            heap: ::core::option::Option<&hakmem::Heap>,
            portion: hakmem::Portion,
            first: usize,
        ) -> bool {
            let mut any = false;
            for (index, shared) in shared.iter().enumerate() {
                // SAFETY: the heap is this thread's, and `shared` is of the class in this slot.
                any |= L::release(shared, portion, &mut unsafe { hakmem::Slabs::new(&RUNTIME, heap, first + index) });
            }
            any
        }
    }
}

fn thread(context: &Context, name: &Ident) -> TokenStream {
    let mut fields = TokenStream::new();
    let mut values = TokenStream::new();
    let mut drains = TokenStream::new();
    let mut statics = TokenStream::new();
    let mut releases = TokenStream::new();
    let mut queues = TokenStream::new();
    for level in in_order(context) {
        let Level { group, field, alias, shared, title, .. } = &level;
        let group = &context.plan.groups[*group];
        let (first, count) = (literal(group.slots.start), literal(group.slots.len()));
        let (state, sizes) = (level.state(context), sizes_of(context, &group.slots));
        let about = format!(" The state of {title} of {sizes}.");
        let about_shared = format!(" What all threads share of it: how many blocks it may keep, for {sizes}.");
        let of_class = group.slots.clone().map(|slot| level.shared_of(context, slot));
        statics.extend(quote! {
            #[doc = #about]
            type #alias = #state;

            #[doc = #about_shared]
            static #shared: [<#alias as hakmem::Layer>::Shared; #count] = [#(#of_class),*];
        });
        fields.extend(quote! { #[doc = #about] #field: [#alias; #count], });
        values.extend(quote! { #field: [const { #alias::EMPTY }; #count], });
        drains.extend(quote! { drain_level(&thread.#field, &#shared, thread, #first); });
        if level.shares(context) {
            releases.extend(quote! { any |= release_level::<#alias>(&#shared, heap, portion, #first); });
        }
    }
    for (number, group) in context.plan.groups.iter().enumerate() {
        if group.refill == Refill::Background {
            let (queue, first) = (queue_name(number), literal(group.slots.start));
            queues.extend(quote! {
                for (index, queue) in #queue.iter().enumerate() {
                    // SAFETY: the heap is this thread's, and the queue is of the class in this slot.
                    queue.release(&mut unsafe { hakmem::Slabs::new(&RUNTIME, thread.heap.get(), #first + index) });
                }
            });
        }
    }
    let reclaim = shares(context).then(|| reclaim(&releases));
    let layer_stats = layer_stats(context);
    let wake = context.spec.purge.background.then(|| {
        quote! {
            // What this thread has goes to the pool now.
            PURGER_WORKER.wake();
        }
    });
    let (mut more, mut more_value, mut end) = Default::default();
    let local = if context.beside() {
        more = quote! {
            /// The regions that frees by address have met.
            regions: Regions,
        };
        more_value = quote! { regions: Regions::none() };
        end = quote! {
            // SAFETY: this thread's heap is another's from now on.
            unsafe { set_heap_name(name_of(&ENDED)) };
        };
        beside::emit(context, name)
    } else {
        quote! {
            hakmem::thread_local! {
                static THREAD: Thread = const { Thread::EMPTY };
            }

            /// The thread's heap, started if need be; `None` without memory for it.
            #[inline]
            fn heap_of(thread: &Thread) -> ::core::option::Option<&hakmem::Heap> {
                // SAFETY: `drain` takes what is passed for it, the state that the slot is in.
                unsafe { thread.heap.get_or_start(&RUNTIME, ::core::ptr::from_ref(thread).cast(), drain_at_exit) }
            }
        }
    };
    let purge = context.with_thread(
        &quote! {
            drain(thread);
            #queues
            RUNTIME.purge(thread.heap.get());
        },
        &quote! { RUNTIME.purge(::core::option::Option::None) },
    );
    quote! {
        #statics
        #layer_stats

        /// A thread's front: for each group of classes with the same stack, an array per layer; and the way to the
        /// thread's slabs. All empty at first, without a destructor, so that an access is an access and nothing else.
        #[repr(C, align(64))]
        struct Thread {
            #fields
            /// The thread's slabs; empty until the first miss.
            heap: hakmem::HeapSlot,
            #more
        }

        impl Thread {
            /// The front of a thread that has not allocated yet.
            const EMPTY: Thread = Thread { #values heap: hakmem::HeapSlot::empty(), #more_value };
        }

        #local

        /// Empties every layer into the slabs.
        #[cold]
        fn drain(thread: &Thread) {
            #drains
        }

        /// Empties `states`, one level of the classes from slot `first` on, into the slabs of `thread`, whose front they
        /// are of.
        fn drain_level<L: hakmem::Layer>(states: &[L], shared: &[L::Shared], thread: &Thread, first: usize) {
            for (index, (state, shared)) in states.iter().zip(shared).enumerate() {
                // SAFETY: the state is this thread's, and it and the heap are of the class in this slot.
                unsafe {
                    state.drain(shared, &mut hakmem::Slabs::new(&RUNTIME, thread.heap.get(), first + index));
                }
            }
        }

        #reclaim

        /// [`drain`] at the end of the thread, whose heap is gone then.
        ///
        /// # Safety
        /// `thread` is the calling thread's [`Thread`].
        unsafe fn drain_at_exit(thread: *const ()) {
            // SAFETY: the runtime passes what `heap_of` gave it, on the thread that it belongs to.
            let thread = unsafe { &*thread.cast::<Thread>() };
            #wake
            drain(thread);
            thread.heap.clear();
            #end
        }

        /// Gives back all that is free, of this thread and of none.
        pub(super) fn purge() {
            #purge;
        }
    }
}
