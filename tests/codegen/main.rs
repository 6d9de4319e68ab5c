//! What the macro makes: hit paths as counted instructions, nothing that no spec names, messages for broken specs, and code that
//! other people's crates and lints take. Programs are built for it; nothing here depends on a spec that the tests generate.

#[path = "../common/cargo.rs"]
mod cargo;

mod absence;
mod compile_fail;
mod fixtures;
mod golden;
mod scopes;
mod stacks_specs;
mod system;
