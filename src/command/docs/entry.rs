//! A command or a subcommand, seen alike.

use crate::command::spec::{Arg, Arity, CommandSpec, Deprecation, Flags, Group, KeySpec, Subcommand};

/// What the table says of a command or a subcommand.
pub(super) struct Entry {
    /// Lower-case name; a subcommand's is `container|subcommand`.
    pub(super) name: String,
    pub(super) since: &'static str,
    pub(super) group: Group,
    pub(super) arity: Arity,
    pub(super) flags: Flags,
    pub(super) keys: &'static [KeySpec],
    pub(super) summary: &'static str,
    pub(super) complexity: &'static str,
    pub(super) args: &'static [Arg],
    pub(super) tips: &'static [&'static str],
    pub(super) deprecated: Option<Deprecation>,
    pub(super) subcommands: Vec<Entry>,
}

impl Entry {
    /// A command with its subcommands.
    pub(super) fn of(spec: &'static CommandSpec) -> Self {
        Self {
            name: spec.name.to_ascii_lowercase(),
            since: spec.since,
            group: spec.group,
            arity: spec.arity,
            flags: spec.flags,
            keys: spec.keys,
            summary: spec.summary,
            complexity: spec.complexity,
            args: spec.args,
            tips: spec.tips,
            deprecated: spec.deprecated,
            subcommands: spec.subcommands.iter().map(|subcommand| Self::of_subcommand(spec, subcommand)).collect(),
        }
    }

    /// A subcommand of a container.
    pub(super) fn of_subcommand(container: &'static CommandSpec, subcommand: &'static Subcommand) -> Self {
        Self {
            name: format!("{}|{}", container.name, subcommand.name).to_ascii_lowercase(),
            since: subcommand.since,
            group: container.group,
            arity: subcommand.arity,
            flags: subcommand.flags,
            keys: subcommand.keys,
            summary: subcommand.summary,
            complexity: subcommand.complexity,
            args: subcommand.args,
            tips: subcommand.tips,
            deprecated: None,
            subcommands: Vec::new(),
        }
    }

    /// The entry of a name such as `get` or `config|get`, in any case.
    pub(super) fn find(name: &[u8]) -> Option<Self> {
        let mut parts = name.split(|&byte| byte == b'|');
        let spec = crate::command::find(parts.next()?)?;
        let Some(subcommand) = parts.next() else { return Some(Self::of(spec)) };
        if parts.next().is_some() {
            return None;
        }
        crate::command::find_subcommand(spec, subcommand).map(|subcommand| Self::of_subcommand(spec, subcommand))
    }

    /// The ACL categories, in Redis's order. Most follow from the flags and the family.
    pub(super) fn categories(&self) -> Vec<&'static str> {
        let has = |flag| self.flags.has(flag);
        let admin = has(Flags::ADMIN);
        [
            ("@keyspace", has(Flags::KEYSPACE)),
            ("@read", has(Flags::READONLY)),
            ("@write", has(Flags::WRITE)),
            ("@list", self.group == Group::List),
            ("@sortedset", self.group == Group::SortedSet),
            ("@set", self.group == Group::Set),
            ("@hash", self.group == Group::Hash),
            ("@string", self.group == Group::String),
            ("@bitmap", self.group == Group::Bitmap),
            ("@hyperloglog", self.group == Group::Hyperloglog),
            ("@stream", self.group == Group::Stream),
            ("@pubsub", has(Flags::PUBSUB)),
            ("@admin", admin),
            ("@fast", has(Flags::FAST)),
            ("@slow", !has(Flags::FAST)),
            ("@blocking", has(Flags::BLOCKING)),
            ("@geo", self.group == Group::Geo),
            ("@dangerous", admin || has(Flags::DANGEROUS)),
            ("@connection", has(Flags::CONNECTION)),
            ("@transaction", self.group == Group::Transactions),
        ]
        .into_iter()
        .filter_map(|(name, member)| member.then_some(name))
        .collect()
    }
}
