//! Each class's hit paths as separate functions, for `cargo hakmem asm` to read from the built program.
//!
//! In the program's own code the paths are inlined, and no symbol separates them from the code around them. An anchor
//! is the same path as a function with a name, compiled with the program under the same profile.

use super::{Context, literal};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

pub(super) fn emit(context: &Context, name: &Ident) -> TokenStream {
    let (mut functions, mut allocs, mut frees) = (TokenStream::new(), Vec::new(), Vec::new());
    for class in &context.plan.classes {
        let (alloc, free) = (format_ident!("alloc_{}", class.size), format_ident!("free_{}", class.size));
        // Every class is aligned to at least 8, so this layout is served by this class and no smaller one.
        let size = literal(class.usable);
        functions.extend(quote! {
            #[inline(never)]
            fn #alloc() -> *mut u8 {
                hakmem::alloc::<Subject>(#size, 8)
            }

            /// # Safety
            /// The block is of this class, and the caller gives it up.
            #[inline(never)]
            unsafe fn #free(block: *mut u8) {
                // SAFETY: the caller's contract.
                unsafe { hakmem::dealloc::<Subject>(block, #size, 8) }
            }
        });
        allocs.push(alloc);
        frees.push(free);
    }
    let count = literal(context.plan.classes.len());
    quote! {
        /// The hit paths of each class, for `cargo hakmem asm`.
        mod anchors {
            use super::super::#name as Subject;
            use super::hakmem;

            #functions

            static ALLOCS: [fn() -> *mut u8; #count] = [#(#allocs),*];
            static FREES: [unsafe fn(*mut u8); #count] = [#(#frees),*];

            /// Refers to the anchors, which nothing calls. The compiler and the linker keep it because it runs before
            /// `main`.
            extern "C" fn keep() {
                ::core::hint::black_box((&ALLOCS, &FREES));
            }

            #[used]
            #[unsafe(link_section = ".init_array")]
            static KEEP: extern "C" fn() = keep;
        }
    }
}
