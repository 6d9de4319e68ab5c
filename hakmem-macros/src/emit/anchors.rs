//! Each class's hit paths as functions of their own, for `cargo hakmem asm` to read from the built program.
//!
//! In the program's own code the paths are inlined, where no symbol tells them from what is around them. An anchor is the
//! same path, compiled with the program under the same profile, with a name.

use super::{Context, literal};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};

pub(super) fn emit(context: &Context) -> TokenStream {
    let (mut functions, mut allocs, mut frees) = (TokenStream::new(), Vec::new(), Vec::new());
    for slot in &context.plan.slots {
        let (alloc, free) = (format_ident!("alloc_{}", slot.size), format_ident!("free_{}", slot.size));
        // Every class is aligned to 8, so this is the smallest that serves.
        let size = literal(slot.usable);
        functions.extend(quote! {
            #[inline(never)]
            fn #alloc() -> *mut u8 {
                super::allocate(#size, 8)
            }

            /// # Safety
            /// As [`super::release`].
            #[inline(never)]
            unsafe fn #free(block: *mut u8) {
                // SAFETY: the caller's contract.
                unsafe { super::release(block, #size, 8) }
            }
        });
        allocs.push(alloc);
        frees.push(free);
    }
    let count = literal(context.plan.slots.len());
    quote! {
        /// The hit paths of each class, for `cargo hakmem asm`.
        mod anchors {
            #functions

            static ALLOCS: [fn() -> *mut u8; #count] = [#(#allocs),*];
            static FREES: [unsafe fn(*mut u8); #count] = [#(#frees),*];

            /// Nothing calls the anchors. What runs before `main` is kept by compiler and linker, and so is what it names.
            extern "C" fn keep() {
                ::core::hint::black_box((&ALLOCS, &FREES));
            }

            #[used]
            #[unsafe(link_section = ".init_array")]
            static KEEP: extern "C" fn() = keep;
        }
    }
}
