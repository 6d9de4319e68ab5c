//! Signals that end a program: handlers that come before those that the program has, and pass on to them.
//!
//! Everything here but [`Fatal::take`] is async-signal-safe.

use super::kernel::call;
use super::libc_safe;
use core::ffi::{c_int, c_void};
use core::mem::{MaybeUninit, transmute};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};

/// A handler that gets all there is.
pub(crate) type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// A signal, and who handled it before us.
#[derive(Debug)]
pub(crate) struct Fatal {
    pub(crate) signal: c_int,
    pub(crate) name: &'static str,
    taken: AtomicBool,
    /// `SIG_DFL` or a function, with its flags.
    previous: AtomicUsize,
    flags: AtomicI32,
}

/// The signals that a wrong access and `abort` raise.
pub(crate) static FATAL: [Fatal; 3] =
    [Fatal::new(libc::SIGABRT, "SIGABRT"), Fatal::new(libc::SIGSEGV, "SIGSEGV"), Fatal::new(libc::SIGBUS, "SIGBUS")];

/// What the kernel does at present when the signal comes.
#[inline(never)]
fn present(signal: c_int) -> Option<libc::sigaction> {
    let mut present = MaybeUninit::uninit();
    // SAFETY: the place is a live local, which the call fills if it succeeds; nothing is changed.
    unsafe { (libc::sigaction(signal, ptr::null(), present.as_mut_ptr()) == 0).then(|| present.assume_init()) }
}

/// Makes the signal do what it does by default.
fn set_default(signal: c_int) {
    // SAFETY: all zero is a `sigaction`: SIG_DFL, no flags, no mask. No result is asked for.
    unsafe {
        let default: libc::sigaction = MaybeUninit::zeroed().assume_init();
        libc::sigaction(signal, &raw const default, ptr::null_mut());
    }
}

impl Fatal {
    const fn new(signal: c_int, name: &'static str) -> Fatal {
        Fatal {
            signal,
            name,
            taken: AtomicBool::new(false),
            previous: AtomicUsize::new(libc::SIG_DFL),
            flags: AtomicI32::new(0),
        }
    }

    /// The one of this number.
    pub(crate) fn of(signal: c_int) -> Option<&'static Fatal> {
        FATAL.iter().find(|fatal| fatal.signal == signal)
    }

    /// Whether somebody handles the signal.
    pub(crate) fn is_handled(&self) -> bool {
        present(self.signal).is_some_and(|present| present.sa_sigaction != libc::SIG_DFL)
    }

    /// Puts `handler` in front of the program's, once. A signal that the program ignores is left alone.
    ///
    /// The handler runs on the stack, with the mask and the flags that the one before it asked for; where there was none,
    /// on the thread's alternate stack, if it has one.
    #[inline(never)]
    pub(crate) fn take(&self, handler: Handler) {
        if self.taken.swap(true, Ordering::Relaxed) {
            return;
        }
        let Some(present) = present(self.signal) else { return };
        if present.sa_sigaction == libc::SIG_IGN {
            return;
        }
        self.previous.store(present.sa_sigaction, Ordering::Relaxed);
        self.flags.store(present.sa_flags, Ordering::Relaxed);
        let kept = libc::SA_ONSTACK | libc::SA_NODEFER | libc::SA_RESTART;
        let on_stack = if present.sa_sigaction == libc::SIG_DFL { libc::SA_ONSTACK } else { 0 };
        let mut new = present;
        new.sa_sigaction = handler as *const () as usize;
        new.sa_flags = libc::SA_SIGINFO | on_stack | present.sa_flags & kept;
        // SAFETY: a handler with the parameters that SA_SIGINFO asks for, a function of the program or of a library that is
        // never unloaded. No result is asked for.
        unsafe { libc::sigaction(self.signal, &raw const new, ptr::null_mut()) };
    }

    /// What would have happened without us: the handler before ours, or the end of the program by this signal.
    pub(crate) fn pass_on(&self, info: *mut libc::siginfo_t, context: *mut c_void) {
        let (previous, flags) = (self.previous.load(Ordering::Relaxed), self.flags.load(Ordering::Relaxed));
        if previous == libc::SIG_DFL {
            set_default(self.signal);
            if is_sent(info) {
                // It is blocked until the handler returns. An access that was wrong is repeated then.
                // SAFETY: the call takes numbers alone.
                unsafe { libc::syscall(libc::SYS_tgkill, process_id(), thread_id(), self.signal) };
            }
            return;
        }
        if flags & libc::SA_RESETHAND != 0 {
            set_default(self.signal);
        }
        let handler = ptr::with_exposed_provenance::<()>(previous);
        // SAFETY: `take` found this handler, which is neither SIG_DFL nor SIG_IGN, so a function with the parameters that its
        // flags say. It gets what the kernel passed.
        unsafe {
            if flags & libc::SA_SIGINFO != 0 {
                transmute::<*const (), Handler>(handler)(self.signal, info, context);
            } else {
                transmute::<*const (), extern "C" fn(c_int)>(handler)(self.signal);
            }
        }
    }
}

/// Whether a signal was sent, by a process or as news of memory, so that it does not come again by itself.
fn is_sent(info: *mut libc::siginfo_t) -> bool {
    /// `BUS_MCEERR_AO`: a page is broken that nobody has accessed yet.
    const NEWS: c_int = 5;
    // SAFETY: the kernel passes a valid `siginfo_t` to a handler with SA_SIGINFO.
    unsafe { (*info).si_code <= 0 || (*info).si_signo == libc::SIGBUS && (*info).si_code == NEWS }
}

/// What a handler is told.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cause {
    /// An access to this address.
    Access(usize),
    /// An access to what is no address: its upper bits are wrong, so the processor does not tell.
    NoAddress,
    /// Sent by a thread of this process: `abort`, `raise`.
    Raised,
    /// Sent by another process.
    Sent(c_int),
}

impl Cause {
    /// The cause of the signal that a handler was called for.
    ///
    /// # Safety
    /// `info` is what the kernel passed to that handler.
    pub(crate) unsafe fn of(info: *mut libc::siginfo_t) -> Cause {
        /// `SI_KERNEL`.
        const KERNEL: c_int = 0x80;
        // SAFETY: the kernel fills the fields that belong to the signal and code.
        unsafe {
            match (*info).si_code {
                code if code <= 0 => match (*info).si_pid() {
                    sender if sender == process_id() => Cause::Raised,
                    sender => Cause::Sent(sender),
                },
                KERNEL => Cause::NoAddress,
                _ => Cause::Access((*info).si_addr().expose_provenance()),
            }
        }
    }
}

/// The stack pointer and the other general registers when the signal came.
///
/// # Safety
/// `context` is what the kernel passed to the handler.
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn registers(context: *const c_void) -> (usize, [usize; 15]) {
    use libc::{
        REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RAX, REG_RBP, REG_RBX, REG_RCX,
        REG_RDI, REG_RDX, REG_RSI, REG_RSP,
    };
    // SAFETY: the caller's contract: a valid `ucontext_t`.
    let all = unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let one = |register: c_int| all.get(register as usize).map_or(0, |value| *value as usize);
    let general = [
        REG_RAX, REG_RBX, REG_RCX, REG_RDX, REG_RSI, REG_RDI, REG_RBP, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12,
        REG_R13, REG_R14, REG_R15,
    ];
    (one(REG_RSP), general.map(one))
}

/// Not known on this processor: 0.
///
/// # Safety
/// None here.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) unsafe fn registers(_: *const c_void) -> (usize, [usize; 15]) {
    (0, [0; 15])
}

/// The kernel's number of the calling thread.
pub(crate) fn thread_id() -> c_int {
    libc_safe::gettid()
}

/// Whether the calling thread is the one that the process began with.
pub(crate) fn is_main_thread() -> bool {
    thread_id() == process_id()
}

/// The process's number.
pub(crate) fn process_id() -> c_int {
    libc_safe::getpid()
}

/// Reads a word of memory that may not be readable, at a multiple of 8.
pub(crate) fn read_word(address: usize) -> Option<usize> {
    /// No such operation: the kernel reads the new mask, then refuses.
    const NOTHING: usize = usize::MAX;
    let arguments = [NOTHING, address, 0, size_of::<usize>(), 0, 0];
    // SAFETY: the kernel reads eight bytes if they can be read, and changes nothing.
    let is_readable = unsafe { call(libc::SYS_rt_sigprocmask, arguments) } != Err(libc::EFAULT);
    // SAFETY: aligned, and readable a moment ago. The memory may be in use: any value is one.
    is_readable.then(|| unsafe { ptr::with_exposed_provenance::<usize>(address).read_volatile() })
}
