//! The allocator under the recorder, for `cargo hakmem record`: each method of `GlobalAlloc` goes through it.

use crate::input::Input;
use proc_macro2::{Ident, TokenStream};
use quote::quote;

/// `GlobalAlloc` for the type.
pub(super) fn methods(input: &Input) -> TokenStream {
    let Input { hakmem, name, .. } = input;
    let wrap = quote! { #hakmem::__private::record::wrap };
    quote! {
        // SAFETY: the recorder hands out what the generated front does, behind a header of its own.
        unsafe impl ::core::alloc::GlobalAlloc for #name {
            unsafe fn alloc(&self, layout: ::core::alloc::Layout) -> *mut u8 {
                #wrap::allocate::<#name>(layout.size(), layout.align())
            }

            unsafe fn dealloc(&self, block: *mut u8, layout: ::core::alloc::Layout) {
                // SAFETY: the caller's contract.
                unsafe { #wrap::release::<#name>(block, layout.size(), layout.align()) }
            }

            unsafe fn alloc_zeroed(&self, layout: ::core::alloc::Layout) -> *mut u8 {
                #wrap::allocate_zeroed::<#name>(layout.size(), layout.align())
            }

            unsafe fn realloc(&self, block: *mut u8, layout: ::core::alloc::Layout, new_size: usize) -> *mut u8 {
                // SAFETY: the caller's contract.
                unsafe { #wrap::reallocate::<#name>(block, layout.size(), layout.align(), new_size) }
            }
        }
    }
}

/// What the recorder asks of the generated front.
pub(super) fn emit(name: &Ident) -> TokenStream {
    quote! {
        // SAFETY: as `Front`.
        unsafe impl hakmem::record::Recorded for super::#name {
            const LARGEST: usize = LARGEST;

            fn block_size(size: usize, align: usize) -> usize {
                place_of(size, align).map_or(0, |place| CLASSES[slot_at(place)].size as usize)
            }
        }
    }
}
