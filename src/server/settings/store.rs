//! The values of all settings.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::error::SettingError;
use super::spec::{Kind, SettingSpec, Value, When};
use super::special::{self, BindAddress, OutputBufferLimits, SavePoint};
use super::table::{SETTINGS, Setting};
use crate::storage::{EncodingSettings, EngineKind, KeyspaceRule, KeyspaceRules};
use crate::types::glob;

/// Where the client that asks for a change is; see `enable-protected-configs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// On this machine.
    Local,
    /// On another machine.
    Remote,
}

/// The values of all settings, and the keyspaces.
///
/// Reading a number is one relaxed load; reading a text takes a read lock for as long as a
/// reference count needs. A reader that uses several settings together may see a change half made,
/// so nothing may rely on two run-time settings agreeing.
#[derive(Debug)]
pub struct Settings {
    /// By [`Setting`]; 0 where the value is text.
    numbers: Box<[AtomicI64]>,
    /// By [`Setting`]; empty where the value is a number.
    texts: Box<[RwLock<Arc<str>>]>,
    /// Held while values change, so that changes do not mix.
    change: Mutex<()>,
    /// Counts the changes.
    generation: AtomicU64,
    pub(super) keyspaces: Vec<KeyspaceRule>,
    pub(super) config_file: Option<PathBuf>,
}

impl Default for Settings {
    /// The table's defaults.
    fn default() -> Self {
        let settings = Self {
            numbers: SETTINGS.iter().map(|_| AtomicI64::new(0)).collect(),
            texts: SETTINGS.iter().map(|_| RwLock::new(Arc::from(""))).collect(),
            change: Mutex::new(()),
            generation: AtomicU64::new(0),
            keyspaces: Vec::new(),
            config_file: None,
        };
        for spec in SETTINGS {
            let value = spec.parse("", spec.default).expect("a test parses every default");
            settings.store(spec.setting, value);
        }
        settings
    }
}

/// Reading.
impl Settings {
    /// The value of a number or a number of bytes.
    #[inline]
    pub fn int(&self, setting: Setting) -> i64 {
        debug_assert!(
            matches!(setting.spec().kind, Kind::Int { .. } | Kind::Bytes { .. } | Kind::BytesOrPercent),
            "{} is not a number",
            setting.spec().name
        );
        self.number(setting)
    }

    /// The value of a number that cannot be negative.
    #[inline]
    pub fn unsigned(&self, setting: Setting) -> u64 {
        u64::try_from(self.int(setting)).expect("only settings with a lower bound of 0 are read as unsigned")
    }

    /// The value of a yes-or-no setting.
    #[inline]
    pub fn bool(&self, setting: Setting) -> bool {
        debug_assert!(matches!(setting.spec().kind, Kind::Bool), "{} is not yes or no", setting.spec().name);
        self.number(setting) != 0
    }

    /// The word chosen of an enumeration.
    pub fn word(&self, setting: Setting) -> &'static str {
        let Kind::Enum(words) = setting.spec().kind else {
            panic!("{} is not one of some words", setting.spec().name);
        };
        let position = usize::try_from(self.number(setting)).expect("positions are not negative");
        words[position]
    }

    /// The value of a text, in canonical form.
    pub fn string(&self, setting: Setting) -> Arc<str> {
        debug_assert!(setting.spec().is_text(), "{} is not a text", setting.spec().name);
        Arc::clone(&self.texts[setting as usize].read())
    }

    /// Any setting's value as `CONFIG GET` reports it.
    pub fn get(&self, setting: Setting) -> String {
        let spec = setting.spec();
        if spec.is_text() { self.string(setting).to_string() } else { spec.format_number(self.number(setting)) }
    }

    /// All settings that match any of the patterns, for `CONFIG GET`, without duplicates.
    ///
    /// A pattern without wildcards is a name and comes back as it was written, in the order of the
    /// patterns; older names match like names. Hidden settings match only by name.
    pub fn get_matching<P: AsRef<[u8]>>(&self, patterns: &[P]) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> = Vec::new();
        let mut add = |name: &str, setting: Setting| {
            if !found.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                found.push((name.to_owned(), self.get(setting)));
            }
        };
        for pattern in patterns.iter().map(AsRef::as_ref) {
            if !pattern.iter().any(|byte| b"*?[".contains(byte)) {
                let name = str::from_utf8(pattern).unwrap_or_default();
                if let Some(setting) = Setting::named(name) {
                    add(name, setting);
                }
                continue;
            }
            for spec in SETTINGS.iter().filter(|spec| !spec.hidden) {
                for name in spec.names().filter(|name| glob::matches(pattern, name.as_bytes(), true)) {
                    add(name, spec.setting);
                }
            }
        }
        found
    }

    /// A number that grows with every change: whoever keeps a copy of settings compares it to know
    /// whether the copy is old.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The file the settings were read from, absolute.
    pub fn config_file(&self) -> Option<&Path> {
        self.config_file.as_deref()
    }

    fn number(&self, setting: Setting) -> i64 {
        self.numbers[setting as usize].load(Ordering::Relaxed)
    }
}

/// Typed views of settings with structure.
impl Settings {
    /// The addresses of `bind`; none means every address.
    pub fn bind_addresses(&self) -> Vec<BindAddress> {
        special::parse_bind(&self.string(Setting::Bind))
    }

    /// The data directory, absolute.
    pub fn dir(&self) -> PathBuf {
        PathBuf::from(&*self.string(Setting::Dir))
    }

    /// The number of worker threads, with 0 resolved to the number of cores less one.
    pub fn io_threads(&self) -> usize {
        match usize::try_from(self.int(Setting::IoThreads)) {
            // One core is left to the log, the engines' own threads and the kernel's network.
            Ok(0) | Err(_) => std::thread::available_parallelism().map_or(1, |cores| usize::from(cores).max(2) - 1),
            Ok(threads) => threads,
        }
    }

    /// The limits of `client-output-buffer-limit`.
    pub fn output_buffer_limits(&self) -> OutputBufferLimits {
        special::parse_output_buffer_limits(&self.string(Setting::ClientOutputBufferLimit))
    }

    /// The points of `save`.
    pub fn save_points(&self) -> Vec<SavePoint> {
        special::parse_save(&self.string(Setting::Save))
    }

    /// The engine of keys without a keyspace.
    pub fn default_engine(&self) -> EngineKind {
        self.word(Setting::DefaultEngine).parse().expect("the table lists exactly the engines")
    }

    /// The configured keyspaces with the default engine.
    pub fn keyspace_rules(&self) -> KeyspaceRules {
        KeyspaceRules::new(self.default_engine(), self.keyspaces.clone())
    }

    /// The thresholds of compact encodings.
    pub fn encoding(&self) -> EncodingSettings {
        let size = |setting| usize::try_from(self.unsigned(setting)).unwrap_or(usize::MAX);
        EncodingSettings {
            hash_max_listpack_entries: size(Setting::HashMaxListpackEntries),
            hash_max_listpack_value: size(Setting::HashMaxListpackValue),
            list_max_listpack_size: self.int(Setting::ListMaxListpackSize),
            set_max_intset_entries: size(Setting::SetMaxIntsetEntries),
            set_max_listpack_entries: size(Setting::SetMaxListpackEntries),
            set_max_listpack_value: size(Setting::SetMaxListpackValue),
            zset_max_listpack_entries: size(Setting::ZsetMaxListpackEntries),
            zset_max_listpack_value: size(Setting::ZsetMaxListpackValue),
            hll_sparse_max_bytes: size(Setting::HllSparseMaxBytes),
            stream_node_max_bytes: size(Setting::StreamNodeMaxBytes),
            stream_node_max_entries: size(Setting::StreamNodeMaxEntries),
        }
    }
}

/// Changing.
impl Settings {
    /// Changes settings for `CONFIG SET`: all of them or, on an error, none. Returns those whose value
    /// is now another.
    ///
    /// `apply` is called once, after the values are stored and before the change is final, with the
    /// settings that changed. It makes the server obey them, or names the setting that it cannot
    /// obey and why; then all values are put back (whatever it applied itself it must undo).
    /// No other change runs meanwhile, so it must not call this function.
    ///
    /// A setting that is fixed at the start may be set to the value it has: that changes
    /// nothing, and scripts that write back what they read go on working.
    pub fn set_many(
        &self,
        pairs: &[(&str, &str)],
        origin: Origin,
        apply: impl FnOnce(&[Setting]) -> Result<(), (Setting, String)>,
    ) -> Result<Vec<Setting>, SettingError> {
        let failed =
            |name: &str, reason: &str| Err(SettingError::Failed { name: name.to_owned(), reason: reason.to_owned() });
        let _changing = self.change.lock();
        let mut asked: Vec<(Setting, &str, &str)> = Vec::with_capacity(pairs.len());
        for &(name, text) in pairs {
            let setting = Setting::named(name).ok_or_else(|| SettingError::Unknown(name.to_owned()))?;
            let spec = setting.spec();
            if spec.when == When::StartOnly && spec.parse(&self.get(setting), text) != Ok(self.value(setting)) {
                return failed(name, "can't set immutable config");
            }
            if spec.protected && !self.consents(Setting::EnableProtectedConfigs, origin) {
                return failed(name, "can't set protected config");
            }
            if asked.iter().any(|&(known, ..)| known == setting) {
                return failed(name, "duplicate parameter");
            }
            asked.push((setting, name, text));
        }
        let mut old = Vec::new();
        let mut new = Vec::new();
        for (setting, name, text) in asked {
            let before = self.value(setting);
            match setting.spec().parse(&self.get(setting), text) {
                Ok(value) if value == before => {}
                Ok(value) => {
                    old.push((setting, before));
                    new.push((setting, value));
                }
                Err(reason) => return failed(&name.to_ascii_lowercase(), &reason),
            }
        }
        let changed: Vec<Setting> = new.iter().map(|&(setting, _)| setting).collect();
        self.store_all(new);
        if let Err((setting, reason)) = apply(&changed) {
            self.store_all(old);
            return failed(setting.spec().name, &reason);
        }
        Ok(changed)
    }

    /// Whether a setting of `no`, `yes` and `local` (such as `enable-debug-command`) allows a client.
    pub fn consents(&self, setting: Setting, origin: Origin) -> bool {
        match self.word(setting) {
            "yes" => true,
            "local" => origin == Origin::Local,
            _ => false,
        }
    }

    /// The value that a setting has unless it is configured. A cluster loses no acknowledged write even if the power of a
    /// whole rack fails, unless it is told that it may.
    pub(super) fn default_of(&self, spec: &SettingSpec) -> Value {
        let text = match spec.setting {
            Setting::Appendfsync if self.bool(Setting::ClusterEnabled) => "always",
            _ => spec.default,
        };
        spec.parse("", text).expect("a test parses every default")
    }

    /// The value, whatever its kind.
    pub(super) fn value(&self, setting: Setting) -> Value {
        if setting.spec().is_text() {
            Value::Text(self.string(setting).to_string())
        } else {
            Value::Number(self.number(setting))
        }
    }

    pub(super) fn store(&self, setting: Setting, value: Value) {
        match value {
            Value::Number(number) => self.numbers[setting as usize].store(number, Ordering::Relaxed),
            Value::Text(text) => *self.texts[setting as usize].write() = Arc::from(text),
        }
    }

    fn store_all(&self, values: Vec<(Setting, Value)>) {
        if values.is_empty() {
            return;
        }
        for (setting, value) in values {
            self.store(setting, value);
        }
        self.generation.fetch_add(1, Ordering::Release);
    }
}
