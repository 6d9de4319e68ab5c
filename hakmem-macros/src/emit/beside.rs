//! `tls = "initial-exec"`: a thread's front stands beside its heap, and one word of static thread-local memory leads to
//! both. The word is defined and read in assembly, since rustc has no stable way to ask for that model; so the code is the
//! same in an executable and in a shared library, which finds no place there for the front itself when it is loaded late.
//!
//! The word of a thread that has not begun leads to an empty front that all such threads share. Hits of layers that are
//! inert there need no question; the others ask.

use super::{Context, literal};
use hakmem_spec::Tls;
use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::ext::IdentExt as _;

impl Context<'_> {
    /// Whether fronts stand beside their heaps.
    pub(super) fn beside(&self) -> bool {
        self.spec.tls == Tls::InitialExec
    }

    /// `body`, in which `thread` is this thread's front, begun if need be; `otherwise` where there is no memory for it.
    pub(super) fn with_thread(&self, body: &TokenStream, otherwise: &TokenStream) -> TokenStream {
        if self.beside() {
            quote! {
                match begin() {
                    ::core::option::Option::Some(thread) => { #body }
                    ::core::option::Option::None => { #otherwise }
                }
            }
        } else {
            quote! { THREAD.with(|thread| { #body }) }
        }
    }
}

/// The name of the word: one for each allocator of a program.
fn word(name: &Ident) -> String {
    let crate_name = std::env::var("CARGO_CRATE_NAME").unwrap_or_default();
    let place = name.span().start();
    format!("__hakmem_{crate_name}_{}_{}_{}", name.unraw(), place.line, place.column)
}

/// The word and what is behind it: everything that stands for a thread-local `THREAD`.
pub(super) fn emit(context: &Context, name: &Ident) -> TokenStream {
    let classes = literal(context.plan.slots.len());
    let superslab = literal(context.spec.geometry.superslab);
    let word = word(name);
    let define = format!(
        ".pushsection .tdata.{word},\"awT\",@progbits\n.p2align 3\n.globl {word}\n.hidden {word}\n.type {word}, @object\n\
         .size {word}, 8\n{word}:\n.quad {{unbegun}}\n.popsection"
    );
    let offset = format!("mov {{word}}, qword ptr [rip + {word}@GOTTPOFF]");
    quote! {
        /// The logarithm of a region's size.
        const REGION: u32 = hakmem::region_shift(#superslab);

        /// The regions that a thread has met.
        type Regions = hakmem::KnownRegions<REGION, { 1 << (32 - REGION) }>;

        /// The distance from a heap to the front beside it.
        const FRONT: usize = hakmem::Heap::front_offset(#classes);

        /// What the word of a thread leads to that has not begun.
        static UNBEGUN: hakmem::EmptyThread<Thread, FRONT> = hakmem::EmptyThread::new(Thread::EMPTY);

        /// What it leads to once the thread's heap has ended: frees after that do not begin another.
        static ENDED: hakmem::EmptyThread<Thread, FRONT> = hakmem::EmptyThread::new(Thread::EMPTY);

        ::core::arch::global_asm!(#define, unbegun = sym UNBEGUN);

        /// The word: the address of this thread's heap, or of what stands for one.
        #[inline(always)]
        fn heap_name() -> *const u8 {
            let heap;
            // SAFETY: the word is in static thread-local memory, at the offset that the linker or loader knows.
            unsafe {
                ::core::arch::asm!(
                    #offset,
                    "mov {word}, qword ptr fs:[{word}]",
                    word = out(reg) heap,
                    options(pure, readonly, nostack, preserves_flags),
                );
            }
            heap
        }

        /// Writes the word.
        ///
        /// # Safety
        /// `heap` is this thread's from now on, or one of those that stand for none.
        #[cold]
        unsafe fn set_heap_name(heap: *const u8) {
            // SAFETY: as in `heap_name`.
            unsafe {
                ::core::arch::asm!(
                    #offset,
                    "mov qword ptr fs:[{word}], {heap}",
                    word = out(reg) _,
                    heap = in(reg) heap,
                    options(nostack, preserves_flags),
                );
            }
        }

        /// The address of an [`Absent`](hakmem::EmptyThread).
        fn name_of(absent: &'static hakmem::EmptyThread<Thread, FRONT>) -> *const u8 {
            ::core::ptr::from_ref(absent).cast()
        }

        /// Whether this thread has a heap.
        #[inline]
        fn has_begun() -> bool {
            let heap = heap_name();
            heap != name_of(&UNBEGUN) && heap != name_of(&ENDED)
        }

        /// Stands for a thread-local.
        struct Word;

        const THREAD: Word = Word;

        impl Word {
            /// Calls `with` with this thread's front. Of a thread without a heap it is not to be written to.
            #[inline(always)]
            fn with<T>(&self, with: impl FnOnce(&Thread) -> T) -> T {
                // SAFETY: beside a heap, and beside what stands for one, is a front.
                with(unsafe { &*heap_name().wrapping_add(FRONT).cast::<Thread>() })
            }
        }

        /// This thread's front, with a heap; `None` where there is no memory for one.
        #[cold]
        fn begin() -> ::core::option::Option<&'static Thread> {
            if !has_begun() {
                RUNTIME.initialise();
            }
            // Which may have come by here, by way of the C library.
            if !has_begun() {
                // SAFETY: `drain_at_exit` takes the front of such a heap, and `initialise` came before.
                let heap = unsafe { hakmem::Heap::begin(&RUNTIME, drain_at_exit) }?;
                // SAFETY: the heap is this thread's.
                unsafe { set_heap_name(::core::ptr::from_ref(heap).cast()) };
                THREAD.with(|thread| {
                    thread.regions.clear();
                    thread.heap.set(heap);
                });
                heap.arm();
            }
            // SAFETY: the front of this thread's heap, which is never unmapped; and references to it do not leave the thread.
            ::core::option::Option::Some(unsafe { &*heap_name().wrapping_add(FRONT).cast::<Thread>() })
        }

        /// The thread's heap.
        #[inline]
        fn heap_of(thread: &Thread) -> ::core::option::Option<&hakmem::Heap> {
            thread.heap.get()
        }
    }
}
