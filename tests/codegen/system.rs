//! `--cfg hakmem_system`: the program's blocks are the system's, for tools that look at each block.

use crate::fixtures::Project;
use std::process::Command;

const PROGRAM: &str = r#"
use std::alloc::Layout;
use std::hint::black_box;

mod heap {
    hakmem::allocator! {
        pub(crate) struct Heap {
            tls = "initial-exec"
            [[class]]
            sizes = { from = 16, to = 1024, step = 16 }
        }
    }
}

mod purged {
    hakmem::allocator! {
        pub(crate) struct Heap {
            [purge]
            background = true
            [[class]]
            sizes = [64, 128]
            refill = "background"
            stats = true
        }
    }
}

hakmem::export_malloc!(heap::Heap);

#[global_allocator]
static GLOBAL: heap::Heap = heap::Heap;

unsafe extern "C" {
    fn malloc(size: usize) -> *mut u8;
    fn free(block: *mut u8);
    fn malloc_usable_size(block: *mut u8) -> usize;
    fn hakmem_owns(block: *const u8) -> bool;
    fn hakmem_stats(buffer: *mut u8, size: usize) -> usize;
}

fn main() {
    let words: Vec<String> = "an allocator of its own".split(' ').map(String::from).collect();
    assert!(heap::Heap::owns(words.as_ptr().cast()) && !heap::Heap::owns(std::ptr::null()));
    assert!(heap::Heap::classes().to_string().lines().count() == 65 && heap::Heap::prewarm(Layout::new::<u64>()));
    black_box((heap::Heap::layer_stats().to_string(), purged::Heap::layer_stats().to_string()));
    heap::Heap::purge();
    purged::Heap::purge();
    let mut live = 0;
    heap::Heap::stats().for_each(|class| live += class.blocks_live + class.slabs);
    purged::Heap::stats().for_each(|class| live += class.blocks_live + class.slabs);
    // SAFETY: C's calls as C has them. Each block of Rust's is the system's, so that it can tell its size.
    unsafe {
        let block = malloc(100);
        assert!(hakmem_owns(block) && hakmem_stats(std::ptr::null_mut(), 0) > 0);
        free(block);
        assert!(malloc_usable_size(words.as_ptr().cast_mut().cast()) >= 5 * 24);
    }
    let threads: Vec<_> = (0..2).map(|_| std::thread::spawn(|| black_box(vec![7_u8; 3000]).len())).collect();
    let sum: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    let mut grown: Vec<u128> = Vec::new();
    grown.extend(0..1000);
    assert!(black_box(vec![0_u64; 1 << 20]).iter().all(|&word| word == 0));
    println!("{live} live, {sum}, {}, threads {}", grown.iter().sum::<u128>(), std::fs::read_dir("/proc/self/task").unwrap().count());
    // What valgrind is to see.
    let mistake = std::env::args().nth(1);
    if mistake.as_deref() == Some("leak") {
        std::mem::forget(black_box(vec![1_u8; 777]));
    }
    if mistake.as_deref() == Some("use") {
        let block = Box::into_raw(Box::new([1_u64; 9]));
        // SAFETY: none: this is the mistake.
        unsafe {
            drop(Box::from_raw(block));
            black_box(block.cast::<u64>().wrapping_add(3).read_volatile());
        }
    }
}
"#;

/// What `valgrind` says of the program with that argument; `None`: it is not installed.
fn valgrind(program: &std::path::Path, mistake: &str) -> Option<(bool, String)> {
    Command::new("valgrind").arg("--version").output().ok()?;
    let mut run = Command::new("valgrind");
    run.args(["--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite"]).arg(program).arg(mistake);
    let output = run.output().expect("valgrind runs");
    Some((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

#[test]
fn a_switch_gives_every_block_to_the_system() {
    let project = Project::new("system", "2024", "hakmem");
    project.write("src/main.rs", PROGRAM);
    // Other flags, other libraries: a folder of its own, which stays.
    let target = project.folder.with_file_name("target-system");
    let mut build = crate::cargo::cargo("build", &project.folder, &target);
    let status = build.env("RUSTFLAGS", "--cfg hakmem_system").status().unwrap();
    assert!(status.success(), "the program does not build");
    let program = target.join("debug/system");
    let output = Command::new(&program).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text, "0 live, 6000, 499500, threads 1\n", "{}", String::from_utf8_lossy(&output.stderr));
    for (mistake, report) in [
        ("none", "All heap blocks were freed"),
        ("leak", "777 bytes in 1 blocks are definitely lost"),
        ("use", "24 bytes inside a block of size 72 free'd"),
    ] {
        let Some((success, errors)) = valgrind(&program, mistake) else {
            println!("valgrind is not installed");
            return;
        };
        assert_eq!(success, mistake == "none", "{errors}");
        assert!(errors.contains(report) || mistake == "none", "{mistake}: {errors}");
    }
}
