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
    Ok(profile)
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
        Ok((u32::try_from(number(bucket)?).map_err(|error| error.to_string())?, number(count)?))
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
