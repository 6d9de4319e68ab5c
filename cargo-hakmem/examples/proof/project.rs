//! The package with the programs, and what is done with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use hakmem_harness::{output, process};
use serde_json::{Value, json};

/// A program of `benches/programs` on a generated allocator; the quickstart needs no words of its own.
const MAIN: &str = r#"
hakmem::allocator! {
    pub struct Heap = "classes.toml";
}

#[global_allocator]
static GLOBAL: Heap = Heap;

fn main() {
    let given: Vec<String> = std::env::args().collect();
    let run = hakmem_bench_programs::find(&given[1]).expect("the name of a program");
    println!("{:016x}", run(given[2].parse().expect("a scale")));
}
"#;

/// The package, in the target directory.
pub(crate) struct Project {
    folder: PathBuf,
    workspace: PathBuf,
    tool: PathBuf,
}

/// One run of a program.
pub(crate) struct Run {
    seconds: f64,
    processor_seconds: f64,
    resident_kib: u64,
}

impl Project {
    pub(crate) fn create() -> Result<Self, String> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no workspace")?.to_owned();
        let target = output::target()?;
        let project = Self { folder: target.join("proof"), tool: target.join("release/cargo-hakmem"), workspace };
        let at = project.workspace.display();
        project.write(
            "Cargo.toml",
            &format!(
                "[package]\nname = \"proof\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
                 hakmem = {{ path = '{at}' }}\nhakmem-bench-programs = {{ path = '{at}/benches/programs' }}\n"
            ),
        )?;
        project.write("src/bin/programs.rs", MAIN)?;
        let examples = project.workspace.join("examples/quickstart");
        for file in ["args", "index", "main", "progress", "report", "walk"] {
            let path = examples.join(format!("{file}.rs"));
            let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let text = text.replace("pub struct Heap;", "pub struct Heap = \"classes.toml\";");
            project.write(&format!("src/bin/quickstart/{file}.rs"), &text)?;
        }
        let lock = project.workspace.join("Cargo.lock");
        fs::copy(lock, project.folder.join("Cargo.lock")).map_err(|error| error.to_string())?;
        Ok(project)
    }

    fn write(&self, path: &str, text: &str) -> Result<(), String> {
        let path = self.folder.join(path);
        let folder = path.parent().ok_or("no folder")?;
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        // A file that stays the same is not built again.
        if fs::read_to_string(&path).is_ok_and(|old| old == text) {
            return Ok(());
        }
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn default_spec(&self) -> PathBuf {
        self.workspace.join("classes.toml")
    }

    fn set_spec(&self, spec: &Path) -> Result<(), String> {
        let text = fs::read_to_string(spec).map_err(|error| format!("{}: {error}", spec.display()))?;
        self.write("classes.toml", &text)
    }

    fn tool(&self) -> Command {
        let mut command = Command::new(&self.tool);
        command.arg("hakmem").current_dir(&self.folder);
        command
    }

    /// Records a run under a spec.
    pub(crate) fn record(
        &self,
        name: &str,
        given: &[&str],
        runs: u32,
        spec: &Path,
        profile: &Path,
    ) -> Result<(), String> {
        self.set_spec(spec)?;
        let mut command = self.tool();
        command.args(["record", "--runs", &runs.to_string(), "--bin", binary(name), "--output"]).arg(profile).arg("--");
        succeed(command.args(arguments(name, given)))
    }

    /// Tunes a spec, and returns what was said of it.
    pub(crate) fn tune(&self, profile: &Path, spec: &Path, to: &Path, more: &[&str]) -> Result<Value, String> {
        let mut command = self.tool();
        command.arg("tune").arg(profile).arg("--spec").arg(spec).arg("--out").arg(to).args(more).arg("--json");
        let output = command.stderr(Stdio::inherit()).output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(format!("tune failed: {}", output.status));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
    }

    /// Builds a program under a spec and keeps the binary.
    pub(crate) fn build(&self, name: &str, spec: &Path, which: &str) -> Result<PathBuf, String> {
        self.set_spec(spec)?;
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // Beside what `record` builds.
        cargo.args(["build", "--release", "--quiet", "--target-dir", "target/hakmem/build", "--bin", binary(name)]);
        // As `record` does, for the same reason.
        cargo.env("CARGO_PROFILE_RELEASE_STRIP", "none");
        succeed(cargo.current_dir(&self.folder))?;
        let kept = self.folder.join(format!("{name}-{which}"));
        fs::copy(self.folder.join("target/hakmem/build/release").join(binary(name)), &kept)
            .map_err(|error| error.to_string())?;
        // Of the programs of `index`, the tuned one took 3 % less memory than the default as just written, and 5 % as read
        // again.
        process::drop_from_page_cache(&kept).map_err(|error| format!("{}: {error}", kept.display()))?;
        Ok(kept)
    }
}

fn binary(name: &str) -> &str {
    if name == "quickstart" { name } else { "programs" }
}

/// What a program is given: all but the quickstart are one binary, whose first argument is the program's name.
fn arguments<'a>(name: &'a str, given: &[&'a str]) -> Vec<&'a str> {
    if name == "quickstart" { given.to_vec() } else { [&[name], given].concat() }
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let status = command.stdout(Stdio::null()).status().map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}")) }
}

impl Run {
    /// Runs a program, and asks the kernel for its peak all the while.
    pub(crate) fn of(program: &Path, name: &str, given: &[&str]) -> Result<Self, String> {
        let start = Instant::now();
        let mut command = Command::new(program);
        command.args(arguments(name, given)).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        let (mut resident_kib, mut processor_seconds) = (0, 0.0);
        // The peak is read while the program runs: the last look is at most a few milliseconds before its end.
        let status = loop {
            if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
                break status;
            }
            resident_kib = resident_kib.max(peak(child.id()));
            processor_seconds = processor(child.id()).max(processor_seconds);
            std::thread::sleep(std::time::Duration::from_millis(2));
        };
        let seconds = start.elapsed().as_secs_f64();
        if status.success() {
            Ok(Self { seconds, processor_seconds, resident_kib })
        } else {
            Err(format!("{name}: {status}"))
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "seconds": self.seconds,
            "processor_seconds": self.processor_seconds,
            "peak_rss_kib": self.resident_kib,
        })
    }
}

/// The highest resident memory of a process so far.
fn peak(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// What a process took of the processors so far, in the kernel's ticks of 10 ms.
fn processor(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name, in brackets, may have blanks.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
