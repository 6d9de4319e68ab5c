//! Resident memory, as the kernel counts it.

use std::io::Read;

/// Resident bytes of this process that no file stands behind: the program itself is resident, too, and more of it from call to
/// call. Counted page by page, because the kernel's running count is off by what each processor has not told yet, which is
/// megabytes where there are many. Read without an allocation that would change it.
pub(crate) fn resident() -> usize {
    let mut buffer = [0; 4096];
    let mut file = std::fs::File::open("/proc/self/smaps_rollup").expect("proc is mounted");
    let length = file.read(&mut buffer).expect("the file can be read");
    let text = std::str::from_utf8(&buffer[..length]).expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:")).expect("a line of that name");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
}
