//! The machine, as far as the figures depend on it.

use std::fs;
use std::process::Command;
use std::thread;

use serde::{Deserialize, Serialize};

use crate::allocators::ALLOCATORS;

/// What the figures were measured on, and with.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
    pub(crate) transparent_huge_pages: String,
    pub(crate) rustc: String,
    pub(crate) c_compiler: String,
    /// This repository's commit; a `+` where files differ from it.
    pub(crate) commit: String,
    /// The packages compared, with versions.
    pub(crate) packages: Vec<(String, String)>,
    pub(crate) load_before: String,
    pub(crate) load_after: String,
}

impl Machine {
    /// In a line or two.
    pub(crate) fn text(&self) -> String {
        format!(
            "{}: {} cores of {}, {:.0} GiB, Linux {}, huge pages {}; {}; {}; hakmem {}; load {} before, {} after",
            self.date,
            self.cores,
            self.processor,
            self.memory_bytes as f64 / f64::from(1 << 30),
            self.kernel,
            self.transparent_huge_pages,
            self.rustc,
            self.c_compiler,
            self.commit,
            self.load_before,
            self.load_after,
        )
    }
}

pub(crate) fn describe() -> Machine {
    let memory = line_of("/proc/meminfo", "MemTotal:").trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024;
    let huge = read("/sys/kernel/mm/transparent_hugepage/enabled");
    let dirty = if output("git", &["status", "--porcelain"]).is_empty() { "" } else { "+" };
    Machine {
        date: output("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        processor: line_of("/proc/cpuinfo", "model name").trim_start_matches([':', ' ']).to_owned(),
        cores: thread::available_parallelism().map_or(0, usize::from),
        memory_bytes: memory,
        kernel: read("/proc/sys/kernel/osrelease"),
        // The mode in force stands in brackets.
        transparent_huge_pages: huge.split(['[', ']']).nth(1).unwrap_or("unknown").to_owned(),
        rustc: output("rustc", &["--version"]),
        c_compiler: output("cc", &["--version"]),
        commit: format!("{}{dirty}", output("git", &["rev-parse", "--short", "HEAD"])),
        packages: packages(
            &fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock")).unwrap_or_default(),
        ),
        load_before: load(),
        load_after: String::new(),
    }
}

/// Load averages over one, five and fifteen minutes.
pub(crate) fn load() -> String {
    read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// What follows `key` in a file.
fn line_of(path: &str, key: &str) -> String {
    read(path).lines().find_map(|line| line.strip_prefix(key)).unwrap_or("unknown").trim().to_owned()
}

/// The first line that a program prints.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("").to_owned()
}

/// The versions in `lock`, a `Cargo.lock`, of what is compared.
fn packages(lock: &str) -> Vec<(String, String)> {
    let wanted: Vec<&str> = ALLOCATORS.iter().flat_map(|allocator| allocator.packages).copied().collect();
    let value = |line: &str, key: &str| Some(line.strip_prefix(key)?.trim_matches('"').to_owned());
    let lines: Vec<&str> = lock.lines().collect();
    let pairs = lines.windows(2).filter_map(|pair| Some((value(pair[0], "name = ")?, value(pair[1], "version = ")?)));
    pairs.filter(|(name, _)| wanted.contains(&name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_lock() {
        let lock =
            "[[package]]\nname = \"libc\"\nversion = \"0.2\"\n\n[[package]]\nname = \"mimalloc\"\nversion = \"1.2\"\n";
        assert_eq!(packages(lock), [("mimalloc".to_owned(), "1.2".to_owned())]);
    }
}
