//! Resident memory, measured in a process of its own for each workload and stack: in one process, a stack would get
//! pages that another has touched, and all would share one number.

use std::process::{Command, Stdio};
use std::{env, io, str};

use crate::args;
use crate::cell::Scale;
use crate::stacks::Stack;
use crate::workloads::Named;

/// Starts this program again to run `workload` on `stack`. Returns by how many bytes its resident memory grew, where
/// the kernel tells.
pub(crate) fn measure(workload: &Named, stack: &Stack, scale: Scale) -> Result<Option<u64>, String> {
    let start = || -> io::Result<_> {
        let mut command = Command::new(env::current_exe()?);
        command.args(args::growth(workload, stack, scale)).stdin(Stdio::null()).stderr(Stdio::inherit()).output()
    };
    let failed = |why: String| format!("{} in a process of its own on {}: {why}", workload.name, stack.name);
    let output = start().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(output.status.to_string()));
    }
    Ok(str::from_utf8(&output.stdout).ok().and_then(|text| text.trim().parse().ok()))
}
