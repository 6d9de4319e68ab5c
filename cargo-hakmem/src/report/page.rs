//! The HTML page.

use std::fmt::Write as _;

use similar::{ChangeTag, TextDiff};

use super::{Subject, charts};
use crate::asm::PATHS;
use crate::fit::evaluate::Evaluation;
use crate::record::rounded;

const STYLE: &str = include_str!("style.css");

/// `text` with HTML's special characters escaped.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A number with thousands separators.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let groups = digits.as_bytes()[first..].chunks(3).map(|group| String::from_utf8_lossy(group).into_owned());
    let head = Some(digits[..first].to_owned()).filter(|head| !head.is_empty());
    head.into_iter().chain(groups).collect::<Vec<_>>().join(",")
}

/// A section: a heading, a sentence or two, and the body.
fn section(title: &str, about: &str, body: &str) -> String {
    format!("<section><h2>{title}</h2><p>{about}</p>\n{body}</section>\n")
}

/// A legend of the colours of a chart.
fn legend(entries: &[(&str, &str)]) -> String {
    let entries: Vec<String> =
        entries.iter().map(|(kind, name)| format!("<li><i class=\"key {kind}\"></i>{name}</li>")).collect();
    format!("<ul class=\"legend\">{}</ul>\n", entries.join(""))
}

/// The whole report.
pub(super) fn page(subject: &Subject<'_>) -> String {
    let program = std::path::Path::new(&subject.recording.program).file_name().and_then(|name| name.to_str());
    let title = format!("{} on hakmem", escape(program.unwrap_or("A program")));
    let sections = [
        totals(subject),
        sizes(subject),
        numbers(subject),
        over_time(subject),
        classes(subject),
        code(subject),
        assembly(subject),
        changes(subject),
    ];
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<style>\n{STYLE}</style></head>\n\
         <body><main><h1>{title}</h1>\n{}</main></body></html>\n",
        sections.concat()
    )
}

fn totals(subject: &Subject<'_>) -> String {
    let (profile, tuned) = (subject.recording, subject.tuned);
    let percent = |of: &Evaluation| format!("{:.1} %", 100.0 * of.waste() as f64 / of.requested().max(1) as f64);
    let change = |before: String, after: String| format!("{before} <span class=\"to\">→</span> {after}");
    let resident = |of: &Evaluation| rounded(of.resident(&tuned.prices) as u64);
    let tiles = [
        ("allocations", grouped(profile.allocations())),
        ("live bytes at the peak", rounded(profile.bytes_at_peak())),
        ("classes", change(tuned.before.classes.len().to_string(), tuned.after.classes.len().to_string())),
        ("internal waste at the peak", change(percent(&tuned.before), percent(&tuned.after))),
        ("resident heap, predicted", change(resident(&tuned.before), resident(&tuned.after))),
        (
            "cache hit rate, predicted",
            change(
                format!("{:.2} %", 100.0 * tuned.before.hit_rate()),
                format!("{:.2} %", 100.0 * tuned.after.hit_rate()),
            ),
        ),
    ];
    let tiles: Vec<String> =
        tiles.iter().map(|(name, text)| format!("<div><dt>{name}</dt><dd>{text}</dd></div>")).collect();
    let program = escape(&profile.program);
    let threads: u64 = profile.threads.iter().map(|thread| thread.threads).sum();
    format!(
        "<p>{} recorded, {threads} threads: <code>{program}</code>. Arrows lead from the current spec to the one that \
         <code>cargo hakmem tune</code> would write.</p>\n<dl class=\"tiles\">{}</dl>\n",
        if profile.runs == 1 { "One run".to_owned() } else { format!("{} runs", profile.runs) },
        tiles.concat()
    )
}

fn sizes(subject: &Subject<'_>) -> String {
    let before: Vec<u32> = subject.spec.spec.classes.iter().map(|class| class.size).collect();
    let legend = legend(&[
        ("one", "allocations"),
        ("two", "live bytes at the peak"),
        ("stroke-before", "current classes (upper row)"),
        ("stroke-after", "tuned classes (lower row)"),
    ]);
    let chart = charts::histogram(subject.recording, &before, subject.tuned);
    section(
        "What is asked for",
        "Requested sizes, four bars to a doubling. Each stroke is a class.",
        &(legend + &chart),
    )
}

fn numbers(subject: &Subject<'_>) -> String {
    let legend = legend(&[("line-one", "waste and the fixed costs of the classes"), ("line-two", "waste")]);
    section(
        "How many classes",
        "The best choice for each number of classes, by dynamic programming. Each class has a fixed cost: the memory that \
         every thread keeps for it. The chosen number is the one at which another class would cost more than it saves.",
        &(legend + &charts::knee(subject.tuned)),
    )
}

fn over_time(subject: &Subject<'_>) -> String {
    if subject.recording.samples.len() < 2 {
        return String::new();
    }
    let legend = legend(&[("line-one", "live bytes"), ("line-two", "resident bytes of the recorded program")]);
    section(
        "Over time",
        "Live bytes are those that the program requested. The recorded program needs more memory than an ordinary one: 16 \
         bytes for each block, and the recorder's tables.",
        &(legend + &charts::timeline(subject.recording)),
    )
}

fn classes(subject: &Subject<'_>) -> String {
    let tuned = subject.tuned;
    let all = tuned.after.arrivals().max(1) as f64;
    let mut rows = String::new();
    for (used, class) in tuned.after.classes.iter().zip(&tuned.spec.classes) {
        let serves = used.requests.map_or_else(String::new, |(least, most)| format!("{least}–{most}"));
        let layers: Vec<String> = class.stack.iter().map(ToString::to_string).collect();
        let _ = writeln!(
            rows,
            "<tr><td>{}</td><td>{serves}</td><td>{:.2}</td><td>{}</td><td>{}</td><td>{:.1}</td><td>{:.1}</td>\
             <td class=\"words\">{}{}{}</td></tr>",
            used.size,
            100.0 * used.arrivals as f64 / all,
            used.at_peak,
            used.peak,
            used.waste() as f64 / 1024.0,
            100.0 * used.remote_share(),
            layers.join(", "),
            if class.specialise { "" } else { ", not inlined" },
            if class.pinned { ", pinned" } else { "" },
        );
    }
    let table = format!(
        "<div class=\"scroll\"><table><thead><tr><th>size</th><th>serves</th><th>% of allocations</th><th>at the peak</th>\
         <th>own peak</th><th>waste KiB</th><th>% remote frees</th><th class=\"words\">layers</th></tr></thead>\
         <tbody>{rows}</tbody></table></div>\n"
    );
    section("The tuned classes", "Blocks live at the peak of the program, and at the peak of each class.", &table)
}

fn code(subject: &Subject<'_>) -> String {
    if subject.paths.is_empty() {
        return String::new();
    }
    let legend = legend(&[("one", "allocate"), ("two", "free")]);
    section(
        "Code by class",
        "Bytes of machine code of the hit paths under the current spec.",
        &(legend + &charts::code(subject.paths)),
    )
}

fn assembly(subject: &Subject<'_>) -> String {
    if subject.paths.is_empty() {
        return String::new();
    }
    let mut hottest: Vec<_> = subject.tuned.before.classes.iter().collect();
    hottest.sort_by_key(|used| std::cmp::Reverse(used.arrivals));
    let mut listings = String::new();
    for used in hottest.iter().take(2) {
        let Some(class) = subject.paths.iter().find(|class| class.size == used.size) else { continue };
        for (what, path) in PATHS.iter().zip(&class.paths) {
            let Some(path) = path else { continue };
            let _ = write!(
                listings,
                "<div class=\"scroll\"><h3>{what} {}: {} instructions, {} bytes, {}</h3><table class=\"code\"><tbody>",
                class.size,
                path.counts.instructions,
                path.bytes,
                path.tls.name()
            );
            for step in &path.steps {
                let note = annotation(&step.text, step.taken);
                let _ = writeln!(listings, "<tr><td><code>{}</code></td><td>{note}</td></tr>", escape(&step.text));
            }
            listings += "</tbody></table></div>\n";
        }
    }
    let listings = format!("<div class=\"pairs\">{listings}</div>");
    section("The two busiest classes", "The hit paths in the built program, under the current spec.", &listings)
}

/// What an instruction of a hit path does.
fn annotation(text: &str, taken: bool) -> &'static str {
    let (mnemonic, operands) = text.split_once(' ').unwrap_or((text, ""));
    let first_is_memory = operands.split(',').next().is_some_and(|operand| operand.contains('['));
    match mnemonic {
        "lock" => "atomic operation",
        "ret" => "return; not there when inlined",
        "call" => "call",
        "jmp" => "jump",
        _ if mnemonic.starts_with('j') && taken => "branch, taken on a hit",
        _ if mnemonic.starts_with('j') => "branch to the slow path, not taken on a hit",
        "cmp" | "test" if operands.contains('[') => "compare with memory",
        "cmp" | "test" => "compare",
        _ if operands.contains("fs:[") && first_is_memory => "store to the thread cache",
        _ if operands.contains("fs:[") => "load from the thread cache",
        "inc" | "dec" | "add" | "sub" if first_is_memory => "update in memory",
        "lea" => "compute an address",
        _ if first_is_memory => "store",
        _ if operands.contains('[') => "load",
        _ => "register operation",
    }
}

fn changes(subject: &Subject<'_>) -> String {
    let diff = TextDiff::from_lines(&subject.spec.source.text, &subject.tuned.text);
    let mut lines = String::new();
    for group in diff.grouped_ops(2) {
        for change in group.iter().flat_map(|operation| diff.iter_changes(operation)) {
            let (kind, sign) = match change.tag() {
                ChangeTag::Delete => ("gone", '-'),
                ChangeTag::Insert => ("new", '+'),
                ChangeTag::Equal => ("same", ' '),
            };
            let text = escape(change.value().trim_end_matches('\n'));
            let _ = writeln!(lines, "<span class=\"{kind}\">{sign} {text}</span>");
        }
        lines += "<span class=\"same\">  ⋯</span>\n";
    }
    let name = escape(&subject.spec.source.name);
    section(
        "The spec",
        &format!("What <code>cargo hakmem tune</code> would change in {name}."),
        &format!("<pre>{lines}</pre>"),
    )
}
