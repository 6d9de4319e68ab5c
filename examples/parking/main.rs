//! A tokio runtime whose worker threads hand over what they keep before they wait.
//!
//! ```text
//! cargo run --release --example parking
//! ```
//!
//! A server under load, then idle: each task builds a large index of small strings and drops it. `on_thread_park` calls
//! `Heap::idle`, so that the workers' slabs and caches go to the pool as soon as there is no task, and from there, after the
//! purge delay, to the system. Without the hook the purger takes from sleeping threads all but a page of each class; with it
//! that page, too, and other threads can use the memory at once.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

hakmem::allocator! {
    /// Serves every allocation of this program.
    pub struct Heap;
}

#[global_allocator]
static GLOBAL: Heap = Heap;

const WORKERS: usize = 4;

/// Entries in the index of one task.
const ENTRIES: u32 = 50_000;

/// Calls in the measurement of what one costs.
const CALLS: u32 = 10_000;

fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(WORKERS).on_thread_park(Heap::idle);
    builder.build().unwrap_or_else(|error| panic!("no runtime: {error}"))
}

/// Runs tasks that allocate and free.
fn burst(runtime: &Runtime) {
    let task = |number: u32| async move {
        let index: BTreeMap<String, u32> = (0..ENTRIES).map(|entry| (format!("{number} {entry}"), entry)).collect();
        black_box(index.len())
    };
    runtime.block_on(async {
        let tasks: Vec<_> = (0..WORKERS as u32 * 4).map(|number| tokio::spawn(task(number))).collect();
        for task in tasks {
            task.await.unwrap_or_else(|error| panic!("a task failed: {error}"));
        }
    });
}

/// Resident memory in KiB that belongs to no file.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    field.and_then(|field| field.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn main() {
    let before = resident();
    let runtime = runtime();
    burst(&runtime);
    println!("resident: {before} KiB at the start, {} after the work", resident());
    for seconds in 1..=2 {
        std::thread::sleep(Duration::from_secs(1));
        println!("{seconds} s later: {} KiB", resident());
    }
    let start = Instant::now();
    (0..CALLS).for_each(|_| Heap::idle());
    println!("a call with nothing to hand over: {:.0} ns", start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_runtime_has_given_its_memory_back() {
        let runtime = runtime();
        burst(&runtime);
        let begin = Instant::now();
        // The test harness keeps something, too.
        while resident() > 8 << 10 {
            assert!(begin.elapsed() < Duration::from_secs(60), "{} KiB resident", resident());
            std::thread::sleep(Duration::from_millis(100));
        }
        burst(&runtime);
    }
}
