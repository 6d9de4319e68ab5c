//! Who else handles the signal, and where it comes.

use crate::kernel::{kernel, stand_before_syscall};
use crate::other::Other;
use crate::{Heap, PAGE, alloc, crashes, end_with, free, write};
use std::alloc::{GlobalAlloc as _, Layout};
use std::ffi::{CStr, c_int, c_long, c_void};
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt as _;
use std::ptr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicI64, AtomicPtr, AtomicUsize, Ordering};

#[test]
fn abort() {
    // SAFETY: the call has no preconditions.
    crashes("abort", || unsafe { libc::abort() }, libc::SIGABRT, "");
}

#[test]
fn abort_of_std_in_a_thread() {
    let body = || std::thread::spawn(|| std::process::abort()).join().expect("it never ends");
    crashes("abort_of_std_in_a_thread", body, libc::SIGABRT, "");
}

/// The message of a misuse is followed by the line of the signal that ends it.
#[test]
fn misuse() {
    let body = || {
        let block = alloc(8000);
        free(block, 8000);
        free(block, 8000);
    };
    let Some(end) = end_with("misuse", &[], body) else { return };
    let [message, line] = end.lines()[..] else { panic!("{}", end.errors) };
    assert!(message.starts_with("hakmem: double free (") && line.starts_with("hakmem: SIGABRT (thread "));
    assert_eq!(end.status.signal(), Some(libc::SIGABRT));
}

#[test]
fn a_thread() {
    let body = || std::thread::spawn(|| write(ptr::null_mut())).join().expect("it never ends");
    crashes("a_thread", body, libc::SIGSEGV, "null or close to it");
}

/// One line, whoever is first.
#[test]
fn many_threads_at_once() {
    let body = || {
        let barrier = Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    barrier.wait();
                    write(ptr::null_mut());
                });
            }
        });
    };
    crashes("many_threads_at_once", body, libc::SIGSEGV, "null or close to it");
}

extern "C" fn crash_in_c(_: *mut c_void) -> *mut c_void {
    write(ptr::null_mut());
    ptr::null_mut()
}

/// A thread that std did not start has no alternate stack.
#[test]
fn a_thread_of_c() {
    let body = || {
        let mut thread = 0;
        // SAFETY: the place is a live local; the function takes no argument.
        unsafe {
            libc::pthread_create(&raw mut thread, ptr::null(), crash_in_c, ptr::null_mut());
            libc::pthread_join(thread, ptr::null_mut());
        }
    };
    crashes("a_thread_of_c", body, libc::SIGSEGV, "null or close to it");
}

#[test]
fn a_forked_child() {
    let body = || {
        // SAFETY: the child makes one wrong access.
        let child = unsafe { libc::fork() };
        if child == 0 {
            write(ptr::without_provenance_mut(0x77));
        }
        let mut status = 0;
        // SAFETY: the place is a live local.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV, "{status:#x}");
        // The parent has a line of its own.
        write(ptr::without_provenance_mut(0x88));
    };
    let Some(end) = end_with("a_forked_child", &[], body) else { return };
    let [child, parent] = end.lines()[..] else { panic!("{}", end.errors) };
    assert!(child.contains("address 0x000000000077") && parent.contains("address 0x000000000088"), "{}", end.errors);
    assert_eq!(end.status.signal(), Some(libc::SIGSEGV));
}

/// The call of the kernel in which something is wrong; -1: none.
static WRONG: AtomicI64 = AtomicI64::new(-1);

stand_before_syscall!(answer);

/// The kernel's answer, or something wrong first.
///
/// # Safety
/// As the call's.
unsafe fn answer(number: c_long, arguments: [c_long; 6]) -> c_long {
    let purges = arguments[2] == libc::MADV_DONTNEED.into();
    if WRONG.load(Ordering::Relaxed) == number && (number != libc::SYS_madvise || purges) {
        write(ptr::without_provenance_mut(0x99));
    }
    // SAFETY: the caller's call, passed on.
    unsafe { kernel(number, arguments) }
}

#[test]
fn a_slow_path_with_a_lock() {
    let body = || {
        alloc(64);
        // Soon the pool needs the next SuperSlab, and takes it with its lock held.
        WRONG.store(libc::SYS_mprotect, Ordering::Relaxed);
        for _ in 0..10_000 {
            alloc(1024);
        }
    };
    crashes("a_slow_path_with_a_lock", body, libc::SIGSEGV, "address 0x000000000099, null or close to it");
}

/// Threads of the allocator's own take no signals but those of their own mistakes.
#[test]
fn the_allocators_own_thread() {
    let body = || {
        WRONG.store(libc::SYS_madvise, Ordering::Relaxed);
        let layout = Layout::new::<[u8; 4096]>();
        // SAFETY: the layout is not empty, and each block is freed once.
        unsafe {
            let blocks: Vec<*mut u8> = (0..1000).map(|_| Other.alloc(layout)).collect();
            blocks.iter().for_each(|block| block.write(1));
            blocks.into_iter().for_each(|block| Other.dealloc(block, layout));
            loop {
                libc::pause();
            }
        }
    };
    crashes("the_allocators_own_thread", body, libc::SIGSEGV, "address 0x000000000099, null or close to it");
}

/// Wherever a thread is in the allocator when another one sends it the signal. (std's handler lets a signal pass that is not
/// from a wrong access: the next one ends the program.)
#[test]
fn sent_in_the_middle_of_anything() {
    const TIMES: usize = 20;
    let body = || {
        // SAFETY: the call has no preconditions.
        let busy = unsafe { libc::pthread_self() };
        std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(u64::from(std::process::id() % 16)));
            loop {
                // SAFETY: the thread does not end.
                unsafe { libc::pthread_kill(busy, libc::SIGSEGV) };
            }
        });
        loop {
            let blocks: Vec<*mut u8> = (0..3000).map(|number| alloc(8 + number % 5000)).collect();
            blocks.into_iter().enumerate().for_each(|(number, block)| free(block, 8 + number % 5000));
            Heap::purge();
        }
    };
    for _ in 0..TIMES {
        crashes("sent_in_the_middle_of_anything", body, libc::SIGSEGV, "");
    }
}

#[test]
fn sent_by_another_process() {
    let body = || {
        // SAFETY: the child only sends a signal.
        unsafe {
            if libc::fork() == 0 {
                let parent = libc::getppid();
                while libc::getppid() == parent {
                    libc::kill(parent, libc::SIGSEGV);
                }
                libc::_exit(0);
            }
            loop {
                libc::pause();
            }
        }
    };
    crashes("sent_by_another_process", body, libc::SIGSEGV, "sent by process ");
}

#[inline(never)]
fn overflow(depth: usize) -> usize {
    let page = black_box([depth; 512]);
    if depth == usize::MAX { 0 } else { overflow(depth + 1) + page[depth % 512] }
}

/// What std says of an overflow, and how it ends the program, stay.
#[track_caller]
fn overflows(test: &str, body: impl FnOnce()) {
    let Some(end) = end_with(test, &[], body) else { return };
    assert!(end.errors.contains("has overflowed its stack"), "{}", end.errors);
    assert_eq!(end.status.signal(), Some(libc::SIGABRT));
    let [line] = end.lines()[..] else { panic!("{}", end.errors) };
    assert!(line.contains("SIGSEGV (") && line.contains(", close to the stack pointer"), "{line}");
}

#[test]
fn a_stack_that_overflows() {
    overflows("a_stack_that_overflows", || println!("{}", overflow(0)));
}

#[test]
fn the_stack_of_a_thread_that_overflows() {
    let body = || println!("{}", std::thread::spawn(|| overflow(0)).join().expect("it never ends"));
    overflows("the_stack_of_a_thread_that_overflows", body);
}

/// The kind of handler to install before `main`.
const EARLY: &CStr = c"HAKMEM_TEST_EARLY";
const EARLY_NAME: &str = "HAKMEM_TEST_EARLY";

/// Without a constructor of its own, a program has no handler before std's.
#[used]
// SAFETY: the section holds pointers to functions that the C library calls.
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = install_early;

extern "C" fn install_early() {
    // SAFETY: `getenv` returns null or a C string; the rest passes live locals and functions with the parameters that the
    // flags ask for.
    unsafe {
        let kind = libc::getenv(EARLY.as_ptr());
        if kind.is_null() {
            return;
        }
        let mut action: libc::sigaction = std::mem::zeroed();
        (action.sa_sigaction, action.sa_flags) = match CStr::from_ptr(kind).to_bytes() {
            b"plain" => (plain as *const () as usize, 0),
            b"once" => (once as *const () as usize, libc::SA_RESETHAND | libc::SA_SIGINFO),
            b"ignored" => (libc::SIG_IGN, 0),
            _ => (repair as *const () as usize, libc::SA_SIGINFO),
        };
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaddset(&raw mut action.sa_mask, libc::SIGUSR1);
        libc::sigaction(libc::SIGSEGV, &raw const action, ptr::null_mut());
        libc::sigaction(libc::SIGABRT, &raw const action, ptr::null_mut());
    }
}

fn say(text: &str) {
    // SAFETY: the text is borrowed for the call.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}

extern "C" fn plain(signal: c_int) {
    say("the program's handler\n");
    // SAFETY: the call has no preconditions.
    unsafe { libc::_exit(signal) };
}

extern "C" fn once(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel's. That the signal's mask holds is looked at, too.
    unsafe {
        let mut present: libc::sigset_t = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &raw mut present);
        let is_masked = libc::sigismember(&raw const present, libc::SIGUSR1) == 1;
        say(if is_masked && (*info).si_addr().addr() == 0x55 { "once, of 0x55\n" } else { "wrong\n" });
    }
}

/// The page that the program forgot to make accessible.
static FORGOTTEN: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
static REPAIRS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn repair(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {
    REPAIRS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: a page of the test's.
    unsafe { libc::mprotect(FORGOTTEN.load(Ordering::Relaxed), PAGE, libc::PROT_READ | libc::PROT_WRITE) };
}

#[test]
fn a_handler_without_information_is_called() {
    let body = || write(ptr::null_mut());
    let Some(end) = end_with("a_handler_without_information_is_called", &[(EARLY_NAME, "plain")], body) else { return };
    assert_eq!(end.status.code(), Some(libc::SIGSEGV), "{}", end.errors);
    assert!(end.lines().len() == 1 && end.errors.contains("the program's handler"), "{}", end.errors);
}

#[test]
fn a_handler_for_once_is_called_once() {
    let body = || write(ptr::without_provenance_mut(0x55));
    let Some(end) = end_with("a_handler_for_once_is_called_once", &[(EARLY_NAME, "once")], body) else { return };
    end.check(libc::SIGSEGV, "address 0x000000000055");
    assert_eq!(end.errors.matches("once, of 0x55").count(), 1, "{}", end.errors);
}

/// A program may live by its faults. It gets one line, which is one too many, and lives on.
#[test]
fn a_handler_that_repairs_lets_the_program_go_on() {
    let body = || {
        for round in 1..=3 {
            // SAFETY: a fresh mapping.
            let page = unsafe {
                libc::mmap(ptr::null_mut(), PAGE, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
            };
            FORGOTTEN.store(page, Ordering::Relaxed);
            write(page.cast());
            assert_eq!(REPAIRS.load(Ordering::Relaxed), round);
        }
    };
    let test = "a_handler_that_repairs_lets_the_program_go_on";
    let Some(end) = end_with(test, &[(EARLY_NAME, "repair")], body) else { return };
    assert!(end.status.success() && end.errors.contains("survived") && end.lines().len() == 1, "{}", end.errors);
}

#[test]
fn a_signal_that_is_ignored_stays_so() {
    // SAFETY: a signal to this thread.
    let body = || assert_eq!(unsafe { libc::raise(libc::SIGABRT) + libc::raise(libc::SIGSEGV) }, 0);
    let Some(end) = end_with("a_signal_that_is_ignored_stays_so", &[(EARLY_NAME, "ignored")], body) else { return };
    assert!(end.status.success() && end.errors.contains("survived") && end.lines().is_empty(), "{}", end.errors);
}

static OURS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn late(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    say("then ours\n");
    // SAFETY: what `sigaction` returned, which takes what the kernel passed.
    unsafe {
        let before: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
            std::mem::transmute(ptr::with_exposed_provenance::<()>(OURS.load(Ordering::Relaxed)));
        before(signal, info, context);
    }
}

/// A handler that comes later and passes on, as ours does.
#[test]
fn a_later_handler_may_pass_on() {
    let body = || {
        // SAFETY: live locals, and a function with the parameters that the flag asks for.
        unsafe {
            let (mut action, mut before): (libc::sigaction, libc::sigaction) = std::mem::zeroed();
            action.sa_sigaction = late as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO;
            libc::sigaction(libc::SIGSEGV, ptr::null(), &raw mut before);
            OURS.store(before.sa_sigaction, Ordering::Relaxed);
            libc::sigaction(libc::SIGSEGV, &raw const action, ptr::null_mut());
        }
        write(ptr::null_mut());
    };
    let Some(end) = end_with("a_later_handler_may_pass_on", &[], body) else { return };
    end.check(libc::SIGSEGV, "null or close to it");
    assert_eq!(end.errors.matches("then ours").count(), 1, "{}", end.errors);
}
