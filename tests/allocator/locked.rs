//! Pages that are locked in memory (`mlock`), which the kernel does not take back: the others go back without them, and they
//! do once they are not locked any more.

use crate::blocks::{KIB, MIB, Piece, layout, on_a_thread, subjects};
use crate::rerun::isolated;
use crate::resident::resident;
use std::ptr;
use std::thread;
use std::time::Duration;

/// The default spec without its thread, whose stack would be locked, too.
mod plain {
    hakmem::allocator! {
        pub(super) struct Heap = "tests/slow_path_purge.toml";
    }
}

mod background {
    hakmem::allocator! {
        pub(super) struct Heap {
            [purge]
            delay_ms = 50
            background = true

            [[class]]
            size = 128
        }
    }
}

subjects!(plain::Heap, background::Heap);

const PAGE: usize = 4 * KIB;

/// A part of a block that is locked.
const LOCKED: usize = 64 * KIB;

/// How many pages of a mapped range are resident.
fn resident_pages(start: usize, length: usize) -> usize {
    let start = start.next_multiple_of(PAGE);
    let mut pages = vec![0_u8; length / PAGE - 1];
    // SAFETY: the range is mapped, and there is a byte for each of its pages.
    let asked = unsafe { libc::mincore(ptr::without_provenance_mut(start), pages.len() * PAGE, pages.as_mut_ptr()) };
    assert_eq!(asked, 0, "{}", std::io::Error::last_os_error());
    pages.iter().filter(|&&page| page & 1 != 0).count()
}

/// Frees a block of which some pages are locked, between two others, and unlocks them after a purge. `wait` is called until
/// they are gone.
fn lock_free_and_unlock<A: crate::blocks::Subject>(wait: impl Fn()) {
    let [_before, block, _after] = [1, 2, 3].map(|seed| Piece::<A>::new(layout(MIB), seed, false));
    let address = block.address();
    let locked = ptr::without_provenance((address + 300 * KIB).next_multiple_of(PAGE));
    // SAFETY: a part of a block of ours.
    if unsafe { libc::mlock(locked, LOCKED) } != 0 {
        println!("skipped: 64 KiB cannot be locked here: {}", std::io::Error::last_os_error());
        return;
    }
    drop(block);
    A::purge();
    let kept = resident_pages(address, MIB) * PAGE;
    // With the neighbours up to multiples of 64 KiB.
    assert!((LOCKED..=3 * LOCKED).contains(&kept), "{kept} bytes are resident, of which {LOCKED} are locked");
    // SAFETY: the pages are free memory of the allocator's, which stays mapped while the blocks beside it are in use.
    assert_eq!(unsafe { libc::munlock(locked, LOCKED) }, 0);
    for _ in 0..3000 {
        if resident_pages(address, MIB) == 0 {
            return;
        }
        wait();
    }
    panic!("{} pages stay for ever", resident_pages(address, MIB));
}

#[test]
fn unlocked_pages_go_back_while_others_are_freed() {
    isolated("unlocked_pages_go_back_while_others_are_freed", || {
        lock_free_and_unlock::<plain::Heap>(|| {
            // On a thread of its own, so that none of them is where the freed block was.
            on_a_thread(|| (0..16).for_each(|_| drop(Piece::<plain::Heap>::new(layout(100 * KIB), 1, false))));
            thread::sleep(Duration::from_millis(20));
        });
    });
}

#[test]
fn unlocked_pages_go_back_by_themselves_where_a_thread_purges() {
    isolated("unlocked_pages_go_back_by_themselves_where_a_thread_purges", || {
        lock_free_and_unlock::<background::Heap>(|| thread::sleep(Duration::from_millis(20)));
    });
}

#[test]
fn unlocked_pages_go_back_when_asked() {
    isolated("unlocked_pages_go_back_when_asked", || lock_free_and_unlock::<plain::Heap>(plain::Heap::purge));
}

/// Has the kernel lock whatever is mapped from now on. `false`: it does not lock as much as the test maps.
fn lock_what_comes() -> bool {
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping, which nobody uses.
    unsafe {
        if libc::mlockall(libc::MCL_FUTURE) != 0 {
            return false;
        }
        let trial = libc::mmap(ptr::null_mut(), 300 * MIB, access, flags, -1, 0);
        trial != libc::MAP_FAILED && libc::munmap(trial, 300 * MIB) == 0
    }
}

#[test]
fn where_all_pages_are_locked_zeroed_memory_is_zero_and_contents_stay() {
    isolated("where_all_pages_are_locked_zeroed_memory_is_zero_and_contents_stay", || {
        if !lock_what_comes() {
            // SAFETY: no preconditions.
            unsafe { libc::munlockall() };
            return println!("skipped: 300 MiB cannot be locked here: {}", std::io::Error::last_os_error());
        }
        let before = resident();
        for size in [64 * KIB, 300 * KIB, MIB, 5 * MIB, 40 * MIB] {
            for turn in 0..3 {
                let mut pieces = [1, 2, 3].map(|seed| Piece::<plain::Heap>::new(layout(size), seed, true));
                pieces[turn].resize(size + size / 2);
                drop(pieces);
                plain::Heap::purge();
            }
        }
        let kept = Piece::<plain::Heap>::new(layout(MIB), 1, true);
        // SAFETY: no preconditions.
        assert_eq!(unsafe { libc::munlockall() }, 0);
        plain::Heap::purge();
        let left = resident().saturating_sub(before);
        assert!(left < 8 * MIB, "{left} bytes stay resident");
        drop(kept);
    });
}
