//! Resident memory, measured in a process of its own for each workload and stack: in one process, a stack would be given
//! pages that another has touched, and all would share one number.

use std::fs::File;
use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::{env, str};

use crate::args;
use crate::measure::Scale;
use crate::stacks::Stack;
use crate::workloads::Named;

/// Starts this program again to run `workload` on `stack`; the bytes by which its resident memory grew, where the system
/// tells.
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

/// Resident bytes of this process, where the system tells. The file is read into the stack, because an allocation would
/// change the number.
pub(crate) fn resident() -> Option<u64> {
    let mut buffer = [0; 256];
    let length = File::open("/proc/self/statm").and_then(|mut file| file.read(&mut buffer)).ok()?;
    pages(str::from_utf8(&buffer[..length]).ok()?).map(|pages| pages * page_size())
}

/// The second field of `statm`.
fn pages(statm: &str) -> Option<u64> {
    statm.split(' ').nth(1)?.parse().ok()
}

fn page_size() -> u64 {
    // SAFETY: sysconf has no preconditions.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statm_is_understood() {
        assert_eq!(pages("1234 567 89 1 0 2 0\n"), Some(567));
        assert_eq!(pages(""), None);
        assert!(!cfg!(target_os = "linux") || resident().is_some_and(|bytes| bytes > 0));
    }
}
