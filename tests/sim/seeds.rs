//! Seeds, each in a process of its own.

use crate::atomics::hook;
use crate::plan::{Control, Plan, Result};
use crate::rerun::isolated;
use crate::script::play;
use crate::{lists, machine, mixed, pages, schedule, threads, workers};
use libc::{c_int, c_void};
use std::ptr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Says where a run touched what it must not, and ends it.
extern "C" fn touched(signal: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel passes the description of a signal with an address.
    let address = unsafe { (*info).si_addr() }.addr();
    if schedule::is_simulated() {
        schedule::fail(&format!("signal {signal} at {address:#x}"));
    }
    // SAFETY: no preconditions.
    unsafe { libc::_exit(schedule::FAILED) };
}

/// Memory that a process shares with its children, all zero.
fn shared() -> &'static Result {
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping, never unmapped; the struct has atomics alone.
    unsafe {
        let memory = libc::mmap(ptr::null_mut(), size_of::<Result>(), access, flags, -1, 0);
        assert_ne!(memory, libc::MAP_FAILED);
        &*memory.cast::<Result>()
    }
}

/// Seeds that `cargo test` runs.
const SEEDS: u64 = 200;

/// Seeds that fail without a change of the runtime: 1086 without that of `Allocator::purge` (a purge before the first use,
/// beside which another thread forks). A change of the simulator makes other runs of all seeds.
const FOUND: &[u64] = &[1086];

/// What all runs have in common.
fn prepare() -> [&'static Result; 2] {
    machine::reserve();
    hook();
    [shared(), shared()]
}

fn plan(seed: u64) -> Plan {
    Plan { seed, control: Control::Nothing, quiet: false }
}

/// Runs a seed in a process of its own. `false`: it failed, and has said so.
fn passes(plan: Plan, results: [&'static Result; 2]) -> bool {
    results[0].clear();
    // SAFETY: the child plays and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let hook = Box::new(|panic: &std::panic::PanicHookInfo<'_>| {
            if schedule::is_simulated() {
                schedule::fail(&panic.to_string());
            }
            // SAFETY: no preconditions.
            unsafe { libc::_exit(schedule::FAILED) };
        });
        std::panic::set_hook(hook);
        // SAFETY: the handler takes what the kernel passes; the other calls take no pointers but a C string.
        unsafe {
            let mut action = std::mem::zeroed::<libc::sigaction>();
            action.sa_sigaction = touched as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO;
            for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGABRT] {
                libc::sigaction(signal, &raw const action, ptr::null_mut());
            }
            libc::alarm(600);
            if plan.quiet {
                libc::dup2(libc::open(c"/dev/null".as_ptr(), libc::O_WRONLY), 2);
            }
        }
        threads::start(plan, results, || {
            match plan.seed % 4 {
                0 => play::<pages::Heap>(),
                1 => play::<lists::Heap>(),
                2 => play::<mixed::Heap>(),
                _ => play::<workers::Heap>(),
            }
            if plan.seed.is_multiple_of(3) {
                // SAFETY: no other thread of the process calls it.
                unsafe { libc::exit(0) };
            }
        });
        // SAFETY: no preconditions.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: the place for the result is a local.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    if status != 0 && !plan.quiet {
        eprintln!("sim: seed {} ended with status {status:#x}", plan.seed);
    }
    status == 0
}

/// A number from the environment.
fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn seeds_pass() {
    let body = || {
        let results = prepare();
        let failed: Vec<u64> = (0..SEEDS).filter(|&seed| !passes(plan(seed), results)).collect();
        assert!(failed.is_empty(), "seeds {failed:?}");
    };
    print!("{}", isolated("seeds_pass", body));
}

#[test]
fn a_seed_makes_one_trace() {
    let body = || {
        let results = prepare();
        for seed in 0..12 {
            let [once, again] = [(); 2].map(|()| {
                assert!(passes(plan(seed), results));
                (results[0].trace.load(Ordering::Relaxed), results[0].points.load(Ordering::Relaxed))
            });
            println!("seed {seed}: {:#018x} after {} points", once.0, once.1);
            assert_eq!(once, again, "seed {seed}");
        }
    };
    print!("{}", isolated("a_seed_makes_one_trace", body));
}

/// For `tests/sim.sh`: one seed, or all from one on for some time.
#[test]
#[ignore = "takes as long as one wants"]
fn many_seeds() {
    let body = || {
        let results = prepare();
        if let Some(seed) = variable("HAKMEM_SIM_SEED") {
            let passed = passes(plan(seed), results);
            println!("seed {seed}: {:x?}", results[0]);
            assert!(passed);
            return;
        }
        let first = variable("HAKMEM_SIM_FIRST").unwrap_or(0);
        let time = Duration::from_secs(variable("HAKMEM_SIM_SECONDS").unwrap_or(60));
        let (start, mut failed, total) = (Instant::now(), Vec::new(), Result::default());
        let mut seeds = FOUND.iter().copied().chain(first..);
        let mut last = first;
        while start.elapsed() < time && failed.len() < 20 {
            last = seeds.next().unwrap_or(last);
            if !passes(plan(last), results) {
                failed.push(last);
            }
            total.add(results[0]);
        }
        println!("sim: seeds {first} to {last} and {FOUND:?}: {total:?}");
        assert!(failed.is_empty(), "seeds {failed:?}");
    };
    print!("{}", isolated("many_seeds", body));
}

/// What is broken on purpose is found. It says how many seeds that took.
fn find(controls: &[Control]) {
    const MOST: u64 = 1000;
    let results = prepare();
    for &control in controls {
        let found = (0..MOST).find(|&seed| !passes(Plan { seed, control, quiet: true }, results));
        println!("sim: {control:?}: seed {found:?}");
        assert!(found.is_some(), "{MOST} seeds pass: {control:?}");
    }
}

#[test]
fn a_broken_kernel_is_found() {
    print!("{}", isolated("a_broken_kernel_is_found", || find(&[Control::LongPurge])));
}

#[cfg(hakmem_sim)]
#[test]
fn a_missing_step_is_found() {
    use hakmem_runtime::simulated::Step::{Exchange, Membarrier, RemoteList, Stacked, TakeAged};
    let controls = [Exchange, RemoteList, Stacked, TakeAged, Membarrier].map(Control::Without);
    print!("{}", isolated("a_missing_step_is_found", || find(&controls)));
}
