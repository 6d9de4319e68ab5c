//! What the kernel says about this process, and about the files of programs. Text is read into the stack: an allocation
//! would change the numbers.

use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Child;
use std::str;

/// Resident bytes of this process that no file backs, where the kernel tells. (Code that was paged in is not among
/// them.)
///
/// `smaps_rollup` counts pages, which takes a while for many. `statm`, for where there is no such file, adds up
/// counters of which each processor keeps a part to itself: it may be off by hundreds of KiB.
pub fn anonymous() -> Option<u64> {
    let mut buffer = [0; 4096];
    if let Some(text) = read("/proc/self/smaps_rollup", &mut buffer)
        && let Some(bytes) = kibibytes(text, "Anonymous:")
    {
        return Some(bytes);
    }
    pages(read("/proc/self/statm", &mut buffer)?).map(|pages| pages * page_size())
}

/// The most that was resident, and the same without pages of files, which seldom leave once they are resident.
pub fn peaks() -> (u64, u64) {
    let mut buffer = [0; 8192];
    let status = read("/proc/self/status", &mut buffer).unwrap_or_default();
    let bytes = |key| kibibytes(status, key).unwrap_or(0);
    let peak = bytes("VmHWM:");
    (peak, peak.saturating_sub(bytes("RssFile:") + bytes("RssShmem:")))
}

/// What a process has used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Page faults without input or output.
    pub minor_faults: u64,
    /// Page faults with input or output.
    pub major_faults: u64,
    /// Seconds of processor time in the program.
    pub user: f64,
    /// Seconds of processor time in the kernel.
    pub system: f64,
    /// The most that was resident, in bytes; of several processes, the largest's.
    pub peak_resident: u64,
}

impl From<libc::rusage> for Usage {
    fn from(usage: libc::rusage) -> Usage {
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        Usage {
            minor_faults: usage.ru_minflt as u64,
            major_faults: usage.ru_majflt as u64,
            user: seconds(usage.ru_utime),
            system: seconds(usage.ru_stime),
            peak_resident: usage.ru_maxrss as u64 * 1024,
        }
    }
}

/// What this process has used so far.
pub fn usage() -> Usage {
    let mut usage = MaybeUninit::zeroed();
    // SAFETY: the pointer is to a writable `rusage`, which the call fills; if it fails, all zeros are a valid value.
    let usage: libc::rusage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    usage.into()
}

/// Waits for a child. Returns whether it succeeded, and what it and all processes that it has waited for have used.
pub fn wait(child: Child) -> io::Result<(bool, Usage)> {
    let (mut status, mut usage) = (0, MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: both pointers are to writable places of the types that the call fills.
    let ended = unsafe { libc::wait4(child.id().cast_signed(), &raw mut status, 0, usage.as_mut_ptr()) };
    if ended < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all zeros are a valid `rusage`, and the call has filled it in.
    Ok((status == 0, unsafe { usage.assume_init() }.into()))
}

/// Drops a file from the page cache, so that the kernel reads it from the disk when it is next used. How much of a
/// program is resident depends on how its file came into the cache: of one just written, half a megabyte more.
pub fn drop_from_page_cache(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    file.sync_all()?;
    // SAFETY: the call takes no pointer.
    match unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// As much of a file as fits `buffer`; none where there is no such file.
fn read<'a>(path: &str, buffer: &'a mut [u8]) -> Option<&'a str> {
    let length = File::open(path).and_then(|mut file| file.read(buffer)).ok()?;
    str::from_utf8(&buffer[..length]).ok()
}

/// The bytes in the line of `text` that starts with `key`.
fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    value.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

/// Pages in `statm` that are resident, less those that are shared.
fn pages(statm: &str) -> Option<u64> {
    let mut fields = statm.split(' ').skip(1).map_while(|field| field.parse::<u64>().ok());
    Some(fields.next()?.saturating_sub(fields.next()?))
}

fn page_size() -> u64 {
    // SAFETY: sysconf has no preconditions.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_kernels_text_is_understood() {
        assert_eq!(pages("1234 567 89 1 0 2 0\n"), Some(478));
        assert_eq!(pages(""), None);
        let rollup = "555-777 ---p 00000000 00:00 0   [rollup]\nRss:      1512 kB\nAnonymous:     92 kB\n";
        assert_eq!(kibibytes(rollup, "Anonymous:"), Some(92 * 1024));
        assert_eq!(kibibytes("Rss: 1 kB\n", "Anonymous:"), None);
        assert_eq!(kibibytes("", "Anonymous:"), None);
    }

    #[test]
    fn this_process_has_memory() {
        assert!(!cfg!(target_os = "linux") || anonymous().is_some_and(|bytes| bytes > 0));
        let (peak, without_files) = peaks();
        assert!(without_files > 0 && peak > without_files);
        assert!(usage().minor_faults > 0 && usage().peak_resident > 0);
    }

    #[test]
    fn a_child_is_waited_for() {
        for (program, expected) in [("true", true), ("false", false)] {
            let child = Command::new(program).spawn().unwrap();
            let (success, usage) = wait(child).unwrap();
            assert_eq!(success, expected);
            assert!(usage.peak_resident > 0);
        }
    }
}
