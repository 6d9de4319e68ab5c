//! Implements `ByAddress` for C callers, which free a block by its address alone. Emitted under `tls = "initial-exec"`.

use super::groups::{by_address, choice};
use super::{Context, thread};
use proc_macro2::{Ident, TokenStream};
use quote::quote;

/// The alignment of what C's `malloc` returns.
const C_ALIGN: u32 = 16;

pub(super) fn emit(context: &Context, name: &Ident) -> TokenStream {
    if !context.beside_heap() {
        return TokenStream::new();
    }
    let c_rows = context.plan.aligned.iter().filter(|table| table.align == C_ALIGN);
    let c_entries: Vec<u8> = c_rows.flat_map(|table| table.entries.iter().copied()).collect();
    let (c, by_address) = (choice(context, |group| context.serves(group, &c_entries)), choice(context, by_address));
    let starts_workers = thread::starts_workers(context);
    let stats = context.plan.groups.iter().any(|group| group.stats);
    let [slab, region] = context.shifts();
    quote! {
        // SAFETY: `C` are the groups in the small table's row for alignment 16, which is C's; `ByAddress` are those
        // whose frees do not need the class.
        unsafe impl hakmem::ByAddress for super::#name {
            type C = #c;
            type ByAddress = #by_address;
            const C_ROW_IS_FULL: bool = hakmem::c_row_is_full(&SMALL, <Self as hakmem::CompiledSpec>::SMALL_MAX);
            const STARTS_WORKERS: bool = #starts_workers;
            const STATS: bool = #stats;

            #[inline(always)]
            unsafe fn push_own(block: *mut u8) -> ::core::option::Option<bool> {
                const KNOWN_REGIONS_OFFSET: usize = BESIDE + ::core::mem::offset_of!(ThreadCache, regions);
                // SAFETY: `heap_word` is this thread's heap or an `EmptyThread`, and `KNOWN_REGIONS_OFFSET` bytes after
                // its start are the `regions` of the cache beside it. The caller gives up the block.
                unsafe { hakmem::Pages::<#slab, #region, false>::push_own::<KNOWN_REGIONS_OFFSET>(block, heap_word()) }
            }

            fn remember(block: *const u8) {
                if <ThreadCache as hakmem::ThreadCache>::has_started() {
                    <ThreadCache as hakmem::ThreadCache>::with(|cache| cache.regions.insert(block.addr()));
                }
            }
        }
    }
}
