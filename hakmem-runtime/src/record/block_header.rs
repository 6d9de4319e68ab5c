//! What the recorder stores before each block.

/// What the recorder must know of a block when it is freed.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct BlockHeader {
    /// When the block was allocated, in ticks.
    pub(super) allocated_at: u64,
    /// The number of the thread that allocated it; 0 if it was not recorded.
    pub(super) thread: u64,
}
