//! The paths: per group of classes with one stack, a hit that is inlined and a miss that is not; and the choice of the
//! group.
//!
//! A hit addresses the state of a class's first layer by its **place**, the distance from the start of the
//! thread's front, which the size table yields ready to use. Only cold code turns a place back into a slot.

use super::levels::{self, Level};
use super::statics::queue_name;
use super::{Context, literal, sizes_of};
use hakmem_spec::{Group, Header, Refill, SMALL_MAX};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

pub(super) fn emit(context: &Context) -> TokenStream {
    let paths = context.plan.groups.iter().enumerate().map(|(number, group)| paths(context, number, group));
    let places = places(context);
    let entries = entries(context);
    quote! { #(#paths)* #places #entries }
}

/// The module of group `number`.
pub(super) fn module(number: usize) -> Ident {
    format_ident!("group_{}", number)
}

/// The levels of `group` behind the first, on top of the slabs, as a value of a type that implements `Below`.
fn below(number: usize, group: &Group, levels: &[Level]) -> TokenStream {
    let mut stack = quote! { hakmem::Slabs::new(&RUNTIME, heap_of(thread), FIRST + index) };
    if group.refill == Refill::Background {
        let queue = queue_name(number);
        stack = quote! { hakmem::Queued::new(&#queue[index], #stack) };
    }
    for Level { field, shared, layers, .. } in levels.iter().skip(1).rev() {
        let through = group.refill == Refill::Legacy && layers.end == group.layers.len();
        let over = if through {
            quote! { hakmem::RefillVia }
        } else {
            quote! { hakmem::Stacked }
        };
        stack = quote! { #over::new(&thread.#field[index], &#shared[index], #stack) };
    }
    stack
}

/// What the end of a slow path does where the spec asks for a thread that purges; `thread` is in scope.
fn attend(context: &Context) -> Option<TokenStream> {
    context.spec.purge.background.then(|| quote! { hakmem::Purger::attend(&PURGER_WORKER, thread.heap.get()); })
}

/// One group's functions, in a module of its own.
fn paths(context: &Context, number: usize, group: &Group) -> TokenStream {
    let module = module(number);
    let levels = levels::of(context, number);
    let Level { field, alias, shared, .. } = &levels[0];
    let below = below(number, group, &levels);
    let (first, count) = (literal(group.slots.start), literal(group.slots.len()));
    let stack: Vec<&str> = group.layers.iter().map(|layer| layer.name).collect();
    let about = format!(
        " Of {}: {}, then the slabs. {}",
        sizes_of(context, &group.slots),
        stack.join(", then "),
        if group.specialise { "Inlined where they are used." } else { "Called, not inlined: their code is here once." },
    );
    let inline = if group.specialise {
        quote! { #[inline(always)] }
    } else if context.plan.small.entries.iter().any(|&slot| group.slots.contains(&slot.into())) {
        quote! { #[inline(never)] }
    } else {
        // Only functions that are called themselves use it.
        quote! { #[inline] }
    };
    let (mark, check) = match group.header {
        Header::None => (quote! { block }, TokenStream::new()),
        Header::RegionId => (
            quote! {
                // SAFETY: the block was handed out just now, and is of the class at this place, which has headers.
                unsafe { hakmem::header::mark(block, slot(place)) }
            },
            quote! {
                // SAFETY: the caller gives the block.
                unsafe { hakmem::header::check(&RUNTIME, block, slot(place)) }
            },
        ),
    };
    let attend = attend(context);
    let wake = (group.refill == Refill::Background).then(|| quote! { FILLER_WORKER.wake(); });
    let miss = context.with_thread(
        &quote! {
            let index = index(place);
            // SAFETY: the state is this thread's, and every layer is taken at the index of the same class.
            let block = unsafe { thread.#field[index].miss(&#shared[index], &mut #below).cast() };
            #wake
            #attend
            #mark
        },
        &quote! { ::core::ptr::null_mut() },
    );
    let holds_all_small = sole_small(context) == Some(number);
    // The first class's state is the one that `release_small` pushes to.
    let learn = holds_all_small.then(|| quote! { thread.#field[0].learn(&thread.#field[index]); });
    let overflow = overflow(context, &levels[0], &below, &learn, &attend);
    let (ask_before_pop, ask_before_push, overflow_visible) = if context.beside() {
        (
            quote! {
                if !<#alias as hakmem::Layer>::INERT && !has_begun() {
                    return ::core::ptr::null_mut();
                }
            },
            quote! { !<#alias as hakmem::Layer>::INERT && !has_begun() || },
            quote! { pub(super) },
        )
    } else {
        Default::default()
    };
    let small = holds_all_small.then(|| {
        quote! {
            /// Frees a block of a small size of ordinary alignment, all of which are of this group. Where a push is the
            /// same for all classes, its place is looked up by the cold path alone.
            ///
            /// # Safety
            /// `block` was allocated with such a layout, and is not used any more.
            #inline
            pub(super) unsafe fn release_small(block: *mut u8, size: usize) {
                if !<#alias as hakmem::Layer>::ANY_CLASS {
                    // SAFETY: the caller's contract.
                    return unsafe { release(block, place_of_small(size)) };
                }
                // SAFETY: the state is this thread's; the caller gives the block, which is of a class of the group.
                if #ask_before_push !first_layer(START / UNIT, |layer| unsafe { layer.push(block.cast()) }) {
                    // SAFETY: right after the push that calls for it.
                    unsafe { overflow_small(block, size) }
                }
            }

            /// The rest of that.
            ///
            /// # Safety
            /// As [`release_small`], right after the push that failed.
            #[cold]
            #[inline(never)]
            unsafe fn overflow_small(block: *mut u8, size: usize) {
                // SAFETY: the caller's contract.
                unsafe { overflow(block, place_of_small(size)) }
            }
        }
    });
    // The last group is what is left.
    let end = (number + 1 < context.plan.groups.len()).then(|| {
        quote! {
            /// Where the last class's state ends.
            pub(super) const END: usize = (START + #count * STRIDE) / UNIT;
        }
    });
    quote! {
        #[doc = #about]
        mod #module {
            use super::*;

            /// The slot of the first class.
            const FIRST: usize = #first;

            /// Where the first class's state is.
            const START: usize = ::core::mem::offset_of!(Thread, #field);

            /// The distance from one class's state to the next.
            const STRIDE: usize = ::core::mem::size_of::<#alias>();

            #end

            /// The place of the class at `index`.
            pub(super) const fn place(index: usize) -> u16 {
                ((START + index * STRIDE) / UNIT) as u16
            }

            /// The index of the class at `place`.
            const fn index(place: usize) -> usize {
                (place * UNIT - START) / STRIDE
            }

            /// The slot of the class at `place`.
            pub(super) const fn slot(place: usize) -> usize {
                FIRST + index(place)
            }

            /// Calls `with` with the first layer of the class at `place`. Here as in the whole group, a place is one of
            /// the tables', of a class of this group.
            #[inline(always)]
            fn first_layer<T>(place: usize, with: impl FnOnce(&#alias) -> T) -> T {
                // SAFETY: the tables name places of this group for it, so there is such a state there, this thread's.
                THREAD.with(|thread| with(unsafe { &*::core::ptr::from_ref(thread).byte_add(place * UNIT).cast() }))
            }

            /// Takes a block from the first layer; null is a miss.
            #[inline(always)]
            pub(super) fn pop(place: usize) -> *mut u8 {
                #ask_before_pop
                // SAFETY: the state is this thread's.
                let block = first_layer(place, |layer| unsafe { layer.pop() }).cast();
                #mark
            }

            /// Allocates: a hit, or the way down the stack.
            #inline
            pub(super) fn allocate(place: usize) -> *mut u8 {
                let block = pop(place);
                if block.is_null() { miss(place) } else { block }
            }

            /// Frees: a hit, or the way down the stack.
            ///
            /// # Safety
            /// `block` is of the class at `place`, and is not used any more.
            #inline
            pub(super) unsafe fn release(block: *mut u8, place: usize) {
                #check
                // SAFETY: the state is this thread's; the caller gives the block, which is of the class at this place.
                if #ask_before_push !first_layer(place, |layer| unsafe { layer.push(block.cast()) }) {
                    // SAFETY: right after the push that calls for it.
                    unsafe { overflow(block, place) }
                }
            }

            /// Allocates when the first layer is empty: fills it from below.
            #[cold]
            #[inline(never)]
            fn miss(place: usize) -> *mut u8 {
                #miss
            }

            /// Frees when the first layer had no room: makes some, by giving blocks to those below.
            ///
            /// # Safety
            /// As [`release`], right after the push that failed.
            #[cold]
            #[inline(never)]
            #overflow_visible unsafe fn overflow(block: *mut u8, place: usize) {
                #overflow
            }

            #small
        }
    }
}

/// What `overflow` of a group does.
fn overflow(
    context: &Context,
    Level { field, shared, .. }: &Level,
    below: &TokenStream,
    learn: &Option<TokenStream>,
    attend: &Option<TokenStream>,
) -> TokenStream {
    let tell = quote! {
        // SAFETY: as in `miss`; the block is the caller's.
        unsafe { thread.#field[index].overflow(block.cast(), &#shared[index], &mut #below) }
        #learn
    };
    if !context.beside() {
        return context.with_thread(
            &quote! {
                let index = index(place);
                #tell
                #attend
            },
            &TokenStream::new(),
        );
    }
    quote! {
        let index = index(place);
        let had_begun = has_begun();
        // After the thread's heap has ended no other begins for a free.
        let thread = if heap_name() == name_of(&ENDED) { ::core::option::Option::None } else { begin() };
        match thread {
            // The push was none if there was no front to push to.
            // SAFETY: the state is this thread's, and the block the caller's.
            ::core::option::Option::Some(thread) => {
                if had_begun || !unsafe { thread.#field[index].push(block.cast()) } {
                    #tell
                }
                #attend
            }
            // SAFETY: the block is of this class, and the caller's.
            ::core::option::Option::None => unsafe { hakmem::Slabs::release(&RUNTIME, block, FIRST + index) },
        }
    }
}

/// From slots to places and back.
fn places(context: &Context) -> TokenStream {
    let count = literal(context.plan.slots.len());
    let place = context.plan.slots.iter().enumerate().map(|(slot, of)| {
        let module = module(of.group);
        let index = literal(slot - context.plan.groups[of.group].slots.start);
        quote! { #module::place(#index) }
    });
    let all: Vec<usize> = (0..context.plan.groups.len()).collect();
    let slot = choose(context, &all, |group| {
        let module = module(group);
        quote! { #module::slot(place) }
    });
    quote! {
        /// Bytes in a unit of places. A place must fit in 16 bits; where bytes do not, words do, at the price of an
        /// instruction where the size is not known to the compiler.
        const UNIT: usize = if ::core::mem::size_of::<Thread>() < u16::MAX as usize { 1 } else { 8 };

        const _: () = ::core::assert!(
            ::core::mem::size_of::<Thread>() < u16::MAX as usize * UNIT,
            "the layers of this spec keep more than 512 KiB in each thread: lower the capacities of those with arrays"
        );

        /// The place of each slot.
        const PLACES: [u16; #count] = [#(#place),*];

        /// The slot of a place.
        #[cold]
        fn slot_at(place: usize) -> usize {
            #slot
        }
    }
}

/// One of the groups with these numbers, told apart by comparing places.
pub(super) fn choose(context: &Context, numbers: &[usize], each: impl Fn(usize) -> TokenStream) -> TokenStream {
    debug_assert!(numbers.iter().all(|&number| number < context.plan.groups.len()));
    let Some((&last, others)) = numbers.split_last() else { return quote! { ::core::unreachable!() } };
    others.iter().rev().fold(each(last), |rest, &number| {
        let (module, here) = (module(number), each(number));
        quote! { if place < #module::END { #here } else { #rest } }
    })
}

/// The groups with a class that some entries of a size table tell.
pub(super) fn told(context: &Context, entries: &[u8]) -> Vec<usize> {
    let serves = |slot: usize| entries.iter().any(|&entry| usize::from(entry) == slot);
    let groups = context.plan.groups.iter().enumerate();
    groups.filter(|(_, group)| group.slots.clone().any(serves)).map(|(number, _)| number).collect()
}

/// The group that all small classes are in, if they are in one whose frees need not know the class for another reason.
fn sole_small(context: &Context) -> Option<usize> {
    match told(context, &context.plan.small.entries)[..] {
        [only] if context.plan.groups[only].header == Header::None => Some(only),
        _ => None,
    }
}

/// `allocate` and `release`, and what the runtime needs besides.
fn entries(context: &Context) -> TokenStream {
    let plan = context.plan;
    let all: Vec<usize> = (0..plan.groups.len()).collect();
    let small = told(context, &plan.small.entries);
    let aligned =
        told(context, &plan.aligned.iter().flat_map(|table| table.entries.iter().copied()).collect::<Vec<u8>>());
    let allocate = |number: usize| {
        let module = module(number);
        quote! { #module::allocate(place) }
    };
    let release = |number: usize| {
        let module = module(number);
        // SAFETY comments stand at the uses below.
        quote! { unsafe { #module::release(block, place) } }
    };
    let pop = |number: usize| {
        let module = module(number);
        quote! { #module::pop(place) }
    };
    let medium = plan.medium.as_ref().map_or_else(Vec::new, |medium| {
        // Its first entries are never asked for.
        let first = (SMALL_MAX / medium.granularity) as usize + 1;
        told(context, &medium.entries[first..])
    });
    // What `allocate_other` and `release_other` ask first, and second, where there is anything to be told.
    let ways = |table: &str, groups: &[usize]| {
        let table = format_ident!("{table}");
        [choose(context, groups, allocate), choose(context, groups, release)].map(|way| {
            (!groups.is_empty()).then(|| {
                quote! {
                    if let ::core::option::Option::Some(place) = #table(size, align) {
                        // SAFETY: the caller's contract, and the place is that of the layout's class.
                        return #way;
                    }
                }
            })
        })
    };
    let [allocate_aligned, release_aligned] = ways("place_of_aligned", &aligned);
    let [allocate_medium, release_medium] = ways("place_of_medium", &medium);
    let allocate_small = choose(context, &small, allocate);
    let release_small = match sole_small(context) {
        Some(number) => {
            let module = module(number);
            quote! { unsafe { #module::release_small(block, size) } }
        }
        None => {
            let release = choose(context, &small, release);
            quote! {
                let place = place_of_small(size);
                #release
            }
        }
    };
    let (allocate_any, release_any) = (choose(context, &all, allocate), choose(context, &all, release));
    let pop_any = choose(context, &all, pop);
    let mark = mark_any(context);
    // A large block that is kept waits for its purge from its free on.
    let wake = context.spec.purge.background.then(|| quote! { PURGER_WORKER.wake(); });
    let null = quote! { ::core::ptr::null_mut() };
    let carve = context.with_thread(&quote! { heap_of(thread).map_or(#null, |heap| heap.carve_zeroed(slot)) }, &null);
    quote! {
        /// `GlobalAlloc::alloc`. A small size of ordinary alignment goes straight to its group, where the place is a
        /// constant if the layout is; an alignment that is not known costs one comparison.
        #[inline(always)]
        pub(super) fn allocate(size: usize, align: usize) -> *mut u8 {
            if size <= SMALL_LARGEST && align <= ALIGN_OF_ALL {
                let place = place_of_small(size);
                #allocate_small
            } else {
                allocate_other(size, align)
            }
        }

        /// `GlobalAlloc::dealloc`. The class comes from the layout; nothing is read of the block or its slab.
        ///
        /// # Safety
        /// `block` was allocated here with this layout, and is not used any more.
        #[inline(always)]
        pub(super) unsafe fn release(block: *mut u8, size: usize, align: usize) {
            if size <= SMALL_LARGEST && align <= ALIGN_OF_ALL {
                // SAFETY: the caller's contract; the class is that of the layout.
                #release_small
            } else {
                // SAFETY: the caller's contract.
                unsafe { release_other(block, size, align) }
            }
        }

        /// Allocates the rest. Cold, so that the two comparisons before it become two branches never taken and not one
        /// computed condition.
        #[cold]
        #[inline(never)]
        fn allocate_other(size: usize, align: usize) -> *mut u8 {
            #allocate_aligned
            #allocate_medium
            allocate_rare(size, align)
        }

        /// Allocates what no table knows: unusual alignments, large blocks.
        #[cold]
        #[inline(never)]
        fn allocate_rare(size: usize, align: usize) -> *mut u8 {
            match place_sought(size, align) {
                ::core::option::Option::Some(place) => allocate_at(place),
                ::core::option::Option::None => RUNTIME.large().allocate(&RUNTIME, size, align),
            }
        }

        /// Frees the rest.
        ///
        /// # Safety
        /// As [`release`].
        #[cold]
        #[inline(never)]
        unsafe fn release_other(block: *mut u8, size: usize, align: usize) {
            #release_aligned
            #release_medium
            // SAFETY: the caller's contract.
            unsafe { release_rare(block, size, align) }
        }

        /// Frees what no table knows.
        ///
        /// # Safety
        /// As [`release`].
        #[cold]
        #[inline(never)]
        unsafe fn release_rare(block: *mut u8, size: usize, align: usize) {
            match place_sought(size, align) {
                // SAFETY: the caller's contract, and the place is that of the layout's class.
                ::core::option::Option::Some(place) => unsafe { release_at(block, place) },
                ::core::option::Option::None => {
                    // SAFETY: as above; no class serves the layout, so the block is a large one.
                    unsafe { RUNTIME.large().free(&RUNTIME, block) }
                    #wake
                }
            }
        }

        /// Allocates from the class at `place`.
        #[inline]
        fn allocate_at(place: usize) -> *mut u8 {
            #allocate_any
        }

        /// Frees into the class at `place`.
        ///
        /// # Safety
        /// `block` was allocated from that class, and is not used any more.
        #[inline]
        unsafe fn release_at(block: *mut u8, place: usize) {
            // SAFETY: the caller's contract.
            #release_any
        }

        /// A hit of the class at `place`, or null.
        #[inline]
        fn pop(place: usize) -> *mut u8 {
            #pop_any
        }

        /// A block of the class at `place` that is zero already, or null.
        #[cold]
        fn carve_zeroed(place: usize) -> *mut u8 {
            let slot = slot_at(place);
            let block = #carve;
            #mark
        }
    }
}

/// Marks `block`, of the class at `slot`, as allocated, if its class has headers.
fn mark_any(context: &Context) -> TokenStream {
    let has_header = |group: &&Group| group.header == Header::RegionId;
    let slots: Vec<TokenStream> = context
        .plan
        .groups
        .iter()
        .filter(has_header)
        .map(|group| {
            let (start, end) = (literal(group.slots.start), literal(group.slots.end));
            quote! { (#start..#end).contains(&slot) }
        })
        .collect();
    if slots.is_empty() {
        return quote! { block };
    }
    quote! {
        if #(#slots)||* {
            // SAFETY: the block was handed out just now, and its class has headers.
            unsafe { hakmem::header::mark(block, slot) }
        } else {
            block
        }
    }
}
