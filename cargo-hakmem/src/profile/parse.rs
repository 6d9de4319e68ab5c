//! Parses the text of a profile.

use std::collections::BTreeMap;

use super::{Profile, Request, Sample, Thread};

/// Parses a profile; the error is a message of one line.
pub(super) fn profile(text: &str) -> Result<Profile, String> {
    let Some(version) = text.lines().next().and_then(|line| line.strip_prefix("hakmem-profile ")) else {
        return Err("this is not a hakmem profile: it does not begin with `hakmem-profile`".into());
    };
    if version != "2" {
        return Err(format!("this is a profile of version {version}, and only version 2 can be read: record it again"));
    }
    let lines: Vec<&str> = text.lines().collect();
    let count = lines.last().and_then(|line| line.strip_prefix("end ")?.parse::<usize>().ok());
    if count != Some(lines.len() - 1) || !text.ends_with('\n') {
        return Err("the profile is truncated: it does not end with the number of its lines".into());
    }
    let mut profile = Profile::default();
    for (number, line) in lines.iter().enumerate().take(lines.len() - 1).skip(1) {
        read_line(&mut profile, line).map_err(|reason| format!("line {}: {reason}", number + 1))?;
    }
    if !adds_up(&profile) {
        return Err("the profile counts more bytes than any program has".into());
    }
    Ok(profile)
}

/// Whether all that is added and multiplied later fits in 64 bits: 2⁵⁸ bytes are those of a year at 9 GB a second.
fn adds_up(profile: &Profile) -> bool {
    const MOST: u128 = 1 << 58;
    let of_threads = profile.threads.iter().map(|t| sum([t.threads, t.allocated, t.freed, t.remote, t.bytes]));
    let of_requests = profile.requests.iter().map(|((size, _), request)| {
        let counts = [request.allocated, request.freed, request.remote, request.grown_from, request.grown_to];
        let blocks = sum(counts) + sum([request.live, request.peak, request.at_peak]);
        let lifetimes: u128 = request.lifetimes.values().copied().map(u128::from).sum();
        u128::from((*size).max(request.block).max(1)).saturating_mul(blocks + lifetimes)
    });
    let of_run = sum([profile.runs, profile.microseconds, profile.peak, profile.end, profile.resident]);
    of_threads.chain(of_requests).chain([of_run]).fold(0, u128::saturating_add) < MOST
}

fn sum<const N: usize>(counts: [u64; N]) -> u128 {
    counts.into_iter().map(u128::from).sum()
}

fn read_line(profile: &mut Profile, line: &str) -> Result<(), String> {
    let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
    match kind {
        "program" => profile.program = rest.to_owned(),
        "runs" => profile.runs = number(rest)?,
        "time" => {
            profile.microseconds = Fields::new(rest)?.number("microseconds")?;
        }
        "bytes" => {
            let fields = Fields::new(rest)?;
            profile.peak = fields.number("peak")?;
            profile.end = fields.number("end")?;
            profile.resident = fields.number("resident")?;
        }
        "thread" => profile.threads.push(thread(&Fields::new(rest)?)?),
        "request" => {
            let fields = Fields::new(rest)?;
            let key = (fields.number("size")?, fields.number("align")?);
            if !key.1.is_power_of_two() {
                return Err(format!("{} is not an alignment", key.1));
            }
            if profile.requests.insert(key, request(&fields)?).is_some() {
                return Err(format!("a second request of size {} and alignment {}", key.0, key.1));
            }
        }
        "sample" => {
            let fields = Fields::new(rest)?;
            profile.samples.push(Sample {
                microseconds: fields.number("microseconds")?,
                live: fields.number("live")?,
                resident: fields.number("resident")?,
            });
        }
        _ => return Err(format!("unknown line {kind:?}")),
    }
    Ok(())
}

fn thread(fields: &Fields<'_>) -> Result<Thread, String> {
    Ok(Thread {
        threads: fields.number("threads")?,
        allocated: fields.number("allocated")?,
        freed: fields.number("freed")?,
        remote: fields.number("remote")?,
        bytes: fields.number("bytes")?,
    })
}

fn request(fields: &Fields<'_>) -> Result<Request, String> {
    let lifetimes = fields.text("lifetimes")?;
    let bucket = |pair: &str| {
        let (bucket, count) = pair.split_once(':').ok_or_else(|| format!("{pair:?} is not a lifetime"))?;
        let log = number(bucket)?;
        let log = u32::try_from(log).ok().filter(|&log| log < u64::BITS);
        Ok((log.ok_or_else(|| format!("{pair:?} is longer than any lifetime"))?, number(count)?))
    };
    Ok(Request {
        block: fields.number("block")?,
        allocated: fields.number("allocated")?,
        freed: fields.number("freed")?,
        remote: fields.number("remote")?,
        grown_from: fields.number("grown_from")?,
        grown_to: fields.number("grown_to")?,
        live: fields.number("live")?,
        peak: fields.number("peak")?,
        at_peak: fields.number("at_peak")?,
        lifetimes: lifetimes.split(',').filter(|pair| !pair.is_empty()).map(bucket).collect::<Result<_, String>>()?,
    })
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number"))
}

/// The `name=value` fields of a line.
struct Fields<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Fields<'a> {
    fn new(text: &'a str) -> Result<Self, String> {
        let field = |word: &'a str| word.split_once('=').ok_or_else(|| format!("{word:?} is not NAME=VALUE"));
        text.split(' ').map(field).collect::<Result<_, String>>().map(Self)
    }

    fn text(&self, name: &str) -> Result<&'a str, String> {
        self.0.get(name).copied().ok_or_else(|| format!("`{name}` is missing"))
    }

    fn number(&self, name: &str) -> Result<u64, String> {
        number(self.text(name)?)
    }
}
