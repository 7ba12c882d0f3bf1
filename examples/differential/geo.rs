//! Searches for places: which answers are right, where several are.
//!
//! In which order members come that are equally far away, and which of them COUNT takes, follows in Redis from an unstable
//! sort; without an order, and with ANY, from its walk. So a search is preceded by the same one without order and limit, with
//! everything about each member. It is compared as a set, and the answer of every server has to follow from it.
//!
//! What a search with COUNT stores is looked at and removed: servers that took different ones of equals go on alike.

use std::collections::BTreeMap;

use super::reply::Value;

/// How far what is stored may be from the distance as it is printed, with four digits.
const ROUNDING: f64 = 0.000_051;

/// What a search asks for, apart from where.
pub(crate) struct Search {
    coordinates: bool,
    distance: bool,
    hash: bool,
    descending: Option<bool>,
    count: Option<usize>,
    any: bool,
    /// The key that the members go to, and whether with their distances.
    stores: Option<(Vec<u8>, bool)>,
    /// The same search without order and limit.
    whole: Vec<Vec<u8>>,
}

/// How far away a member is, and what the answer to the whole search says of it: distance, hash and coordinates.
type About<'a> = (f64, [&'a Value; 3]);
/// The answer to the whole search, by member.
type Found<'a> = BTreeMap<&'a [u8], About<'a>>;

impl Search {
    /// Reads a command that a server may refuse.
    pub(crate) fn of(args: &[Vec<u8>]) -> Self {
        let mut search = Self {
            coordinates: false,
            distance: false,
            hash: false,
            descending: None,
            count: None,
            any: false,
            stores: None,
            whole: Vec::new(),
        };
        let mut rest = args.iter();
        let stores = args[0].eq_ignore_ascii_case(b"GEOSEARCHSTORE");
        if stores {
            search.whole.push(b"GEOSEARCH".to_vec());
            rest.next();
            search.stores = rest.next().map(|key| (key.clone(), false));
        }
        while let Some(arg) = rest.next() {
            match arg.to_ascii_uppercase().as_slice() {
                b"WITHCOORD" => search.coordinates = true,
                b"WITHDIST" => search.distance = true,
                b"WITHHASH" => search.hash = true,
                b"ASC" => search.descending = Some(false),
                b"DESC" => search.descending = Some(true),
                b"ANY" => search.any = true,
                b"COUNT" => {
                    let count = rest.next().and_then(|number| std::str::from_utf8(number).ok()?.parse().ok());
                    search.count = count.filter(|&count| count > 0);
                }
                b"STOREDIST" if stores => search.stores.iter_mut().for_each(|(_, distances)| *distances = true),
                word @ (b"STORE" | b"STOREDIST") => {
                    search.stores = rest.next().map(|key| (key.clone(), word == b"STOREDIST"));
                }
                _ => search.whole.push(arg.clone()),
            }
        }
        search.whole.extend([&b"WITHDIST"[..], b"WITHHASH", b"WITHCOORD"].map(<[u8]>::to_vec));
        search
    }

    /// What is asked before the search.
    pub(crate) fn before(&self) -> Vec<Vec<u8>> {
        self.whole.clone()
    }

    /// What is asked after it.
    pub(crate) fn after(&self) -> Vec<Vec<Vec<u8>>> {
        let Some((key, _)) = &self.stores else { return Vec::new() };
        let command = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect();
        vec![command(&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"]), command(&[b"DEL", key])]
    }

    /// Whether a server's replies (to the whole search, the search, and what is asked after it) are as right as the
    /// reference's.
    pub(crate) fn agree(&self, reference: &[Value], other: &[Value]) -> bool {
        let [whole, expected @ ..] = reference else { return false };
        let [other_whole, found @ ..] = other else { return false };
        if whole.sorted(1) != other_whole.sorted(1) {
            return false;
        }
        let Value::Array(members) = whole else { return expected == found };
        if expected[0].is_error() || found[0].is_error() {
            return expected == found;
        }
        let members: Option<Found<'_>> = members.iter().map(member).collect();
        members.is_some_and(|members| self.follows(&members, expected) && self.follows(&members, found))
    }

    /// Whether replies follow from all that is there.
    fn follows(&self, members: &Found<'_>, replies: &[Value]) -> bool {
        let count = self.count.unwrap_or(usize::MAX).min(members.len());
        match (&self.stores, replies) {
            (None, [Value::Array(elements)]) => {
                let names: Option<Vec<&[u8]>> = elements.iter().map(|element| self.name(members, element)).collect();
                names.is_some_and(|names| names.len() == count && self.may_be(members, &names, true))
            }
            (Some((_, distances)), [Value::Integer(stored), Value::Array(pairs), Value::Integer(_)]) => {
                let names: Option<Vec<&[u8]>> =
                    pairs.chunks(2).map(|pair| stored_name(members, pair, *distances)).collect();
                *stored == count as i64
                    && names.is_some_and(|names| names.len() == count && self.may_be(members, &names, false))
            }
            _ => false,
        }
    }

    /// The name in an element of the answer, if the element says of it what is so.
    fn name<'a>(&self, members: &Found<'_>, element: &'a Value) -> Option<&'a [u8]> {
        let (name, more) = match element {
            Value::Array(parts) => parts.split_first()?,
            name => (name, &[][..]),
        };
        let (_, [distance, hash, coordinates]) = members.get(name.bytes()?)?;
        let asked = [(self.distance, distance), (self.hash, hash), (self.coordinates, coordinates)];
        let expected = asked.into_iter().filter(|(asked, _)| *asked).map(|(_, value)| *value);
        more.iter().eq(expected).then(|| name.bytes()).flatten()
    }

    /// Whether these members may be the answer, in this order if that counts.
    fn may_be(&self, members: &Found<'_>, names: &[&[u8]], in_order: bool) -> bool {
        let mut unique = names.to_vec();
        unique.sort_unstable();
        unique.dedup();
        if unique.len() != names.len() {
            return false;
        }
        let mut distances: Vec<f64> = names.iter().map(|name| members[name].0).collect();
        // COUNT takes the nearest, unless any will do.
        let descending = self.descending.or(self.count.filter(|_| !self.any).map(|_| false));
        let Some(descending) = descending else { return true };
        let sort = |distances: &mut Vec<f64>| {
            distances.sort_by(|a, b| if descending { b.total_cmp(a) } else { a.total_cmp(b) });
        };
        let as_answered = distances.clone();
        sort(&mut distances);
        if in_order && distances != as_answered {
            return false;
        }
        let mut all: Vec<f64> = members.values().map(|(distance, _)| *distance).collect();
        sort(&mut all);
        self.any || all.starts_with(&distances)
    }
}

/// Reads an element of the answer to a whole search.
fn member(element: &Value) -> Option<(&[u8], About<'_>)> {
    let Value::Array(parts) = element else { return None };
    let [name, distance, hash, coordinates] = &parts[..] else { return None };
    Some((name.bytes()?, (number(distance)?, [distance, hash, coordinates])))
}

/// The name of a member that was stored, if its score is what it should be.
fn stored_name<'a>(members: &Found<'_>, pair: &'a [Value], distances: bool) -> Option<&'a [u8]> {
    let [name, score] = pair else { return None };
    let name = name.bytes()?;
    let (distance, [_, hash, _]) = members.get(name)?;
    let right = match hash {
        Value::Integer(hash) if !distances => score.bytes()? == hash.to_string().as_bytes(),
        _ => distances && (number(score)? - distance).abs() < ROUNDING,
    };
    right.then_some(name)
}

fn number(text: &Value) -> Option<f64> {
    std::str::from_utf8(text.bytes()?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::Bulk(text.as_bytes().to_vec())
    }

    fn names(of: &str) -> Value {
        Value::Array(of.split_whitespace().map(bulk).collect())
    }

    /// Two at one distance, and one farther away.
    fn whole() -> Value {
        let element = |(name, distance, hash): (&str, &str, i64)| {
            Value::Array(vec![bulk(name), bulk(distance), Value::Integer(hash), names("1 2")])
        };
        Value::Array([("a", "1.0000", 5), ("b", "1.0000", 6), ("c", "2.5000", 7)].map(element).to_vec())
    }

    fn agree(line: &str, expected: Value, found: Value) -> bool {
        let args: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        Search::of(&args).agree(&[whole(), expected], &[whole(), found])
    }

    #[test]
    fn only_equals_may_be_exchanged() {
        let near = "GEOSEARCH k FROMLONLAT 1 2 BYRADIUS 9 km";
        assert!(agree(near, names("a b c"), names("c b a")));
        assert!(!agree(near, names("a b c"), names("a b")));
        let ordered = format!("{near} ASC");
        assert!(agree(&ordered, names("a b c"), names("b a c")));
        assert!(!agree(&ordered, names("a b c"), names("a c b")));
        assert!(!agree(&ordered, names("a b c"), names("a a c")));
        let cut = format!("{near} COUNT 1");
        assert!(agree(&cut, names("a"), names("b")));
        assert!(!agree(&cut, names("a"), names("c")));
        assert!(agree(&format!("{near} COUNT 1 ANY"), names("a"), names("c")));
        assert!(agree(&format!("{near} COUNT 2 DESC"), names("c a"), names("c b")));
        assert!(!agree(&format!("{near} COUNT 2 DESC"), names("c a"), names("b a")));
    }

    #[test]
    fn what_is_said_of_a_member_counts() {
        let line = "GEORADIUS k 1 2 9 km COUNT 1 WITHHASH";
        let element = |name: &str, hash| Value::Array(vec![Value::Array(vec![bulk(name), Value::Integer(hash)])]);
        assert!(agree(line, element("a", 5), element("b", 6)));
        assert!(!agree(line, element("a", 5), element("b", 5)));
    }

    #[test]
    fn what_is_stored_is_looked_at() {
        let stored = |line: &str, pairs: &str| {
            let args: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            let replies = [whole(), Value::Integer(2), names(pairs), Value::Integer(1)];
            Search::of(&args).agree(&replies, &replies)
        };
        let line = "GEOSEARCHSTORE to k FROMLONLAT 1 2 BYRADIUS 9 km COUNT 2";
        assert!(stored(line, "a 5 b 6"));
        assert!(!stored(line, "a 5 c 7"));
        assert!(!stored(line, "a 5 b 5"));
        assert!(stored(&format!("{line} STOREDIST"), "a 1.00004 b 0.99998"));
        assert!(stored("GEORADIUS k 1 2 9 km COUNT 2 STOREDIST to", "a 1 b 1"));
        assert!(!stored("GEORADIUS k 1 2 9 km COUNT 2 STOREDIST to", "a 1 b 2"));
    }
}
