//! From a configuration file and the command line to values.

use std::path::{Path, PathBuf};

use toml_edit::{Document, Item, TomlError, Value as TomlValue};

use super::error::{LoadError, Place};
use super::keyspaces;
use super::spec::Kind;
use super::store::Settings;
use super::suggest;
use super::table::{SETTINGS, Setting};

/// The name of the tables that describe keyspaces.
pub(super) const KEYSPACE: &str = "keyspace";

impl Settings {
    /// Reads the file, if there is one, and then the flags, each a name and a value; later ones win.
    pub fn load(config_file: Option<&Path>, flags: &[(String, String)]) -> Result<Self, LoadError> {
        let mut settings = Self::default();
        let file = config_file.map(ConfigFile::read).transpose()?;
        if let Some(file) = &file {
            file.load_settings(&settings)?;
            settings.config_file = Some(
                std::path::absolute(file.path)
                    .map_err(|source| LoadError::Unreadable { path: file.path.to_owned(), source })?,
            );
        }
        for (name, text) in flags {
            settings.configure(name, text, Place::CommandLine)?;
        }
        settings.store_dependent_defaults(|setting| {
            let is_it = |name: &str| Setting::named(name) == Some(setting);
            flags.iter().any(|(name, _)| is_it(name))
                || file.as_ref().is_some_and(|file| file.document.iter().any(|(name, _)| is_it(name)))
        });
        // Last, because their check needs the number of databases.
        if let Some(file) = &file {
            file.load_keyspaces(&mut settings)?;
        }
        Ok(settings)
    }

    /// Gives settings that nobody has `configured` the default that the others imply.
    fn store_dependent_defaults(&self, configured: impl Fn(Setting) -> bool) {
        for spec in SETTINGS {
            if !configured(spec.setting) {
                self.store(spec.setting, self.default_of(spec));
            }
        }
    }

    /// The defaults with some settings changed, for tests and tools.
    pub fn with(pairs: &[(&str, &str)]) -> Result<Self, LoadError> {
        let flags: Vec<_> = pairs.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect();
        Self::load(None, &flags)
    }

    fn configure(&self, name: &str, text: &str, place: Place) -> Result<(), LoadError> {
        let Some(setting) = Setting::named(name) else {
            return Err(LoadError::Unknown { place, name: name.to_owned(), hint: hint(name) });
        };
        let spec = setting.spec();
        match spec.parse(&self.get(setting), text) {
            Ok(value) => {
                self.store(setting, value);
                Ok(())
            }
            Err(reason) => {
                let allowed = format!("it takes {}", spec.allowed());
                Err(LoadError::Value {
                    place,
                    name: name.to_owned(),
                    value: if spec.sensitive { "(secret)".to_owned() } else { text.to_owned() },
                    reason: match spec.kind {
                        Kind::Special { .. } => format!("{reason}; {allowed}"),
                        _ => allowed,
                    },
                })
            }
        }
    }
}

fn hint(name: &str) -> String {
    match name {
        "include" | "loadmodule" | "rename-command" | "user" => "; it exists in Redis only".to_owned(),
        _ => {
            let known = SETTINGS.iter().filter(|spec| !spec.hidden);
            suggest::hint(name, known.flat_map(|spec| spec.names()))
        }
    }
}

struct ConfigFile<'p> {
    path: &'p Path,
    document: Document<String>,
}

impl<'p> ConfigFile<'p> {
    fn read(path: &'p Path) -> Result<Self, LoadError> {
        let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let document = Document::parse(text.clone()).map_err(|error| syntax(path.to_owned(), &text, &error))?;
        Ok(Self { path, document })
    }

    fn place(&self, span: Option<std::ops::Range<usize>>) -> Place {
        let offset = span.map_or(0, |span| span.start);
        Place::File { path: self.path.to_owned(), line: line_of(self.document.raw(), offset) }
    }

    fn load_settings(&self, settings: &Settings) -> Result<(), LoadError> {
        for (name, item) in self.document.iter() {
            if name == KEYSPACE {
                continue;
            }
            let place = self.place(self.document.key(name).and_then(toml_edit::Key::span).or_else(|| item.span()));
            if Setting::named(name).is_none() && item.as_value().is_none() {
                let message = format!(
                    "there is no section '{name}'; settings are keys of their own, \
                     and the only sections are [[keyspace]]"
                );
                return Err(LoadError::Syntax { place, message });
            }
            // An unknown name has no kind; any kind will do to reach the error.
            let several = Setting::named(name).is_some_and(|setting| setting.spec().takes_several());
            match text_of(item, several) {
                Ok(text) => settings.configure(name, &text, place)?,
                Err(reason) => {
                    let value = item.to_string().trim().to_owned();
                    return Err(LoadError::Value { place, name: name.to_owned(), value, reason });
                }
            }
        }
        Ok(())
    }

    fn load_keyspaces(&self, settings: &mut Settings) -> Result<(), LoadError> {
        let Some(item) = self.document.get(KEYSPACE) else { return Ok(()) };
        let Some(tables) = item.as_array_of_tables() else {
            let message = "keyspaces are written as [[keyspace]], with two brackets".to_owned();
            return Err(LoadError::Keyspace { place: self.place(item.span()), message });
        };
        for table in tables {
            match keyspaces::parse(table, settings.int(Setting::Databases), &settings.keyspaces) {
                Ok(rule) => settings.keyspaces.push(rule),
                Err(problem) => {
                    return Err(LoadError::Keyspace { place: self.place(problem.span), message: problem.message });
                }
            }
        }
        Ok(())
    }
}

/// The text that a TOML value stands for; `several` values may be an array.
pub(super) fn text_of(item: &Item, several: bool) -> Result<String, String> {
    let value = item.as_value().ok_or("it takes a value, not a table")?;
    match value {
        TomlValue::Array(words) if several => {
            let words: Result<Vec<String>, String> = words.iter().map(scalar).collect();
            Ok(words?.join(" "))
        }
        TomlValue::Array(_) => Err("it takes one value, not an array".to_owned()),
        scalar_value => scalar(scalar_value),
    }
}

fn scalar(value: &TomlValue) -> Result<String, String> {
    match value {
        TomlValue::String(text) => Ok(text.value().clone()),
        TomlValue::Integer(number) => Ok(number.value().to_string()),
        TomlValue::Float(number) => Ok(number.value().to_string()),
        TomlValue::Boolean(yes) => Ok(if *yes.value() { "yes" } else { "no" }.to_owned()),
        TomlValue::Datetime(_) => Err("it takes no date".to_owned()),
        TomlValue::Array(_) => Err("it takes no array in an array".to_owned()),
        TomlValue::InlineTable(_) => Err("it takes a value, not a table".to_owned()),
    }
}

fn syntax(path: PathBuf, text: &str, error: &TomlError) -> LoadError {
    let line = line_of(text, error.span().map_or(0, |span| span.start));
    LoadError::Syntax { place: Place::File { path, line }, message: error.message().trim().replace('\n', ", ") }
}

/// The line, from 1, of a byte of a text.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|&byte| byte == b'\n').count()
}
