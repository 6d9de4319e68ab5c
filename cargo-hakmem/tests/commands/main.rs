//! The subcommands in a project of their own, through cargo, as a user runs them.

mod project;

use std::collections::BTreeMap;
use std::path::Path;

use project::{PROGRAM, Project, SPEC};

/// The numbers of a request of the program's own in a profile.
fn request(profile: &str, size: u32) -> BTreeMap<String, String> {
    let start = format!("request size={size} align=2 ");
    let line = profile.lines().find(|line| line.starts_with(&start));
    let line = line.unwrap_or_else(|| panic!("no request of {size}:\n{profile}"));
    line.split(' ').filter_map(|word| word.split_once('=')).map(|(name, text)| (name.into(), text.into())).collect()
}

/// The fields of a request by name, as numbers.
#[track_caller]
fn expect(profile: &str, size: u32, fields: &[(&str, u64)]) {
    let request = request(profile, size);
    for (name, number) in fields {
        assert_eq!(request[*name], number.to_string(), "{name} of {size}: {request:?}");
    }
}

/// What the program asks for, whatever its end.
#[track_caller]
fn expect_all(profile: &str, runs: u64) {
    expect(profile, 200, &[("align", 2), ("block", 512), ("allocated", 1000 * runs), ("freed", 1000 * runs)]);
    expect(profile, 200, &[("live", 0), ("peak", 500 * runs), ("remote", 0)]);
    // The last look was at most 1/64 of the live bytes, 1.7 KB, and the kilobyte that a thread keeps to itself before the peak:
    // 13 blocks. How many of them depends on what else is alive, such as the program's path.
    let at_peak: u64 = request(profile, 200)["at_peak"].parse().unwrap();
    assert!((486 * runs..=500 * runs).contains(&at_peak), "{at_peak}");
    expect(profile, 24, &[("allocated", 1000 * runs), ("remote", 1000 * runs), ("block", 64)]);
    expect(profile, 3000, &[("allocated", runs), ("grown_from", runs), ("grown_to", 0), ("freed", 0), ("live", 0)]);
    expect(profile, 5000, &[("allocated", 0), ("grown_from", runs), ("grown_to", runs), ("peak", runs)]);
    expect(profile, 7000, &[("grown_to", runs), ("freed", runs), ("block", 8192)]);
    let lifetimes = &request(profile, 200)["lifetimes"];
    let counts = lifetimes.split(',').map(|pair| pair.split_once(':').unwrap().1.parse::<u64>().unwrap());
    assert_eq!(counts.sum::<u64>(), 1000 * runs, "{lifetimes}");
    assert!(profile.lines().filter(|line| line.starts_with("thread ")).count() >= 2, "{profile}");
    assert!(profile.contains("\nsample "), "{profile}");
}

#[test]
fn a_profile_is_exact_however_the_program_ends() {
    let project = Project::new("recorded");
    project.succeed(&["record"]);
    let profile = project.read("hakmem.profile");
    assert!(profile.contains("\nruns 1\n"), "{profile}");
    expect_all(&profile, 1);

    for (end, said) in [("abort", "SIGABRT"), ("terminate", "SIGTERM")] {
        let message = project.fail(&["record", "-o", "ended.profile", "--", end]);
        assert!(message.contains("the profile is written") && message.contains(said), "{message}");
        expect_all(&project.read("ended.profile"), 1);
    }

    // Two processes, one profile; and two runs, one profile.
    project.succeed(&["record", "-o", "twice.profile", "--", "twice"]);
    project.succeed(&["record", "-o", "runs.profile", "--runs", "2"]);
    for profile in [project.read("twice.profile"), project.read("runs.profile")] {
        assert!(profile.contains("\nruns 2\n"), "{profile}");
        expect_all(&profile, 2);
    }

    // The child of a fork tells of what it allocated itself, and its parent of the rest.
    project.succeed(&["record", "-o", "fork.profile", "--", "fork"]);
    let fork = project.read("fork.profile");
    assert!(fork.contains("\nruns 2\n"), "{fork}");
    expect_all(&fork, 1);
    expect(&fork, 88, &[("allocated", 10), ("freed", 10), ("live", 0), ("peak", 10)]);
    expect(&fork, 72, &[("allocated", 300), ("freed", 300), ("live", 0), ("peak", 300), ("remote", 0)]);

    let message = project.fail(&["record", "-o", "no/such/folder/a.profile"]);
    assert!(message.contains("there is no such folder"), "{message}");
}

/// A program without the path of this workspace, which stands in messages of panics and may be any text.
fn without_paths(program: &Path) -> Vec<u8> {
    let bytes = std::fs::read(program).unwrap();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().as_os_str().as_encoded_bytes();
    let (mut rest, mut others) = (&bytes[..], Vec::new());
    while let Some(place) = rest.windows(workspace.len()).position(|window| window == workspace) {
        others.extend_from_slice(&rest[..place]);
        rest = &rest[place + workspace.len()..];
    }
    others.extend_from_slice(rest);
    others
}

#[test]
fn nothing_of_the_recorder_is_in_another_build() {
    let project = Project::new("unrecorded");
    // The ordinary build is the later one.
    project.succeed(&["record"]);
    project.run();
    let folder = project.folder.parent().unwrap();
    let program = without_paths(&folder.join("target/release/unrecorded"));
    let recorded = without_paths(&folder.join("target/hakmem/build/release/unrecorded"));
    let has = |program: &[u8], text: &str| program.windows(text.len()).any(|window| window == text.as_bytes());
    for text in ["HAKMEM_PROFILE", "hakmem-profile", "hakmem_runtime6record", "anchors"] {
        assert!(!has(&program, text), "{text} is in the program");
        assert!(text == "anchors" || has(&recorded, text), "{text} is not in the recorded program");
    }
}

/// A feature that one package asks for is on in every package that is built with it.
#[test]
fn no_feature_turns_the_recorder_on() {
    for feature in ["record", "anchors"] {
        let dependency = format!("hakmem = {{ path = HAKMEM, features = ['{feature}'] }}\n");
        let project = Project::bare(&format!("feature_{feature}"), &dependency);
        project.write("src/main.rs", PROGRAM);
        project.write("classes.toml", SPEC);
        let ended = project.hakmem(&["record"]);
        let refusal = format!("depends on `hakmem` with feature `{feature}` but `hakmem` does not have that feature");
        assert!(!ended.ok && ended.err.contains(&refusal), "{}", ended.err);
    }
}

#[test]
fn tuning_fits_the_classes_and_keeps_what_is_the_users() {
    let project = Project::new("tuned");
    project.succeed(&["record"]);
    // 200 bytes in blocks of 512.
    let message = project.fail(&["tune", "hakmem.profile", "--check"]);
    assert!(message.contains("more than the best for the profile"), "{message}");
    assert_eq!(project.read("classes.toml"), SPEC, "--check changed the spec");

    let said = project.succeed(&["tune", "hakmem.profile"]);
    assert!(said.contains("pinned") && said.contains("internal waste"), "{said}");
    let spec = project.read("classes.toml");
    for kept in ["# Mine.\n", "# as ever\n", "# The small ones.\n", "pinned = true # really\n", "# The others.\n"] {
        assert!(spec.contains(kept), "{kept:?} is gone:\n{spec}");
    }
    assert!(spec.contains("# tune: chosen for the profile\n"), "{spec}");
    let table = project.succeed(&["classes"]);
    let sizes: Vec<u32> =
        table.lines().skip(2).map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect();
    assert!([24, 136, 200].iter().all(|size| sizes.contains(size)), "{sizes:?}");
    assert!(sizes.contains(&8192), "what the old spec reached is out of reach: {sizes:?}");

    project.succeed(&["tune", "hakmem.profile", "--check"]);
    // Again, nothing changes.
    assert!(project.succeed(&["tune", "hakmem.profile"]).contains("the sizes stay: the best would save 0.00 %"));
    assert_eq!(project.read("classes.toml"), spec);
    assert_eq!(project.run(), format!("{} classes\n", sizes.len()));
    // What was predicted is what comes of it.
    project.succeed(&["record", "-o", "after.profile", "--", "linger"]);
    let after = project.read("after.profile");
    expect(&after, 200, &[("block", 200), ("peak", 500)]);
    expect(&after, 24, &[("block", 24)]);

    project.succeed(&["report", "after.profile", "--no-asm"]);
    let report = project.read("hakmem-report.html");
    for part in ["What is asked for", "How many classes", "Over time", "The tuned classes", "The spec", "</svg>"] {
        assert!(report.contains(part), "{part} is not in the report");
    }
    let elsewhere = ["http://", "<script", "<link", "<img"].map(|word| report.contains(word));
    assert_eq!(elsewhere, [false; 4], "the report needs something from elsewhere");

    // A profile of other sizes leaves no trace when the first is used again.
    project.write("other.profile", &after.replace("size=200 align=2", "size=320 align=2"));
    project.succeed(&["tune", "other.profile"]);
    assert_ne!(project.read("classes.toml"), spec);
    project.succeed(&["tune", "hakmem.profile"]);
    assert_eq!(project.read("classes.toml"), spec);

    let json =
        project.succeed(&["tune", "hakmem.profile", "after.profile", "--classes", "3", "--json", "--out", "few.toml"]);
    assert!(json.contains("\"chosen\": 3"), "{json}");
    let greedy = project.succeed(&["tune", "hakmem.profile", "--greedy", "--classes", "4", "--out", "greedy.toml"]);
    assert!(greedy.contains("pinned"), "{greedy}");
}

/// A spec in braces stays in its braces, and is still both TOML and Rust.
#[test]
fn a_spec_inside_the_program_is_tuned_there() {
    let project = Project::new("inlined");
    let inline = PROGRAM.replace(
        " = \"classes.toml\";",
        " {\n        # Mine.\n        [[class]]\n        sizes = [64, 512, 8192]\n    }",
    );
    project.write("src/main.rs", &inline);
    std::fs::remove_file(project.folder.join("classes.toml")).unwrap();
    project.succeed(&["record"]);
    let said = project.succeed(&["tune", "hakmem.profile"]);
    assert!(said.contains("wrote the spec in ") && said.contains("main.rs"), "{said}");
    let main = project.read("src/main.rs");
    assert!(main.contains("        # Mine.\n") && main.contains("# tune: chosen for the profile\n"), "{main}");
    assert!(main.ends_with(inline.split_once("8192]\n    }").unwrap().1), "{main}");
    let classes = project.succeed(&["classes"]).lines().count() - 2;
    assert_eq!(project.run(), format!("{classes} classes\n"));
}

#[test]
fn hit_paths_are_held_to_the_budgets() {
    let project = Project::new("measured");
    let table = project.succeed(&["asm"]);
    let rows: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 14, "{table}");
    // Of `unified`, as tests/golden/layers.txt has it.
    assert_eq!(rows[0][..10], ["16", "alloc", "5", "5", "1", "2", "1", "0", "0", "26"], "{table}");
    assert_eq!((rows[0][10], rows[1][2]), ("local-exec", "5"), "{table}");
    let steps = project.succeed(&["asm", "64"]);
    assert!(steps.contains("alloc 64: 5 instructions") && steps.contains("fs:["), "{steps}");

    // The anchors are no part of the program; the rest of it is what it is without them.
    project.run();
    let shipped = project.folder.parent().unwrap().join("target/release/measured");
    let ended = project.hakmem(&["asm", "--shipped", shipped.to_str().unwrap()]);
    let note = ended.err.lines().find_map(|line| line.split_once("the code of ")).expect("a comparison").1;
    let numbers: Vec<f64> = note.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(numbers[0] >= numbers[1] * 0.95, "{note}");

    project.write("classes.toml", &SPEC.replace("alloc = 5, free = 5", "alloc = 4, free = 5"));
    let message = project.fail(&["asm"]);
    assert!(message.starts_with("error: over budget: alloc of 16 takes 5 instructions, not 4; "), "{message}");
    assert!(!message.contains("free of"), "{message}");

    assert!(project.fail(&["asm", "17"]).contains("no class of 17 bytes"));
    let absent = project.fail(&["asm", "--binary", "no/such/program"]);
    assert!(absent.contains("cannot read the program no/such/program"), "{absent}");
    assert!(project.fail(&["asm", "--binary", "Cargo.toml"]).contains("not an x86-64 ELF program"));
    let shell = std::fs::canonicalize("/bin/sh").unwrap();
    let stripped = project.fail(&["asm", "--binary", shell.to_str().unwrap()]);
    assert!(stripped.contains("is stripped"), "{stripped}");
    let other = project.fail(&["asm", "--binary", env!("CARGO_BIN_EXE_cargo-hakmem")]);
    assert!(other.contains("no hit path of `Heap`"), "{other}");
}

#[test]
fn mistakes_get_one_message() {
    let project = Project::new("mistaken");
    project.write("classes.toml", "[[class]]\nsize = 20\n");
    for command in [&["classes"][..], &["asm"], &["record"]] {
        let message = project.fail(command);
        assert!(message.contains("a class size must be a multiple of 8\n --> classes.toml:2:8\n"), "{message}");
    }
    project.write("classes.toml", SPEC);
    project.write("foreign.profile", "heaptrack 1.2\n");
    project.write("truncated.profile", "hakmem-profile 2\nprogram a\nruns 1\n");
    assert!(project.fail(&["tune", "foreign.profile"]).contains("foreign.profile: this is not a hakmem profile"));
    assert!(project.fail(&["tune", "truncated.profile"]).contains("truncated.profile: the profile is truncated"));
    assert!(project.fail(&["tune", "absent.profile"]).contains("cannot read the profile absent.profile"));
    project.write("src/main.rs", "fn main() {}\n");
    for command in [&["classes"][..], &["asm"], &["record"], &["tune", "foreign.profile"]] {
        let message = project.fail(command);
        let missing = message.contains("does not call `hakmem::allocator!`") || command[0] == "tune";
        assert!(missing, "{message}");
    }
}

/// A package in a workspace, with two programs of which one wants a feature, and an allocator only in the other.
#[test]
fn the_package_and_the_program_are_found_as_cargo_finds_them() {
    let project = Project::bare("manifold", "");
    project.write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"one\", \"two\"]\n");
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let manifest = |name: &str, more: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n{more}")
    };
    project.write("two/Cargo.toml", &manifest("two", ""));
    project.write("two/src/lib.rs", "");
    let more = format!(
        "default-run = \"counts\"\n\n[features]\nmore = []\n\n[[bin]]\nname = \"counts\"\npath = \"src/main.rs\"\n\
         required-features = [\"more\"]\n\n[dependencies]\nhakmem = {{ path = {workspace:?} }}\n"
    );
    project.write("one/Cargo.toml", &manifest("one", &more));
    let features = "#[cfg(feature = \"more\")]\n";
    project.write("one/src/main.rs", &PROGRAM.replacen("\nhakmem::", &format!("\n{features}hakmem::"), 1));
    project.write("one/src/bin/other.rs", "fn main() {}\n");
    project.write("one/classes.toml", SPEC);

    let message = project.fail(&["classes"]);
    assert!(message.contains("several packages; choose one with -p: one, two"), "{message}");
    assert!(project.fail(&["classes", "-p", "three"]).contains("no package `three`, but one, two"));
    assert!(project.hakmem(&["record", "-p", "one"]).err.contains("requires the features: `more`"));
    project.succeed(&["record", "-p", "one", "--features", "more"]);
    expect_all(&project.read("hakmem.profile"), 1);
    let message = project.fail(&["record", "-p", "one", "--bin", "other"]);
    assert!(message.contains("the program `other` of the package `one` does not call"), "{message}");
    let message = project.fail(&["record", "-p", "one", "--bin", "third"]);
    assert!(message.contains("no program `third`, but counts, other"), "{message}");
    // In the package's own folder nothing needs to be said of it.
    let inside = Project { folder: project.folder.join("one/src") };
    assert!(inside.succeed(&["classes"]).starts_with("7 classes"));
    assert!(inside.fail(&["init"]).contains("calls `hakmem::allocator!` already"));
}

#[test]
fn output_that_nobody_reads_is_no_failure() {
    let project = Project::new("unread");
    let ended = project.unread(&["classes"]);
    assert!(ended.ok && ended.err.is_empty(), "{}", ended.err);
}

#[test]
fn classes_are_a_table_and_json() {
    let project = Project::new("listed");
    let table = project.succeed(&["classes"]);
    assert!(table.starts_with("7 classes; SuperSlabs of 2 MiB in slabs of 64 KiB\n"), "{table}");
    let json = project.succeed(&["classes", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["classes"][3]["size"], 136);
    assert_eq!(json["classes"][3]["pinned"], true);
    assert_eq!(json["classes"][1]["worst_waste"], 47.0 / 64.0);
    assert_eq!(json["classes"][0]["budget"]["alloc"], 5);
}

#[test]
fn a_program_gets_an_allocator_and_never_a_second_one() {
    let project = Project::bare("begun", "");
    let main = "//! A program.\n\nfn main() {\n    println!(\"{} classes\", Heap::CLASSES.len());\n}\n";
    project.write("src/main.rs", main);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_str().unwrap();
    let manifest = project.read("Cargo.toml");
    let diff = project.succeed(&["init", "--dry-run", "--hakmem-path", workspace]);
    for line in ["+hakmem = {", "+lto = \"fat\"", "+    pub struct Heap = \"classes.toml\";", "+[[class]]"] {
        assert!(diff.contains(line), "{line} is not in\n{diff}");
    }
    // Nobody answers, so nothing is changed.
    assert!(project.fail(&["init", "--hakmem-path", workspace]).contains("nothing was changed"));
    assert_eq!((project.read("Cargo.toml"), project.read("src/main.rs")), (manifest, main.to_owned()));
    assert!(!project.folder.join("classes.toml").exists());

    project.succeed(&["init", "--yes", "--hakmem-path", workspace]);
    assert_eq!(project.run(), "40 classes\n");
    assert!(project.fail(&["init", "--yes"]).contains("calls `hakmem::allocator!` already"));

    project.write(
        "src/main.rs",
        "use std::alloc::System;\n#[global_allocator]\nstatic GLOBAL: System = System;\n\nfn main() {}\n",
    );
    let message = project.fail(&["init", "--yes"]);
    assert!(message.contains("already has a global allocator, `System`"), "{message}");
}
