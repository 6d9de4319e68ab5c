//! Signals that end a program: handlers that come before those that the program has, and pass on to them.
//!
//! Everything here but [`Fatal::take`] is async-signal-safe.

use super::kernel::call;
use super::libc_safe;
use core::ffi::{c_int, c_void};
use core::mem::{MaybeUninit, transmute};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};

/// What is done when a signal comes.
///
/// # Invariants
/// The handler is `SIG_DFL`, `SIG_IGN` or a function with the parameters that the flags ask for, which can be called as long
/// as it is installed.
#[repr(transparent)]
pub(crate) struct Action(libc::sigaction);

// SAFETY: the signature of POSIX; an `Option` of a reference has the ABI of a pointer that may be null, and `Action` that of
// C's structure. The C library reads `new`, which may be installed (the invariant of `Action`), and writes to `old` what was
// installed before, by `new` or by the program, which the C library trusts as much.
unsafe extern "C" {
    safe fn sigaction(signal: c_int, new: Option<&Action>, old: Option<&mut Action>) -> c_int;
}

impl Action {
    /// The default action: mostly the end of the program.
    // SAFETY: all zero is a `sigaction`: `SIG_DFL`, no flags, no mask.
    const DEFAULT: Action = Action(unsafe { MaybeUninit::zeroed().assume_init() });

    /// A handler that is called once: from then on the signal has its default action. It is not blocked meanwhile.
    #[cfg(hakmem_record)]
    pub(crate) fn once(handler: extern "C" fn(c_int)) -> Action {
        let mut action = Action::DEFAULT;
        action.0.sa_sigaction = handler as usize;
        action.0.sa_flags = libc::SA_RESETHAND | libc::SA_NODEFER;
        action
    }

    /// What is installed for a signal.
    #[inline(never)]
    fn of(signal: c_int) -> Option<Action> {
        let mut present = Action::DEFAULT;
        (sigaction(signal, None, Some(&mut present)) == 0).then_some(present)
    }

    /// Installs it for a signal.
    fn install(&self, signal: c_int) {
        // This fails only for a number that is not a signal's.
        sigaction(signal, Some(self), None);
    }
}

/// Installs an action for a signal, unless the program handles or ignores it.
#[cfg(hakmem_record)]
pub(crate) fn install_if_default(signal: c_int, action: &Action) {
    if Action::of(signal).is_some_and(|present| present.0.sa_sigaction == libc::SIG_DFL) {
        action.install(signal);
    }
}

/// A signal that came, as the kernel describes it to a handler.
///
/// # Invariants
/// `info` and `context` are what the kernel passed. (`context` is not a reference, because the C library's `ucontext_t` is
/// larger than what the kernel writes, and would overlap `info`.)
pub(crate) struct Received<'a> {
    pub(crate) fatal: &'static Fatal,
    info: &'a mut libc::siginfo_t,
    context: *mut c_void,
}

/// A handler that comes before the program's.
pub(crate) trait Handler {
    /// Handles a signal, and passes it on ([`Received::pass_on`]). Async-signal-safe.
    fn handle(received: Received<'_>);
}

/// A handler with SA_SIGINFO. (A reference has the ABI of a pointer.)
type InfoHandler = extern "C" fn(c_int, &mut libc::siginfo_t, *mut c_void);

/// The function that is installed for `H`. The kernel calls it, or a handler that was installed later and passes on.
extern "C" fn receive<H: Handler>(signal: c_int, info: &mut libc::siginfo_t, context: *mut c_void) {
    if let Some(fatal) = FATAL.iter().find(|fatal| fatal.signal == signal) {
        H::handle(Received { fatal, info, context });
    }
}

/// A signal that ends a program, and who handled it before us.
#[derive(Debug)]
pub(crate) struct Fatal {
    signal: c_int,
    pub(crate) name: &'static str,
    taken: AtomicBool,
    /// `SIG_DFL` or a function, with its flags.
    previous: AtomicUsize,
    flags: AtomicI32,
}

/// The signals that a wrong access and `abort` raise.
pub(crate) static FATAL: [Fatal; 3] =
    [Fatal::new(libc::SIGABRT, "SIGABRT"), Fatal::new(libc::SIGSEGV, "SIGSEGV"), Fatal::new(libc::SIGBUS, "SIGBUS")];

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

    /// Whether somebody handles the signal.
    pub(crate) fn is_handled(&self) -> bool {
        Action::of(self.signal).is_some_and(|present| present.0.sa_sigaction != libc::SIG_DFL)
    }

    /// Puts `H` in front of the program's handler, once. A signal that the program ignores is left alone.
    ///
    /// The handler runs on the stack, with the mask and the flags that the one before it asked for; where there was none,
    /// on the thread's alternate stack, if it has one.
    #[inline(never)]
    pub(crate) fn take<H: Handler>(&self) {
        if self.taken.swap(true, Ordering::Relaxed) {
            return;
        }
        let Some(Action(present)) = Action::of(self.signal) else { return };
        if present.sa_sigaction == libc::SIG_IGN {
            return;
        }
        self.previous.store(present.sa_sigaction, Ordering::Relaxed);
        self.flags.store(present.sa_flags, Ordering::Relaxed);
        let kept = libc::SA_ONSTACK | libc::SA_NODEFER | libc::SA_RESTART;
        let on_stack = if present.sa_sigaction == libc::SIG_DFL { libc::SA_ONSTACK } else { 0 };
        // (A library with this code in it is never unloaded: `stay_loaded.rs`.)
        let mut new = present;
        new.sa_sigaction = receive::<H> as InfoHandler as usize;
        new.sa_flags = libc::SA_SIGINFO | on_stack | present.sa_flags & kept;
        Action(new).install(self.signal);
    }
}

impl Received<'_> {
    /// What would have happened without us: the handler before ours, or the end of the program by this signal.
    pub(crate) fn pass_on(self) {
        let Fatal { signal, ref previous, ref flags, .. } = *self.fatal;
        let (previous, flags) = (previous.load(Ordering::Relaxed), flags.load(Ordering::Relaxed));
        if previous == libc::SIG_DFL {
            Action::DEFAULT.install(signal);
            if self.is_sent() {
                // It is blocked until the handler returns. An access that was wrong is repeated then.
                libc_safe::raise(signal);
            }
            return;
        }
        if flags & libc::SA_RESETHAND != 0 {
            Action::DEFAULT.install(signal);
        }
        let handler = ptr::with_exposed_provenance::<()>(previous);
        // SAFETY: `take` found this handler, which is neither SIG_DFL nor SIG_IGN, so a function with the parameters that its
        // flags say. It gets what the kernel passed.
        unsafe {
            if flags & libc::SA_SIGINFO != 0 {
                transmute::<*const (), InfoHandler>(handler)(signal, self.info, self.context);
            } else {
                transmute::<*const (), extern "C" fn(c_int)>(handler)(signal);
            }
        }
    }

    /// Whether the signal was sent, by a process or as news of memory, so that it does not come again by itself.
    fn is_sent(&self) -> bool {
        /// `BUS_MCEERR_AO`: a page is broken that nobody has accessed yet.
        const NEWS: c_int = 5;
        self.info.si_code <= 0 || self.info.si_signo == libc::SIGBUS && self.info.si_code == NEWS
    }

    /// Why the signal came.
    pub(crate) fn cause(&self) -> Cause {
        /// `SI_KERNEL`.
        const KERNEL: c_int = 0x80;
        // SAFETY: the kernel fills the fields that belong to the signal and the code: of a signal that was sent, its
        // sender; of the others here, which are SIGSEGV and SIGBUS, the address.
        unsafe {
            match self.info.si_code {
                code if code <= 0 => match self.info.si_pid() {
                    sender if sender == process_id() => Cause::Raised,
                    sender => Cause::Sent(sender),
                },
                KERNEL => Cause::NoAddress,
                _ => Cause::Access(self.info.si_addr().expose_provenance()),
            }
        }
    }

    /// The stack pointer and the other general registers when the signal came. Not known on other processors: 0.
    pub(crate) fn registers(&self) -> (usize, [usize; 15]) {
        #[cfg(target_arch = "x86_64")]
        {
            use libc::{
                REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RAX, REG_RBP, REG_RBX,
                REG_RCX, REG_RDI, REG_RDX, REG_RSI, REG_RSP,
            };
            // SAFETY: the kernel passed a valid context, which has the registers where the C library's `ucontext_t` has
            // them; no more of it is read.
            let all = unsafe { (*self.context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
            let one = |register: c_int| all.get(register as usize).map_or(0, |value| *value as usize);
            let general = [
                REG_RAX, REG_RBX, REG_RCX, REG_RDX, REG_RSI, REG_RDI, REG_RBP, REG_R8, REG_R9, REG_R10, REG_R11,
                REG_R12, REG_R13, REG_R14, REG_R15,
            ];
            (one(REG_RSP), general.map(one))
        }
        #[cfg(not(target_arch = "x86_64"))]
        (0, [0; 15])
    }
}

/// Why a signal came.
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
