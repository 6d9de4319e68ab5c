//! Writes a profile as text, in the format of the recorder.

use std::fmt;

use super::Profile;

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = 0;
        let mut line = |text: String| {
            lines += 1;
            writeln!(f, "{text}")
        };
        line("hakmem-profile 2".to_owned())?;
        line(format!("program {}", self.program))?;
        line(format!("runs {}", self.runs))?;
        line(format!("time microseconds={}", self.microseconds))?;
        line(format!("bytes peak={} end={} resident={}", self.peak, self.end, self.resident))?;
        for (slot, thread) in self.threads.iter().enumerate() {
            line(format!(
                "thread place={slot} threads={} allocated={} freed={} remote={} bytes={}",
                thread.threads, thread.allocated, thread.freed, thread.remote, thread.bytes
            ))?;
        }
        for ((size, align), request) in &self.requests {
            let lifetimes: Vec<String> =
                request.lifetimes.iter().map(|(bucket, count)| format!("{bucket}:{count}")).collect();
            line(format!(
                "request size={size} align={align} block={} allocated={} freed={} remote={} grown_from={} grown_to={} \
                 live={} peak={} at_peak={} lifetimes={}",
                request.block,
                request.allocated,
                request.freed,
                request.remote,
                request.grown_from,
                request.grown_to,
                request.live,
                request.peak,
                request.at_peak,
                lifetimes.join(",")
            ))?;
        }
        for sample in &self.samples {
            let (at, live, resident) = (sample.microseconds, sample.live, sample.resident);
            line(format!("sample microseconds={at} live={live} resident={resident}"))?;
        }
        writeln!(f, "end {lines}")
    }
}
