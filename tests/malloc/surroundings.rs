//! What surrounds a program's calls of `malloc`, under `examples/preload`: forks and their handlers, `vfork`, libraries that
//! come and go, threads that end, calls before constructors, handlers of signals. A small C program for each. Needs a C
//! compiler; without one there is nothing to run.

use crate::rerun::text;
use crate::{c_compiler, library, preloading};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// How a program ends.
enum End {
    /// As it does under the C library's allocator.
    Done,
    /// With one line, where it would otherwise wait for itself.
    Dies(&'static str),
}

const PROGRAMS: &[(&str, End)] = &[
    ("early", End::Done),
    ("fork_and_streams", End::Done),
    ("fork_handlers_first", End::Done),
    ("fork_in_handlers", End::Done),
    ("fork_in_signal", End::Done),
    ("mmap_allocates", End::Done),
    ("signal_between", End::Done),
    ("signal_inside", End::Dies("allocator reentered by a signal handler")),
    ("small_stack", End::Done),
    ("threads_end", End::Done),
    ("unloaded", End::Done),
    ("vfork", End::Done),
];

/// What a program loads and is not itself one.
const LIBRARY: &str = "unloaded_library";

/// Seconds after which a program hangs.
const LONGEST: &str = "120";

fn compile(compiler: &OsStr, name: &str, flags: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("surroundings");
    fs::create_dir_all(&folder).expect("a folder");
    let program = folder.join(name);
    let status = Command::new(compiler)
        .args(["-O1", "-Wall", "-Werror", "-fno-builtin", "-pthread"])
        .args(flags)
        .arg("-o")
        .arg(&program)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/malloc/surroundings").join(format!("{name}.c")))
        .status()
        .expect("the compiler runs");
    assert!(status.success(), "{name} does not compile");
    program
}

fn run(program: &Path, argument: &Path, library: Option<&Path>) -> Output {
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", LONGEST]).arg(program).arg(argument);
    if let Some(library) = library {
        command.envs(preloading(library));
    }
    command.output().expect("the program starts")
}

#[test]
fn programs_survive_their_surroundings() {
    let Some(compiler) = c_compiler() else {
        println!("no C compiler: nothing to run");
        return;
    };
    let preload = library();
    let library = compile(&compiler, LIBRARY, &["-shared", "-fPIC"]);
    for (name, end) in PROGRAMS {
        let program = compile(&compiler, name, &["-rdynamic"]);
        let output = run(&program, &library, Some(&preload));
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        let found = format!("{name}: {} {stdout:?} {stderr:?}", output.status);
        match end {
            End::Done => {
                assert!(output.status.success() && (&*stdout, &*stderr) == ("done\n", ""), "{found}");
                let without = run(&program, &library, None);
                assert!(without.status.success(), "{name} fails under the C library's allocator, too");
            }
            End::Dies(message) => {
                // `timeout` ends as its child did.
                let aborted = [output.status.signal(), output.status.code().map(|code| code - 128)];
                assert!(aborted.contains(&Some(libc::SIGABRT)), "{found}");
                let lines: Vec<&str> = stderr.lines().filter(|line| line.starts_with("hakmem: ")).collect();
                assert!(stdout.is_empty() && lines.len() == 1 && lines[0].contains(message), "{found}");
            }
        }
    }
    let sources =
        fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/malloc/surroundings")).expect("the programs");
    let programs =
        sources.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().extension() == Some("c".as_ref())));
    assert_eq!(programs.count(), PROGRAMS.len() + 1, "a program is not in the list");
}
