//! Tables of recorded runs: the ratios and medians that the pages show, from `docs/runs/*.csv`.

use crate::page::{check, recorded, table};

/// A field that is a number.
fn number(field: &str) -> f64 {
    field.parse().unwrap_or_else(|_| panic!("{field:?} is not a number"))
}

fn geometric_mean(ratios: &[f64]) -> f64 {
    (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp()
}

/// Means of hakmem's figure divided by a peer's, over the patterns and over the programs. The patterns that time single
/// operations are in no mean of times, and large blocks in none at all.
#[test]
fn standings_in_the_readme() {
    let rows = recorded("standings");
    let (head, rows) = rows.split_first().expect("a head");
    let of = |name: &str| head.iter().position(|column| column == name).unwrap_or_else(|| panic!("no {name}"));
    let hakmem = of("hakmem");
    let peers: Vec<usize> = (3..head.len()).filter(|&column| !head[column].starts_with("hakmem")).collect();
    let mut names = vec!["hakmem / peer, geometric means"];
    names.extend(peers.iter().map(|&peer| &*head[peer]));
    names.extend(["the best peer of each", "hakmem again"]);
    let mut lines = Vec::new();
    for (what, measure) in [("time", "ns an operation"), ("peak RSS", "peak KiB")] {
        for (group, programs) in [("patterns", false), ("programs", true)] {
            let timed = |group: &str| group != "latency" || what != "time";
            let rows: Vec<_> = rows.iter().filter(|row| row[2] == measure && timed(&row[0])).collect();
            let rows = rows
                .into_iter()
                .filter(|row| (row[0] == "programs") == programs && row[0] != "large" && row[0] != "idle");
            let rows: Vec<_> = rows.collect();
            let mean = |peer: &dyn Fn(&[String]) -> f64| {
                let ratios: Vec<f64> = rows.iter().map(|row| number(&row[hakmem]) / peer(row)).collect();
                format!("{:.2}", geometric_mean(&ratios))
            };
            let best = |row: &[String]| peers.iter().map(|&peer| number(&row[peer])).fold(f64::INFINITY, f64::min);
            let mut line = vec![format!("{what}, {} {group}", rows.len())];
            line.extend(peers.iter().map(|&peer| mean(&|row| number(&row[peer]))));
            line.extend([mean(&best), mean(&|row| number(&row[of("hakmem-again")]))]);
            lines.push(line);
        }
    }
    check("README.md", "standings", &table(&names, &lines));
}

/// Waste in parts of what was asked for; memory and processor time, and how the other two specs change them.
#[test]
fn the_proof_of_tuning() {
    let rows = recorded("tuning");
    let (head, rows) = rows.split_first().expect("a head");
    let of = |row: &[String], name: &str| {
        number(&row[head.iter().position(|column| column == name).unwrap_or_else(|| panic!("no {name}"))])
    };
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let part = |part: &str, whole: &str| format!("{:.2} %", 100.0 * of(row, part) / of(row, whole));
            let change = |arm: &str, what: &str| {
                let ratio = of(row, &format!("{arm} {what}")) / of(row, &format!("default {what}"));
                format!("{:+.1} %", 100.0 * (ratio - 1.0))
            };
            let of_rss = of(row, "waste before") / 1024.0 / of(row, "default peak KiB");
            vec![
                row[0].clone(),
                format!("{} → {}", of(row, "classes before"), of(row, "classes after")),
                part("waste before", "requested"),
                part("waste predicted", "requested"),
                part("waste realised", "requested realised"),
                format!("{:.1} MiB", of(row, "default peak KiB") / 1024.0),
                format!("{:.1} %", 100.0 * of_rss),
                change("tuned", "peak KiB"),
                change("greedy", "peak KiB"),
                format!("{:.2} s", of(row, "default processor s")),
                change("tuned", "processor s"),
                change("greedy", "processor s"),
            ]
        })
        .collect();
    let head = [
        "program",
        "classes",
        "waste, default",
        "tuned, predicted",
        "realised",
        "peak RSS, default",
        "of it waste",
        "tuned",
        "greedy",
        "processor time, default",
        "tuned",
        "greedy",
    ];
    check("docs/TUNING.md", "proof", &table(&head, &lines));
}

/// Seconds and peak memory of programs under other libraries, relative to hakmem's.
#[test]
fn libraries_preloaded() {
    let rows = recorded("preloaded");
    let rows = &rows[1..];
    let libraries = ["glibc", "jemalloc", "mimalloc", "tcmalloc", "hakmem again"];
    let figures = |program: &str, library: &str| {
        let row = rows.iter().find(|row| row[0] == program && row[1] == library);
        let row = row.unwrap_or_else(|| panic!("no {program} under {library}"));
        [number(&row[2]), number(&row[3])]
    };
    let mut programs: Vec<&str> = rows.iter().map(|row| &*row[0]).collect();
    programs.dedup();
    let ratios = |program: &str, library: &str| {
        let (other, ours) = (figures(program, library), figures(program, "hakmem"));
        [other[0] / ours[0], other[1] / ours[1]]
    };
    let mut lines: Vec<Vec<String>> = programs
        .iter()
        .map(|program| {
            let cells = libraries.iter().map(|library| ratios(program, library));
            let cells = cells.map(|[time, memory]| format!("{time:.2}, {memory:.2}"));
            [(*program).to_owned()].into_iter().chain(cells).collect()
        })
        .collect();
    let means = libraries.iter().map(|library| {
        let mean = |which: usize| {
            geometric_mean(&programs.iter().map(|program| ratios(program, library)[which]).collect::<Vec<_>>())
        };
        format!("{:.2}, {:.2}", mean(0), mean(1))
    });
    lines.push(["geometric mean".to_owned()].into_iter().chain(means).collect());
    let mut head = vec!["time, peak RSS"];
    head.extend(libraries);
    check("docs/MALLOC.md", "preloaded", &table(&head, &lines));
}
