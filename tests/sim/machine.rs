//! The kernel: memory in a range of addresses of its own, futexes, fences and a clock. Calls fail as the seed says.
//!
//! Memory is real, so what must not be touched cannot be: unmapped and reserved pages have no access, and what is purged is
//! zero.

use crate::blocks::{MIB, Random};
use crate::kernel::kernel;
use crate::plan::Control;
use crate::schedule::{self, Event, Run, point, with};
use libc::{c_int, c_long};

/// The range. The page map has no leaf there in an ordinary process.
const BASE: usize = 0x1000_0000_0000;
const LENGTH: usize = 2048 * MIB;
const PAGE: usize = 4096;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Page {
    Unmapped,
    Reserved,
    Writable,
}

/// The state of the kernel.
pub(crate) struct Machine {
    pages: Vec<Page>,
    /// Pages from the start of the range on that may be mapped.
    size: usize,
    /// One call in so many is refused; 0: none.
    refuses: usize,
    /// Whether there is a `membarrier`.
    has_fence: bool,
    /// One in so many waits ends at once.
    wakes: usize,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Machine { size, refuses, has_fence, wakes, .. } = self;
        write!(f, "machine of {} MiB, refuses 1/{refuses}, fence {has_fence}, wakes 1/{wakes}", size * PAGE / MIB)
    }
}

/// Reserves the range, in the process that starts runs.
pub(crate) fn reserve() {
    assert_eq!(map_again(BASE, LENGTH, libc::MAP_FIXED_NOREPLACE), BASE as c_long, "the range is free");
}

/// Maps a part of the range without access, all zero.
fn map_again(address: usize, length: usize, fixed: c_int) -> c_long {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | fixed;
    let arguments = [address as c_long, length as c_long, libc::PROT_NONE.into(), flags.into(), -1, 0];
    // SAFETY: the range is the simulator's own, and the part not in use.
    unsafe { kernel(libc::SYS_mmap, arguments) }
}

/// Why a call fails.
type Answer = Result<usize, c_int>;

impl Machine {
    pub(crate) fn new(random: &mut Random) -> Machine {
        let size = match random.below(4) {
            0 => (20 + random.below(40)) * MIB,
            _ => LENGTH,
        };
        let refuses = [0, 0, 0, 8, 30, 100][random.below(6)];
        Machine {
            pages: vec![Page::Unmapped; LENGTH / PAGE],
            size: size / PAGE,
            refuses,
            has_fence: random.below(8) > 0,
            wakes: [0, 4, 20][random.below(3)],
        }
    }

    /// Whether an allocation may fail.
    pub(crate) fn may_refuse(&self) -> bool {
        self.refuses > 0 || self.size < LENGTH / PAGE
    }

    /// The pages of a range, which must be in the machine's.
    fn range(&self, address: usize, length: usize) -> Option<std::ops::Range<usize>> {
        let first = address.checked_sub(BASE)? / PAGE;
        let end = first.checked_add(length.div_ceil(PAGE))?;
        (address.is_multiple_of(PAGE) && end <= self.pages.len()).then_some(first..end)
    }

    fn set(&mut self, address: usize, length: usize, page: Page) {
        if let Some(range) = self.range(address, length) {
            self.pages[range].fill(page);
        }
    }

    fn is_all(&self, address: usize, length: usize, page: Page) -> bool {
        self.range(address, length).is_some_and(|range| self.pages[range].iter().all(|&found| found == page))
    }

    /// Whether all of a block can be written to.
    pub(crate) fn is_writable(&self, address: usize, length: usize) -> bool {
        let first = address & !(PAGE - 1);
        self.is_all(first, address + length - first, Page::Writable)
    }

    /// Free addresses: the highest, as Linux has them.
    fn find(&self, length: usize) -> Option<usize> {
        let wanted = length.div_ceil(PAGE);
        let mut free = 0;
        for number in (0..self.size).rev() {
            free = if self.pages[number] == Page::Unmapped { free + 1 } else { 0 };
            if free == wanted {
                return Some(BASE + number * PAGE);
            }
        }
        None
    }

    fn map(&mut self, address: usize, length: usize, protection: usize, flags: usize) -> Answer {
        let place = if flags as c_int & libc::MAP_FIXED_NOREPLACE != 0 {
            let range = self.range(address, length).ok_or(libc::ENOMEM)?;
            if range.end > self.size {
                return Err(libc::ENOMEM);
            }
            if !self.is_all(address, length, Page::Unmapped) {
                return Err(libc::EEXIST);
            }
            address
        } else {
            self.find(length).ok_or(libc::ENOMEM)?
        };
        if protection == 0 {
            self.set(place, length, Page::Reserved);
        } else {
            self.commit(place, length);
        }
        Ok(place)
    }

    fn commit(&mut self, address: usize, length: usize) {
        self.set(address, length, Page::Writable);
        let access = c_long::from(libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: the range is the simulator's own.
        let answer = unsafe { kernel(libc::SYS_mprotect, [address as c_long, length as c_long, access, 0, 0, 0]) };
        assert_eq!(answer, 0, "the machine has memory");
    }

    fn unmap(&mut self, address: usize, length: usize) -> Answer {
        self.range(address, length).ok_or(libc::EINVAL)?;
        self.set(address, length, Page::Unmapped);
        assert_eq!(map_again(address, length, libc::MAP_FIXED), address as c_long);
        Ok(0)
    }
}

impl Run {
    /// Fails if a call would change a block in use.
    fn check_unused(&self, what: &str, address: usize, length: usize) {
        if let Some(block) = self.model.overlapping(address, length) {
            self.fail(&format!("{what} of {length:#x} bytes at {address:#x}, where {block} is in use"));
        }
    }

    fn advise(&mut self, address: usize, length: usize, advice: c_int) -> Answer {
        if advice != libc::MADV_DONTNEED {
            return if self.random.below(4) == 0 { Err(libc::EINVAL) } else { Ok(0) };
        }
        let range = self.machine.range(address, length).ok_or(libc::EINVAL)?;
        if self.machine.pages[range].contains(&Page::Unmapped) {
            self.fail(&format!("purge of {length:#x} bytes at {address:#x}, not all of them mapped"));
        }
        self.check_unused("purge", address, length);
        self.result.purged.fetch_add((length / PAGE) as u64, std::sync::atomic::Ordering::Relaxed);
        let longer =
            self.plan.control == Control::LongPurge && self.machine.is_all(address + length, PAGE, Page::Writable);
        let purged = length + if longer { PAGE } else { 0 };
        let arguments = [address as c_long, purged as c_long, c_long::from(advice), 0, 0, 0];
        // SAFETY: the range is the simulator's own.
        let answer = unsafe { kernel(libc::SYS_madvise, arguments) };
        assert_eq!(answer, 0);
        Ok(0)
    }

    /// `mremap` as the runtime uses it: away, leaving the mapping; or to a given place, where something is mapped.
    fn move_pages(&mut self, from: usize, length: usize, flags: c_int, to: usize) -> Answer {
        if !self.machine.is_all(from, length, Page::Writable) {
            return Err(libc::EFAULT);
        }
        self.check_unused("move", from, length);
        let target = if flags & libc::MREMAP_FIXED != 0 {
            self.check_unused("move to", to, length);
            to
        } else {
            self.machine.find(length).ok_or(libc::ENOMEM)?
        };
        if flags & libc::MREMAP_FIXED != 0 {
            self.machine.unmap(target, length)?;
        }
        self.machine.commit(target, length);
        // SAFETY: both ranges are the simulator's own, writable and apart.
        unsafe {
            let [from, to] = [from, target].map(std::ptr::with_exposed_provenance_mut::<u8>);
            std::ptr::copy_nonoverlapping(from, to, length);
        }
        self.machine.unmap(from, length)?;
        if flags & libc::MREMAP_DONTUNMAP != 0 {
            self.machine.commit(from, length);
        }
        Ok(target)
    }

    /// The error of a call that is refused.
    fn refusal(&mut self, number: c_long) -> Option<c_int> {
        let refused = self.machine.refuses > 0 && self.random.below(self.machine.refuses) == 0;
        let error = match number {
            libc::SYS_madvise => libc::EAGAIN,
            libc::SYS_mremap => [libc::EFAULT, libc::ENOMEM, libc::EINVAL][self.random.below(3)],
            _ => libc::ENOMEM,
        };
        self.result.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.result.refused.fetch_add(refused.into(), std::sync::atomic::Ordering::Relaxed);
        refused.then_some(error)
    }
}

/// The answer to a system call, as the kernel gives it.
///
/// # Safety
/// As the call's.
pub(crate) unsafe fn answer(number: c_long, arguments: [c_long; 6]) -> c_long {
    if !schedule::is_simulated() {
        // SAFETY: the caller's.
        return unsafe { kernel(number, arguments) };
    }
    let [a, b, c, d, e, _] = arguments.map(|argument| argument as usize);
    let answer = match number {
        libc::SYS_mmap | libc::SYS_munmap | libc::SYS_mprotect | libc::SYS_madvise | libc::SYS_mremap => {
            point(Event::Call(number, a, b));
            with(|run| {
                if let Some(error) = run.refusal(number) {
                    return Err(error);
                }
                match number {
                    libc::SYS_mmap => run.machine.map(a, b, c, d),
                    libc::SYS_munmap => {
                        run.check_unused("unmapping", a, b);
                        run.machine.unmap(a, b)
                    }
                    libc::SYS_mprotect => {
                        if !run.machine.is_all(a, b, Page::Reserved) {
                            run.fail(&format!("commit of {b:#x} bytes at {a:#x}, not all of them reserved"));
                        }
                        run.machine.commit(a, b);
                        Ok(0)
                    }
                    libc::SYS_madvise => run.advise(a, b, c as c_int),
                    _ => run.move_pages(a, b, d as c_int, e),
                }
            })
        }
        libc::SYS_membarrier => {
            point(Event::Call(number, a, 0));
            with(|run| {
                if !run.machine.has_fence {
                    return Err(libc::EPERM);
                }
                run.fence_everywhere();
                Ok(0)
            })
        }
        libc::SYS_futex => futex(a, b as c_int & libc::FUTEX_CMD_MASK, c as u32, d),
        // SAFETY: the caller's.
        _ => return unsafe { kernel(number, arguments) },
    };
    with(|run| run.trace(answer.map_or_else(|error| error as u64, |value| value as u64)));
    if number != libc::SYS_futex {
        point(Event::Call(number, 0, 0));
    }
    answer.map_or_else(|error| -c_long::from(error), |value| value as c_long)
}

fn futex(word: usize, operation: c_int, value: u32, time: usize) -> Answer {
    point(Event::Call(libc::SYS_futex, operation as usize, 0));
    if operation == libc::FUTEX_WAKE {
        return Ok(with(|run| run.wake(word, value as usize)));
    }
    // SAFETY: the caller waits on a live word, and passes null or a live time.
    let (found, time) = unsafe {
        let word = std::ptr::with_exposed_provenance::<std::sync::atomic::AtomicU32>(word);
        let time = std::ptr::with_exposed_provenance::<libc::timespec>(time).as_ref();
        ((*word).load(std::sync::atomic::Ordering::SeqCst), time)
    };
    if found != value {
        return Err(libc::EAGAIN);
    }
    if with(|run| run.machine.wakes > 0 && run.random.below(run.machine.wakes) == 0) {
        return Err(libc::EINTR);
    }
    schedule::wait(word, time.map(|time| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64));
    Ok(0)
}

/// The clock.
pub(crate) fn clock() -> libc::timespec {
    let now = with(|run| run.now);
    libc::timespec { tv_sec: (now / 1_000_000_000) as libc::time_t, tv_nsec: (now % 1_000_000_000) as c_long }
}
