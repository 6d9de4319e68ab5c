//! A filter of system calls (seccomp) that a sandbox installs when the program has started: each call that the allocator
//! makes is refused, one at a time, and the program goes on. `docs/MALLOC.md` says what is lost.

use crate::blocks::{KIB, MIB, Piece, Random, Subject, layout, pieces, subjects};
use crate::rerun::{is_child, rerun_with, text};
use std::ffi::OsStr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

mod plain {
    hakmem::allocator! {
        pub(super) struct Heap {
            [purge]
            delay_ms = 20

            [[class]]
            sizes = { from = 8, to = 128, step = 8 }
            layers = ["pages"]

            [[class]]
            sizes = { from = 160, to = "8 KiB", steps_per_doubling = 4 }
            layers = ["heapv2"]
        }
    }
}

mod workers {
    hakmem::allocator! {
        pub(super) struct Heap {
            [purge]
            background = true
            delay_ms = 20

            [defaults]
            refill = "background"
            layers = ["unified", "sll"]

            [[class]]
            sizes = { from = 64, to = "8 KiB", steps_per_doubling = 4 }
        }
    }
}

subjects!(plain::Heap, workers::Heap);

/// The calls, of which those of one line are refused together.
const CALLS: [(&str, &[libc::c_long]); 7] = [
    ("none", &[]),
    ("mprotect", &[libc::SYS_mprotect]),
    ("madvise", &[libc::SYS_madvise]),
    ("mremap", &[libc::SYS_mremap]),
    ("munmap", &[libc::SYS_munmap]),
    ("membarrier", &[libc::SYS_membarrier]),
    ("threads", &[libc::SYS_clone, libc::SYS_clone3, libc::SYS_rt_sigprocmask]),
];

/// Has the kernel refuse calls with this error, in all threads. `false`: it has no filters.
fn refuse(calls: &[libc::c_long], error: i32) -> bool {
    let instruction = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
    // The number of the call is what the data begin with.
    let mut program = vec![instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0)];
    for &call in calls {
        program.push(instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call as u32));
        program.push(instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | error as u32));
    }
    program.push(instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW));
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the filter and its program are read.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let flags = libc::SECCOMP_FILTER_FLAG_TSYNC;
        let result = libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const filter);
        if result != 0 {
            println!("no filters of system calls here: {}", std::io::Error::last_os_error());
        }
        result == 0
    }
}

/// Takes every way to the kernel: more slabs than a region has, large blocks that grow, aligned ones, purges, and blocks
/// that another thread frees.
fn work<A: Subject>(random: &mut Random, give: &SyncSender<Vec<Piece<A>>>, take: &Receiver<Vec<Piece<A>>>) {
    let mut kept = pieces::<A>(64, 1000);
    kept.extend(pieces::<A>(8 * KIB, 6000));
    kept.extend((0..300).map(|_| Piece::new(random.layout(MIB), 3, random.below(4) == 0)));
    for piece in kept.iter_mut().rev().take(20) {
        [2 * MIB, 6 * MIB, 100 * KIB].into_iter().for_each(|size| piece.resize(size));
    }
    for align in [64 * KIB, 8 * MIB] {
        kept.push(Piece::new(std::alloc::Layout::from_size_align(MIB, align).expect("a power of two"), 4, true));
    }
    drop(kept.drain(500..6500));
    // Beyond the purge's delay.
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(60) {
        drop(pieces::<A>(500, 50));
        thread::sleep(Duration::from_millis(1));
    }
    give.send(kept).expect("the other thread waits");
    drop(take.recv().expect("the other thread gives"));
    A::purge();
    drop(pieces::<A>(2000, 5000));
}

fn work_in_two_threads<A: Subject>(ready: impl FnOnce() -> bool) {
    let (to_first, from_second) = sync_channel(1);
    let (to_second, from_first) = sync_channel(1);
    let (go, is_go) = sync_channel::<()>(0);
    let other = thread::spawn(move || {
        drop(pieces::<A>(100, 100));
        is_go.recv().expect("the filter is installed");
        work::<A>(&mut Random::new(2), &to_first, &from_first);
    });
    drop(pieces::<A>(2000, 1000));
    ready();
    go.send(()).expect("the thread waits");
    work::<A>(&mut Random::new(1), &to_second, &from_second);
    other.join().expect("the thread ends well");
}

const CALL: &str = "HAKMEM_TEST_REFUSED";

#[test]
fn what_the_kernel_refuses_is_done_without() {
    if is_child() {
        let number: usize = std::env::var(CALL).ok().and_then(|text| text.parse().ok()).expect("which call");
        let install = || refuse(CALLS[number / 4].1, [libc::EPERM, libc::ENOSYS][number % 2]);
        return if number % 4 < 2 {
            work_in_two_threads::<plain::Heap>(install);
        } else {
            work_in_two_threads::<workers::Heap>(install);
        };
    }
    for number in 0..4 * CALLS.len() {
        let which = number.to_string();
        let output = rerun_with("what_the_kernel_refuses_is_done_without", &[(CALL, OsStr::new(&which))]);
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{} {number}: {}\n{stdout}\n{stderr}", CALLS[number / 4].0, output.status);
    }
}

/// Without `mmap` there is no more memory: null, and what there was can be used again.
#[test]
fn without_mmap_what_there_was_is_used_again() {
    crate::rerun::isolated("without_mmap_what_there_was_is_used_again", || {
        use std::alloc::GlobalAlloc;
        let heap = plain::Heap;
        let kept = pieces::<plain::Heap>(1000, 1000);
        if !refuse(&[libc::SYS_mmap], libc::EPERM) {
            return;
        }
        let mut blocks = Vec::with_capacity(1 << 18);
        for size in [1000, 100_000, 10_000_000] {
            loop {
                // SAFETY: the size is not 0.
                let block = unsafe { heap.alloc(layout(size)) };
                if block.is_null() {
                    break;
                }
                blocks.push((block, size));
                assert!(blocks.len() < 1 << 18, "there is memory without a mapping");
            }
        }
        let count = blocks.len();
        // SAFETY: the blocks are of this allocator and these layouts.
        blocks.iter().for_each(|&(block, size)| unsafe { heap.dealloc(block, layout(size)) });
        drop(kept);
        plain::Heap::purge();
        drop(pieces::<plain::Heap>(1000, count.min(1000)));
    });
}
