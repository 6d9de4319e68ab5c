//! `hakmem::export_malloc!` in a program: its own allocations, std's and the C library's all go there, and each function
//! does what POSIX, C23 and glibc's manual say.

#[path = "common/dies.rs"]
mod dies;
#[path = "common/rerun.rs"]
mod rerun;
#[path = "common/resident.rs"]
mod resident;

use dies::dies;
use libc::{EINVAL, ENOMEM, c_int, c_void, size_t};
use rerun::{is_child, isolated, rerun, rerun_with, text};
use resident::resident;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

mod heap {
    hakmem::allocator! {
        pub(crate) struct Heap {
            tls = "initial-exec"

            [purge]
            background = "with-threads"

            [defaults]
            layers = ["pages"]

            [[class]]
            sizes = { from = 16, to = 1024, steps_per_doubling = 1 }

            # Layers that ask whether their thread has begun, and one that does not.
            [[class]]
            sizes = [1280, 1536]
            layers = ["unified", "sll"]
            stats = true

            [[class]]
            sizes = [2048, 4096]
            layers = ["ultrahot", "ring", "sll"]
            free = "deferred"

            [[class]]
            sizes = ["8 KiB", "16 KiB"]
            layers = ["heapv2"]
        }
    }
}

use heap::Heap;

hakmem::export_malloc!(Heap);

/// What the libc crate does not declare.
mod c {
    use super::{c_int, c_void, size_t};

    unsafe extern "C" {
        pub(super) fn pvalloc(size: size_t) -> *mut c_void;
        pub(super) fn valloc(size: size_t) -> *mut c_void;
        pub(super) fn free_sized(block: *mut c_void, size: size_t);
        pub(super) fn free_aligned_sized(block: *mut c_void, align: size_t, size: size_t);
        pub(super) fn malloc_trim(pad: size_t) -> c_int;
        pub(super) fn mallopt(parameter: c_int, value: c_int) -> c_int;
        pub(super) fn mallinfo() -> libc::mallinfo;
        pub(super) fn malloc_stats();
        pub(super) fn hakmem_stats(buffer: *mut u8, size: size_t) -> size_t;
        pub(super) fn hakmem_stats_json(buffer: *mut u8, size: size_t) -> size_t;
        pub(super) fn hakmem_owns(pointer: *const c_void) -> bool;
    }
}

fn errno() -> c_int {
    // SAFETY: this thread's own place.
    unsafe { *libc::__errno_location() }
}

/// What `call` returns and leaves in `errno`, which is 0 before.
fn with_errno<T>(call: impl FnOnce() -> T) -> (T, c_int) {
    // SAFETY: this thread's own place.
    unsafe { *libc::__errno_location() = 0 };
    let result = std::hint::black_box(call());
    (result, errno())
}

/// Sizes around every border that the spec, the tables and the system have.
fn sizes() -> Vec<usize> {
    let powers = (0..22).map(|power| 1_usize << power);
    let mut sizes: Vec<usize> = powers.flat_map(|power| [power - 1, power, power + 1]).collect();
    sizes.extend([1280, 1281, 1536, 1537, 3 << 20, (8 << 20) + 1]);
    sizes
}

/// Checks a block, writes all of it, and frees it.
unsafe fn check_and_free(block: *mut c_void, size: usize, align: usize) {
    assert!(!block.is_null(), "no block of {size} aligned to {align}");
    assert_eq!(block.addr() % align, 0, "a block of {size} is not aligned to {align}");
    assert!(Heap::owns(block.cast()));
    // SAFETY: the block is the caller's.
    unsafe {
        assert!(libc::malloc_usable_size(block) >= size);
        ptr::write_bytes(block.cast::<u8>(), 0xA5, libc::malloc_usable_size(block));
        libc::free(block);
    }
}

#[test]
fn it_is_in_force_for_rust_and_for_the_c_library() {
    let boxed = Box::new([0_u8; 40]);
    assert!(Heap::owns(boxed.as_ptr()));
    // SAFETY: what strdup returns is for free.
    unsafe {
        let copy = libc::strdup(c"from the C library".as_ptr());
        assert!(Heap::owns(copy.cast()));
        assert!(c::hakmem_owns(copy.cast()) && !c::hakmem_owns((&raw const copy).cast()));
        libc::free(copy.cast());
    }
}

#[test]
fn malloc_gives_what_any_type_can_live_in() {
    for size in sizes() {
        // SAFETY: checked and freed once.
        unsafe { check_and_free(libc::malloc(size), size, 16) };
    }
}

#[test]
fn blocks_of_no_bytes_are_blocks() {
    // SAFETY: each is freed once.
    unsafe {
        let blocks = [libc::malloc(0), libc::calloc(0, 8), libc::calloc(8, 0), libc::malloc(0)];
        for (index, &block) in blocks.iter().enumerate() {
            assert!(!block.is_null() && !blocks[..index].contains(&block));
        }
        for block in blocks {
            libc::free(block);
        }
        libc::free(ptr::null_mut());
        assert_eq!(libc::malloc_usable_size(ptr::null_mut()), 0);
    }
}

#[test]
fn calloc_clears_what_was_used_before() {
    for size in sizes() {
        // SAFETY: read within their size, freed once.
        unsafe {
            check_and_free(libc::malloc(size), size, 16);
            let block = libc::calloc(1, size);
            assert!(std::slice::from_raw_parts(block.cast::<u8>(), size).iter().all(|&byte| byte == 0), "{size}");
            check_and_free(block, size, 16);
        }
    }
}

#[test]
fn what_cannot_be_is_refused_with_enomem() {
    let too_much = [usize::MAX, usize::MAX - 4096, isize::MAX as usize + 1, 1 << 62];
    // SAFETY: nothing is allocated.
    unsafe {
        for size in too_much {
            assert_eq!(with_errno(|| libc::malloc(size)), (ptr::null_mut(), ENOMEM), "{size:#x}");
            assert_eq!(with_errno(|| libc::calloc(1, size)), (ptr::null_mut(), ENOMEM));
            assert_eq!(with_errno(|| libc::realloc(ptr::null_mut(), size)), (ptr::null_mut(), ENOMEM));
            assert_eq!(with_errno(|| libc::memalign(64, size)), (ptr::null_mut(), ENOMEM));
            assert_eq!(with_errno(|| libc::aligned_alloc(64, size)), (ptr::null_mut(), ENOMEM));
            assert_eq!(with_errno(|| c::valloc(size)), (ptr::null_mut(), ENOMEM));
            assert_eq!(with_errno(|| c::pvalloc(size)), (ptr::null_mut(), ENOMEM));
        }
        for (count, size) in [(usize::MAX, 2), (1 << 32, 1 << 32), (usize::MAX / 2, 3), (2, usize::MAX)] {
            assert_eq!(with_errno(|| libc::calloc(count, size)), (ptr::null_mut(), ENOMEM));
            assert_eq!(with_errno(|| libc::reallocarray(ptr::null_mut(), count, size)), (ptr::null_mut(), ENOMEM));
        }
    }
}

#[test]
fn a_refused_realloc_leaves_the_block() {
    for size in [40, 1300, 5000, 3 << 20] {
        // SAFETY: the block stays the caller's when it is not resized.
        unsafe {
            let block = libc::malloc(size).cast::<u8>();
            ptr::write_bytes(block, 7, size);
            assert_eq!(with_errno(|| libc::realloc(block.cast(), 1 << 62)), (ptr::null_mut(), ENOMEM));
            assert_eq!(with_errno(|| libc::reallocarray(block.cast(), 1 << 40, 1 << 40)), (ptr::null_mut(), ENOMEM));
            assert!(std::slice::from_raw_parts(block, size).iter().all(|&byte| byte == 7));
            libc::free(block.cast());
        }
    }
}

#[test]
fn errno_stays_where_nothing_failed() {
    // SAFETY: each is freed once.
    unsafe {
        *libc::__errno_location() = 77;
        for size in sizes() {
            let block = libc::realloc(libc::malloc(size), 2 * size + 1);
            libc::free(libc::calloc(1, size));
            libc::free(block);
        }
        assert_eq!(errno(), 77);
    }
}

#[test]
fn realloc_keeps_what_fits_from_any_size_to_any() {
    for from in sizes() {
        for to in [1, 16, 100, 1000, 1300, 3000, 10_000, 100_000, 3 << 20] {
            // SAFETY: written and read within the smaller size.
            unsafe {
                let block = libc::malloc(from).cast::<u8>();
                let kept = from.min(to);
                for index in 0..kept {
                    *block.add(index) = index as u8;
                }
                let block = libc::realloc(block.cast(), to).cast::<u8>();
                assert!((0..kept).all(|index| *block.add(index) == index as u8), "from {from} to {to}");
                check_and_free(block.cast(), to, 16);
            }
        }
    }
}

#[test]
fn realloc_of_null_allocates_and_to_nothing_frees() {
    // SAFETY: each is freed once.
    unsafe {
        check_and_free(libc::realloc(ptr::null_mut(), 100), 100, 16);
        check_and_free(libc::realloc(ptr::null_mut(), 0), 0, 16);
        assert_eq!(with_errno(|| libc::realloc(libc::malloc(100), 0)), (ptr::null_mut(), 0));
        assert_eq!(with_errno(|| libc::reallocarray(libc::malloc(100), 0, 8)), (ptr::null_mut(), 0));
    }
}

#[test]
fn alignments() {
    for power in 0..24 {
        let align = 1_usize << power;
        for size in [0, 1, 17, 100, 1000, 5000, 100_000] {
            // SAFETY: each is freed once.
            unsafe {
                check_and_free(libc::aligned_alloc(align, size), size, align);
                check_and_free(libc::memalign(align, size), size, align);
                let resized = libc::realloc(libc::memalign(align, size), size + 40);
                check_and_free(resized, size + 40, 16);
                let mut place = ptr::null_mut();
                let (result, errno) = with_errno(|| libc::posix_memalign(&raw mut place, align, size));
                assert_eq!(errno, 0);
                if align < size_of::<usize>() {
                    assert_eq!((result, place), (EINVAL, ptr::null_mut()));
                } else {
                    assert_eq!(result, 0);
                    check_and_free(place, size, align);
                }
            }
        }
    }
}

#[test]
fn alignments_that_are_none() {
    // SAFETY: what is allocated is freed.
    unsafe {
        for align in [0, 3, 24, 100, usize::MAX] {
            assert_eq!(with_errno(|| libc::aligned_alloc(align, 100)), (ptr::null_mut(), EINVAL));
            let mut place = ptr::null_mut();
            assert_eq!(with_errno(|| libc::posix_memalign(&raw mut place, align, 100)), (EINVAL, 0));
            assert!(place.is_null());
        }
        // glibc rounds up.
        for (align, rounded) in [(0, 1), (3, 4), (24, 32), (100, 128)] {
            check_and_free(libc::memalign(align, 100), 100, rounded);
        }
        assert_eq!(with_errno(|| libc::memalign(usize::MAX, 100)), (ptr::null_mut(), EINVAL));
        // Powers of two that no address is a multiple of.
        for power in [48, 60, 62, 63] {
            assert_eq!(with_errno(|| libc::memalign(1 << power, 100)), (ptr::null_mut(), ENOMEM));
            assert_eq!(with_errno(|| libc::aligned_alloc(1 << power, 1 << 62)), (ptr::null_mut(), ENOMEM));
            let mut place = ptr::null_mut();
            assert_eq!(with_errno(|| libc::posix_memalign(&raw mut place, 1 << power, 8)), (ENOMEM, ENOMEM));
        }
        // Programs look at both.
        let mut place = ptr::null_mut();
        assert_eq!(with_errno(|| libc::posix_memalign(&raw mut place, 64, 1 << 62)), (ENOMEM, ENOMEM));
    }
}

#[test]
fn amounts_that_nobody_has_are_refused_and_leave_nothing() {
    isolated("amounts_that_nobody_has_are_refused_and_leave_nothing", || {
        // SAFETY: each block is freed once.
        unsafe {
            let block = libc::malloc(1 << 20);
            let mappings = || std::fs::read_to_string("/proc/self/maps").expect("proc is mounted").lines().count();
            let (before, mapped) = (resident(), mappings());
            for size in (44..64).map(|shift| 1 << shift).chain([isize::MAX as usize]) {
                for align in [16, 4096, 1 << 21, 1 << 40, 1 << 46].into_iter().filter(|&align| align <= size) {
                    let size = size & !(align - 1);
                    assert_eq!(with_errno(|| libc::aligned_alloc(align, size)), (ptr::null_mut(), ENOMEM), "{size:#x}");
                    assert_eq!(with_errno(|| libc::memalign(align, size)), (ptr::null_mut(), ENOMEM), "{size:#x}");
                    let mut place = ptr::null_mut();
                    assert_eq!(with_errno(|| libc::posix_memalign(&raw mut place, align, size)), (ENOMEM, ENOMEM));
                    assert!(place.is_null());
                }
                assert_eq!(with_errno(|| libc::malloc(size)), (ptr::null_mut(), ENOMEM), "{size:#x}");
                assert_eq!(with_errno(|| libc::calloc(1, size)), (ptr::null_mut(), ENOMEM), "{size:#x}");
                assert_eq!(with_errno(|| libc::realloc(block, size)), (ptr::null_mut(), ENOMEM), "{size:#x}");
            }
            // Alignments that there is room for, if only the system lends so much address space.
            for shift in 24..47 {
                libc::free(libc::memalign(1 << shift, 100));
            }
            Heap::purge();
            let left = resident().saturating_sub(before);
            assert!(left < 1 << 20 && mappings() < mapped + 20, "{left} bytes, {} mappings", mappings() - mapped);
            libc::free(block);
        }
    });
}

#[test]
fn pages() {
    // SAFETY: each is freed once.
    unsafe {
        for size in [0, 1, 4096, 4097] {
            check_and_free(c::valloc(size), size, 4096);
            check_and_free(c::pvalloc(size), size.next_multiple_of(4096), 4096);
        }
    }
}

#[test]
fn sized_frees() {
    // SAFETY: each is freed once, with the size that it was asked for or resized to.
    unsafe {
        for size in sizes() {
            c::free_sized(libc::malloc(size), size);
            c::free_sized(libc::realloc(libc::malloc(2 * size + 1), size.max(1)), size.max(1));
            c::free_aligned_sized(libc::aligned_alloc(64, size), 64, size);
        }
        c::free_sized(ptr::null_mut(), 0);
    }
}

#[test]
fn what_can_be_asked() {
    // SAFETY: buffers are as long as is said, and blocks are freed once.
    unsafe {
        let blocks: Vec<*mut c_void> = (0..1000).map(|_| libc::malloc(500)).collect();
        let huge = libc::malloc(9 << 20);
        let info = libc::mallinfo2();
        assert!(info.uordblks >= 1000 * 500 && info.arena >= info.uordblks, "{} {}", info.arena, info.uordblks);
        assert!(info.hblks >= 1 && info.hblkhd >= 9 << 20);
        let whole = c::hakmem_stats(ptr::null_mut(), 0);
        let mut buffer = vec![0_u8; 20];
        assert!(c::hakmem_stats(buffer.as_mut_ptr(), buffer.len()) + 2 * 80 > whole && whole > 160);
        assert_eq!((buffer[19], &buffer[..14]), (0, &b"   size   bloc"[..]));
        let mut json = vec![0_u8; 1 << 16];
        let length = c::hakmem_stats_json(json.as_mut_ptr(), json.len());
        assert!(length < json.len() && json.starts_with(b"{\"classes\":[{\"size\":16,") && json[length] == 0);
        assert!(json[..length].ends_with(b"]}"));
        libc::free(huge);
        assert!(libc::mallinfo2().hblkhd < info.hblkhd);
        for block in blocks {
            libc::free(block);
        }
        assert_eq!(c::malloc_trim(0), 1);
    }
}

#[test]
fn the_older_mallinfo_says_the_same() {
    isolated("the_older_mallinfo_says_the_same", || {
        // SAFETY: blocks are freed once; both calls fill a struct.
        unsafe {
            // Three, because a kernel refuses one that is larger than the machine.
            let blocks = [1 << 30, 1 << 30, 1 << 30, 9 << 20].map(|size| libc::malloc(size));
            assert!(blocks.iter().all(|block| !block.is_null()));
            let (info, older) = (libc::mallinfo2(), c::mallinfo());
            assert!(info.hblkhd > 3 << 30);
            // As with glibc, the upper bits are lost.
            assert_eq!((older.hblks as usize, older.hblkhd), (info.hblks, info.hblkhd as c_int));
            assert_eq!((older.arena as usize, older.uordblks as usize), (info.arena, info.uordblks));
            assert_eq!(older.fordblks as usize, info.fordblks);
            for block in blocks {
                libc::free(block);
            }
        }
    });
}

#[test]
fn mallopt_takes_advice_and_refuses_orders() {
    use libc::{
        M_ARENA_MAX, M_ARENA_TEST, M_MMAP_MAX, M_MMAP_THRESHOLD, M_MXFAST, M_PERTURB, M_TOP_PAD, M_TRIM_THRESHOLD,
    };
    let advice = [(M_MMAP_THRESHOLD, 1 << 20), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, 0), (M_MXFAST, 0)];
    let orders = [(M_PERTURB, 7), (M_MXFAST, 161), (M_MXFAST, -1), (M_ARENA_MAX, 0), (99, 1)];
    for (parameter, value) in advice.into_iter().chain([(M_ARENA_MAX, 1), (M_ARENA_TEST, 8), (M_PERTURB, 0)]) {
        // SAFETY: the function has no preconditions.
        assert_eq!(unsafe { c::mallopt(parameter, value) }, 1, "{parameter} {value}");
    }
    for (parameter, value) in orders {
        // SAFETY: as above.
        assert_eq!(unsafe { c::mallopt(parameter, value) }, 0, "{parameter} {value}");
    }
}

#[test]
fn malloc_stats_go_to_standard_error() {
    if is_child() {
        // SAFETY: the function has no preconditions.
        assert_eq!(with_errno(|| unsafe { c::malloc_stats() }), ((), 0));
        return;
    }
    let output = rerun("malloc_stats_go_to_standard_error");
    let stderr = text(&output.stderr);
    assert!(output.status.success() && stderr.contains("blocks live") && stderr.contains("large blocks: "), "{stderr}");
}

/// What shrinks keeps its block where no other is to be had.
#[test]
fn realloc_to_less_needs_no_memory() {
    isolated("realloc_to_less_needs_no_memory", || {
        // SAFETY: written and read within their sizes, freed once. The limit is for this process, which is the test's own.
        unsafe {
            let sizes = [(16_000, 5_000), (5 << 20, 1_000), (5 << 20, 14_000), (4_000, 1_400)];
            let blocks = sizes.map(|(from, to)| {
                let block = libc::malloc(from).cast::<u8>();
                ptr::write_bytes(block, 9, to);
                block
            });
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            assert_eq!(libc::getrlimit(libc::RLIMIT_AS, &raw mut limit), 0);
            let unlimited = limit;
            limit.rlim_cur = 1 << 20;
            assert_eq!(libc::setrlimit(libc::RLIMIT_AS, &raw const limit), 0);
            // All that is there is taken.
            let mut taken: *mut *mut c_void = ptr::null_mut();
            for size in [1 << 20, 16_000, 5_000, 4_000, 1_400, 1_000] {
                loop {
                    let block = libc::malloc(size).cast::<*mut c_void>();
                    if block.is_null() {
                        break;
                    }
                    *block = taken.cast();
                    taken = block.cast();
                }
            }
            let shrunk: Vec<(*mut u8, c_int)> = blocks
                .iter()
                .zip(sizes)
                .map(|(&block, (_, to))| with_errno(|| libc::realloc(block.cast(), to).cast()))
                .collect();
            assert_eq!(libc::setrlimit(libc::RLIMIT_AS, &raw const unlimited), 0);
            while !taken.is_null() {
                let next = taken.read();
                libc::free(taken.cast());
                taken = next.cast();
            }
            for ((block, errno), (_, to)) in shrunk.into_iter().zip(sizes) {
                assert!(!block.is_null() && errno == 0, "to {to}: {errno}");
                assert!(std::slice::from_raw_parts(block, to).iter().all(|&byte| byte == 9));
                libc::free(block.cast());
            }
        }
    });
}

#[test]
fn malloc_info_is_xml() {
    let mut text = vec![0_u8; 1 << 16];
    // SAFETY: the stream writes into the buffer, within its length.
    unsafe {
        let stream = libc::fmemopen(text.as_mut_ptr().cast(), text.len(), c"w".as_ptr());
        assert_eq!(with_errno(|| libc::malloc_info(1, stream)), (-1, EINVAL));
        assert_eq!(libc::malloc_info(0, stream), 0);
        libc::fclose(stream);
    }
    let text = String::from_utf8(text).expect("text");
    assert!(text.starts_with("<malloc version=\"hakmem-1\">\n<sizes>\n  <size bytes=\""), "{text}");
    assert!(text.trim_end_matches('\0').ends_with("</malloc>\n"), "{text}");
}

#[test]
fn threads_that_only_free_and_threads_that_end() {
    for round in 0..20 {
        let sent: Vec<(usize, usize)> = std::thread::spawn(move || {
            // SAFETY: freed once, by another thread.
            sizes()
                .iter()
                .cycle()
                .take(2000)
                .map(|&size| (unsafe { libc::malloc(size % 20_000) }.addr(), round))
                .collect()
        })
        .join()
        .expect("the thread ends");
        std::thread::spawn(move || {
            for (address, _) in sent {
                // SAFETY: allocated by the thread before.
                unsafe { libc::free(ptr::with_exposed_provenance_mut(address)) };
            }
        })
        .join()
        .expect("the thread ends");
    }
}

/// Allocates and frees blocks of many sizes.
fn churn(rounds: usize) {
    for round in 0..rounds {
        // SAFETY: the block is written within its size and freed once.
        unsafe {
            let block = libc::malloc(round * 7919 % 30_000).cast::<u8>();
            *block = 1;
            libc::free(libc::realloc(block.cast(), round * 31 % 9000 + 1));
        }
    }
}

extern "C" fn allocating_handler() {
    churn(50);
}

#[test]
fn forks_of_a_program_with_threads_and_handlers_that_allocate() {
    isolated("forks_of_a_program_with_threads_and_handlers_that_allocate", || {
        let handler = Some(allocating_handler as unsafe extern "C" fn());
        // SAFETY: the handlers are for every fork of this process, which is the test's own.
        assert_eq!(unsafe { libc::pthread_atfork(handler, handler, handler) }, 0);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        churn(100);
                    }
                });
            }
            for _ in 0..40 {
                // SAFETY: the child does nothing that needs the other threads, and leaves at once.
                unsafe {
                    let child = libc::fork();
                    if child == 0 {
                        churn(2000);
                        libc::_exit(0);
                    }
                    let mut status = -1;
                    assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
                    assert_eq!(status, 0);
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
}

/// What a key's destructor frees, and how often it asks to be called again.
static ROUNDS: AtomicUsize = AtomicUsize::new(0);
static KEY: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" fn late(block: *mut c_void) {
    // SAFETY: the key's value is a block, freed once; another takes its place.
    unsafe {
        libc::free(block);
        churn(200);
        if ROUNDS.fetch_add(1, Ordering::Relaxed) % 3 < 2 {
            libc::pthread_setspecific(KEY.load(Ordering::Relaxed), libc::malloc(100));
        }
    }
}

#[test]
fn destructors_of_other_keys_allocate_and_free() {
    isolated("destructors_of_other_keys_allocate_and_free", || {
        let mut key = 0;
        // SAFETY: the destructor takes what is stored.
        assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(late)) }, 0);
        KEY.store(key, Ordering::Relaxed);
        for _ in 0..100 {
            let thread = thread::spawn(move || {
                churn(100);
                // SAFETY: a block for the destructor.
                unsafe { libc::pthread_setspecific(key, libc::malloc(100)) };
            });
            thread.join().expect("the thread ends well");
        }
        assert_eq!(ROUNDS.load(Ordering::Relaxed), 300);
        // Heaps are used again: a hundred threads leave no more behind than one.
        Heap::purge();
        // SAFETY: the function fills a struct.
        let info = unsafe { libc::mallinfo2() };
        assert!(info.uordblks < 1 << 20, "{} bytes are lost", info.uordblks);
    });
}

/// The tables at exit, as the spec counts; and only if asked for.
#[test]
fn tables_at_exit() {
    if is_child() {
        return;
    }
    assert!(!text(&rerun("tables_at_exit").stderr).contains("layer"));
    let output = rerun_with("tables_at_exit", &[("HAKMEM_STATS", "1".as_ref())]);
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("blocks live") && stderr.contains("unified"), "{stderr}");
}

#[test]
fn a_pointer_from_elsewhere() {
    const MESSAGE: &str = "invalid free or realloc: not a block of this allocator";
    let on_the_stack = 0_u64;
    // SAFETY: none. This is the misuse.
    dies("a_pointer_from_elsewhere", || unsafe { libc::free((&raw const on_the_stack).cast_mut().cast()) }, MESSAGE);
}

#[test]
fn a_pointer_that_is_no_address() {
    const MESSAGE: &str = "invalid free or realloc: not a block of this allocator";
    let pointer = ptr::without_provenance_mut(0xdead_beef_dead_bee0_usize);
    // SAFETY: none. This is the misuse.
    dies("a_pointer_that_is_no_address", || unsafe { libc::free(pointer) }, MESSAGE);
}

#[test]
fn what_a_thread_freed_goes_back_while_all_of_them_wait() {
    isolated("what_a_thread_freed_goes_back_while_all_of_them_wait", || {
        let ((freed, is_freed), (end, is_end)) = (mpsc::channel::<()>(), mpsc::channel::<()>());
        let before = resident();
        let thread = thread::spawn(move || {
            for size in [1000, 20_000, 1 << 20] {
                drop((0..(30 << 20) / size).map(|_| vec![1_u8; size]).collect::<Vec<_>>());
            }
            drop(freed);
            is_end.recv()
        });
        assert!(is_freed.recv().is_err() && resident() >= before, "the thread has freed all");
        let mut kept = usize::MAX;
        // More than two seconds only where the machine has no time.
        for _ in 0..600 {
            thread::sleep(Duration::from_millis(100));
            kept = resident().saturating_sub(before);
            if kept < 5 << 20 {
                break;
            }
        }
        drop(end);
        assert!(thread.join().expect("it ends well").is_err() && kept < 5 << 20, "{kept} bytes");
    });
}
