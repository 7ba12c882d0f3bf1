//! Which keys a write may change, by its arguments.

use smallvec::SmallVec;

use crate::command::{Access, CommandSpec, CopyOptions, keys_of, move_destination};
use crate::types::Db;
use crate::types::number::parse_u64;

/// What a write may change.
pub(super) enum Touched<'a> {
    /// These keys.
    Keys(SmallVec<[(Db, &'a [u8]); 4]>),
    /// Any key of these databases.
    Databases(SmallVec<[Db; 2]>),
    /// Any key.
    All,
}

/// What a write may change. A command that names no key is taken to change any.
pub(super) fn touched<'a>(spec: &CommandSpec, db: Db, databases: u16, args: &[&'a [u8]]) -> Touched<'a> {
    let number = |index: usize| {
        let number = args.get(index).and_then(|arg| parse_u64(arg));
        number.and_then(|number| u16::try_from(number).ok()).map(Db)
    };
    match spec.name {
        "FLUSHDB" => return Touched::Databases(SmallVec::from_slice(&[db])),
        "SWAPDB" => return Touched::Databases([number(1), number(2)].into_iter().flatten().collect()),
        _ => {}
    }
    let keys = match keys_of(spec, args) {
        // It will be refused.
        Err(_) => return Touched::Keys(SmallVec::new()),
        Ok(keys) if keys.is_empty() => return Touched::All,
        Ok(keys) => keys,
    };
    let changed = keys.iter().filter(|(_, access)| !matches!(access, Access::Read | Access::ReadMeta));
    let mut touched: SmallVec<[(Db, &[u8]); 4]> = changed.map(|&(index, _)| (db, args[index])).collect();
    match spec.name {
        "COPY" => {
            if let (Ok(options), Some(last)) = (CopyOptions::parse(db, databases, args), touched.last_mut()) {
                last.0 = options.db;
            }
        }
        "MOVE" => {
            if let Ok(to) = move_destination(db, databases, args) {
                touched.push((to, args[1]));
            }
        }
        _ => {}
    }
    Touched::Keys(touched)
}
