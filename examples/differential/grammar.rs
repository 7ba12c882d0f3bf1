//! Commands as grammars, and random commands from them.
//!
//! A line of the file is `weight how NAME pattern` (with `weight~`, only in one round of four; with `how!`, no argument is ever left out or added), `config name value value …`, or
//! `look how NAME … KEY …`. In a pattern, words stand for themselves,
//! `<name>` is a random value (see `values.rs`), `<=text>` is a word with signs in it, `( … )` groups, `|` separates alternatives, and after a group or a
//! word `?` makes it optional, `*` stands for none to three, `+` for one to three.

use std::fmt;

use kvorum::types::rng::Rng;

use super::reply::How;
use super::servers::Server;
use super::values::Values;

/// One request, and how its replies are compared.
#[derive(Clone)]
pub(crate) struct Command {
    pub(crate) args: Vec<Vec<u8>>,
    pub(crate) how: How,
    /// Prepares the round: shrinking keeps it.
    pub(crate) fixed: bool,
}

impl Command {
    pub(crate) fn fixed(line: &str) -> Self {
        let args = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        Self { args, how: How::Shape, fixed: true }
    }
}

/// As a line for redis-cli.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, arg) in self.args.iter().enumerate() {
            let space = if index > 0 { " " } else { "" };
            let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
            if !arg.is_empty() && arg.iter().all(plain) {
                write!(f, "{space}{}", String::from_utf8_lossy(arg))?;
            } else {
                write!(f, "{space}\"")?;
                for &byte in arg {
                    match byte {
                        b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
                        b' '..=b'~' => write!(f, "{}", char::from(byte))?,
                        _ => write!(f, "\\x{byte:02x}")?,
                    }
                }
                write!(f, "\"")?;
            }
        }
        Ok(())
    }
}

enum Pattern {
    Word(String),
    Value(String),
    Sequence(Vec<Pattern>),
    OneOf(Vec<Pattern>),
    /// From so many to so many times.
    Repeated(u64, u64, Box<Pattern>),
}

struct Template {
    weight: u64,
    /// Only in one round of four.
    seldom: bool,
    how: How,
    /// Never with an argument too few or too many.
    strict: bool,
    name: String,
    pattern: Pattern,
}

/// All commands that are drawn from.
pub(crate) struct Grammar {
    templates: Vec<Template>,
    /// Settings that every round chooses a value of.
    settings: Vec<(String, Vec<String>)>,
    /// How every key is looked at in the end; `KEY` stands for it.
    looks: Vec<(String, How)>,
}

impl Grammar {
    pub(crate) fn parse(text: &str) -> Self {
        let mut grammar = Self { templates: Vec::new(), settings: Vec::new(), looks: Vec::new() };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            if words[0] == "config" {
                let values = words[2..].iter().map(|word| (*word).to_owned()).collect();
                grammar.settings.push((words[1].to_owned(), values));
                continue;
            }
            if words[0] == "look" {
                let how = How::named(words[1]).unwrap_or_else(|| panic!("no way to compare: {line}"));
                grammar.looks.push((words[2..].join(" "), how));
                continue;
            }
            let weight = words[0].trim_end_matches('~').parse().unwrap_or_else(|_| panic!("no weight: {line}"));
            let how = How::named(words[1].trim_end_matches('!')).unwrap_or_else(|| panic!("no way to compare: {line}"));
            let mut tokens = tokens(&words[3..].join(" "));
            tokens.reverse();
            let pattern = alternatives(&mut tokens);
            assert!(tokens.is_empty(), "more ) than (: {line}");
            let (seldom, strict) = (words[0].ends_with('~'), words[1].ends_with('!'));
            grammar.templates.push(Template { weight, seldom, how, strict, name: words[2].to_owned(), pattern });
        }
        grammar
    }

    /// Leaves out what a server does not know, and with `only` all families of commands but those whose names
    /// begin so; answers the names of what was left out for the first reason.
    pub(crate) fn keep_known(&mut self, servers: &mut [Server], only: Option<&str>) -> Vec<String> {
        let mut missing = Vec::new();
        self.templates.retain(|template| {
            let name = template.name.to_ascii_lowercase();
            let known = servers.iter_mut().all(|server| server.knows(&name));
            if !known && !missing.contains(&template.name) {
                missing.push(template.name.clone());
            }
            let wanted = only.is_none_or(|only| only.split(',').any(|prefix| template.name.starts_with(prefix)));
            known && wanted
        });
        self.looks.retain(|(line, _)| {
            let name = line.split(' ').next().unwrap_or_default().to_ascii_lowercase();
            servers.iter_mut().all(|server| server.knows(&name))
        });
        assert!(!self.templates.is_empty(), "no command is left");
        missing
    }

    pub(crate) fn len(&self) -> usize {
        self.templates.len()
    }

    /// A round: settings, random commands, and at the end a look at all keys.
    pub(crate) fn round(&self, rng: &mut Rng, commands: usize) -> Vec<Command> {
        let mut round = vec![Command::fixed("FLUSHALL")];
        for (name, values) in &self.settings {
            let value = &values[rng.below(values.len() as u64) as usize];
            round.push(Command::fixed(&format!("CONFIG SET {name} {value}")));
        }
        let mut values = Values::new(rng);
        let seldom = values.chance(4);
        // With `--only`, all that is left may be seldom.
        let seldom = seldom || self.templates.iter().all(|template| template.seldom);
        let drawn = || self.templates.iter().filter(|template| seldom || !template.seldom);
        let total = drawn().map(|template| template.weight).sum();
        for _ in 0..commands {
            let mut chosen = values.below(total);
            let template = drawn().find(|template| {
                let found = chosen < template.weight;
                chosen = chosen.saturating_sub(template.weight);
                found
            });
            round.push(command(template.expect("the number is below the sum of weights"), &mut values));
        }
        let keys = values.all_keys();
        for key in &keys {
            for (line, how) in &self.looks {
                let mut args: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
                args.iter_mut().filter(|arg| *arg == b"KEY").for_each(|arg| arg.clone_from(key));
                round.push(Command { args, how: *how, fixed: false });
            }
        }
        round
    }
}

fn command(template: &Template, values: &mut Values<'_>) -> Command {
    let mut name = template.name.clone().into_bytes();
    if values.chance(50) {
        name = name.to_ascii_lowercase();
    }
    let mut args = vec![name];
    produce(&template.pattern, values, &mut args);
    // Now and then too few or too many.
    if template.strict {
    } else if values.chance(200) && args.len() > 1 {
        args.pop();
    } else if values.chance(200) {
        args.push(b"extra".to_vec());
    }
    Command { args, how: template.how, fixed: false }
}

fn produce(pattern: &Pattern, values: &mut Values<'_>, args: &mut Vec<Vec<u8>>) {
    match pattern {
        Pattern::Word(word) => args.push(word.as_bytes().to_vec()),
        Pattern::Value(name) => values.produce(name, args),
        Pattern::Sequence(parts) => parts.iter().for_each(|part| produce(part, values, args)),
        Pattern::OneOf(choices) => produce(&choices[values.below(choices.len() as u64) as usize], values, args),
        Pattern::Repeated(least, most, part) => {
            let times = least + values.below(most - least + 1);
            (0..times).for_each(|_| produce(part, values, args));
        }
    }
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut word = String::new();
    let mut in_value = false;
    for c in text.chars() {
        in_value = (in_value || c == '<') && c != '>';
        if !in_value && matches!(c, '(' | ')' | '|' | '?' | '*' | '+' | ' ') {
            if !word.is_empty() {
                tokens.push(std::mem::take(&mut word));
            }
            if c != ' ' {
                tokens.push(c.to_string());
            }
        } else {
            word.push(c);
        }
    }
    if !word.is_empty() {
        tokens.push(word);
    }
    tokens
}

/// Reads up to a `)` or the end; the next token is the last of `tokens`.
fn alternatives(tokens: &mut Vec<String>) -> Pattern {
    let mut choices = Vec::new();
    let mut sequence = Vec::new();
    while let Some(token) = tokens.pop() {
        let part = match token.as_str() {
            ")" => {
                tokens.push(token);
                break;
            }
            "|" => {
                choices.push(Pattern::Sequence(std::mem::take(&mut sequence)));
                continue;
            }
            "(" => {
                let inner = alternatives(tokens);
                assert_eq!(tokens.pop().as_deref(), Some(")"), "a group is closed");
                inner
            }
            value if value.starts_with('<') => Pattern::Value(value.trim_matches(['<', '>']).to_owned()),
            word => Pattern::Word(word.to_owned()),
        };
        let (least, most) = match tokens.last().map(String::as_str) {
            Some("?") => (0, 1),
            Some("*") => (0, 3),
            Some("+") => (1, 3),
            _ => {
                sequence.push(part);
                continue;
            }
        };
        tokens.pop();
        sequence.push(Pattern::Repeated(least, most, Box::new(part)));
    }
    choices.push(Pattern::Sequence(sequence));
    if choices.len() == 1 { choices.remove(0) } else { Pattern::OneOf(choices) }
}
