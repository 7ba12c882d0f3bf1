//! Patterns that make the name of a key, or of a field of a hash, from an element.

use super::Source;
use crate::storage::{Address, StorageError, StorageResult};
use crate::types::slot::slot_of;

/// A pattern after `BY` or `GET`. `prefix*suffix` is the string at the key that has the element in the star's place, `…->field`
/// a field of the hash there, `#` the element itself. Without a star it is nothing.
pub(super) struct Pattern<'a>(Parts<'a>);

enum Parts<'a> {
    Element,
    Nothing,
    Key { prefix: &'a [u8], suffix: &'a [u8], field: Option<&'a [u8]> },
}

impl<'a> Pattern<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        if text == b"#" {
            return Self(Parts::Element);
        }
        let Some(star) = text.iter().position(|&byte| byte == b'*') else { return Self(Parts::Nothing) };
        let (prefix, rest) = (&text[..star], &text[star + 1..]);
        // An arrow with nothing behind it is a part of the name.
        let arrow = rest.windows(2).position(|pair| pair == b"->").filter(|arrow| arrow + 2 < rest.len());
        let (suffix, field) = match arrow {
            Some(arrow) => (&rest[..arrow], Some(&rest[arrow + 2..])),
            None => (rest, None),
        };
        Self(Parts::Key { prefix, suffix, field })
    }

    /// What the pattern stands for with an element in its place.
    pub(super) fn look_up(&self, source: Source<'_>, element: &[u8]) -> StorageResult<Option<Vec<u8>>> {
        let (prefix, suffix, field) = match self.0 {
            Parts::Element => return Ok(Some(element.to_vec())),
            Parts::Nothing => return Ok(None),
            Parts::Key { prefix, suffix, field } => (prefix, suffix, field),
        };
        let key = [prefix, element, suffix].concat();
        let at = Address::new(source.db, &key);
        let engine = source.store.engine(at.db, at.key);
        let found = match field {
            None => engine.string(at, source.now).map(|value| value.map(|value| value.into_bytes().into_owned())),
            Some(field) => engine.hash(at, source.now).and_then(|hash| {
                let value = hash.map(|hash| hash.get(field)).transpose()?.flatten();
                Ok(value.map(|value| value.into_owned()))
            }),
        };
        match found {
            Err(StorageError::WrongType) => Ok(None),
            found => found,
        }
    }

    /// Whether all keys that the pattern can name are in the slot of a key: they have its hash tag.
    pub(super) fn stays_in_slot_of(&self, key: &[u8]) -> bool {
        let Parts::Key { prefix, .. } = self.0 else { return true };
        let open = prefix.iter().position(|&byte| byte == b'{');
        let tag = open.and_then(|open| prefix[open + 1..].iter().position(|&byte| byte == b'}'));
        tag.is_some_and(|len| len > 0) && slot_of(prefix) == slot_of(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_parts() {
        let parts = |text: &'static str| match Pattern::new(text.as_bytes()).0 {
            Parts::Element => "element".to_owned(),
            Parts::Nothing => "nothing".to_owned(),
            Parts::Key { prefix, suffix, field } => {
                format!("{:?}", [prefix, suffix, field.unwrap_or(b"none")].map(String::from_utf8_lossy))
            }
        };
        assert_eq!(parts("#"), "element");
        assert_eq!(parts("nosort"), "nothing");
        assert_eq!(parts("#*"), r##"["#", "", "none"]"##);
        assert_eq!(parts("a*b"), r#"["a", "b", "none"]"#);
        assert_eq!(parts("a*b->c"), r#"["a", "b", "c"]"#);
        assert_eq!(parts("a*->"), r#"["a", "->", "none"]"#);
        assert_eq!(parts("a->b*"), r#"["a->b", "", "none"]"#);
        assert_eq!(parts("*->*->x"), r#"["", "", "*->x"]"#);
    }

    #[test]
    fn tags_keep_a_pattern_in_a_slot() {
        let stays =
            |pattern: &'static str, key: &str| Pattern::new(pattern.as_bytes()).stays_in_slot_of(key.as_bytes());
        assert!(stays("{a}weight*", "{a}list"));
        assert!(stays("#", "list") && stays("nosort", "list"));
        assert!(!stays("{b}weight*", "{a}list"));
        assert!(!stays("weight*", "list"));
        assert!(!stays("{*}", "{a}list"));
        assert!(!stays("{}a*", "list"));
    }
}
