//! The command line: `kvorum server` and its flags, which are the settings.
//!
//! The frame is declared here; the flags of `server` come from the settings table. A flag takes its
//! value as `--name value` or `--name=value`. A setting of several words takes them all
//! (`--save 900 1`), and repeated flags add up (`--save 900 1 --save 60 1000`); for the others the
//! last flag wins.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::banner::version;
use super::cli_transfer::{export_command, export_invocation, import_command, import_invocation};
use crate::admin::{ClusterCommand, ExportOptions, ImportOptions};

use super::settings::{Group, Kind, LoadError, SETTINGS, SettingSpec, Settings, When};

/// Exit code when the server ran and ended as it was asked to.
pub const EXIT_OK: u8 = 0;
/// Exit code when something went wrong.
pub const EXIT_ERROR: u8 = 1;
/// Exit code when the command line is wrong.
pub const EXIT_USAGE: u8 = 2;

const ABOUT: &str = "A Redis-protocol distributed store that loses no acknowledged write";

const AFTER: &str = "\
First minutes:
  kvorum server                          serve on 127.0.0.1:6379, data in ./kvorum-data
  redis-cli set greeting hello           any Redis client will do
  kvorum server --help                   all settings
  kvorum cluster --help                  three nodes or more as one store
  kvorum import dump.rdb                 the data of a Redis server

Exit codes: 0 after a clean shutdown, 1 on an error, 2 on a wrong command line.";

const SERVER_LONG: &str = "\
Runs the server until SIGINT or SIGTERM.

Every setting is a flag, and a key of the configuration file (TOML). A flag is stronger than the \
file, and the file is stronger than the default. CONFIG GET reads the settings of a running server; \
CONFIG SET changes them, but for those marked 'at start'; CONFIG REWRITE writes them to the file.";

const SERVER_AFTER: &str = "\
Examples:
  kvorum server --port 7000 --dir /var/lib/kvorum --appendfsync always
  kvorum server --config kvorum.toml --maxmemory=4gb
  kvorum server --appendonly no --save \"\"     a pure cache

Keyspaces are in the configuration file only:
  [[keyspace]]
  name = \"archive\"        # unique
  database = 0             # default 0
  prefix = \"archive:\"     # default \"\": all keys of the database; the longest prefix wins
  engine = \"lsm\"          # hash, lsm or btree";

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// `kvorum server`.
    Server {
        /// The configuration file.
        config: Option<PathBuf>,
        /// The settings given as flags.
        flags: Vec<(String, String)>,
    },
    /// `kvorum cluster`.
    Cluster {
        /// What to do.
        command: ClusterCommand,
        /// The password of the nodes.
        password: Option<String>,
    },
    /// `kvorum import`.
    Import(ImportOptions),
    /// `kvorum export`.
    Export(ExportOptions),
}

impl Invocation {
    /// Reads a command line, the program's name included. The error is also how clap says that
    /// it has printed help or the version; [`clap::Error::exit_code`] tells.
    pub fn parse(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Self, clap::Error> {
        let matches = command().try_get_matches_from(args)?;
        match matches.subcommand() {
            Some(("cluster", cluster)) => Ok(cluster_invocation(cluster)),
            Some(("import", import)) => Ok(import_invocation(import)),
            Some(("export", export)) => Ok(export_invocation(export)),
            Some((_, server)) => {
                Ok(Self::Server { config: server.get_one::<PathBuf>("config").cloned(), flags: flags(server) })
            }
            None => unreachable!("clap insists on a subcommand"),
        }
    }

    /// Reads the configuration file and checks all values.
    pub fn settings(&self) -> Result<Settings, LoadError> {
        match self {
            Self::Server { config, flags } => Settings::load(config.as_deref(), flags),
            Self::Cluster { .. } | Self::Import(_) | Self::Export(_) => Settings::load(None, &[]),
        }
    }
}

/// The whole command line.
pub fn command() -> Command {
    Command::new("kvorum")
        .version(version())
        .about(ABOUT)
        .after_help(AFTER)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(server_command())
        .subcommand(cluster_command())
        .subcommand(import_command())
        .subcommand(export_command())
}

const CLUSTER_AFTER: &str = "\
Examples:
  kvorum cluster create --nodes 10.0.0.1:6379,10.0.0.2:6379,10.0.0.3:6379
  kvorum cluster create --nodes a:6379,b:6379,c:6379,d:6379,e:6379 --shards 16 --replicas 3
  kvorum cluster status --node 10.0.0.1:6379
  kvorum cluster status --json

Each node is started with --cluster-enabled yes first; an empty data directory is all it needs.";

fn cluster_command() -> Command {
    let password = Arg::new("password")
        .long("password")
        .value_name("PASSWORD")
        .env("KVORUM_PASSWORD")
        .hide_env_values(true)
        .help("Password of the nodes (their setting requirepass)")
        .global(true);
    let nodes = Arg::new("nodes")
        .long("nodes")
        .value_name("HOST:PORT,…")
        .value_delimiter(',')
        .required(true)
        .help("Where clients reach each node");
    let number = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("N")
            .default_value(default)
            .value_parser(clap::value_parser!(u16).range(1..=1024))
            .help(help)
    };
    let node = Arg::new("node").long("node").value_name("HOST:PORT").default_value("127.0.0.1:6379").help("Any node");
    let json = Arg::new("json").long("json").action(ArgAction::SetTrue).help("For programs");
    Command::new("cluster")
        .about("Makes a cluster of nodes, and shows how it is")
        .after_help(CLUSTER_AFTER)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(password)
        .subcommand(
            Command::new("create")
                .about("Makes a cluster of nodes; returns when every shard has a leader. To repeat it does no harm")
                .arg(nodes)
                .arg(number("shards", "8", "Shards that the keys are spread over"))
                .arg(number("replicas", "3", "Replicas of each shard, on different nodes")),
        )
        .subcommand(Command::new("status").about("Shows nodes, shards, leaders and lag").args([node, json]))
}

fn cluster_invocation(matches: &ArgMatches) -> Invocation {
    let password = matches.get_one::<String>("password").cloned();
    let number = |matches: &ArgMatches, name| matches.get_one::<u16>(name).copied().expect("it has a default");
    let command = match matches.subcommand() {
        Some(("create", create)) => ClusterCommand::Create {
            nodes: create.get_many::<String>("nodes").into_iter().flatten().cloned().collect(),
            shards: number(create, "shards"),
            replicas: number(create, "replicas"),
        },
        Some((_, status)) => ClusterCommand::Status {
            node: status.get_one::<String>("node").cloned().expect("it has a default"),
            json: status.get_flag("json"),
        },
        None => unreachable!("clap insists on a subcommand"),
    };
    Invocation::Cluster { command, password }
}

fn server_command() -> Command {
    let config = Arg::new("config")
        .long("config")
        .short('c')
        .value_name("FILE")
        .value_parser(ValueParser::path_buf())
        .help("Configuration file (TOML)");
    Command::new("server")
        .about("Runs the server; -h lists its main settings, --help all of them")
        .long_about(SERVER_LONG)
        .after_long_help(SERVER_AFTER)
        .arg(config)
        .args(SETTINGS.iter().map(flag))
}

fn flag(spec: &'static SettingSpec) -> Arg {
    let arg = Arg::new(spec.name)
        .long(spec.name)
        .aliases(spec.aliases.iter().copied())
        .value_name(spec.value_name())
        .action(ArgAction::Append)
        .help_heading(if spec.compat { "Known from Redis, stored and reported only" } else { spec.group.heading() })
        .hide(spec.hidden)
        .hide_short_help(spec.compat || spec.group == Group::Encodings)
        .help(first_sentence(spec.doc))
        .long_help(long_help(spec));
    match spec.kind {
        Kind::Int { .. } => arg.allow_negative_numbers(true),
        Kind::String | Kind::Special { several: false, .. } => arg.allow_hyphen_values(true),
        Kind::Special { several: true, .. } => arg.num_args(0..).default_missing_value("").allow_negative_numbers(true),
        Kind::Bool | Kind::Bytes { .. } | Kind::BytesOrPercent | Kind::Enum(_) => arg,
    }
}

fn first_sentence(doc: &'static str) -> &'static str {
    doc.split_once(". ").map_or(doc, |(first, _)| first).trim_end_matches('.')
}

fn long_help(spec: &SettingSpec) -> String {
    let default = if spec.default.is_empty() { "empty" } else { spec.default };
    let when = match spec.when {
        When::StartOnly => "; at start",
        When::Runtime => "",
    };
    format!("{}\n[{}; default: {default}{when}]", spec.doc, spec.allowed())
}

/// The settings that were given, each once.
fn flags(matches: &ArgMatches) -> Vec<(String, String)> {
    let mut flags = Vec::new();
    for spec in SETTINGS {
        let Some(values) = matches.get_many::<String>(spec.name) else { continue };
        let values: Vec<&str> = values.map(String::as_str).collect();
        let value = match spec.kind {
            Kind::Special { several: true, .. } => values.join(" ").trim().to_owned(),
            _ => values.last().copied().unwrap_or_default().to_owned(),
        };
        flags.push((spec.name.to_owned(), value));
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::settings::Setting;

    fn settings(args: &str) -> Settings {
        parse(args).settings().unwrap_or_else(|error| panic!("{args}: {error}"))
    }

    fn parse(args: &str) -> Invocation {
        let words = shell_words(args);
        Invocation::parse(&words).unwrap_or_else(|error| panic!("{args}: {error}"))
    }

    fn shell_words(args: &str) -> Vec<String> {
        ["kvorum", "server"].into_iter().chain(args.split(' ')).map(|word| word.replace("''", "")).collect()
    }

    #[test]
    fn the_frame_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn values_in_all_forms() {
        let settings = settings("--port 7000 --appendonly no --maxmemory=1mb --hash-max-ziplist-entries 3 --port 7001");
        assert_eq!(settings.int(Setting::Port), 7001);
        assert!(!settings.bool(Setting::Appendonly));
        assert_eq!(settings.int(Setting::Maxmemory), 1 << 20);
        assert_eq!(settings.int(Setting::HashMaxListpackEntries), 3);
        assert_eq!(settings.int(Setting::Hz), 10);
    }

    #[test]
    fn values_that_look_like_flags() {
        let settings = settings("--slowlog-log-slower-than -1 --list-max-listpack-size -2 --requirepass --secret");
        assert_eq!(settings.int(Setting::SlowlogLogSlowerThan), -1);
        assert_eq!(settings.int(Setting::ListMaxListpackSize), -2);
        assert_eq!(&*settings.string(Setting::Requirepass), "--secret");
    }

    #[test]
    fn lists_of_words_and_names_with_spaces() {
        let words = ["kvorum", "server", "--bind", "127.0.0.1", "::1", "--dir", "/tmp/my data", "--logfile", ""];
        let settings = Invocation::parse(words).expect("parses").settings().expect("valid");
        assert_eq!(settings.bind_addresses().len(), 2);
        assert_eq!(settings.dir(), PathBuf::from("/tmp/my data"));
    }

    #[test]
    fn save_as_redis_takes_it() {
        for (args, expected) in [
            ("--save ''", ""),
            ("--save --loglevel verbose", ""),
            ("--loglevel verbose --save", ""),
            ("--save 900 1 --loglevel verbose", "900 1"),
            ("--save 900 1 --save 60 10", "900 1 60 10"),
        ] {
            assert_eq!(&*settings(args).string(Setting::Save), expected, "{args}");
        }
    }

    #[test]
    fn wrong_flags_are_usage_errors() {
        let error = Invocation::parse(["kvorum", "server", "--prot", "1"]).expect_err("no such flag");
        assert_eq!(error.exit_code(), i32::from(EXIT_USAGE));
        assert!(error.to_string().contains("'--port'"), "{error}");
        let error = parse("--port 70000").settings().expect_err("too large");
        assert!(error.is_usage());
        assert_eq!(error.to_string(), "command line: port cannot be '70000': it takes a whole number from 0 to 65535");
    }

    #[test]
    fn help_lists_every_visible_setting() {
        let help = server_command().render_long_help().to_string();
        for spec in SETTINGS {
            assert_eq!(help.contains(&format!("--{} ", spec.name)), !spec.hidden, "{}", spec.name);
        }
        let short = server_command().render_help().to_string();
        assert!(short.contains("--port ") && !short.contains("--rdb-del-sync-files "));
    }

    #[test]
    fn version_and_help_are_not_errors() {
        for flag in ["--version", "--help"] {
            let error = Invocation::parse(["kvorum", flag]).expect_err("printed, not run");
            assert_eq!(error.exit_code(), i32::from(EXIT_OK));
        }
        assert_eq!(Invocation::parse(["kvorum"]).expect_err("nothing to do").exit_code(), i32::from(EXIT_USAGE));
    }
}
