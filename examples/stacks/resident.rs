//! Resident memory, measured in a process of its own for each workload and stack: in one process, a stack would be
//! given pages that another has touched, and all would share one number.

use std::fs::File;
use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::{env, str};

use crate::args;
use crate::measure::Scale;
use crate::stacks::Stack;
use crate::workloads::Named;

/// Starts this program again to run `workload` on `stack`; the bytes by which its resident memory grew, where the
/// system tells.
pub(crate) fn measure(workload: &Named, stack: &Stack, scale: Scale) -> io::Result<Option<u64>> {
    let mut command = Command::new(env::current_exe()?);
    command.args([args::RESIDENT, workload.name, stack.name]).stdin(Stdio::null()).stderr(Stdio::inherit());
    if scale == Scale::Quick {
        command.arg(args::QUICK);
    }
    let output = command.output()?;
    if !output.status.success() {
        let (workload, stack) = (workload.name, stack.name);
        return Err(io::Error::other(format!("{workload} in a process of its own on {stack}: {}", output.status)));
    }
    Ok(str::from_utf8(&output.stdout).ok().and_then(|text| text.trim().parse().ok()))
}

/// Resident bytes of this process that no file backs, where the system tells. The code that was paged in meanwhile is
/// not among them.
///
/// `smaps_rollup` counts pages. `statm`, for where there is no such file, adds up counters of which each processor
/// keeps a part to itself: it may be off by hundreds of KiB. Both are read into the stack, because an allocation would
/// change the number.
pub(crate) fn resident() -> Option<u64> {
    let mut buffer = [0; 4096];
    if let Some(text) = read("/proc/self/smaps_rollup", &mut buffer)
        && let Some(bytes) = anonymous(text)
    {
        return Some(bytes);
    }
    pages(read("/proc/self/statm", &mut buffer)?).map(|pages| pages * page_size())
}

/// As much of a file as fits `buffer`.
fn read<'a>(path: &str, buffer: &'a mut [u8]) -> Option<&'a str> {
    let length = File::open(path).and_then(|mut file| file.read(buffer)).ok()?;
    str::from_utf8(&buffer[..length]).ok()
}

/// The bytes in the line `Anonymous:` of `smaps_rollup`.
fn anonymous(rollup: &str) -> Option<u64> {
    let value = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"))?;
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

    #[test]
    fn what_the_system_tells_is_understood() {
        assert_eq!(pages("1234 567 89 1 0 2 0\n"), Some(478));
        assert_eq!(pages(""), None);
        let rollup = "555-777 ---p 00000000 00:00 0   [rollup]\nRss:      1512 kB\nAnonymous:     92 kB\n";
        assert_eq!(anonymous(rollup), Some(92 * 1024));
        assert_eq!(anonymous("Rss: 1 kB\n"), None);
        assert!(!cfg!(target_os = "linux") || resident().is_some_and(|bytes| bytes > 0));
    }
}
