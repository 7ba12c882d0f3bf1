//! Settings with structure: their syntax, canonical text, and typed views.
//!
//! Each has a function that checks and normalises (named in the table) and, where code obeys the
//! setting, a function that reads the canonical text back.

use super::bytes;
use super::spec::parse_integer;

/// Most addresses that `bind` takes, as in Redis.
const BIND_MAX: usize = 16;

/// One address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindAddress {
    /// An IP address or a host name; `*` has become `0.0.0.0`, and `::*` has become `::`.
    pub host: String,
    /// Written with a leading `-`: not an error when the machine does not have the address.
    pub optional: bool,
}

pub(super) fn bind(_current: &str, asked: &str) -> Result<String, String> {
    let words: Vec<&str> = asked.split_whitespace().collect();
    if words.len() > BIND_MAX {
        return Err("Too many bind addresses specified.".to_owned());
    }
    for word in &words {
        let host = word.strip_prefix('-').unwrap_or(word);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:*-_%".contains(&byte);
        if host.is_empty() || !host.bytes().all(plain) {
            return Err(format!("'{word}' is not an address"));
        }
    }
    Ok(words.join(" "))
}

pub(super) fn parse_bind(canonical: &str) -> Vec<BindAddress> {
    let address = |word: &str| {
        let host = word.strip_prefix('-').unwrap_or(word);
        let host = match host {
            "*" => "0.0.0.0",
            "::*" => "::",
            other => other,
        };
        BindAddress { host: host.to_owned(), optional: word.starts_with('-') }
    };
    canonical.split_whitespace().map(address).collect()
}

/// Save if at least so many changes were made within so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    /// The period.
    pub seconds: u64,
    /// The number of changes.
    pub changes: u64,
}

pub(super) fn save(_current: &str, asked: &str) -> Result<String, String> {
    let invalid = || "Invalid save parameters".to_owned();
    let numbers: Option<Vec<i64>> = asked.split_whitespace().map(parse_integer).collect();
    let numbers = numbers.ok_or_else(invalid)?;
    if !numbers.len().is_multiple_of(2) || numbers.chunks_exact(2).any(|pair| pair[0] < 1 || pair[1] < 0) {
        return Err(invalid());
    }
    Ok(join(&numbers))
}

pub(super) fn parse_save(canonical: &str) -> Vec<SavePoint> {
    let numbers: Vec<u64> = canonical.split(' ').filter_map(|word| word.parse().ok()).collect();
    numbers.chunks_exact(2).map(|pair| SavePoint { seconds: pair[0], changes: pair[1] }).collect()
}

/// When a client is disconnected because it does not read its replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputBufferLimit {
    /// At once beyond this many bytes; 0 is no limit.
    pub hard_bytes: u64,
    /// Beyond this many bytes for [`soft_seconds`](Self::soft_seconds); 0 is no limit.
    pub soft_bytes: u64,
    /// The patience with the soft limit.
    pub soft_seconds: u64,
}

/// The limits of all classes of clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputBufferLimits {
    /// Clients that send commands.
    pub normal: OutputBufferLimit,
    /// Replicas.
    pub replica: OutputBufferLimit,
    /// Clients with at least one subscription.
    pub pubsub: OutputBufferLimit,
}

/// Takes `class hard soft seconds` groups and changes the classes named, keeping the others.
pub(super) fn output_buffer_limits(current: &str, asked: &str) -> Result<String, String> {
    let mut limits = parse_output_buffer_limits(current);
    let words: Vec<&str> = asked.split_whitespace().collect();
    if !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".to_owned());
    }
    for group in words.chunks_exact(4) {
        let limit = match group[0].to_ascii_lowercase().as_str() {
            "normal" => &mut limits.normal,
            "slave" | "replica" => &mut limits.replica,
            "pubsub" => &mut limits.pubsub,
            _ => return Err("Invalid client class specified in buffer limit configuration.".to_owned()),
        };
        let size = |word: &str| bytes::parse(word).map(i64::unsigned_abs);
        let seconds = group[3].parse::<u32>().ok().map(u64::from);
        match (size(group[1]), size(group[2]), seconds) {
            (Some(hard_bytes), Some(soft_bytes), Some(soft_seconds)) => {
                *limit = OutputBufferLimit { hard_bytes, soft_bytes, soft_seconds };
            }
            _ => {
                let reason = "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
                return Err(reason.to_owned());
            }
        }
    }
    let show = |limit: OutputBufferLimit| format!("{} {} {}", limit.hard_bytes, limit.soft_bytes, limit.soft_seconds);
    // Redis still reports the middle class under its old name.
    Ok(format!("normal {} slave {} pubsub {}", show(limits.normal), show(limits.replica), show(limits.pubsub)))
}

pub(super) fn parse_output_buffer_limits(canonical: &str) -> OutputBufferLimits {
    let words: Vec<&str> = canonical.split(' ').collect();
    let limit = |class: &str| {
        let at = words.iter().position(|word| *word == class)?;
        let number = |offset: usize| words.get(at + offset)?.parse().ok();
        Some(OutputBufferLimit { hard_bytes: number(1)?, soft_bytes: number(2)?, soft_seconds: number(3)? })
    };
    OutputBufferLimits {
        normal: limit("normal").unwrap_or_default(),
        replica: limit("slave").unwrap_or_default(),
        pubsub: limit("pubsub").unwrap_or_default(),
    }
}

/// Classes that `A` stands for, in the order Redis reports them, then the others.
const EVENT_CLASSES: (&str, &str) = ("g$lshzxetdn", "KEm");

pub(super) fn keyspace_events(_current: &str, asked: &str) -> Result<String, String> {
    let (all, others) = EVENT_CLASSES;
    if asked.chars().any(|class| class != 'A' && !all.contains(class) && !others.contains(class)) {
        return Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".to_owned());
    }
    let has = |class: &char| asked.contains(*class);
    let mut canonical = match asked.contains('A') || all.chars().all(|class| has(&class)) {
        true => "A".to_owned(),
        false => all.chars().filter(has).collect(),
    };
    canonical.extend(others.chars().filter(has));
    Ok(canonical)
}

pub(super) fn percentiles(_current: &str, asked: &str) -> Result<String, String> {
    let mut canonical = Vec::new();
    for word in asked.split_whitespace() {
        let number: f64 = word
            .parse()
            .ok()
            .filter(|number: &f64| !number.is_nan())
            .ok_or("Invalid latency-tracking-info-percentiles parameters")?;
        if !(0.0..=100.0).contains(&number) {
            return Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".to_owned());
        }
        canonical.push(number.to_string());
    }
    Ok(canonical.join(" "))
}

pub(super) fn oom_scores(_current: &str, asked: &str) -> Result<String, String> {
    let words: Vec<&str> = asked.split_whitespace().collect();
    if words.len() != 3 {
        return Err("wrong number of arguments".to_owned());
    }
    let scores: Option<Vec<i64>> =
        words.iter().map(|word| parse_integer(word).filter(|score| (-2000..=2000).contains(score))).collect();
    let scores = scores.ok_or("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")?;
    Ok(join(&scores))
}

const SHUTDOWN_FLAGS: [&str; 4] = ["save", "nosave", "now", "force"];

pub(super) fn shutdown_flags(_current: &str, asked: &str) -> Result<String, String> {
    let words: Vec<String> = asked.split_whitespace().map(str::to_ascii_lowercase).collect();
    let known = |word: &String| word == "default" || SHUTDOWN_FLAGS.contains(&word.as_str());
    if words.is_empty() || !words.iter().all(known) {
        let reason = "argument(s) must be one of the following: default, save, nosave, now, force";
        return Err(reason.to_owned());
    }
    let has = |flag: &&str| words.iter().any(|word| word == flag);
    if has(&"save") && has(&"nosave") {
        return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".to_owned());
    }
    let flags: Vec<&str> = SHUTDOWN_FLAGS.into_iter().filter(has).collect();
    Ok(if flags.is_empty() { "default".to_owned() } else { flags.join(" ") })
}

/// A replica of a Redis server cannot be had: replication is by raft.
pub(super) fn replica_of(_current: &str, asked: &str) -> Result<String, String> {
    let words: Vec<&str> = asked.split_whitespace().collect();
    match words.as_slice() {
        [] => Ok(String::new()),
        [no, one] if no.eq_ignore_ascii_case("no") && one.eq_ignore_ascii_case("one") => Ok(String::new()),
        _ => Err("replication is by raft; this server cannot follow a Redis server".to_owned()),
    }
}

/// Makes a directory's name absolute, so that it means the same wherever it is read.
pub(super) fn directory(_current: &str, asked: &str) -> Result<String, String> {
    let path = std::path::absolute(asked).map_err(|error| format!("it names no directory: {error}"))?;
    path.into_os_string().into_string().map_err(|_| "the working directory's name is not UTF-8".to_owned())
}

pub(super) fn file_name(_current: &str, asked: &str) -> Result<String, String> {
    match asked {
        "" => Err("it can't be empty".to_owned()),
        _ if asked.contains(['/', '\\']) => Err("it can't be a path, just a filename".to_owned()),
        _ => Ok(asked.to_owned()),
    }
}

fn join(numbers: &[i64]) -> String {
    numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(canonical: super::super::spec::Canonical, asked: &str) -> String {
        canonical("", asked).expect_err(asked)
    }

    #[test]
    fn bind_addresses() {
        assert_eq!(bind("", " 127.0.0.1   -::1 ").as_deref(), Ok("127.0.0.1 -::1"));
        assert_eq!(bind("", "").as_deref(), Ok(""));
        assert_eq!(error(bind, &"h ".repeat(17)), "Too many bind addresses specified.");
        assert_eq!(error(bind, "a/b"), "'a/b' is not an address");
        assert_eq!(error(bind, "-"), "'-' is not an address");
        let addresses = parse_bind("* -::*");
        assert_eq!(addresses[0], BindAddress { host: "0.0.0.0".to_owned(), optional: false });
        assert_eq!(addresses[1], BindAddress { host: "::".to_owned(), optional: true });
    }

    #[test]
    fn save_points() {
        assert_eq!(save("", "3600 1 300 100").as_deref(), Ok("3600 1 300 100"));
        assert_eq!(save("900 1", "").as_deref(), Ok(""));
        for wrong in ["1", "0 1", "10 -1", "a b", "100 1 5"] {
            assert_eq!(error(save, wrong), "Invalid save parameters");
        }
        assert_eq!(parse_save("900 1 60 5")[1], SavePoint { seconds: 60, changes: 5 });
        assert_eq!(parse_save(""), []);
    }

    #[test]
    fn output_limits_change_in_parts() {
        let start = output_buffer_limits("", "replica 256mb 64mb 60 pubsub 32mb 8mb 60").expect("valid");
        assert_eq!(start, "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60");
        let next = output_buffer_limits(&start, "NORMAL 1kb 2k 3").expect("valid");
        assert_eq!(next, "normal 1024 2000 3 slave 268435456 67108864 60 pubsub 33554432 8388608 60");
        let limit = OutputBufferLimit { hard_bytes: 1024, soft_bytes: 2000, soft_seconds: 3 };
        assert_eq!(parse_output_buffer_limits(&next).normal, limit);
        assert!(error(output_buffer_limits, "normal 1 2").starts_with("Wrong number of arguments"));
        assert!(error(output_buffer_limits, "master 1 2 3").starts_with("Invalid client class"));
        for wrong in ["normal x 2 3", "normal 1 -2 3", "normal 1 2 -3", "normal 1 2 3s"] {
            assert!(error(output_buffer_limits, wrong).starts_with("Error in hard, soft or soft_seconds"), "{wrong}");
        }
    }

    #[test]
    fn event_classes() {
        for (asked, canonical) in [("", ""), ("KEA", "AKE"), ("Kx", "xK"), ("g$lshzxetdnK", "AK"), ("KEmlsl", "lsKEm")]
        {
            assert_eq!(keyspace_events("", asked).as_deref(), Ok(canonical));
        }
        assert!(error(keyspace_events, "Kq").contains("Invalid event class character"));
    }

    #[test]
    fn percentiles_and_scores() {
        assert_eq!(percentiles("", "50 99.0 99.9").as_deref(), Ok("50 99 99.9"));
        assert!(error(percentiles, "101").ends_with("should sit between [0.0,100.0]"));
        assert!(error(percentiles, "x").starts_with("Invalid"));
        assert_eq!(oom_scores("", "0 200 800").as_deref(), Ok("0 200 800"));
        assert_eq!(error(oom_scores, "1 2"), "wrong number of arguments");
        assert!(error(oom_scores, "1 2 2001").starts_with("Invalid oom-score-adj-values"));
    }

    #[test]
    fn shutdown_words_have_an_order() {
        assert_eq!(shutdown_flags("", "nosave force now").as_deref(), Ok("nosave now force"));
        assert_eq!(shutdown_flags("", "default").as_deref(), Ok("default"));
        assert!(error(shutdown_flags, "save nosave").contains("simultaneously"));
        assert!(error(shutdown_flags, "").starts_with("argument(s) must be one of the following: default"));
    }
}
