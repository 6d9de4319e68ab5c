//! How a thread finds its thread cache: the code that the macro puts into the application's crate, for each choice of
//! `tls`.

/// The 64-bit FNV-1a hash of a text.
#[doc(hidden)]
pub const fn hash(text: &str) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        hash = (hash ^ *byte as u64).wrapping_mul(0x100_0000_01B3);
        rest = after;
    }
    hash
}

/// `tls = "native"`: the cache is a `thread_local!`.
#[doc(hidden)]
#[macro_export]
macro_rules! __native_tls {
    ($cache:ident, $subject:ty, $allocator:ident, { $($hooks:tt)* }) => {
        $crate::__private::thread_local! {
            static CACHE: $cache = const { $cache::EMPTY };
        }

        // SAFETY: a thread-local is the calling thread's own, and `start_heap` sets its heap to the calling thread's.
        unsafe impl $crate::__private::ThreadCache for $cache {
            const BESIDE_HEAP: bool = false;

            fn backing() -> &'static $crate::__private::Backing {
                $allocator.backing()
            }

            #[inline(always)]
            fn with<R>(with: impl ::core::ops::FnOnce(&Self) -> R) -> R {
                CACHE.with(|cache| with(cache))
            }

            #[inline(always)]
            fn has_started() -> bool {
                true
            }

            fn with_started<R>(_to_free: bool, with: impl ::core::ops::FnOnce(&Self) -> R) -> ::core::option::Option<R> {
                CACHE.with(|cache| {
                    let brief = if cache.heap.addr() == 0 { start_heap(cache) } else { ::core::option::Option::None };
                    let result = with(cache);
                    if let ::core::option::Option::Some(heap) = brief {
                        heap.end();
                    }
                    ::core::option::Option::Some(result)
                })
            }

            fn heap(&self) -> &$crate::__private::HeapSlot {
                &self.heap
            }

            #[inline(always)]
            fn owner(&self) -> usize {
                self.heap.addr()
            }

            fn forget_heap(&self) {
                self.heap.end();
            }

            $($hooks)*
        }

        /// Gives the thread a heap, if there is memory for one. Returns it if it must end with this slow path.
        #[cold]
        #[inline(never)]
        fn start_heap(cache: &$cache) -> ::core::option::Option<&'static $crate::__private::Heap> {
            $allocator.initialise();
            let place = ::core::option::Option::Some(::core::ptr::from_ref(cache).cast());
            let at_exit = $crate::__private::on_cache::<$subject, $crate::__private::AtExit>;
            // SAFETY: `at_exit` takes the cache, which is this thread's, and valid until the thread ends.
            let heap = unsafe { $crate::__private::Heap::start($allocator.backing(), place, at_exit) };
            cache.heap.set(heap);
            // (The heap is stored before, as the C library may allocate to arm the key.)
            heap.filter(|heap| cache.heap.has_ended() || !heap.arm())
        }
    };
}

/// `tls = "initial-exec"`: the cache is stored beside its heap, and one word of static thread-local memory points to
/// both. The word is defined and read in assembly, since stable rustc cannot select that TLS model. So the code is the
/// same in an executable and in a shared library; static thread-local memory has no room for the whole cache of a
/// library that is loaded late.
///
/// The word of a thread that has not started points to an empty cache that all such threads share. Layers whose hits do
/// not write to an empty state (`Layer::INERT`) need no check for that; the others check.
#[doc(hidden)]
#[macro_export]
macro_rules! __initial_exec_tls {
    ($cache:ident, $subject:ty, $allocator:ident, { $($hooks:tt)* }, $word:literal, $classes:literal) => {
        /// The distance from a heap to the cache beside it.
        const BESIDE: usize = $crate::__private::Heap::thread_cache_offset($classes);

        type EmptyThread = $crate::__private::EmptyThread<$cache, BESIDE>;

        /// What the word of a thread points to before the thread has started.
        static UNSTARTED: EmptyThread = EmptyThread::new($cache::EMPTY);

        /// What it points to after the thread's heap has ended: frees after that start no other, and allocations one for
        /// themselves alone.
        static ENDED: EmptyThread = EmptyThread::new($cache::EMPTY);

        /// The end of the word's symbol, unique to each allocator of a program: two may have one name, in two modules,
        /// even at the same place of two files, or in two crates of one name; and one macro may write several.
        const PLACE: u64 = $crate::__private::hash(::core::concat!(
            ::core::module_path!(),
            " ",
            ::core::file!(),
            ":",
            ::core::line!(),
            ":",
            ::core::column!(),
        ));

        ::core::arch::global_asm!(
            ::core::concat!(".pushsection .tdata.", $word, "{place},\"awT\",@progbits"),
            ".p2align 3",
            ::core::concat!(".globl ", $word, "{place}"),
            ::core::concat!(".hidden ", $word, "{place}"),
            ::core::concat!(".type ", $word, "{place}, @object"),
            ::core::concat!(".size ", $word, "{place}, 8"),
            ::core::concat!($word, "{place}:"),
            ".quad {unstarted}",
            ".popsection",
            place = const PLACE,
            unstarted = sym UNSTARTED,
        );

        /// The word: the address of this thread's heap, or of one of the two `EmptyThread`s.
        #[inline(always)]
        fn heap_word() -> *const u8 {
            let heap;
            // SAFETY: the word is in static thread-local memory, at the offset that the linker or loader knows.
            unsafe {
                ::core::arch::asm!(
                    ::core::concat!("mov {word}, qword ptr [rip + ", $word, "{place}@GOTTPOFF]"),
                    "mov {word}, qword ptr fs:[{word}]",
                    word = out(reg) heap,
                    place = const PLACE,
                    options(pure, readonly, nostack, preserves_flags),
                );
            }
            heap
        }

        /// Writes the word.
        ///
        /// # Safety
        /// `heap` is this thread's from now on, or one of the two `EmptyThread`s.
        #[cold]
        unsafe fn set_heap_word(heap: *const u8) {
            // SAFETY: the word is in static thread-local memory, at the offset that the linker or loader knows.
            unsafe {
                ::core::arch::asm!(
                    ::core::concat!("mov {word}, qword ptr [rip + ", $word, "{place}@GOTTPOFF]"),
                    "mov qword ptr fs:[{word}], {heap}",
                    word = out(reg) _,
                    heap = in(reg) heap,
                    place = const PLACE,
                    options(nostack, preserves_flags),
                );
            }
        }

        fn word_of(empty: &'static EmptyThread) -> *const u8 {
            ::core::ptr::from_ref(empty).cast()
        }

        // SAFETY: the word points to the calling thread's heap or to an `EmptyThread`, each of which has a cache at
        // `BESIDE`.
        unsafe impl $crate::__private::ThreadCache for $cache {
            const BESIDE_HEAP: bool = true;

            fn backing() -> &'static $crate::__private::Backing {
                $allocator.backing()
            }

            #[inline(always)]
            fn with<R>(with: impl ::core::ops::FnOnce(&Self) -> R) -> R {
                // SAFETY: at `BESIDE` from the word is a cache, whose memory is never unmapped. References to it do not
                // leave the thread.
                with(unsafe { &*heap_word().wrapping_add(BESIDE).cast::<$cache>() })
            }

            #[inline]
            fn has_started() -> bool {
                let heap = heap_word();
                heap != word_of(&UNSTARTED) && heap != word_of(&ENDED)
            }

            fn with_started<R>(to_free: bool, with: impl ::core::ops::FnOnce(&Self) -> R) -> ::core::option::Option<R> {
                if to_free && heap_word() == word_of(&ENDED) {
                    return ::core::option::Option::None;
                }
                let brief = start_heap()?;
                let result = Self::with(with);
                if let ::core::option::Option::Some(heap) = brief {
                    heap.end();
                }
                ::core::option::Option::Some(result)
            }

            fn heap(&self) -> &$crate::__private::HeapSlot {
                &self.heap
            }

            #[inline(always)]
            fn owner(&self) -> usize {
                heap_word().addr()
            }

            fn forget_heap(&self) {
                self.heap.set(::core::option::Option::None);
                // SAFETY: `ENDED` is an `EmptyThread`.
                unsafe { set_heap_word(word_of(&ENDED)) };
            }

            $($hooks)*
        }

        /// Gives the thread a heap, if it has none. `None`: there is no memory for one. `Some(Some(heap))`: it must end
        /// with this slow path.
        #[cold]
        fn start_heap() -> ::core::option::Option<::core::option::Option<&'static $crate::__private::Heap>> {
            use $crate::__private::ThreadCache as _;
            if !$cache::has_started() {
                $allocator.initialise();
            }
            // To initialise may have called back into `malloc` through the C library, and started the heap.
            if $cache::has_started() {
                return ::core::option::Option::Some(::core::option::Option::None);
            }
            let had_ended = heap_word() == word_of(&ENDED);
            let at_exit = $crate::__private::on_cache::<$subject, $crate::__private::AtExit>;
            // SAFETY: `at_exit` takes the cache beside the heap.
            let heap =
                unsafe { $crate::__private::Heap::start($allocator.backing(), ::core::option::Option::None, at_exit) }?;
            let address = ::core::ptr::from_ref(heap).addr();
            // SAFETY: beside the heap, which is this thread's from now on, is room for a cache, which nobody else uses.
            unsafe {
                ::core::ptr::with_exposed_provenance_mut::<$cache>(address.wrapping_add(BESIDE)).write($cache::EMPTY);
                set_heap_word(::core::ptr::from_ref(heap).cast());
            }
            $cache::with(|cache| cache.heap.set(::core::option::Option::Some(heap)));
            // (The heap is stored before, as the C library may allocate to arm the key.)
            ::core::option::Option::Some((had_ended || !heap.arm()).then_some(heap))
        }
    };
}
