//! Libraries in Rust with an allocator of their own, loaded into a program that closes them while its threads go on.

use crate::libraries::libraries;
use crate::rerun::{is_child, rerun, text};
use std::ffi::{CString, c_char, c_void};
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::thread;

/// What the specs of the libraries say: each has another way to its thread caches, and the first two threads of its own.
const SPECS: [(&str, &str); 2] = [
    (
        "native",
        "[purge]\nbackground = true\ndelay_ms = 20\n\n[defaults]\nlayers = [\"unified\", \"sll\"]\nrefill = \"background\"\n",
    ),
    ("beside", "tls = \"initial-exec\"\n\n[defaults]\nlayers = [\"pages\"]\n"),
];

/// A library whose function `work` allocates and returns a string that `take` frees.
fn source(spec: &str) -> String {
    format!(
        r#"mod heap {{
    hakmem::allocator! {{
        pub(crate) struct Heap {{
            {spec}
            [[class]]
            sizes = {{ from = 16, to = 128, step = 16 }}

            [[class]]
            sizes = {{ from = 160, to = 1024, steps_per_doubling = 4 }}
        }}
    }}
}}

#[global_allocator]
static GLOBAL: heap::Heap = heap::Heap;

#[unsafe(no_mangle)]
pub extern "C" fn work() -> *mut std::ffi::c_char {{
    let mut words: Vec<String> = (0..20_000).map(|number| format!("word {{number}}")).collect();
    words.retain(|word| word.len() % 2 == 0);
    words.push("x".repeat(100_000));
    std::ffi::CString::new(words.concat()).map(std::ffi::CString::into_raw).unwrap_or_default()
}}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn take(text: *mut std::ffi::c_char) -> usize {{
    // SAFETY: what `work` returned.
    unsafe {{ std::ffi::CString::from_raw(text) }}.as_bytes().len()
}}
"#
    )
}

fn address_space() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").expect("proc is mounted");
    statm.split(' ').next().and_then(|pages| pages.parse::<usize>().ok()).expect("a number of pages") * 4096
}

/// How many more keys the process may have.
fn keys() -> usize {
    let mut keys = Vec::new();
    let mut key = 0;
    // SAFETY: a place for the key; what was created is deleted.
    unsafe {
        while libc::pthread_key_create(&raw mut key, None) == 0 {
            keys.push(key);
        }
        keys.iter().for_each(|&key| assert_eq!(libc::pthread_key_delete(key), 0));
    }
    keys.len()
}

/// Loads a library, has two threads use it, closes it, and ends the threads.
fn load_and_close(path: &CString) {
    // SAFETY: the library is ours; its functions have these types.
    let (library, work, take) = unsafe {
        let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        assert!(!library.is_null(), "{path:?} is not loaded");
        let find = |name: &std::ffi::CStr| libc::dlsym(library, name.as_ptr());
        let work = std::mem::transmute::<*mut c_void, extern "C" fn() -> *mut c_char>(find(c"work"));
        let take = std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_char) -> usize>(find(c"take"));
        (library.addr(), work, take)
    };
    let (done, is_done) = channel();
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let done = done.clone();
            let (closed, is_closed) = channel::<()>();
            let run = move || {
                // SAFETY: `take` frees what `work` returned.
                assert!(unsafe { take(work()) } > 100_000);
                done.send(()).expect("the main thread waits");
                let _ = is_closed.recv();
            };
            (thread::spawn(run), closed)
        })
        .collect();
    (0..2).for_each(|_| is_done.recv().expect("a thread works"));
    // SAFETY: the handle was not closed. Nobody calls the library any more but its own code.
    assert_eq!(unsafe { libc::dlclose(std::ptr::with_exposed_provenance_mut(library)) }, 0);
    for (thread, closed) in threads {
        drop(closed);
        thread.join().expect("the thread ends well");
    }
}

#[test]
fn a_library_that_is_closed_while_its_threads_go_on() {
    if !is_child() {
        let folder = libraries("loaded", &SPECS.map(|(name, spec)| (name, source(spec))), false);
        assert!(SPECS.iter().all(|(name, _)| folder.join(format!("lib{name}.so")).exists()));
        let output = rerun("a_library_that_is_closed_while_its_threads_go_on");
        assert!(output.status.success(), "{}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr));
        return;
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("loaded/target/debug/examples");
    for (name, _) in SPECS {
        let path = folder.join(format!("lib{name}.so")).into_os_string().into_encoded_bytes();
        let path = CString::new(path).expect("a path");
        (0..10).for_each(|_| load_and_close(&path));
        let before = (address_space(), keys());
        (0..100).for_each(|_| load_and_close(&path));
        let after = (address_space(), keys());
        // The C library's heaps for the threads come and go.
        assert!(after.0 < before.0 + (256 << 20) && after.1 == before.1, "{name}: {before:?}, then {after:?}");
    }
}
