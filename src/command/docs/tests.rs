//! The replies of `COMMAND`; the golden script `command.txt` has more of them.

use super::*;
use crate::resp::Protocol;

fn reply(request: &str, protocol: Protocol) -> String {
    let args: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
    let mut bytes = Vec::new();
    command(&args, &mut Reply::new(&mut bytes, protocol)).expect("the request is in order");
    String::from_utf8(bytes).expect("names are text")
}

#[test]
fn help_shows_usage_and_purpose() {
    let mut bytes = Vec::new();
    help("OBJECT", &mut Reply::new(&mut bytes, Protocol::Resp2));
    let text = String::from_utf8(bytes).expect("help is text");
    for line in [
        "+OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n",
        "+FREQ <key>\r\n",
        "+HELP\r\n+    Print this help.\r\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let text = reply("COMMAND HELP", Protocol::Resp2);
    assert!(text.contains("+LIST [FILTERBY (MODULE <module-name>|ACLCAT <category>|PATTERN <pattern>)]\r\n"), "{text}");
}

#[test]
fn all_commands_are_told() {
    let count = all().count();
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        assert!(reply("COMMAND", protocol).starts_with(&format!("*{count}\r\n*10\r\n")));
        assert_eq!(reply("COMMAND", protocol), reply("command info", protocol));
        assert_eq!(reply("COMMAND COUNT", protocol), format!(":{count}\r\n"));
    }
    assert!(reply("COMMAND DOCS", Protocol::Resp3).starts_with(&format!("%{count}\r\n")));
    assert!(reply("COMMAND DOCS", Protocol::Resp2).starts_with(&format!("*{}\r\n", count * 2)));
    let names = count + all().map(|spec| spec.subcommands.len()).sum::<usize>();
    assert!(reply("COMMAND LIST", Protocol::Resp2).starts_with(&format!("*{names}\r\n")));
}

#[test]
fn categories_follow_from_flags() {
    let categories = |name: &str| Entry::find(name.as_bytes()).expect("the command is there").categories();
    assert_eq!(categories("get"), ["@read", "@string", "@fast"]);
    assert_eq!(categories("hset"), ["@write", "@hash", "@fast"]);
    assert_eq!(categories("config|set"), ["@admin", "@slow", "@dangerous"]);
    assert_eq!(categories("keys"), ["@keyspace", "@read", "@slow", "@dangerous"]);
    assert_eq!(categories("client|id"), ["@slow", "@connection"]);
}
