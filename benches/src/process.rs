//! What the system tells about this process. Files are read into the stack: an allocation would change the numbers.

use std::fs::File;
use std::io::Read;
use std::mem::MaybeUninit;
use std::str;

/// Resident bytes of this process that no file backs. `smaps_rollup` counts pages, which takes a while for many;
/// other files add up counters of which each processor keeps a part to itself.
pub fn anonymous() -> u64 {
    let mut buffer = [0; 4096];
    kibibytes(read("/proc/self/smaps_rollup", &mut buffer), "Anonymous:")
}

/// The most that was resident, and the same without files' pages. (Files' pages seldom go once they came.)
pub fn peaks() -> (u64, u64) {
    let mut buffer = [0; 8192];
    let status = read("/proc/self/status", &mut buffer);
    let peak = kibibytes(status, "VmHWM:");
    (peak, peak.saturating_sub(kibibytes(status, "RssFile:") + kibibytes(status, "RssShmem:")))
}

/// What this process has used: minor and major page faults, seconds of user and system time.
pub fn usage() -> (u64, u64, f64, f64) {
    let mut usage = MaybeUninit::zeroed();
    // SAFETY: the call fills the structure; if it fails, that is all zero, which is a value.
    let usage: libc::rusage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    (usage.ru_minflt as u64, usage.ru_majflt as u64, seconds(usage.ru_utime), seconds(usage.ru_stime))
}

/// As much of a file as fits `buffer`; empty where there is no such file.
fn read<'a>(path: &str, buffer: &'a mut [u8]) -> &'a str {
    let length = File::open(path).and_then(|mut file| file.read(buffer)).unwrap_or(0);
    str::from_utf8(&buffer[..length]).unwrap_or("")
}

/// The bytes in the line of `text` that starts with `key`.
fn kibibytes(text: &str, key: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("");
    value.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_tells_is_understood() {
        assert_eq!(kibibytes("Rss:      1512 kB\nAnonymous:     92 kB\n", "Anonymous:"), 92 * 1024);
        assert_eq!(kibibytes("", "Anonymous:"), 0);
        let (peak, without_files) = peaks();
        assert!(anonymous() > 0 && without_files > 0 && peak > without_files);
    }
}
