//! `membarrier`, which has every thread execute a fence, as one on each side.

use hakmem_runtime::protocol::Fences;
use loom::sync::atomic::{Ordering, fence};

pub(crate) struct Both;

impl Fences for Both {
    fn light() {
        fence(Ordering::SeqCst);
    }
    fn heavy() -> bool {
        fence(Ordering::SeqCst);
        true
    }
}
