//! The settings as their users meet them: the table, `CONFIG`, files, and the shipped
//! configurations.

use std::fs;
use std::path::{Path, PathBuf};

use kvorum::server::settings::{Kind, Origin, RewriteError, SETTINGS, Setting, SettingError, Settings, When};
use kvorum::storage::EngineKind;
use kvorum::types::Db;

fn set(settings: &Settings, pairs: &[(&str, &str)]) -> Result<Vec<Setting>, SettingError> {
    settings.set_many(pairs, Origin::Local, |_| Ok(()))
}

/// The reply to a `CONFIG SET` that must fail.
fn refusal(settings: &Settings, pairs: &[(&str, &str)]) -> String {
    set(settings, pairs).expect_err("must be refused").to_string()
}

fn get(settings: &Settings, patterns: &[&str]) -> Vec<(String, String)> {
    settings.get_matching(patterns)
}

fn value(settings: &Settings, name: &str) -> String {
    let found = get(settings, &[name]);
    assert_eq!(found.len(), 1, "{name}");
    found[0].1.clone()
}

fn shipped(name: &str) -> Settings {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name);
    Settings::load(Some(&path), &[]).unwrap_or_else(|error| panic!("{error}"))
}

/// A configuration file that lives as long as the test.
struct ConfigFile {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

impl ConfigFile {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("kvorum.toml");
        fs::write(&path, text).expect("write");
        Self { _directory: directory, path }
    }

    fn load(&self) -> Settings {
        Settings::load(Some(&self.path), &[]).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The error without the directory in front.
    fn error(text: &str) -> String {
        let file = Self::new(text);
        let error = Settings::load(Some(&file.path), &[]).expect_err(text);
        assert!(!error.is_usage(), "{error}");
        error.to_string().replace(&format!("{}", file.path.display()), "kvorum.toml")
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).expect("read")
    }
}

// ---- the table ----

#[test]
fn table_is_sound() {
    let mut names: Vec<&str> = Vec::new();
    for (position, spec) in SETTINGS.iter().enumerate() {
        assert_eq!(spec.setting as usize, position, "{}", spec.name);
        assert!(spec.doc.len() > 10 && spec.doc.ends_with(['.', ')']), "{}: '{}'", spec.name, spec.doc);
        assert!(!spec.doc.contains("  "), "{}: '{}'", spec.name, spec.doc);
        assert!(!spec.allowed().is_empty());
        names.extend(spec.names());
    }
    for (position, name) in names.iter().enumerate() {
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
        assert!(!names[..position].contains(name), "{name} is there twice");
        assert_eq!(Setting::named(&name.to_uppercase()), Setting::named(name));
    }
}

#[test]
fn every_setting_can_be_written_back() {
    let settings = Settings::default();
    for spec in SETTINGS {
        let default = settings.get(spec.setting);
        // The start-only ones too: the value is the one they have.
        let origin = Origin::Local;
        if spec.protected {
            let error = settings.set_many(&[(spec.name, &default)], origin, |_| Ok(()));
            assert!(error.expect_err("protected").to_string().ends_with("can't set protected config"));
            continue;
        }
        let changed = settings.set_many(&[(spec.name, &default)], origin, |_| Ok(()));
        assert_eq!(changed, Ok(vec![]), "{} = '{default}'", spec.name);
        assert_eq!(settings.get(spec.setting), default);
    }
    assert_eq!(settings.generation(), 0);
}

#[test]
fn every_setting_round_trips_another_value() {
    for spec in SETTINGS {
        let other = match spec.kind {
            Kind::Bool => if spec.default == "yes" { "no" } else { "yes" }.to_owned(),
            Kind::Int { max, .. } if spec.default != max.to_string() => max.to_string(),
            Kind::Int { min, .. } => min.to_string(),
            Kind::Bytes { min, .. } => (min + 4096).to_string(),
            Kind::BytesOrPercent => "50%".to_owned(),
            Kind::Enum(words) => words.iter().find(|word| **word != spec.default).unwrap_or(&words[0]).to_string(),
            Kind::String => "some text".to_owned(),
            Kind::Special { .. } => continue,
        };
        let settings = Settings::with(&[(spec.name, &other)]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(value(&settings, spec.name), other, "{}", spec.name);
    }
}

// ---- CONFIG GET ----

#[test]
fn get_finds_names_patterns_and_aliases() {
    let settings = Settings::default();
    let found = get(&settings, &["maxmemory", "MAXMEMORY*", "bind", "*of", "nothing-like-it"]);
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[0], "maxmemory");
    for name in ["maxmemory-samples", "maxmemory-clients", "bind", "replicaof", "slaveof"] {
        assert_eq!(names.iter().filter(|found| **found == name).count(), 1, "{name}");
    }
    assert_eq!(names.iter().filter(|name| **name == "maxmemory").count(), 1);
    assert_eq!(value(&settings, "hash-max-ziplist-entries"), "512");
    assert_eq!(get(&settings, &["Port"]), [("Port".to_owned(), "6379".to_owned())]);
    assert_eq!(settings.get_matching(&[b"\xff\xfe"]), []);
}

#[test]
fn hidden_settings_are_found_by_name_only() {
    let settings = Settings::default();
    assert!(get(&settings, &["*"]).iter().all(|(name, _)| name != "key-load-delay"));
    assert_eq!(value(&settings, "key-load-delay"), "0");
}

#[test]
fn defaults_are_those_of_redis() {
    let settings = Settings::default();
    for (name, expected) in [
        ("maxmemory", "0"),
        ("maxclients", "10000"),
        ("proto-max-bulk-len", "536870912"),
        ("client-output-buffer-limit", "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"),
        ("hash-max-listpack-entries", "512"),
        ("slowlog-log-slower-than", "10000"),
        ("latency-tracking-info-percentiles", "50 99 99.9"),
        ("appendfsync", "everysec"),
        ("bind", "127.0.0.1 -::1"),
        ("maxmemory-clients", "0"),
        ("requirepass", ""),
    ] {
        assert_eq!(value(&settings, name), expected, "{name}");
    }
}

// ---- CONFIG SET ----

#[test]
fn set_reports_what_changed() {
    let settings = Settings::default();
    let pairs = [("maxmemory", "100mb"), ("TIMEOUT", "0"), ("hash-max-ziplist-entries", "7")];
    let changed = set(&settings, &pairs).expect("valid");
    assert_eq!(changed, [Setting::Maxmemory, Setting::HashMaxListpackEntries]);
    assert_eq!(settings.int(Setting::Maxmemory), 100 << 20);
    assert_eq!(settings.encoding().hash_max_listpack_entries, 7);
    assert_eq!(settings.generation(), 1);
}

#[test]
fn set_refuses_in_the_words_of_redis() {
    let settings = Settings::default();
    let failed =
        |name: &str, reason: &str| format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}");
    for (name, text, reason) in [
        ("appendonly", "no", "can't set immutable config"),
        ("daemonize", "yes", "can't set immutable config"),
        ("latency-tracking", "maybe", "argument must be 'yes' or 'no'"),
        ("timeout", "1s", "argument couldn't be parsed into an integer"),
        ("timeout", "007", "argument couldn't be parsed into an integer"),
        ("timeout", "-1", "argument must be between 0 and 2147483647 inclusive"),
        ("maxmemory", "-1", "argument must be a memory value"),
        ("proto-max-bulk-len", "1kb", "argument must be between 1048576 and 9223372036854775807 inclusive"),
        ("maxmemory-clients", "200%", "percentage argument must be less or equal to 100"),
        ("maxmemory-clients", "x%", "argument must be a memory or percent value"),
        ("appendfsync", "sometimes", "argument(s) must be one of the following: everysec, always, no"),
        ("save", "1", "Invalid save parameters"),
        ("dbfilename", "x.rdb", "can't set protected config"),
    ] {
        assert_eq!(refusal(&settings, &[(name, text)]), failed(name, reason), "{name} {text}");
    }
    assert_eq!(
        refusal(&settings, &[("maxmemory", "1"), ("MaxMemory", "2")]),
        failed("MaxMemory", "duplicate parameter")
    );
    assert_eq!(
        refusal(&settings, &[("no-such", "1")]),
        "ERR Unknown option or number of arguments for CONFIG SET - 'no-such'"
    );
}

#[test]
fn set_is_all_or_nothing() {
    let settings = Settings::default();
    refusal(&settings, &[("maxmemory", "10000001"), ("maxmemory-clients", "200%"), ("timeout", "5")]);
    assert_eq!(settings.int(Setting::Maxmemory), 0);
    let refused = settings.set_many(&[("maxmemory", "1"), ("maxclients", "5")], Origin::Local, |changed| {
        assert_eq!(changed, [Setting::Maxmemory, Setting::Maxclients]);
        assert_eq!(settings.int(Setting::Maxclients), 5);
        Err((Setting::Maxclients, "too few file descriptors".to_owned()))
    });
    assert_eq!(
        refused.expect_err("not applied").to_string(),
        "ERR CONFIG SET failed (possibly related to argument 'maxclients') - too few file descriptors"
    );
    assert_eq!((settings.int(Setting::Maxmemory), settings.int(Setting::Maxclients)), (0, 10000));
}

#[test]
fn protected_settings_ask_for_consent() {
    let set_name = |consent: &str, origin| {
        let settings = Settings::with(&[("enable-protected-configs", consent)]).expect("valid");
        settings.set_many(&[("dbfilename", "other.rdb")], origin, |_| Ok(())).is_ok()
    };
    assert!(set_name("yes", Origin::Remote) && set_name("local", Origin::Local));
    assert!(!set_name("local", Origin::Remote) && !set_name("no", Origin::Local));
}

#[test]
fn output_buffer_limits_change_one_class_at_a_time() {
    let settings = Settings::default();
    set(&settings, &[("client-output-buffer-limit", "pubsub 10mb 0 0")]).expect("valid");
    let limits = settings.output_buffer_limits();
    assert_eq!((limits.pubsub.hard_bytes, limits.replica.hard_bytes), (10 << 20, 256 << 20));
}

// ---- files ----

#[test]
fn file_errors_name_line_setting_value_and_what_is_allowed() {
    for (text, expected) in [
        (
            "# comment\nport = 6379\nappendfsync = \"sometimes\"\n",
            "kvorum.toml:3: appendfsync cannot be 'sometimes': it takes one of everysec, always, no",
        ),
        ("port = 70000", "kvorum.toml:1: port cannot be '70000': it takes a whole number from 0 to 65535"),
        (
            "\nmaxmemory = \"lots\"",
            "kvorum.toml:2: maxmemory cannot be 'lots': it takes a number of bytes from 0 up, with a unit if wanted: \
             1k is 1000, 1kb 1024, then mb, gb",
        ),
        (
            "save = [3600]",
            "kvorum.toml:1: save cannot be '3600': Invalid save parameters; it takes pairs of seconds and changes",
        ),
        ("timeout = [1]", "kvorum.toml:1: timeout cannot be '[1]': it takes one value, not an array"),
        (
            "cluster-routing = \"gossip\"",
            "kvorum.toml:1: cluster-routing cannot be 'gossip': it takes one of proxy, redirect",
        ),
        ("\n\nmaxclient = 5", "kvorum.toml:3: there is no setting 'maxclient'; did you mean 'maxclients'?"),
        ("rename-command = \"x\"", "kvorum.toml:1: there is no setting 'rename-command'; it exists in Redis only"),
        (
            "[network]\nport = 1",
            "kvorum.toml:1: there is no section 'network'; settings are keys of their own, \
             and the only sections are [[keyspace]]",
        ),
        ("keyspace = 1", "kvorum.toml:1: keyspaces are written as [[keyspace]], with two brackets"),
    ] {
        assert_eq!(ConfigFile::error(text), expected);
    }
    assert!(ConfigFile::error("port = 1\nport = 2\n").starts_with("kvorum.toml:2: "));
    assert!(ConfigFile::error("port = \n").starts_with("kvorum.toml:1: "));
    let missing = Settings::load(Some(Path::new("/no/such/file.toml")), &[]).expect_err("missing").to_string();
    assert_eq!(missing, "cannot read the configuration file /no/such/file.toml");
}

#[test]
fn keyspace_errors() {
    let keyspace = |lines: &str| ConfigFile::error(&format!("port = 1\n\n[[keyspace]]\n{lines}"));
    for (lines, expected) in [
        ("engine = 'hash'", "3: the keyspace has no name"),
        ("name = 'a'", "3: keyspace 'a' has no engine: it takes one of hash, lsm, btree"),
        ("name = 'a'\nengine = 'tree'", "5: keyspace 'a': 'tree' is not an engine; one of hash, lsm, btree is"),
        (
            "name = 'a'\nengine = 'lsm'\ndatabase = 16",
            "6: keyspace 'a': database cannot be 16: it takes a whole number from 0 to 15 (see databases)",
        ),
        (
            "name = 'a b'\nengine = 'lsm'",
            "4: the keyspace's name cannot be 'a b': it takes 1 to 64 letters, digits, dots, - and _",
        ),
        ("name = 1\nengine = 'lsm'", "4: the keyspace's name must be a string"),
        ("name = 'a'\nprefx = 'b'", "5: a keyspace has no 'prefx'; did you mean 'prefix'?"),
        (
            "name = 'a'\nengine = 'lsm'\nread-policy = 'any'",
            "6: keyspace 'a': read-policy cannot be 'any': it takes one of lease, read-index, follower, stale",
        ),
        (
            "name = 'a'\nengine = 'lsm'\nmaxmemory = 5",
            "6: a keyspace has no 'maxmemory'; settings stand above the first [[keyspace]]",
        ),
        (
            "name = 'a'\nengine = 'lsm'\n[[keyspace]]\nname = 'a'\nengine = 'hash'",
            "7: there are two keyspaces named 'a'",
        ),
        (
            "name = 'a'\nengine = 'lsm'\nprefix = 'x'\n[[keyspace]]\nname = 'b'\nengine = 'hash'\nprefix = 'x'",
            "10: keyspaces 'a' and 'b' both take the keys with prefix 'x' in database 0",
        ),
    ] {
        assert_eq!(keyspace(lines), format!("kvorum.toml:{expected}"));
    }
}

#[test]
fn flags_are_stronger_than_the_file() {
    let file = ConfigFile::new(
        "port = 7000\nmaxmemory = '1mb'\ndatabases = 4\n[[keyspace]]\nname='a'\nengine='lsm'\ndatabase=30\n",
    );
    let flags = [("port".to_owned(), "7001".to_owned()), ("databases".to_owned(), "32".to_owned())];
    let settings = Settings::load(Some(&file.path), &flags).expect("valid");
    assert_eq!(settings.int(Setting::Port), 7001);
    assert_eq!(settings.int(Setting::Maxmemory), 1 << 20);
    assert_eq!(settings.keyspace_rules().engine_for(Db(30), b"key"), EngineKind::Lsm);
    assert_eq!(settings.config_file(), Some(file.path.as_path()));
}

#[test]
fn rewrite_keeps_the_file_the_users() {
    let text = "\
# my server
port = 7000 # the port
hash-max-ziplist-entries = 9
bind = [\"127.0.0.1\"]
latency-tracking = \"yes\"

# archive
[[keyspace]]
name = \"archive\" # a name
engine = \"lsm\"
";
    let file = ConfigFile::new(text);
    let settings = file.load();
    settings.rewrite_config_file().expect("nothing to change");
    assert_eq!(file.text(), text);

    let pairs = [
        ("maxmemory", "64mb"),
        ("hash-max-listpack-entries", "10"),
        ("save", "900 1"),
        ("latency-tracking", "no"),
        ("maxmemory-clients", "5%"),
        ("requirepass", "a \"b\"\\c"),
        ("maxmemory-policy", "allkeys-lru"),
        ("client-output-buffer-limit", "normal 1mb 0 0"),
    ];
    set(&settings, &pairs).expect("valid");
    settings.rewrite_config_file().expect("rewrite");
    let rewritten = file.text();
    assert!(
        rewritten.starts_with("# my server\nport = 7000 # the port\nhash-max-ziplist-entries = 10\n"),
        "{rewritten}"
    );
    for line in [
        "bind = [\"127.0.0.1\"]\n",
        "latency-tracking = false\n",
        "maxmemory = \"64mb\"\n",
        "name = \"archive\" # a name\n",
    ] {
        assert!(rewritten.contains(line), "{line} is not in\n{rewritten}");
    }
    let again = file.load();
    for spec in SETTINGS {
        assert_eq!(again.get(spec.setting), settings.get(spec.setting), "{}", spec.name);
    }
    assert_eq!(again.keyspace_rules().rules(), settings.keyspace_rules().rules());
    again.rewrite_config_file().expect("rewrite");
    assert_eq!(file.text(), rewritten);
    let left: Vec<_> = fs::read_dir(file.path.parent().expect("a directory")).expect("list").collect();
    assert_eq!(left.len(), 1, "no temporary files are left");
}

/// In a cluster a write is on disk before it is acknowledged, unless the user says that it need not be.
#[test]
fn a_cluster_syncs_always_by_default() {
    let fsync = |pairs: &[(&str, &str)]| Settings::with(pairs).expect("valid").get(Setting::Appendfsync);
    assert_eq!(fsync(&[]), "everysec");
    assert_eq!(fsync(&[("cluster-enabled", "yes")]), "always");
    assert_eq!(fsync(&[("appendfsync", "everysec"), ("cluster-enabled", "yes")]), "everysec");

    let file = ConfigFile::new("cluster-enabled = true\n");
    let settings = file.load();
    assert_eq!(settings.get(Setting::Appendfsync), "always");
    settings.rewrite_config_file().expect("nothing to change");
    assert_eq!(file.text(), "cluster-enabled = true\n");
    set(&settings, &[("appendfsync", "everysec")]).expect("valid");
    settings.rewrite_config_file().expect("rewrite");
    assert_eq!(file.load().get(Setting::Appendfsync), "everysec");
}

#[test]
fn rewrite_without_a_file_or_with_a_broken_one() {
    let settings = Settings::default();
    assert!(matches!(settings.rewrite_config_file(), Err(RewriteError::NoFile)));
    let file = ConfigFile::new("port = \n");
    assert!(matches!(settings.rewrite(&file.path), Err(RewriteError::Syntax(_))));
    assert_eq!(file.text(), "port = \n");
    fs::remove_file(&file.path).expect("remove");
    set(&settings, &[("timeout", "5")]).expect("valid");
    settings.rewrite(&file.path).expect("created");
    assert_eq!(file.text(), "timeout = 5\n");
}

// ---- the shipped configurations ----

#[test]
fn standalone_is_the_default() {
    let (settings, default) = (shipped("standalone.toml"), Settings::default());
    for spec in SETTINGS {
        assert_eq!(settings.get(spec.setting), default.get(spec.setting), "{}", spec.name);
    }
    assert_eq!(settings.keyspace_rules().rules(), []);
}

#[test]
fn cache_keeps_nothing() {
    let settings = shipped("cache.toml");
    assert!(!settings.bool(Setting::Appendonly));
    assert_eq!(settings.save_points(), []);
    assert_eq!(settings.int(Setting::Maxmemory), 1 << 30);
    assert_eq!(settings.word(Setting::MaxmemoryPolicy), "allkeys-lru");
    assert_eq!(settings.default_engine(), EngineKind::Hash);
}

#[test]
fn engines_has_one_keyspace_for_each() {
    let settings = shipped("engines.toml");
    let rules = settings.keyspace_rules();
    for (key, engine) in [
        ("session:1", EngineKind::Hash),
        ("event:1", EngineKind::Lsm),
        ("item:1", EngineKind::BTree),
        ("other", EngineKind::Hash),
    ] {
        assert_eq!(rules.engine_for(Db(0), key.as_bytes()), engine, "{key}");
    }
    assert_eq!(rules.engine_for(Db(1), b"event:1"), EngineKind::Hash);
    assert_eq!(settings.word(Setting::Appendfsync), "always");
    assert_eq!(settings.unsigned(Setting::LsmBlockCacheBytes), 512 << 20);
}

#[test]
fn start_only_settings_are_fixed() {
    let settings = Settings::default();
    for spec in SETTINGS.iter().filter(|spec| spec.when == When::StartOnly) {
        let reply = refusal(&settings, &[(spec.name, "some other value")]);
        assert!(reply.ends_with("can't set immutable config"), "{}: {reply}", spec.name);
    }
}
