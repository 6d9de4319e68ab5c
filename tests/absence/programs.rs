//! What is looked at: a program for each layer and each policy, alike but for the spec.
//!
//! All are binaries of one project, so that hakmem and std's generics are shared and cargo is started once.

use hakmem_spec::{Arguments, LAYERS, LayerKind};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a spec may name beside layers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Its module in the runtime.
    pub(crate) module: &'static str,
    /// What the spec says.
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
        module: "legacy",
        key: "refill = \"legacy\"",
        layers: &["unified", "sll"],
        statics: &[],
        texts: &[],
        state: 0,
    },
    Policy {
        module: "background",
        key: "refill = \"background\"",
        layers: &["unified"],
        statics: &["filler", "queue"],
        texts: &[],
        state: 0,
    },
    Policy {
        module: "deferred",
        key: "free = \"deferred\"",
        layers: &["unified"],
        statics: &[],
        texts: &[],
        state: 16,
    },
    Policy {
        module: "region_id",
        key: "header = \"region-id\"",
        layers: &["unified"],
        statics: &[],
        texts: &["a block was freed that has no header", "a block was freed whose slab is free: a second free"],
        state: 0,
    },
    Policy {
        module: "purger",
        key: "[purge]\nbackground = true",
        layers: &["unified"],
        statics: &["purger"],
        texts: &[],
        state: 0,
    },
    Policy { module: "counted", key: "stats = true", layers: &["unified"], statics: &[], texts: &[], state: 16 },
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
        match module.split_once("::") {
            Some(("layers", "mod" | "below")) => true,
            // What several layers have in common.
            Some(("layers", "array")) => names(&["fast", "sfc"]),
            Some(("layers", "list")) => names(&["unified", "hot"]),
            Some(("layers", "ahead")) => self.layers.len() > 1 && self.kinds().next().is_some_and(|first| first.ahead),
            Some(("layers", layer)) => names(&[layer]),
            Some(("policies", policy)) => self.policy.is_some_and(|ours| ours.module == policy),
            // The thread of the two policies that have one.
            Some(("thread", "worker")) => {
                self.policy.is_some_and(|ours| ["background", "purger"].contains(&ours.module))
            }
            // The part of a slab that only a layer in the slabs themselves needs.
            Some(("slab", "listed")) => self.kinds().any(|kind| kind.arguments == Arguments::Geometry),
            // What makes a front C's `malloc`.
            Some(("c", _)) => false,
            _ => true,
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
                HEAP.replace("LAYERS", &format!("{layers:?}")).replace("POLICY", policy.map_or("", |policy| policy.key))
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
    use hakmem::__private::{Below, Filler, Front, Layer, Limit, Queue, Queued, Ring, Slabs, Worker};
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
        let filler = Box::leak(Box::new(Filler::new(super::Heap::runtime(), &[])));
        let worker: &'static Worker = Box::leak(Box::new(Worker::new(filler)));
        worker.wake();
        let ring = black_box(Ring::<64>::EMPTY);
        // SAFETY: without a heap there is nothing to get.
        unsafe {
            let slabs = || Slabs::new(super::Heap::runtime(), None, 0);
            black_box(ring.miss(&Limit::new(63), &mut slabs()));
            let _ = black_box(Queued::new(&QUEUE, slabs()).demand(1));
        }
    }
}

#[used]
static KEPT: fn() = leaks::run;
"#;

/// Every program: one a layer, one a policy, two whole stacks, the leak, and the one to compare with.
pub(crate) fn programs() -> Vec<Program> {
    let alone = LAYERS.iter().map(|kind| Program::new(kind.name, std::slice::from_ref(&kind.name), None));
    let policies = POLICIES.iter().map(|policy| Program::new(policy.module, policy.layers, Some(policy)));
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
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("absence");
    let write = |path: &str, text: &str| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // What is the same is left alone, so that cargo need not build it again.
        if fs::read_to_string(&path).ok().as_deref() != Some(text) {
            fs::write(path, text).unwrap();
        }
    };
    // As a release build without a word about profiles, and with the lines that instructions come from.
    let mut manifest = format!(
        "[package]\nname = \"absence\"\nversion = \"0.0.0\"\nedition = \"2024\"\nautobins = false\n\n[workspace]\n\n\
         [dependencies]\nhakmem = {{ path = '{}' }}\n\n[profile.release]\ndebug = \"line-tables-only\"\n",
        workspace.display()
    );
    for program in programs {
        let name = &program.name;
        write!(manifest, "\n[[bin]]\nname = \"{name}\"\npath = \"src/{name}.rs\"\n").unwrap();
        write(&format!("src/{name}.rs"), &program.source());
    }
    write("Cargo.toml", &manifest);
    write("Cargo.lock", &fs::read_to_string(workspace.join("Cargo.lock")).unwrap());
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--offline", "--quiet", "--target-dir"])
        .arg(folder.join("target"))
        .current_dir(&folder)
        // These names of symbols spell out what generic functions are instantiated with.
        .env("RUSTFLAGS", "-C symbol-mangling-version=v0")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .unwrap();
    assert!(status.success(), "the programs do not build");
    folder.join("target/release")
}
