# hakmem-spec with what it depends on, from nothing, offline. rustup's rustc brings jemalloc in its executable, which comes
# before what is preloaded; cargo, build scripts, procedural macros' loaders and the linker do not.
export CARGO_TARGET_DIR=$PWD/target
cargo build --offline --quiet --manifest-path "$TOP/hakmem-spec/Cargo.toml" 2>&1
cargo metadata --offline --format-version 1 --manifest-path "$TOP/Cargo.toml" | sed "s|$PWD||g" | sha256sum
printf 'fn main() { let v: Vec<String> = (0..100000).map(|i| i.to_string()).collect(); println!("{}", v.concat().len()); }' >main.rs
rustc -O -o main main.rs
./main
