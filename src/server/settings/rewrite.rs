//! `CONFIG REWRITE`: the values of now, written to the configuration file.
//!
//! The file stays the user's: comments, order, keyspaces and keys unknown to this version are kept.
//! A key is touched only where the file says something else than the server does, and a setting
//! that the file does not name is added only when its value is not the default. The new file
//! replaces the old one in one step.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use toml_edit::{DocumentMut, Item, Value as TomlValue};

use super::bytes;
use super::error::RewriteError;
use super::load::text_of;
use super::spec::{Kind, Value};
use super::store::Settings;
use super::table::SETTINGS;

impl Settings {
    /// Rewrites the file that the settings were read from.
    pub fn rewrite_config_file(&self) -> Result<(), RewriteError> {
        self.rewrite(self.config_file().ok_or(RewriteError::NoFile)?)
    }

    /// Rewrites a configuration file, or creates it, so that a start with it alone gives the values
    /// of now.
    pub fn rewrite(&self, path: &Path) -> Result<(), RewriteError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error.into()),
        };
        let mut document: DocumentMut =
            text.parse().map_err(|error: toml_edit::TomlError| RewriteError::Syntax(error.message().to_owned()))?;
        self.update(&mut document);
        replace(path, document.to_string().as_bytes())?;
        Ok(())
    }

    fn update(&self, document: &mut DocumentMut) {
        for spec in SETTINGS {
            let now = self.value(spec.setting);
            // A structured setting may be given in part; the rest is then the default's.
            let default = self.default_of(spec);
            let base = match &default {
                Value::Text(text) => text.as_str(),
                Value::Number(_) => "",
            };
            let mut written = false;
            for name in spec.names() {
                let key = document.iter().map(|(key, _)| key).find(|key| key.eq_ignore_ascii_case(name));
                let Some(key) = key.map(str::to_owned) else { continue };
                let Some(item) = document.get_mut(&key) else { continue };
                let in_file = text_of(item, spec.takes_several()).ok().and_then(|text| spec.parse(base, &text).ok());
                if in_file.as_ref() != Some(&now)
                    && let Some(value) = item.as_value_mut()
                {
                    let decor = value.decor().clone();
                    *value = toml_value(spec.kind, &now);
                    *value.decor_mut() = decor;
                }
                written = true;
            }
            if !written && default != now {
                document.insert(spec.name, Item::Value(toml_value(spec.kind, &now)));
            }
        }
    }
}

fn toml_value(kind: Kind, value: &Value) -> TomlValue {
    match (kind, value) {
        (Kind::Bool, Value::Number(number)) => (*number != 0).into(),
        (Kind::Enum(words), Value::Number(position)) => {
            let position = usize::try_from(*position).expect("positions are not negative");
            words[position].into()
        }
        (Kind::BytesOrPercent, Value::Number(percent @ ..0)) => format!("{}%", -percent).into(),
        (Kind::Bytes { .. } | Kind::BytesOrPercent, Value::Number(number)) => {
            let text = bytes::format(*number);
            if text.bytes().all(|byte| byte.is_ascii_digit()) { (*number).into() } else { text.into() }
        }
        (_, Value::Number(number)) => (*number).into(),
        (_, Value::Text(text)) => text.as_str().into(),
    }
}

/// Replaces a file in one step that also survives a crash: a new file is written beside it, synced,
/// and given its name.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    // Through a symbolic link the file that it points to is replaced, not the link.
    let path = match path.canonicalize() {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => std::path::absolute(path)?,
        Err(error) => return Err(error),
    };
    let directory = path.parent().ok_or_else(|| io::Error::from(io::ErrorKind::IsADirectory))?;
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::IsADirectory))?;
    let temporary = directory.join(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
    let write = || {
        let mut file = File::create(&temporary)?;
        if let Ok(old) = fs::metadata(&path) {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(directory)?.sync_all()
    };
    write().inspect_err(|_| {
        // The error is what matters; a file left behind is in nobody's way.
        let _ = fs::remove_file(&temporary);
    })
}
