//! A compiler: shaders through lexer, parser, type checker, validator and two back ends.

use crate::checksum::Checksum;
use crate::input::Rng;
use naga::back::{glsl, spv};
use naga::proc::BoundsCheckPolicies;
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{ShaderStage, front::wgsl};
use std::fmt::Write;

const SHADERS: &str = include_str!("../input/shaders.wgsl");

/// Functions made for each module.
const FUNCTIONS: usize = 60;

/// An expression of type `f32` over `x`, `y` and `t`.
fn expression(rng: &mut Rng, depth: usize, text: &mut String) {
    if depth == 0 {
        text.push_str(["x", "y", "t.x", "t.y", "t.z", "0.5", "1.25", "material.roughness"][rng.below(8)]);
        return;
    }
    let (open, middle) =
        [("(", " + "), ("(", " * "), ("(", " - "), ("min(", ", "), ("max(", ", "), ("step(", ", ")][rng.below(6)];
    text.push_str(open);
    expression(rng, depth - 1, text);
    text.push_str(middle);
    expression(rng, depth.saturating_sub(2), text);
    text.push(')');
}

/// The committed shaders and functions of all kinds of statements, each of which calls an earlier one.
fn source(rng: &mut Rng) -> String {
    let mut text = String::from(SHADERS);
    for number in 0..FUNCTIONS {
        let _ = write!(text, "\nfn made_{number}(x: f32, y: f32, v: vec3<f32>) -> f32 {{\n    var t = v;\n");
        for statement in 0..2 + rng.below(6) {
            match rng.below(4) {
                0 => {
                    let _ = write!(text, "    let a_{statement} = ");
                    expression(rng, 5, &mut text);
                    let _ = write!(text, ";\n    t = t * a_{statement};\n");
                }
                1 => {
                    text.push_str("    if x < ");
                    expression(rng, 2, &mut text);
                    text.push_str(" { t.x = ");
                    expression(rng, 4, &mut text);
                    text.push_str("; } else { t.y += ");
                    expression(rng, 3, &mut text);
                    text.push_str("; }\n");
                }
                2 => {
                    let _ = write!(text, "    for (var i = 0; i < {}; i++) {{ t.z += f32(i) * ", 2 + rng.below(9));
                    expression(rng, 3, &mut text);
                    text.push_str("; }\n");
                }
                _ if number > 0 => {
                    let callee = rng.below(number);
                    let _ = write!(text, "    t += vec3<f32>(made_{callee}(t.x, ");
                    expression(rng, 3, &mut text);
                    text.push_str(", t.zyx), y, 0.25);\n");
                }
                _ => text.push_str("    t = normalize(t);\n"),
            }
        }
        text.push_str("    return dot(t, v);\n}\n");
    }
    text.push_str("\nfn generated(color: vec3<f32>) -> vec3<f32> {\n    var sum = 0.0;\n");
    for number in 0..FUNCTIONS {
        let _ = writeln!(text, "    sum += made_{number}(color.x, color.y, color);");
    }
    text.push_str("    return color * sum;\n}\n");
    text
}

pub(crate) fn run(scale: u32) -> u64 {
    let mut rng = Rng::new(9);
    let mut sum = Checksum::default();
    let mut kept = Vec::new();
    // The default differs between debug and release builds.
    let mut spirv = spv::Options::default();
    spirv.flags.remove(spv::WriterFlags::DEBUG);
    for round in 0..scale {
        let source = source(&mut rng);
        let module = wgsl::parse_str(&source).expect("the shaders parse");
        let info = Validator::new(ValidationFlags::all(), Capabilities::all())
            .validate(&module)
            .expect("the shaders are valid");
        let words = spv::write_vec(&module, &info, &spirv, None).expect("all of it is in SPIR-V");
        words.iter().for_each(|&word| sum.add(u64::from(word)));
        for (shader_stage, entry_point) in
            [(ShaderStage::Fragment, "fragment_main"), (ShaderStage::Compute, "compute_main")]
        {
            let pipeline = glsl::PipelineOptions { shader_stage, entry_point: entry_point.to_owned(), multiview: None };
            let options = glsl::Options::default();
            let mut text = String::new();
            glsl::Writer::new(&mut text, &module, &info, &options, &pipeline, BoundsCheckPolicies::default())
                .and_then(|mut writer| writer.write())
                .expect("all of it is in GLSL");
            sum.text(&text);
        }
        // What a renderer keeps.
        if round % 4 == 0 {
            kept.push((module, info, words));
        }
    }
    sum.count(kept.iter().map(|(module, _, _)| module.functions.len()).sum());
    sum.value()
}

#[cfg(test)]
#[test]
fn checksum() {
    assert_eq!(run(1), 0x6de7_7247_1ad7_891a);
}
