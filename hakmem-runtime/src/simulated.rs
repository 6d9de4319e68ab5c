//! What `core` is under `--cfg hakmem_sim`, for the simulator (`tests/sim/`): the same, but every operation on an atomic
//! first asks a [`Simulator`] whether other threads go first, and a store may reach memory late, as on a processor.
//!
//! The crate's root names itself `core` and re-exports what is here, so no other file says anything of this, and an atomic
//! that is added later is seen, too. No ordinary build has any of it.

pub use std::{arch, array, cell, ffi, fmt, hint, iter, marker, mem, ops, ptr, slice};

use self::sync::atomic::Ordering;
use std::sync::OnceLock;

/// An operation that threads can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A load of the atomic at this address.
    Load(usize),
    /// A store to it that is not SeqCst: what the processor may keep back.
    Store(usize),
    /// An exchange, or a SeqCst store, before which the processor completes all earlier stores.
    Exchange(usize),
    /// A SeqCst fence.
    Fence,
}

/// A store to an atomic.
#[derive(Debug, Clone, Copy)]
pub struct Store {
    /// Where, with exposed provenance.
    pub address: usize,
    /// The bytes of the atomic: 1, 2, 4 or 8.
    pub bytes: usize,
    /// What is stored.
    pub value: u64,
}

impl Store {
    /// Does it.
    ///
    /// # Safety
    /// The atomic is still there.
    pub unsafe fn complete(self) {
        use std::sync::atomic;
        macro_rules! store {
            ($atomic:ident, $int:ty) => {
                // SAFETY: the caller's contract; an atomic of this size is at the address.
                unsafe { &*ptr::with_exposed_provenance::<atomic::$atomic>(self.address) }
                    .store(self.value as $int, Ordering::Release)
            };
        }
        match self.bytes {
            1 => store!(AtomicU8, u8),
            2 => store!(AtomicU16, u16),
            4 => store!(AtomicU32, u32),
            _ => store!(AtomicU64, u64),
        }
    }
}

/// A step of a protocol that can be left out, so that the simulator has something to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// An exchange compares and stores in one step.
    Exchange,
    /// A slab is not abandoned while blocks are on its remote list.
    RemoteList,
    /// A slab's link is not used for a second stack.
    Stacked,
    /// Slabs are taken out of the pool before they are purged.
    TakeAged,
    /// `membarrier` is a fence in every thread.
    Membarrier,
}

/// Who decides which thread goes first.
pub trait Simulator: Sync {
    /// Called before each operation; returns when the calling thread may do it.
    fn before(&self, operation: Operation);
    /// Whether to keep a store back, until [`Store::complete`].
    fn keeps(&self, store: Store) -> bool;
    /// What the calling thread stored there, if that is kept back.
    fn kept(&self, address: usize) -> Option<u64>;
    /// Whether a weak exchange fails for no reason.
    fn fails(&self) -> bool;
    /// Whether a step is left out.
    fn leaves_out(&self, step: Step) -> bool;
}

static SIMULATOR: OnceLock<&'static dyn Simulator> = OnceLock::new();

/// Sets the simulator, once.
pub fn simulate(simulator: &'static dyn Simulator) {
    let _ = SIMULATOR.set(simulator);
}

fn before(operation: Operation) {
    if let Some(simulator) = SIMULATOR.get() {
        simulator.before(operation);
    }
}

/// Whether a step is left out.
pub(crate) fn leaves_out(step: Step) -> bool {
    SIMULATOR.get().is_some_and(|simulator| simulator.leaves_out(step))
}

/// What an atomic can hold.
trait Bits: Copy {
    fn to_bits(self) -> u64;
    fn from_bits(bits: u64) -> Self;
}

macro_rules! bits {
    ($($int:ty)*) => {$(
        impl Bits for $int {
            fn to_bits(self) -> u64 {
                self as u64
            }
            fn from_bits(bits: u64) -> $int {
                bits as $int
            }
        }
    )*};
}

bits!(i32 u8 u16 u32 u64 usize);

impl Bits for bool {
    fn to_bits(self) -> u64 {
        self.into()
    }
    fn from_bits(bits: u64) -> bool {
        bits != 0
    }
}

impl<T> Bits for *mut T {
    fn to_bits(self) -> u64 {
        self.expose_provenance() as u64
    }
    fn from_bits(bits: u64) -> *mut T {
        ptr::with_exposed_provenance_mut(bits as usize)
    }
}

/// `std::sync`, with these atomics.
pub mod sync {
    /// `std::sync::atomic`, under the simulator.
    pub mod atomic {
        use crate::simulated::{Bits, Operation, SIMULATOR, Step, Store, before, leaves_out};
        use std::sync::atomic;
        pub use std::sync::atomic::{Ordering, compiler_fence};

        /// `std::sync::atomic::fence`.
        pub fn fence(order: Ordering) {
            if order == Ordering::SeqCst {
                before(Operation::Fence);
            }
            atomic::fence(order);
        }

        macro_rules! atomics {
            ($($name:ident [$($generic:ident)?] $value:ty;)*) => {$(
                #[doc = concat!("`std`'s `", stringify!($name), "`, under the simulator.")]
                #[repr(transparent)]
                #[derive(Debug, Default)]
                pub struct $name $(<$generic>)? (atomic::$name $(<$generic>)?);

                #[allow(missing_docs, dead_code, reason = "as std's")]
                impl $(<$generic>)? $name $(<$generic>)? {
                    pub const fn new(value: $value) -> Self {
                        Self(atomic::$name::new(value))
                    }

                    pub const fn as_ptr(&self) -> *mut $value {
                        self.0.as_ptr()
                    }

                    fn address(&self) -> usize {
                        self.0.as_ptr().expose_provenance()
                    }

                    pub fn load(&self, order: Ordering) -> $value {
                        before(Operation::Load(self.address()));
                        let kept = SIMULATOR.get().and_then(|simulator| simulator.kept(self.address()));
                        kept.map_or_else(|| self.0.load(order), Bits::from_bits)
                    }

                    pub fn store(&self, value: $value, order: Ordering) {
                        let address = self.address();
                        let store = Store { address, bytes: size_of::<$value>(), value: value.to_bits() };
                        // Pointers are parts of lists, which may be elsewhere when a late store gets there.
                        let late = order != Ordering::SeqCst && stringify!($name) != "AtomicPtr";
                        before(if late { Operation::Store(address) } else { Operation::Exchange(address) });
                        if !late || !SIMULATOR.get().is_some_and(|simulator| simulator.keeps(store)) {
                            self.0.store(value, order);
                        }
                    }

                    pub fn swap(&self, value: $value, order: Ordering) -> $value {
                        before(Operation::Exchange(self.address()));
                        self.0.swap(value, order)
                    }

                    pub fn compare_exchange(
                        &self,
                        old: $value,
                        new: $value,
                        success: Ordering,
                        failure: Ordering,
                    ) -> Result<$value, $value> {
                        before(Operation::Exchange(self.address()));
                        if leaves_out(Step::Exchange) {
                            let found = self.0.load(Ordering::SeqCst);
                            if found != old {
                                return Err(found);
                            }
                            before(Operation::Exchange(self.address()));
                            return Ok(self.0.swap(new, Ordering::SeqCst));
                        }
                        self.0.compare_exchange(old, new, success, failure)
                    }

                    pub fn compare_exchange_weak(
                        &self,
                        old: $value,
                        new: $value,
                        success: Ordering,
                        failure: Ordering,
                    ) -> Result<$value, $value> {
                        if SIMULATOR.get().is_some_and(|simulator| simulator.fails()) {
                            return Err(self.load(failure));
                        }
                        self.compare_exchange(old, new, success, failure)
                    }
                }
            )*};
        }

        atomics! {
            AtomicBool [] bool;
            AtomicI32 [] i32;
            AtomicU8 [] u8;
            AtomicU16 [] u16;
            AtomicU32 [] u32;
            AtomicU64 [] u64;
            AtomicUsize [] usize;
            AtomicPtr [T] *mut T;
        }

        macro_rules! arithmetic {
            ($methods:tt $($name:ident $value:ty;)*) => {$(
                arithmetic! { @ $name $value; $methods }

                #[allow(missing_docs, dead_code, reason = "as std's")]
                impl $name {
                    pub fn fetch_update(
                        &self,
                        set: Ordering,
                        fetch: Ordering,
                        mut update: impl FnMut($value) -> Option<$value>,
                    ) -> Result<$value, $value> {
                        let mut found = self.load(fetch);
                        while let Some(new) = update(found) {
                            match self.compare_exchange_weak(found, new, set, fetch) {
                                Ok(_) => return Ok(found),
                                Err(other) => found = other,
                            }
                        }
                        Err(found)
                    }
                }
            )*};
            (@ $name:ident $value:ty; ($($method:ident)*)) => {
                #[allow(missing_docs, dead_code, reason = "as std's")]
                impl $name {$(
                    pub fn $method(&self, value: $value, order: Ordering) -> $value {
                        before(Operation::Exchange(self.address()));
                        self.0.$method(value, order)
                    }
                )*}
            };
        }

        arithmetic! {
            (fetch_add fetch_sub fetch_and fetch_or fetch_xor fetch_max fetch_min)
            AtomicU32 u32;
            AtomicU64 u64;
            AtomicUsize usize;
        }
    }
}
