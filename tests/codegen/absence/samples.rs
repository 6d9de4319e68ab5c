//! What is looked at: a program for each layer and each policy, alike but for the spec.
//!
//! All are binaries of one project, so that hakmem and std's generics are shared and cargo is started once.

use crate::cargo::{cargo, project};
use hakmem_spec::{Arguments, LAYERS, LayerKind};
use std::fmt::Write as _;
use std::path::PathBuf;

/// What a spec may name beside layers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// What its program is called after.
    pub(crate) name: &'static str,
    /// Its modules in the runtime; that of each is code.
    pub(crate) modules: &'static [&'static str],
    /// What the spec says at its top.
    pub(crate) head: &'static str,
    /// What it says of the class, or after it.
    pub(crate) key: &'static str,
    /// The stack in its program.
    pub(crate) layers: &'static [&'static str],
    /// Words in the names of the statics that the macro emits for it.
    pub(crate) statics: &'static [&'static str],
    /// Texts that nothing else contains.
    pub(crate) texts: &'static [&'static str],
    /// Bytes that it adds to the state of a class of one layer.
    pub(crate) state: u64,
}

/// The policies.
pub(crate) static POLICIES: &[Policy] = &[
    Policy {
        name: "legacy",
        modules: &["cache::refill_via"],
        head: "",
        key: "refill = \"legacy\"",
        layers: &["unified", "sll"],
        statics: &[],
        texts: &[],
        state: 0,
    },
    Policy {
        name: "background",
        modules: &["background", "cache::queue"],
        head: "",
        key: "refill = \"background\"",
        layers: &["unified"],
        statics: &["filler"],
        texts: &[],
        state: 0,
    },
    Policy {
        name: "deferred",
        modules: &["cache::deferred"],
        head: "",
        key: "free = \"deferred\"",
        layers: &["unified"],
        statics: &[],
        texts: &[],
        state: 16,
    },
    Policy {
        name: "region_id",
        modules: &["header"],
        head: "",
        key: "header = \"region-id\"",
        layers: &["unified"],
        statics: &[],
        texts: &["invalid free: corrupted or missing header", "sized deallocation mismatch: a large block"],
        state: 0,
    },
    Policy {
        name: "purger",
        modules: &["purger"],
        head: "",
        key: "[purge]\nbackground = true",
        layers: &["unified"],
        statics: &["purger"],
        texts: &[],
        state: 0,
    },
    Policy {
        name: "crash_report",
        modules: &["crash_report", "sys::signals", "extent::inspect"],
        head: "crash_report = true",
        key: "",
        layers: &["unified"],
        statics: &["crash"],
        texts: &["close to the stack pointer, as when a stack overflows"],
        state: 0,
    },
    Policy {
        name: "counted",
        modules: &["cache::counted"],
        head: "",
        key: "stats = true",
        layers: &["unified"],
        statics: &[],
        texts: &[],
        state: 16,
    },
];

/// What a program's spec names, and nothing else may be in its binary.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spec {
    pub(crate) layers: &'static [&'static str],
    pub(crate) policy: Option<&'static Policy>,
}

impl Spec {
    /// Whether code or data of this module of the runtime belongs to the program.
    pub(crate) fn allows(&self, module: &str) -> bool {
        let names = |names: &[&str]| self.layers.iter().any(|layer| names.contains(layer));
        if let Some(policy) = POLICIES.iter().find(|policy| policy.modules.contains(&module)) {
            return self.policy == Some(policy);
        }
        match module {
            "cache" | "cache::mod" | "cache::below" | "cache::slabs" | "cache::stacked" => true,
            // What several layers have in common.
            "cache::array" => names(&["fast", "sfc"]),
            "cache::depot" => names(&["heapv2"]),
            "cache::circle" => names(&["ring", "quarantine"]),
            "cache::bounded_list" => names(&["unified", "sll", "c23", "hot", "pages"]) || self.policy.is_some(),
            "cache::inline" => self.layers.len() > 1 && self.kinds().next().is_some_and(|first| first.inline),
            // The thread of the two policies that have one.
            "worker" => self.policy.is_some_and(|ours| ["background", "purger"].contains(&ours.name)),
            // The part of a slab that only a layer in the slabs themselves needs.
            "slab::page_list" => self.kinds().any(|kind| kind.arguments == Arguments::Geometry),
            _ => match module.split_once("::") {
                Some(("cache", layer)) => names(&[layer]),
                // What makes a thread cache C's `malloc`.
                Some(("c", _)) => false,
                _ => true,
            },
        }
    }

    fn kinds(&self) -> impl Iterator<Item = &'static LayerKind> {
        self.layers.iter().flat_map(|layer| LAYERS.iter().find(|kind| kind.name == *layer))
    }
}

/// A program, by the name of its binary.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: String,
    /// `None`: it has the system's allocator.
    pub(crate) spec: Option<Spec>,
    /// What it contains besides.
    more: &'static str,
}

impl Program {
    fn new(name: &str, layers: &'static [&'static str], policy: Option<&'static Policy>) -> Program {
        Program { name: format!("with_{name}"), spec: Some(Spec { layers, policy }), more: "" }
    }

    fn source(&self) -> String {
        let heap = match self.spec {
            Some(Spec { layers, policy }) => {
                let [head, key] = policy.map_or([""; 2], |policy| [policy.head, policy.key]);
                HEAP.replace("LAYERS", &format!("{layers:?}")).replace("HEAD", head).replace("POLICY", key)
            }
            None => "fn purge() {}\n".to_owned(),
        };
        heap + self.more + JOB
    }
}

/// The allocator of a program.
const HEAP: &str = r"
#[global_allocator]
static HEAP: Heap = Heap;

hakmem::allocator! {
    struct Heap {
        HEAD
        [[class]]
        size = 64
        layers = LAYERS
        POLICY
    }
}

fn purge() {
    Heap::purge();
}
";

/// Allocates, reallocates, frees, asks for zeroed and for large memory, in threads that end. The blocks are of the class
/// with a header, too.
const JOB: &str = r#"
fn job(count: usize) -> usize {
    let boxes: Vec<Box<[usize; 7]>> = (0..count).map(|number| Box::new([number; 7])).collect();
    let mut bytes = vec![0_u8; count];
    bytes.extend(boxes.iter().map(|numbers| numbers[0] as u8));
    bytes.iter().map(|&byte| usize::from(byte)).sum()
}

fn main() {
    let count = 10_000 * std::env::args().len();
    let threads: Vec<_> = (0..2).map(|_| std::thread::spawn(move || job(count))).collect();
    for thread in threads {
        assert_eq!(thread.join().ok(), Some(job(count)));
    }
    purge();
}
"#;

/// The name of the program whose spec names `unified` and whose source reaches behind the macro's back for more.
pub(crate) const LEAK: &str = "leak";

/// Nothing of it needs to run, as long as the compiler cannot know that it does not.
const LEAKS: &str = r#"
mod leaks {
    use hakmem::__private::{CompiledSpec, Layer, Queue, Queued, Rest, Ring, Slabs, Under, Worker, filler};
    use std::cell::Cell;
    use std::hint::black_box;

    static NAMES: [&str; 1] = ["ring"];

    static QUEUE: Queue = Queue::new(0);

    thread_local! {
        static MORE: Cell<[u64; 32]> = const { Cell::new([0; 32]) };
    }

    pub(crate) fn run() {
        black_box(&NAMES);
        MORE.with(|more| black_box(more).set([1; 32]));
        let filler = Box::leak(Box::new(filler::<super::Heap>(super::Heap::allocator())));
        let worker: &'static Worker = Box::leak(Box::new(Worker::new(filler)));
        worker.wake();
        let ring = black_box(Ring::<64>::EMPTY);
        // SAFETY: the only class.
        let mut slabs = unsafe { Slabs::new(super::Heap::allocator().backing(), None, 0) };
        let mut below = Under::new(&Queued, &QUEUE, &mut slabs);
        let limit = <Ring<64> as Layer>::Shared::new(63);
        black_box(ring.refill(&limit, &mut below).is_some());
        black_box(Queued::TRIMS);
    }
}

#[used]
static KEPT: fn() = leaks::run;
"#;

/// Every program: one a layer, one a policy, two whole stacks, the leak, and the one to compare with.
pub(crate) fn programs() -> Vec<Program> {
    let alone = LAYERS.iter().map(|kind| Program::new(kind.name, std::slice::from_ref(&kind.name), None));
    let policies = POLICIES.iter().map(|policy| Program::new(policy.name, policy.layers, Some(policy)));
    let mut programs: Vec<Program> = alone.chain(policies).collect();
    programs.push(Program::new("unified_over_sll", &["unified", "sll"], None));
    programs.push(Program::new("ultrahot_ahead", &["ultrahot", "fast", "sll"], None));
    programs.push(Program {
        name: LEAK.to_owned(),
        spec: Some(Spec { layers: &["unified"], policy: None }),
        more: LEAKS,
    });
    programs.push(Program { name: "system".to_owned(), spec: None, more: "" });
    programs
}

/// Builds `programs` and returns the folder with the binaries.
pub(crate) fn build(programs: &[Program]) -> PathBuf {
    // As a release build without a word about profiles, and with the lines that instructions come from.
    let mut manifest = String::from("\n[profile.release]\ndebug = \"line-tables-only\"\n");
    for Program { name, .. } in programs {
        write!(manifest, "\n[[bin]]\nname = \"{name}\"\npath = \"src/{name}.rs\"\n").unwrap();
    }
    let folder = project("absence", "2024", "hakmem", &manifest);
    for program in programs {
        crate::cargo::write(&folder, &format!("src/{}.rs", program.name), &program.source());
    }
    // These names of symbols spell out what generic functions are instantiated with.
    let mut build = cargo("build", &folder, &folder.join("target"));
    let status = build.arg("--release").env("RUSTFLAGS", "-C symbol-mangling-version=v0").status().unwrap();
    assert!(status.success(), "the programs do not build");
    folder.join("target/release")
}
