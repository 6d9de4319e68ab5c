//! `examples/preload` under programs that nobody here wrote, of those that most machines have; and loaded late, by
//! `dlopen`. A larger set, which needs to be installed, is in the module `programs`.

use crate::rerun::{is_child, isolated, rerun_with, text};
use crate::{library, preloading};
use std::ffi::{CStr, CString, OsStr, c_void};
use std::mem::transmute;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Barrier, mpsc};
use std::thread;

/// A program, what it is called with, and a word of the output that shows that it did something.
struct Program {
    name: &'static str,
    arguments: &'static [&'static str],
    shows: &'static str,
}

const PROGRAMS: &[Program] = &[
    Program {
        name: "sh",
        arguments: &[
            "-c",
            "for i in $(seq 2000); do x=\"$x$i\"; done; echo ${#x}; ls -la /usr/bin | wc -l; (echo a; echo b) | sort -r",
        ],
        shows: "6893",
    },
    Program { name: "ls", arguments: &["-laR", "/usr/share"], shows: "total" },
    Program {
        name: "sort",
        arguments: &["--parallel=4", "-u", "Cargo.lock", "README.md", "docs/SPEC.md"],
        shows: "hakmem",
    },
    Program { name: "git", arguments: &["log", "--stat", "-n", "20"], shows: "commit" },
    Program { name: "git", arguments: &["grep", "-n", "-i", "alloc"], shows: "README.md" },
    Program {
        name: "awk",
        arguments: &["{ for (i = 1; i <= NF; i++) n[$i]++ } END { for (w in n) s += n[w]; print s, NR }", "README.md"],
        shows: " ",
    },
    Program {
        name: "perl",
        arguments: &[
            "-e",
            "my %h; $h{$_ * 7919 % 50021} .= $_ x 3 for 1..50000; print scalar(keys %h), ' ', length join('', values %h), \"\\n\"",
        ],
        shows: "50000",
    },
    Program {
        name: "python3",
        arguments: &[
            "-c",
            "
import json, re, threading, zlib, random
random.seed(1)
def work(n, out):
    data = [{str(i): [random.random() for _ in range(5)], 'text': 'x' * (i % 300)} for i in range(n)]
    text = json.dumps(data)
    assert json.loads(text) == data
    out.append(len(re.findall(r'[0-9]+', text)) >= n and zlib.decompress(zlib.compress(text.encode())) == text.encode())
out = []
threads = [threading.Thread(target=work, args=(3000, out)) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(out)
",
        ],
        shows: "[True, True, True, True]",
    },
    Program {
        name: "rustc",
        arguments: &[
            "--edition=2024",
            "--crate-type=lib",
            "--emit=metadata",
            "--out-dir",
            env!("CARGO_TARGET_TMPDIR"),
            "hakmem-spec/src/units.rs",
        ],
        shows: "",
    },
    Program { name: "rustc", arguments: &["--explain", "E0277"], shows: "trait" },
];

/// Runs a program, under the library if there is one; `None` where it is not installed.
fn run(program: &Program, library: Option<&PathBuf>) -> Option<Output> {
    let mut command = Command::new(program.name);
    command.args(program.arguments).current_dir(env!("CARGO_MANIFEST_DIR")).env("PYTHONMALLOC", "malloc");
    if let Some(library) = library {
        command.envs(preloading(library));
    }
    command.output().ok()
}

#[test]
fn programs_do_the_same_as_without() {
    let library = library();
    let mut ran = 0;
    for program in PROGRAMS {
        let Some(before) = run(program, None) else {
            println!("{} is not installed", program.name);
            continue;
        };
        let after = run(program, Some(&library)).expect("it started before");
        let what = format!("{} {:?}", program.name, program.arguments);
        assert_eq!((after.status, text(&after.stderr)), (before.status, text(&before.stderr)), "{what}");
        assert!(after.stdout == before.stdout, "{what} writes something else");
        assert!(!before.status.success() || text(&after.stdout).contains(program.shows), "{what}");
        ran += usize::from(before.status.success());
    }
    assert!(ran >= 4, "only {ran} of the programs are here and succeed");
}

// In force.

/// The address of a symbol: of the library behind `handle`, or of the program and all it was started with.
fn symbol(handle: *mut c_void, name: &CStr) -> *mut c_void {
    // SAFETY: the handle is one of dlopen's, or stands for the program.
    unsafe { libc::dlsym(handle, name.as_ptr()) }
}

#[test]
fn under_the_library_its_malloc_is_everybodys() {
    if is_child() {
        let owns = symbol(libc::RTLD_DEFAULT, c"hakmem_owns");
        assert!(!owns.is_null());
        // SAFETY: the function takes a pointer and returns a bool; what strdup returns is for free.
        unsafe {
            let owns = transmute::<*mut c_void, extern "C" fn(*const c_void) -> bool>(owns);
            let copy = libc::strdup(c"copy".as_ptr());
            assert!(owns(copy.cast()) && owns(Box::into_raw(Box::new(1_u64)).cast_const().cast()));
            assert!(!owns((&raw const copy).cast()));
            libc::free(copy.cast());
        }
        return;
    }
    let variables = preloading(&library());
    let variables: Vec<(&str, &OsStr)> = variables.iter().map(|(name, value)| (*name, &**value)).collect();
    let output = rerun_with("under_the_library_its_malloc_is_everybodys", &variables);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

// Loaded late.

/// Its functions, while this program goes on with the C library's.
#[derive(Clone, Copy)]
struct Loaded {
    malloc: extern "C" fn(usize) -> *mut u8,
    free: unsafe extern "C" fn(*mut u8),
    owns: extern "C" fn(*const u8) -> bool,
}

fn load(library: &Path) -> (*mut c_void, Loaded) {
    let name = CString::new(library.as_os_str().as_encoded_bytes()).expect("a path");
    // SAFETY: the library's constructors only prepare it; the functions have these types.
    unsafe {
        let handle = libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        assert!(!handle.is_null(), "{:?}", CStr::from_ptr(libc::dlerror()));
        let loaded = Loaded {
            malloc: transmute::<*mut c_void, extern "C" fn(usize) -> *mut u8>(symbol(handle, c"malloc")),
            free: transmute::<*mut c_void, unsafe extern "C" fn(*mut u8)>(symbol(handle, c"free")),
            owns: transmute::<*mut c_void, extern "C" fn(*const u8) -> bool>(symbol(handle, c"hakmem_owns")),
        };
        (handle, loaded)
    }
}

impl Loaded {
    /// Allocates, writes, checks and frees blocks of many sizes, and leaves some to be freed by another.
    fn work(self, seed: usize) -> Vec<usize> {
        let mut left = Vec::new();
        for number in 0..20_000_usize {
            let size = (number * 7919 + seed) % 3000;
            let block = (self.malloc)(size);
            assert!(!block.is_null() && (self.owns)(block) && block.addr().is_multiple_of(16));
            // SAFETY: the block has this many bytes, and is freed once: here or by whoever gets what is left.
            unsafe {
                block.write_bytes(seed as u8, size);
                if number % 10 == 0 {
                    left.push(block.expose_provenance());
                } else {
                    (self.free)(block);
                }
            }
        }
        left
    }

    fn free_all(self, blocks: Vec<usize>) {
        for block in blocks {
            // SAFETY: left by `work`.
            unsafe { (self.free)(std::ptr::with_exposed_provenance_mut(block)) };
        }
    }
}

#[test]
fn it_can_be_loaded_late_and_is_never_unloaded() {
    isolated("it_can_be_loaded_late_and_is_never_unloaded", || {
        let library = library();
        let start = Barrier::new(5);
        let (sender, receiver) = mpsc::channel();
        thread::scope(|scope| {
            // Threads that are there already when it is loaded.
            for seed in 0..4 {
                let (start, sender, library) = (&start, sender.clone(), &library);
                scope.spawn(move || {
                    start.wait();
                    let (handle, loaded) = load(library);
                    sender.send(loaded.work(seed)).expect("somebody listens");
                    // SAFETY: the handle is this thread's.
                    assert_eq!(unsafe { libc::dlclose(handle) }, 0);
                });
            }
            load(&library);
            start.wait();
        });
        drop(sender);
        let (handle, loaded) = load(&library);
        // Left by threads that have ended.
        receiver.into_iter().for_each(|blocks| loaded.free_all(blocks));
        // A thread whose heap ends, by code of the library, when nobody has it loaded.
        let (working, closed) = (Barrier::new(2), Barrier::new(2));
        thread::scope(|scope| {
            scope.spawn(|| {
                loaded.free_all(loaded.work(9));
                working.wait();
                closed.wait();
            });
            working.wait();
            // SAFETY: as often as it was opened.
            assert_eq!(unsafe { [libc::dlclose(handle), libc::dlclose(handle)] }, [0, 0]);
            closed.wait();
        });
    });
}
