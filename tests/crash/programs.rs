//! When the handlers are there: in programs of their own, with and without std's.

use crate::End;
use crate::cargo::{cargo, project, write};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

/// An allocator, and what is wrong.
const HEAP: &str = r#"
mod heap {
    hakmem::allocator! {
        pub(super) struct Heap {
            tls = "TLS"
            crash_report = true

            [[class]]
            sizes = { from = 16, to = 4096, steps_per_doubling = 1 }
        }
    }
}

#[global_allocator]
static GLOBAL: heap::Heap = heap::Heap;

fn overflow(depth: usize) -> usize {
    let page = std::hint::black_box([depth; 512]);
    if depth == usize::MAX { 0 } else { overflow(depth + 1) + page[depth % 512] }
}

fn crash(how: &str) {
    match how {
        "overflow" => println!("{}", overflow(0)),
        "abort" => std::process::abort(),
        // SAFETY: none.
        _ => unsafe { std::ptr::without_provenance_mut::<u8>(0x66).write_volatile(1) },
    }
}
"#;

/// As most programs: std's `main`, and hardly an allocation before the mistake.
const RUST: &str = r#"
fn main() {
    let how = std::env::args().nth(1).unwrap_or_default();
    crash(&how);
}
"#;

/// A constructor allocates before std's handler is there.
const EARLY: &str = r#"
#[used]
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = at_start;

extern "C" fn at_start() {
    std::hint::black_box((Box::new(1_u64), vec![7_u8; 100], vec![7_u8; 1000], vec![7_u8; 3000]));
}

fn main() {
    let how = std::env::args().nth(1).unwrap_or_default();
    crash(&how);
}
"#;

/// `malloc` is hakmem's, too: std's start calls it, before the handler is there.
const EXPORTED: &str = r#"
hakmem::export_malloc!(heap::Heap);

fn main() {
    let how = std::env::args().nth(1).unwrap_or_default();
    crash(&how);
}
"#;

/// A program without std's `main` has none of std's handlers.
const C: &str = r#"
#[unsafe(no_mangle)]
extern "C" fn main(_: i32, _: *const *const u8) -> i32 {
    for round in 0..100 {
        std::hint::black_box((0..round).map(|number| vec![7_u8; 16 << (number % 9)]).collect::<Vec<_>>());
    }
    crash("null");
    0
}
"#;

/// The folder with the programs.
static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
    let programs = [
        ("rust", "native", RUST),
        ("early", "native", EARLY),
        ("word", "initial-exec", EARLY),
        ("exported", "initial-exec", EXPORTED),
        ("c", "native", C),
    ];
    let bins: String =
        programs.iter().map(|(name, ..)| format!("\n[[bin]]\nname = {name:?}\npath = \"src/{name}.rs\"\n")).collect();
    let folder = project("crash", "2024", "hakmem", &bins);
    for (name, tls, main) in programs {
        let head = if name == "c" { "#![no_main]\n" } else { "" };
        write(&folder, &format!("src/{name}.rs"), &format!("{head}{}{main}", HEAP.replace("TLS", tls)));
    }
    let status = cargo("build", &folder, &folder.join("target")).status().expect("cargo runs");
    assert!(status.success(), "the programs do not build");
    folder.join("target/debug")
});

fn run(program: &str, how: &str) -> End {
    let mut command = Command::new(PROGRAMS.join(program));
    // SAFETY: `no_core` is one call of the kernel, which a child may make before it becomes the program.
    unsafe {
        command.arg(how).pre_exec(|| {
            crate::no_core();
            Ok(())
        });
    }
    let output = command.output().expect("the program starts");
    println!("{program} {how}: {}", output.status);
    End { status: output.status, errors: String::from_utf8_lossy(&output.stderr).into_owned() }
}

#[test]
fn programs_of_all_kinds_say_why_they_crash() {
    for program in ["rust", "early", "word", "exported", "c"] {
        run(program, "null").check(libc::SIGSEGV, "address 0x000000000066, null or close to it, ");
    }
    for program in ["rust", "early", "word", "exported"] {
        run(program, "abort").check(libc::SIGABRT, "");
        let end = run(program, "overflow");
        assert!(
            end.errors.contains("thread 'main'") && end.errors.contains("has overflowed its stack"),
            "{}",
            end.errors
        );
        assert!(end.lines().len() == 1 && end.lines()[0].contains("close to the stack pointer"), "{}", end.errors);
    }
}
