//! What a runner reports about one workload.

use serde::{Deserialize, Serialize};

/// What a workload did and saw of itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Blocks allocated and freed, or calls of `realloc`; 1 for a whole program.
    pub operations: u64,
    /// How long they took, without preparation and warm-up.
    pub nanoseconds: u64,
    /// Resident memory over time, where that is the point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<Sample>,
    /// Bytes resident one second after the last free, more than before the first allocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<u64>,
    /// Single allocations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation: Option<Latency>,
    /// Single frees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<Latency>,
    /// The same on every allocator, for workloads that compute something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<u64>,
}

/// Resident memory at one time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// Since the first allocation; negative before the last free, where a workload is about what comes after it.
    pub seconds: f64,
    /// Bytes that no file backs.
    pub resident: u64,
    /// Bytes that the workload has asked for and not freed.
    pub live: u64,
}

/// Nanoseconds that a share of operations did not exceed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Latency {
    /// Half of them.
    pub p50: f64,
    /// 99 of a hundred.
    pub p99: f64,
    /// 999 of a thousand.
    pub p99_9: f64,
    /// All.
    pub max: f64,
    /// The step by which the clock moves: shorter differences are not seen.
    pub step: f64,
}

/// A line of JSON on a runner's standard output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The allocator that the runner runs on, and how it knows.
    pub proof: String,
    /// The workload's name.
    pub workload: String,
    /// What it did.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Bytes: the most that was resident (`VmHWM`).
    pub peak_resident: u64,
    /// The same without pages of files.
    pub peak_anonymous: u64,
    /// Bytes that no file backs, resident at the end.
    pub final_anonymous: u64,
    /// Page faults without input or output.
    pub minor_faults: u64,
    /// Page faults with input or output.
    pub major_faults: u64,
    /// Processor time of the whole process, in seconds: user, system.
    pub processor: (f64, f64),
}

impl Report {
    /// Nanoseconds an operation.
    pub fn time(&self) -> f64 {
        self.outcome.nanoseconds as f64 / self.outcome.operations.max(1) as f64
    }
}
