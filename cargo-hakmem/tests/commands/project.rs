//! A package under construction, and the commands in it as a user types them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A program that asks for the same blocks each time, and ends as its argument says.
///
/// The blocks are of 16-bit numbers: nothing else in the program is aligned to 2 bytes, so their counts are exact. A path, an
/// argument or a variable of the environment may have any length, but its alignment is 1.
pub(crate) const PROGRAM: &str = r#"
hakmem::allocator! {
    /// What the tests look at.
    pub struct Heap = "classes.toml";
}

#[global_allocator]
static HEAP: Heap = Heap;

fn main() {
    // 500 blocks of 200 bytes at once, twice over.
    (0..2).for_each(|_| five_hundred());
    // 24 bytes, allocated here, freed there.
    let blocks: Vec<Box<[u16; 12]>> = (0..1000).map(|_| Box::new([1; 12])).collect();
    std::thread::spawn(move || drop(std::hint::black_box(blocks))).join().unwrap();
    // 3000 bytes that grow to 5000 and then to 7000.
    let mut numbers: Vec<u16> = Vec::with_capacity(1500);
    for capacity in [2500, 3500] {
        numbers.reserve_exact(capacity);
        std::hint::black_box(&mut numbers);
    }
    drop(numbers);
    match std::env::args().nth(1).as_deref() {
        Some("abort") => std::process::abort(),
        Some("terminate") => {
            let itself = std::process::id().to_string();
            std::process::Command::new("kill").args(["-TERM", &itself]).status().unwrap();
            std::thread::sleep(std::time::Duration::from_secs(60));
        }
        Some("twice") => {
            let program = std::env::current_exe().unwrap();
            assert!(std::process::Command::new(program).status().unwrap().success());
        }
        // Long enough for several samples, which are about a millisecond apart.
        Some("linger") => {
            let start = std::time::Instant::now();
            while start.elapsed() < std::time::Duration::from_millis(50) {
                five_hundred();
            }
        }
        Some("fork") => {
            let shared = vec![Box::new([1_u16; 44]); 10];
            // SAFETY: `fork` has no preconditions, and the C library's allocator is not in use here.
            let child = unsafe { fork() };
            if child == 0 {
                // What the parent allocated ends here, too, but is the parent's to tell of.
                drop(shared);
                drop(vec![Box::new([1_u16; 36]); 300]);
                std::process::exit(0);
            }
            // SAFETY: a child that nobody else waits for.
            unsafe { waitpid(child, std::ptr::null_mut(), 0) };
        }
        _ => println!("{} classes", Heap::CLASSES.len()),
    }
}

fn five_hundred() {
    let blocks: Vec<Box<[u16; 100]>> = (0..500).map(|_| Box::new([1; 100])).collect();
    std::hint::black_box(&blocks);
}

unsafe extern "C" {
    fn fork() -> i32;
    fn waitpid(process: i32, status: *mut i32, options: i32) -> i32;
}

#[cfg(not(users_own))]
compile_error!("the user's flags are lost");
"#;

/// The user's flags, without which the program does not compile. They hide those of cargo's configuration files.
const RUSTFLAGS: &str = "--cfg users_own --check-cfg cfg(users_own)";

/// Few classes, a pinned one, and comments everywhere.
pub(crate) const SPEC: &str = r#"# Mine.
[defaults]
layers = ["unified", "sll"] # as ever
budget = { alloc = 5, free = 5 }

# The small ones.
[[class]]
sizes = [16, 64, 128]

# Ours, whatever a profile says.
[[class]]
size = 136
pinned = true # really

# The others.
[[class]]
sizes = [512, 1024, 8192]
budget = "none"
"#;

pub(crate) struct Project {
    pub(crate) folder: PathBuf,
}

/// A command's end: what it printed, and whether it succeeded.
pub(crate) struct Ended {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) ok: bool,
}

impl Project {
    /// A package with the program and the spec above.
    pub(crate) fn new(name: &str) -> Self {
        let project = Self::begun(name, "hakmem = { path = HAKMEM }\n", &["src/main.rs", "classes.toml"]);
        project.write("src/main.rs", PROGRAM);
        project.write("classes.toml", SPEC);
        project
    }

    /// A package with these dependencies and no source yet.
    pub(crate) fn bare(name: &str, dependencies: &str) -> Self {
        Self::begun(name, dependencies, &[])
    }

    /// The same, in which of an earlier run's files those in `written` are left, as the caller writes them next.
    fn begun(name: &str, dependencies: &str, written: &[&str]) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("commands").join(name);
        let kept: Vec<PathBuf> =
            ["Cargo.toml", "Cargo.lock"].iter().chain(written).map(|file| folder.join(file)).collect();
        remove_all_but(&folder, &kept);
        let project = Self { folder };
        let dependencies = dependencies.replace("HAKMEM", &format!("{:?}", workspace()));
        // The empty [workspace] keeps cargo from taking the package for a member of the one around the target directory.
        project.write(
            "Cargo.toml",
            &format!(
                "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
                 {dependencies}"
            ),
        );
        // Its packages are there when this test is: nothing is downloaded.
        project.write("Cargo.lock", &fs::read_to_string(workspace().join("Cargo.lock")).unwrap());
        project
    }

    /// What is the same is left alone, so that cargo need not build it again.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if fs::read_to_string(&path).ok().as_deref() != Some(text) {
            fs::write(path, text).unwrap();
        }
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder.join(path)).unwrap()
    }

    /// `cargo hakmem …`, through cargo, in the package.
    pub(crate) fn hakmem(&self, arguments: &[&str]) -> Ended {
        let tool = Path::new(env!("CARGO_BIN_EXE_cargo-hakmem")).parent().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        self.cargo(
            Command::new(env!("CARGO")).arg("hakmem").args(arguments).env("PATH", format!("{}:{path}", tool.display())),
        )
    }

    /// The same, which must succeed; what it printed.
    #[track_caller]
    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let ended = self.hakmem(arguments);
        assert!(ended.ok, "cargo hakmem {arguments:?} failed:\n{}\n{}", ended.out, ended.err);
        ended.out
    }

    /// The same, which must fail with one message; the message.
    #[track_caller]
    pub(crate) fn fail(&self, arguments: &[&str]) -> String {
        let ended = self.hakmem(arguments);
        assert!(!ended.ok, "cargo hakmem {arguments:?} succeeds:\n{}", ended.out);
        let start = ended.err.find("error: ").unwrap_or_else(|| panic!("no message:\n{}", ended.err));
        let message = &ended.err[start..];
        assert_eq!(message.matches("error: ").count(), 1, "{message}");
        message.trim().to_owned()
    }

    /// What the program prints, built as a user builds it.
    #[track_caller]
    pub(crate) fn run(&self) -> String {
        let ended = self.cargo(Command::new(env!("CARGO")).args(["run", "--quiet", "--release"]));
        assert!(ended.ok, "{}", ended.err);
        ended.out
    }

    /// The tool itself, with its standard output closed at once, as by `| head`.
    pub(crate) fn unread(&self, arguments: &[&str]) -> Ended {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-hakmem"));
        command.arg("hakmem").args(arguments).current_dir(&self.folder).env("CARGO_NET_OFFLINE", "true");
        let output = command.stdout(writer).stderr(std::process::Stdio::piped()).output().unwrap();
        Ended { ok: output.status.success(), out: String::new(), err: String::from_utf8(output.stderr).unwrap() }
    }

    fn cargo(&self, command: &mut Command) -> Ended {
        // One target directory for all packages, so that what they depend on is built once.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("commands/target");
        // An environment that says nothing about how to build.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PROFILE_") || name.starts_with("CARGO_BUILD_") || name == "CARGO_INCREMENTAL" {
                command.env_remove(&*name);
            }
        }
        let output: Output = command
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", target)
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_TERM_COLOR", "never")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("RUSTFLAGS", RUSTFLAGS)
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Removes every file below `folder` but those in `kept`.
fn remove_all_but(folder: &Path, kept: &[PathBuf]) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            remove_all_but(&path, kept);
        } else if !kept.contains(&path) {
            fs::remove_file(path).unwrap();
        }
    }
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
