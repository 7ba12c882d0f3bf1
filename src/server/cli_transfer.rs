//! The command lines of `kvorum import` and `kvorum export`.

use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::cli::Invocation;
use crate::admin::{ExportOptions, ImportOptions, Node};

const IMPORT_AFTER: &str = "\
Examples:
  kvorum import dump.rdb                              into 127.0.0.1:6379
  kvorum import dump.rdb --port 7001 --replace        any node of a cluster takes all keys
  ssh other cat dump.rdb | kvorum import -            from the standard input

Files of Redis up to 8.0 are read. Keys that have expired are left out, and so is what belongs to modules.
Exit codes: 0 when every key was stored, 1 when not, 2 on a wrong command line.";

const EXPORT_AFTER: &str = "\
Examples:
  kvorum export dump.rdb                              all databases of 127.0.0.1:6379
  kvorum export zero.rdb --port 7001 --db 0           one database of a cluster

Redis 7.0 and later load the file. Each key is as it was at one moment, the file as a whole is not: SAVE and
BGSAVE let a server write a file of one moment.";

fn common(command: Command) -> Command {
    let file = Arg::new("file").value_name("FILE").required(true).value_parser(ValueParser::path_buf());
    let host = Arg::new("host").long("host").value_name("HOST").default_value("127.0.0.1").help("Any node");
    let port = Arg::new("port")
        .long("port")
        .value_name("PORT")
        .default_value("6379")
        .value_parser(clap::value_parser!(u16).range(1..))
        .help("Its port for clients");
    let password = Arg::new("password")
        .long("password")
        .value_name("PASSWORD")
        .env("KVORUM_PASSWORD")
        .hide_env_values(true)
        .help("Its password (setting requirepass)");
    let db =
        Arg::new("db").long("db").value_name("N").value_parser(clap::value_parser!(u16)).help("Only this database");
    command.arg(file).args([host, port, password, db])
}

/// `kvorum import`
pub(super) fn import_command() -> Command {
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    common(Command::new("import").about("Reads an RDB file into a server or a cluster").after_help(IMPORT_AFTER)).args(
        [
            flag("replace", "Replace keys that are there already"),
            flag("check", "Only read the file and all its values; ask no server"),
        ],
    )
}

/// `kvorum export`
pub(super) fn export_command() -> Command {
    let force = Arg::new("force").long("force").action(ArgAction::SetTrue).help("Replace a file that is there already");
    common(Command::new("export").about("Writes all keys of a server or a cluster to an RDB file"))
        .after_help(EXPORT_AFTER)
        .arg(force)
}

fn file(matches: &ArgMatches) -> PathBuf {
    matches.get_one::<PathBuf>("file").cloned().expect("it is required")
}

fn node(matches: &ArgMatches) -> Node {
    let host = matches.get_one::<String>("host").expect("it has a default");
    let port = matches.get_one::<u16>("port").expect("it has a default");
    let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    Node { address, password: matches.get_one::<String>("password").cloned() }
}

/// What an `import` asks for.
pub(super) fn import_invocation(matches: &ArgMatches) -> Invocation {
    Invocation::Import(ImportOptions {
        file: file(matches),
        node: node(matches),
        db: matches.get_one::<u16>("db").copied(),
        replace: matches.get_flag("replace"),
        check: matches.get_flag("check"),
    })
}

/// What an `export` asks for.
pub(super) fn export_invocation(matches: &ArgMatches) -> Invocation {
    Invocation::Export(ExportOptions {
        file: file(matches),
        node: node(matches),
        db: matches.get_one::<u16>("db").copied(),
        force: matches.get_flag("force"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_options() {
        let parse = |line: &str| Invocation::parse(line.split(' ').collect::<Vec<_>>()).expect("parses");
        let Invocation::Import(options) = parse("kvorum import dump.rdb --host ::1 --port 7000 --db 3 --replace")
        else {
            panic!("an import");
        };
        assert_eq!((options.node.address.as_str(), options.db, options.replace), ("[::1]:7000", Some(3), true));
        let Invocation::Export(options) = parse("kvorum export out.rdb") else { panic!("an export") };
        assert_eq!((options.node.address.as_str(), options.db, options.force), ("127.0.0.1:6379", None, false));
        assert!(Invocation::parse(["kvorum", "import"]).is_err(), "no file");
    }
}
