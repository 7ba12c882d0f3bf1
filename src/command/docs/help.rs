//! What the `HELP` subcommands answer, made from the table.

use crate::command::spec::{Arg, ArgKind};
use crate::resp::Reply;

/// Answers the usage and purpose of each subcommand of a container, in Redis's form: an array of
/// simple strings.
///
/// # Panics
/// When there is no such command.
pub fn help(container: &str, reply: &mut Reply<'_>) {
    let spec = crate::command::find(container.as_bytes()).expect("containers ask for their own help");
    let mut lines = vec![format!("{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", spec.name)];
    for subcommand in spec.subcommands.iter().filter(|subcommand| subcommand.name != "HELP") {
        lines.push(format!("{}{}", subcommand.name, usage(subcommand.args)));
        lines.push(format!("    {}", subcommand.summary));
    }
    lines.push("HELP".to_owned());
    lines.push("    Print this help.".to_owned());
    reply.array(lines.len());
    for line in lines {
        reply.simple(&line);
    }
}

/// The arguments as people write them, each after a space: ` <key> [COUNT <count>]`.
fn usage(args: &[Arg]) -> String {
    args.iter().map(|arg| format!(" {}", one(arg))).collect()
}

fn one(arg: &Arg) -> String {
    let name = if arg.display.is_empty() { arg.name } else { arg.display };
    let body = match arg.kind {
        ArgKind::Token => String::new(),
        ArgKind::OneOf(parts) => {
            let choices: Vec<String> = parts.iter().map(|part| one(&Arg { optional: false, ..*part })).collect();
            if arg.optional && arg.token.is_empty() { choices.join("|") } else { format!("({})", choices.join("|")) }
        }
        ArgKind::Block(parts) => usage(parts).trim_start().to_owned(),
        _ => format!("<{name}>"),
    };
    let mut text = [arg.token, &body].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    if arg.multiple {
        text = format!("{text} [{text} ...]");
    }
    if arg.optional { format!("[{text}]") } else { text }
}
