//! Threads and processes as the kernel sees them: for tests of what the allocator's own threads do.

use crate::forks::watchdog;
use crate::rerun::{is_child, rerun, text};
use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

/// The threads of this process.
pub(crate) fn tasks() -> BTreeSet<String> {
    let entries = std::fs::read_dir("/proc/self/task").expect("proc is mounted");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a number")).collect()
}

/// The state of a thread, and its processor time in clock ticks.
pub(crate) fn state_and_ticks(task: &str) -> (char, u64) {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{task}/stat")).expect("the thread exists");
    // Behind the name, which stands in brackets: the state is the third field, the times are the 14th and 15th.
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let number = |field: usize| -> u64 { fields[field - 3].parse().expect("a number") };
    (fields[0].chars().next().expect("a state"), number(14) + number(15))
}

/// A number of `/proc/self/task/TASK/status`, in base 16 or 10.
fn status(task: &str, key: &str, radix: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/self/task/{task}/status")).expect("the thread exists");
    let value = status.lines().find_map(|line| line.strip_prefix(key)).expect("a line of that name");
    u64::from_str_radix(value.trim(), radix).expect("a number")
}

/// How often a thread has slept.
pub(crate) fn sleeps(task: &str) -> u64 {
    status(task, "voluntary_ctxt_switches:", 10)
}

/// The signals that a thread blocks, a bit each.
pub(crate) fn blocked_signals(task: &str) -> u64 {
    status(task, "SigBlk:", 16)
}

/// The calling thread, as in [`tasks`].
pub(crate) fn this_task() -> String {
    // SAFETY: gettid has no preconditions.
    unsafe { libc::gettid() }.to_string()
}

/// Nothing takes longer that comes at all, however busy the machine is.
pub(crate) const LONGEST: Duration = Duration::from_secs(120);

/// Waits until something is so.
pub(crate) fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONGEST, "not even after {LONGEST:?}: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Runs the calling test again as a process that ends through `exit`, in the middle of what its threads do; that goes well,
/// and takes little more than its body. The least of the times, because the machine may be busy; a process that hangs is
/// ended by its alarm.
#[track_caller]
pub(crate) fn ends(test: &str, count: usize, body: impl FnOnce()) {
    if is_child() {
        watchdog();
        body();
        println!("exit");
        std::process::exit(0);
    }
    let mut least = Duration::MAX;
    for _ in 0..count {
        let start = Instant::now();
        let output = rerun(test);
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success() && stdout.contains("exit"), "{}\n{stdout}\n{stderr}", output.status);
        least = least.min(start.elapsed());
    }
    assert!(least < Duration::from_secs(5), "{least:?}");
}
