//! "Did you mean": the known name nearest to a mistyped one.

/// The nearest of `known`, unless none is near.
pub(super) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let name = name.to_ascii_lowercase().replace('_', "-");
    let allowed = (name.len() / 3).clamp(1, 4);
    known
        .map(|candidate| (distance(name.as_bytes(), candidate.as_bytes()), candidate))
        .filter(|&(distance, _)| distance <= allowed)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// A hint for an error message, with its punctuation, or nothing.
pub(super) fn hint<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> String {
    nearest(name, known).map(|candidate| format!("; did you mean '{candidate}'?")).unwrap_or_default()
}

/// Number of insertions, removals, replacements and exchanges of neighbours that turn `a` into `b`
/// (Damerau–Levenshtein, optimal string alignment).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in
            [("", "", 0), ("port", "port", 0), ("prot", "port", 1), ("dirr", "dir", 1), ("abc", "", 3)]
        {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), expected, "{a} {b}");
        }
    }

    #[test]
    fn suggests_only_what_is_near() {
        let known = ["port", "maxmemory", "maxmemory-policy", "maxclients"];
        assert_eq!(nearest("prot", known.into_iter()), Some("port"));
        assert_eq!(nearest("max_memory_policy", known.into_iter()), Some("maxmemory-policy"));
        assert_eq!(nearest("elephants", known.into_iter()), None);
        assert_eq!(hint("Maxclient", known.into_iter()), "; did you mean 'maxclients'?");
    }
}
