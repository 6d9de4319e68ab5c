//! Runs one program: `hakmem-bench-programs NAME [SCALE]`, or lists them: `--list`.

use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_default();
    if name == "--list" {
        for program in hakmem_bench_programs::all() {
            println!("{:<12} {:>6}  {}", program.name, program.default_scale, program.about);
        }
        return ExitCode::SUCCESS;
    }
    let Some(program) = hakmem_bench_programs::all().iter().find(|program| program.name == name) else {
        eprintln!("usage: hakmem-bench-programs --list | NAME [SCALE]");
        return ExitCode::FAILURE;
    };
    let scale = match args.next().map(|scale| scale.parse()) {
        None => program.default_scale,
        Some(Ok(scale)) => scale,
        Some(Err(error)) => {
            eprintln!("hakmem-bench-programs: the scale: {error}");
            return ExitCode::FAILURE;
        }
    };
    let start = Instant::now();
    let checksum = (program.run)(scale);
    let seconds = start.elapsed().as_secs_f64();
    println!("{name:<12} {checksum:016x} {seconds:7.3} s {:7.1} MiB", peak_rss());
    ExitCode::SUCCESS
}

/// In MiB; 0 where `/proc` does not say.
fn peak_rss() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}
