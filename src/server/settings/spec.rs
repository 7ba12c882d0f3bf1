//! What one row of the settings table says, and how text becomes a value and back.

use super::bytes;
use super::table::Setting;

/// When a setting may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Only by the configuration file or the command line, before the server starts.
    StartOnly,
    /// Also by `CONFIG SET`, while the server runs.
    Runtime,
}

/// The headings under which the settings are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Listening and connections.
    Network,
    /// Where and how data is kept.
    Storage,
    /// What survives which crash.
    Durability,
    /// Memory limits.
    Memory,
    /// Limits of clients.
    Clients,
    /// Who may do what.
    Security,
    /// Logs and measurements.
    Observability,
    /// Thresholds of compact encodings.
    Encodings,
    /// Names known from Redis that only report what was stored.
    Other,
}

impl Group {
    /// The heading in help texts.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Network => "Network",
            Self::Storage => "Storage",
            Self::Durability => "Durability",
            Self::Memory => "Memory",
            Self::Clients => "Clients",
            Self::Security => "Security",
            Self::Observability => "Logs and measurements",
            Self::Encodings => "Compact encodings",
            Self::Other => "Other",
        }
    }
}

/// Turns the words of a structured setting into its canonical text.
///
/// The first argument is the current canonical text, for settings that are changed in parts;
/// the second is what was asked for. The error is the reason, in Redis's words where it has some.
pub type Canonical = fn(current: &str, asked: &str) -> Result<String, String>;

/// What values a setting takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `yes` or `no`.
    Bool,
    /// A whole number within bounds, both included.
    Int {
        /// Smallest allowed value.
        min: i64,
        /// Largest allowed value.
        max: i64,
    },
    /// A number of bytes within bounds, with an optional unit (`64mb`).
    Bytes {
        /// Smallest allowed value.
        min: i64,
        /// Largest allowed value.
        max: i64,
    },
    /// A number of bytes, or a share of `maxmemory` as `0%` to `100%`, kept as a negative number.
    BytesOrPercent,
    /// One of some words; kept as the position in the list.
    Enum(&'static [&'static str]),
    /// Any text.
    String,
    /// Text with structure.
    Special {
        /// Whether it is a list of words, which may be given apart on the command line and as a TOML
        /// array.
        several: bool,
        /// Checks and normalises.
        canonical: Canonical,
        /// What is allowed, to complete "it takes …".
        allowed: &'static str,
    },
}

/// A value as it is kept: everything but text is a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Booleans, numbers, and positions in an enumeration.
    Number(i64),
    /// Strings and structured settings.
    Text(String),
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct SettingSpec {
    /// Its index.
    pub setting: Setting,
    /// Its name; Redis's where Redis has the setting.
    pub name: &'static str,
    /// Older names that mean the same.
    pub aliases: &'static [&'static str],
    /// Where it is listed.
    pub group: Group,
    /// What it takes.
    pub kind: Kind,
    /// The value without configuration.
    pub default: &'static str,
    /// One or two sentences.
    pub doc: &'static str,
    /// When it may change.
    pub when: When,
    /// Stored and reported so that tools and scripts written for Redis work, but nothing obeys it.
    pub compat: bool,
    /// Not listed; `CONFIG GET` finds it under its exact name only.
    pub hidden: bool,
    /// A secret: kept out of logs and errors.
    pub sensitive: bool,
    /// `CONFIG SET` also needs the consent of `enable-protected-configs`.
    pub protected: bool,
    /// In a cluster, `CONFIG SET` on one node changes it on all, those that are away included.
    pub cluster_wide: bool,
}

/// The part of a row that says how a setting may be changed and seen.
#[derive(Clone, Copy)]
pub(super) struct Traits {
    pub(super) when: When,
    pub(super) compat: bool,
    pub(super) hidden: bool,
    pub(super) sensitive: bool,
    pub(super) protected: bool,
    pub(super) cluster_wide: bool,
}

impl Traits {
    pub(super) const fn new(when: When) -> Self {
        Self { when, compat: false, hidden: false, sensitive: false, protected: false, cluster_wide: false }
    }

    pub(super) const fn compat(self) -> Self {
        Self { compat: true, ..self }
    }

    pub(super) const fn hidden(self) -> Self {
        Self { hidden: true, ..self }
    }

    pub(super) const fn sensitive(self) -> Self {
        Self { sensitive: true, ..self }
    }

    pub(super) const fn protected(self) -> Self {
        Self { protected: true, ..self }
    }

    pub(super) const fn cluster_wide(self) -> Self {
        Self { cluster_wide: true, ..self }
    }
}

impl SettingSpec {
    /// Reads a value. The error is the reason in Redis's words, without the setting's name.
    pub(super) fn parse(&self, current: &str, asked: &str) -> Result<Value, String> {
        match self.kind {
            Kind::Bool => match asked {
                _ if asked.eq_ignore_ascii_case("yes") => Ok(Value::Number(1)),
                _ if asked.eq_ignore_ascii_case("no") => Ok(Value::Number(0)),
                _ => Err("argument must be 'yes' or 'no'".to_owned()),
            },
            Kind::Int { min, max } => {
                let number = parse_integer(asked).ok_or("argument couldn't be parsed into an integer")?;
                check_bounds(number, min, max)
            }
            Kind::Bytes { min, max } => {
                let number = bytes::parse(asked).ok_or("argument must be a memory value")?;
                check_bounds(number, min, max)
            }
            Kind::BytesOrPercent => {
                if let Some(number) = bytes::parse(asked) {
                    return Ok(Value::Number(number));
                }
                let percent = asked.strip_suffix('%').and_then(parse_integer).filter(|&percent| percent >= 0);
                match percent.ok_or("argument must be a memory or percent value")? {
                    percent @ 0..=100 => Ok(Value::Number(-percent)),
                    _ => Err("percentage argument must be less or equal to 100".to_owned()),
                }
            }
            Kind::Enum(names) => names
                .iter()
                .position(|name| name.eq_ignore_ascii_case(asked))
                .map(|position| Value::Number(position as i64))
                .ok_or_else(|| format!("argument(s) must be one of the following: {}", names.join(", "))),
            Kind::String => Ok(Value::Text(asked.to_owned())),
            Kind::Special { canonical, .. } => canonical(current, asked).map(Value::Text),
        }
    }

    /// The text that `CONFIG GET` reports for a number kept under this setting.
    pub(super) fn format_number(&self, number: i64) -> String {
        match self.kind {
            Kind::Bool => if number != 0 { "yes" } else { "no" }.to_owned(),
            Kind::Enum(names) => usize::try_from(number)
                .ok()
                .and_then(|position| names.get(position))
                .expect("only positions of this list are ever stored")
                .to_string(),
            Kind::BytesOrPercent if number < 0 => format!("{}%", -number),
            Kind::Int { .. } | Kind::Bytes { .. } | Kind::BytesOrPercent => number.to_string(),
            Kind::String | Kind::Special { .. } => unreachable!("text is not kept as a number"),
        }
    }

    /// Whether it takes a list of words.
    pub(super) fn takes_several(&self) -> bool {
        matches!(self.kind, Kind::Special { several: true, .. })
    }

    /// Whether the value is kept as text.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.kind, Kind::String | Kind::Special { .. })
    }

    /// What is allowed, to complete the sentence "it takes …".
    pub fn allowed(&self) -> String {
        match self.kind {
            Kind::Bool => "yes or no".to_owned(),
            Kind::Int { min, max } => format!("a whole number {}", bounds(min, max, |n| n.to_string())),
            Kind::Bytes { min, max } => {
                format!("a number of bytes {}, with a unit if wanted: 1k is 1000, 1kb 1024, then mb, gb", {
                    bounds(min, max, bytes::format)
                })
            }
            Kind::BytesOrPercent => "a number of bytes, or a share of maxmemory from 0% to 100%".to_owned(),
            Kind::Enum([only]) => format!("only {only}"),
            Kind::Enum(names) => format!("one of {}", names.join(", ")),
            Kind::String => "any text".to_owned(),
            Kind::Special { allowed, .. } => allowed.to_owned(),
        }
    }

    /// The placeholder of the value in help texts.
    pub fn value_name(&self) -> &'static str {
        match self.kind {
            Kind::Bool => "YES|NO",
            Kind::Int { .. } => "NUMBER",
            Kind::Bytes { .. } => "BYTES",
            Kind::BytesOrPercent => "BYTES|PERCENT",
            Kind::Enum(_) => "WORD",
            Kind::Special { several: true, .. } => "WORDS",
            Kind::String | Kind::Special { several: false, .. } => "TEXT",
        }
    }
}

fn bounds(min: i64, max: i64, show: impl Fn(i64) -> String) -> String {
    match max {
        i64::MAX => format!("from {} up", show(min)),
        _ => format!("from {} to {}", show(min), show(max)),
    }
}

fn check_bounds(number: i64, min: i64, max: i64) -> Result<Value, String> {
    if (min..=max).contains(&number) {
        Ok(Value::Number(number))
    } else {
        Err(format!("argument must be between {min} and {max} inclusive"))
    }
}

/// Reads a number strictly, as Redis does: no sign but `-`, no spaces, no leading zeros.
pub(super) fn parse_integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = match digits.as_bytes() {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if plain { text.parse().ok() } else { None }
}
