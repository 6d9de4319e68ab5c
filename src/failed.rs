//! Stubs of the traits that the type of a broken spec needs, so that one mistake is one error, not one at each use.

/// Implements what `export_malloc!` asks of a type. The program does not compile.
#[doc(hidden)]
#[macro_export]
macro_rules! __failed_spec {
    ($name:ident) => {
        const _: () = {
            use $crate::__private as hakmem;

            // SAFETY: the program does not compile.
            unsafe impl hakmem::CompiledSpec for $name {
                type Cache = hakmem::NoCache;
                type Groups = ();
                type Small = ();
                type Aligned = ();
                type Medium = ();
                const CLASSES: &'static [hakmem::Class] = &[];
                const SMALL_MAX: usize = 0;
                const SMALL_ALIGN: usize = 1;
                const MEDIUM_GRAIN: usize = 1;
                const MEDIUM_ALIGN: usize = 1;
                const LARGEST: usize = 0;

                fn allocator() -> &'static hakmem::Allocator {
                    ::core::unreachable!()
                }
                fn small() -> &'static hakmem::SmallTable {
                    ::core::unreachable!()
                }
                fn medium() -> &'static [u16] {
                    &[]
                }
                fn by_size() -> &'static [u8] {
                    &[]
                }
                fn offsets() -> &'static [u16] {
                    &[]
                }
            }

            // SAFETY: the program does not compile.
            unsafe impl hakmem::ByAddress for $name {
                type C = ();
                type ByAddress = ();
                const C_ROW_IS_FULL: bool = false;
                const STARTS_WORKERS: bool = false;
                const STATS: bool = false;

                unsafe fn push_own(_: *mut u8) -> ::core::option::Option<bool> {
                    ::core::option::Option::None
                }
                fn remember(_: *const u8) {}
            }
        };
    };
}

/// The thread cache of a broken spec.
#[doc(hidden)]
#[derive(Debug)]
pub enum NoCache {}

// SAFETY: there is no such cache.
unsafe impl hakmem_runtime::thread_cache::ThreadCache for NoCache {
    const BESIDE_HEAP: bool = false;

    fn backing() -> &'static hakmem_runtime::Backing {
        unreachable!("the program does not compile")
    }
    fn with<R>(_: impl FnOnce(&Self) -> R) -> R {
        unreachable!("the program does not compile")
    }
    fn has_started() -> bool {
        false
    }
    fn with_started<R>(_: bool, _: impl FnOnce(&Self) -> R) -> Option<R> {
        None
    }
    fn heap(&self) -> &hakmem_runtime::HeapSlot {
        match *self {}
    }
    fn owner(&self) -> usize {
        match *self {}
    }
    fn forget_heap(&self) {
        match *self {}
    }
}
