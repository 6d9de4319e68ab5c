//! The simulator: the allocator under a scheduler, a kernel and a clock that a seed decides for.
//!
//! A failure prints its seed, and `HAKMEM_SIM_SEED=n tests/sim.sh` does the same again, event by event.
//!
//! **Threads** are POSIX threads, so that thread-local memory, the destructors of pthread keys and forks are real. One of them
//! has the turn. At a *point* it may pass the turn on: before every operation on an atomic in the runtime (`--cfg hakmem_sim`
//! replaces `core::sync::atomic` there: `hakmem-runtime/src/simulated.rs`), before and after every system call, and at every
//! step of the script. Locks are atomics and futexes, so nothing else is needed for them. Without the cfg, as in `cargo
//! test`, only system calls and steps of the script are points.
//!
//! **The order** is random, with one switch in 2 to 64 points, or by priorities that change at few points, which finds what
//! needs a thread to stand still for long. Weak exchanges fail for no reason. In some runs stores that are not SeqCst reach
//! memory late, in order, as on x86-64: a thread sees its own at once, others after its next exchange, fence, system call,
//! or a few operations. Weaker orders are for loom's models (`hakmem-runtime/tests/loom_*`), which know of every execution,
//! of one protocol.
//!
//! **The kernel** (`machine.rs`) maps, unmaps, commits, purges and moves memory in a range of its own, at addresses that
//! depend on the seed alone; refuses calls, or has little address space; and fails if a call would change a block in use.
//! Pages without access are so for the processor, too: touching them ends the run. Futexes wake early now and then; when all
//! threads wait the clock goes on to the first that wakes by itself, and if there is none it is a deadlock.
//!
//! **The model** (`model.rs`) has every block of the script (`script.rs`): two may not overlap, each has a pattern that must
//! be there when it is freed or resized, `alloc_zeroed` is zero. Blocks go from thread to thread; threads end and others
//! begin; some fork, and the child must find all blocks, free them, and go on with threads of its own. At the end no class
//! has a block in use.
//!
//! **Not simulated**: operations that are no atomics (a data race is seen by its consequences alone; `tests/tsan.sh`), stores
//! out of order, the C library's own locks, failures of POSIX functions (`every_call`), signals.

#[path = "../common/blocks.rs"]
#[allow(dead_code)]
mod blocks;
#[path = "../common/kernel.rs"]
mod kernel;
#[path = "../common/rerun.rs"]
mod rerun;

mod atomics;
mod machine;
mod model;
#[cfg_attr(not(hakmem_sim), allow(dead_code, reason = "steps that can be left out"))]
mod plan;
#[cfg_attr(not(hakmem_sim), allow(dead_code, reason = "what only atomics need"))]
mod schedule;
mod script;
mod seeds;
mod threads;

use blocks::subjects;
use kernel::stand_before_syscall;
use libc::{c_int, c_long, c_void};
use script::Spec;
use std::alloc::Layout;
use std::mem::transmute;
use std::ptr;
use threads::Main;

mod pages {
    hakmem::allocator! {
        pub(super) struct Heap {
            superslab = { size = "256 KiB", slab = "16 KiB" }

            [purge]
            delay_ms = 4

            [large]
            cache = "1 MiB"

            [[class]]
            sizes = [64, 512, 2048]
            layers = ["pages"]

            [[class]]
            sizes = ["8 KiB", "24 KiB"]
            layers = ["heapv2"]
        }
    }
}

mod lists {
    hakmem::allocator! {
        pub(super) struct Heap {
            tls = "initial-exec"
            superslab = { size = "2 MiB", slab = "64 KiB" }

            [purge]
            delay_ms = 0

            [[class]]
            size = 2048
            layers = ["unified", "sll"]
            unified = { capacity = 4 }
            sll = { high_water = "16 KiB" }

            [[class]]
            size = "4 KiB"
            layers = ["ring"]
            ring = { capacity = 3 }
            free = "deferred"

            [[class]]
            sizes = ["8 KiB", "16 KiB"]
            layers = ["c23"]
            header = "region-id"
        }
    }
}

mod mixed {
    hakmem::allocator! {
        pub(super) struct Heap {
            tls = "initial-exec"
            superslab = { size = "512 KiB", slab = "16 KiB" }

            [purge]
            delay_ms = 4

            [large]
            cache = "1 MiB"

            [[class]]
            size = 512
            layers = ["quarantine", "sll"]
            quarantine = { capacity = 8 }

            [[class]]
            size = 1024
            layers = ["ultrahot", "heapv2"]
            heapv2 = { capacity = 4 }

            [[class]]
            size = 2048
            layers = ["hot"]
            hot = { capacity = 4 }
            stats = true

            [[class]]
            sizes = ["4 KiB", "32 KiB"]
            layers = ["sfc"]
            sfc = { capacity = 8 }
            free = "deferred"
        }
    }
}

mod workers {
    hakmem::allocator! {
        pub(super) struct Heap {
            superslab = { size = "256 KiB", slab = "16 KiB" }

            [purge]
            background = true
            delay_ms = 4

            [large]
            cache = "2 MiB"

            [[class]]
            size = 256
            layers = ["sll"]
            refill = "background"

            [[class]]
            sizes = [1024, 2048, 4096]
            layers = ["unified"]
            unified = { capacity = 4 }
        }
    }
}

/// Makes generated allocators [`Spec`]s: the sizes that their classes serve, and whether a thread of their own keeps blocks.
macro_rules! specs {
    ($($heap:ty: $keeps:literal, $sizes:expr;)*) => {
        subjects!($($heap),*);

        $(impl Spec for $heap {
            const SIZES: &'static [usize] = &$sizes;
            const KEEPS: bool = $keeps;
            fn idle() {
                <$heap>::idle();
            }
            fn prewarm(layout: Layout) {
                <$heap>::prewarm(layout);
            }
        })*
    };
}

specs! {
    pages::Heap: false, [64, 512, 2048, 2048, 8192, 24576];
    lists::Heap: false, [2048, 4096, 8192, 8192, 16384];
    mixed::Heap: false, [512, 1024, 1024, 2048, 4096, 32768];
    workers::Heap: true, [256, 1024, 2048, 4096];
}

stand_before_syscall!(machine::answer);

#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> c_int {
    if schedule::is_simulated() {
        // SAFETY: the caller's place for the result.
        unsafe { time.write(machine::clock()) };
        return 0;
    }
    // SAFETY: the caller's call, passed on.
    let answer = unsafe {
        kernel::kernel(libc::SYS_clock_gettime, [clock.into(), time.expose_provenance() as c_long, 0, 0, 0, 0])
    };
    kernel::result(answer) as c_int
}

/// The C library's function of a name.
fn next(name: &std::ffi::CStr) -> *mut c_void {
    // SAFETY: the name is a C string.
    let function = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    assert!(!function.is_null());
    function
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    main: Main,
    argument: *mut c_void,
) -> c_int {
    type Function = unsafe extern "C" fn(*mut libc::pthread_t, *const libc::pthread_attr_t, Main, *mut c_void) -> c_int;
    // SAFETY: the function has this type; the caller's call, passed on. A thread of a run's has a stack of the usual size,
    // for what the simulator does on it.
    unsafe {
        let function = transmute::<*mut c_void, Function>(next(c"pthread_create"));
        if !schedule::is_simulated() {
            return function(thread, attributes, main, argument);
        }
        thread.write(threads::create(main, argument, |thread, main, argument| {
            function(thread, ptr::null(), main, argument)
        }));
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_join(thread: libc::pthread_t, value: *mut *mut c_void) -> c_int {
    type Function = unsafe extern "C" fn(libc::pthread_t, *mut *mut c_void) -> c_int;
    if schedule::is_simulated() {
        threads::join(thread);
    }
    // SAFETY: the function has this type; the caller's call, passed on.
    unsafe { transmute::<*mut c_void, Function>(next(c"pthread_join"))(thread, value) }
}
