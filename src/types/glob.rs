//! Glob patterns as `KEYS`, `SCAN … MATCH`, `PSUBSCRIBE` and ACL rules take them.
//!
//! | pattern | matches |
//! |---|---|
//! | `*` | any bytes, also none |
//! | `?` | any byte |
//! | `[abc]`, `[a-c]` | one of these bytes |
//! | `[^abc]` | any other byte |
//! | `\x` | `x`, whatever it is |
//!
//! The oddities are those of Redis's `stringmatchlen`: a class without `]` ends with the pattern;
//! `[]…` is an empty class; an escaped byte in a class minds its case even when others do not; range bounds
//! compare as signed bytes and may be given in either order; and a pattern with a star matches the
//! empty text only if it is a single `*`.
//!
//! A pattern with more stars than [`STARS_MAX`] before the text ends matches nothing, as in Redis, whose
//! recursion has that bound.
//!
//! There is no recursion here. Every part of a pattern but a star takes exactly one byte, so when a
//! match fails only the last star needs to take more: an earlier star that took more could
//! only leave less text for the same remainder. The work is at most the product of both lengths.

/// Most runs of stars that a match may pass, a star at the end not counted. From Redis's util.c.
const STARS_MAX: usize = 1000;

/// Whether `text` matches `pattern`; with `nocase`, ASCII letters match in either case.
pub fn matches(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    if pattern == b"*" {
        return true;
    }
    if text.is_empty() {
        return pattern.is_empty();
    }
    let mut part = 0;
    let mut at = 0;
    // Past the last star: the part after it, and where in the text that was last tried.
    let mut retry: Option<(usize, usize)> = None;
    let mut stars = 0;
    while at < text.len() {
        if pattern.get(part) == Some(&b'*') {
            part += pattern[part..].iter().take_while(|byte| **byte == b'*').count();
            if part == pattern.len() {
                return true;
            }
            stars += 1;
            if stars > STARS_MAX {
                return false;
            }
            retry = Some((part, at));
        } else if let Some(next) = match_one(pattern, part, text[at], nocase) {
            part = next;
            at += 1;
        } else if let Some((after_star, tried)) = retry {
            part = after_star;
            at = tried + 1;
            retry = Some((after_star, at));
        } else {
            return false;
        }
    }
    pattern[part..].iter().all(|byte| *byte == b'*')
}

/// Matches one byte with the part of the pattern at `part`, which is no star. Answers where the
/// next part begins, or nothing if they do not match or the pattern has ended.
fn match_one(pattern: &[u8], part: usize, byte: u8, nocase: bool) -> Option<usize> {
    let (literal, next) = match &pattern[part..] {
        [] => return None,
        [b'?', ..] => return Some(part + 1),
        [b'[', ..] => return match_class(pattern, part + 1, byte, nocase),
        [b'\\', escaped, ..] => (*escaped, part + 2),
        [literal, ..] => (*literal, part + 1),
    };
    same(literal, byte, nocase).then_some(next)
}

/// Matches one byte with the class whose `[` is just before `part`.
fn match_class(pattern: &[u8], mut part: usize, byte: u8, nocase: bool) -> Option<usize> {
    let negated = pattern.get(part) == Some(&b'^');
    part += usize::from(negated);
    let mut found = false;
    loop {
        match &pattern[part..] {
            [] => break,
            [b'\\', escaped, ..] => {
                found |= *escaped == byte;
                part += 2;
            }
            [b']', ..] => {
                part += 1;
                break;
            }
            [from, b'-', to, ..] => {
                found |= in_range(*from, *to, byte, nocase);
                part += 3;
            }
            [literal, ..] => {
                found |= same(*literal, byte, nocase);
                part += 1;
            }
        }
    }
    (found != negated).then_some(part)
}

fn same(left: u8, right: u8, nocase: bool) -> bool {
    if nocase { left.eq_ignore_ascii_case(&right) } else { left == right }
}

fn in_range(from: u8, to: u8, byte: u8, nocase: bool) -> bool {
    let fold = |byte: u8| if nocase { byte.to_ascii_lowercase().cast_signed() } else { byte.cast_signed() };
    let (low, high) = if from.cast_signed() > to.cast_signed() { (to, from) } else { (from, to) };
    (fold(low)..=fold(high)).contains(&fold(byte))
}

/// The bytes that every match (with `nocase` off) begins with: the pattern up to its first `*`,
/// `?` or `[`, escapes resolved. An ordered engine visits only keys with this prefix.
pub fn literal_prefix(pattern: &[u8]) -> Vec<u8> {
    let mut prefix = Vec::new();
    let mut rest = pattern;
    loop {
        rest = match rest {
            [] | [b'*' | b'?' | b'[', ..] => return prefix,
            [b'\\', escaped, tail @ ..] => {
                prefix.push(*escaped);
                tail
            }
            [literal, tail @ ..] => {
                prefix.push(*literal);
                tail
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(pattern: &str, text: &str) -> bool {
        matches(pattern.as_bytes(), text.as_bytes(), false)
    }

    #[test]
    fn stars_are_bounded() {
        let text = "a".repeat(STARS_MAX + 1);
        assert!(check(&"*?".repeat(STARS_MAX), &text));
        assert!(!check(&"*?".repeat(STARS_MAX + 1), &text));
        assert!(check(&("*?".repeat(STARS_MAX) + "*"), &text));
    }

    #[test]
    fn parts() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("a", "", false),
            ("*", "", true),
            ("**", "", false),
            ("*", "anything", true),
            ("foo*", "foo", true),
            ("foo*", "foobar", true),
            ("foo*", "fo", false),
            ("*foo*", "a foo b", true),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hallo", true),
            ("h[a-b]llo", "hcllo", false),
            ("h\\?llo", "h?llo", true),
            ("h\\?llo", "hello", false),
            ("h\\", "h\\", true),
            ("[\\]]", "]", true),
            ("[a", "a", true),
            ("[a-", "-", true),
            ("[]a]", "]", false),
            ("[^", "x", true),
            ("[^]", "x", true),
            ("[", "[", false),
            ("*[0-9][0-9]", "key:42", true),
            ("*[0-9][0-9]", "key:4", false),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
            ("*ab", "aab", true),
        ] {
            assert_eq!(check(pattern, text), expected, "{pattern} against {text}");
        }
    }

    #[test]
    fn case() {
        assert!(matches(b"HeLLo*", b"hEllO!", true));
        assert!(!matches(b"HeLLo*", b"hEllO!", false));
        assert!(matches(b"[A-C]x", b"bX", true));
        assert!(matches(b"[a]", b"A", true));
        assert!(!matches(b"[\\a]", b"A", true));
    }

    #[test]
    fn bounds_are_signed_bytes() {
        assert!(matches(b"[a-\xff]", b"A", false));
        assert!(!matches(b"[a-\xff]", b"b", false));
        assert!(matches(b"[\x80-\xff]", b"\xc3", false));
    }

    #[test]
    fn many_stars_are_cheap() {
        let pattern = "a*".repeat(30_000) + "b";
        let text = "a".repeat(60_000);
        assert!(!check(&pattern, &text));
        assert!(!check(&("*?".repeat(50_000) + "b"), &text));
    }

    #[test]
    fn prefixes() {
        for (pattern, prefix) in
            [("user:*", "user:"), ("*", ""), ("abc", "abc"), ("a\\*b?", "a*b"), ("x[ab]", "x"), ("t\\", "t\\")]
        {
            assert_eq!(literal_prefix(pattern.as_bytes()), prefix.as_bytes(), "{pattern}");
        }
    }

    /// The definition, tried every way: exponential, so for short patterns only.
    fn matches_by_definition(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
        match (pattern.first(), text) {
            (None, _) => text.is_empty(),
            (Some(b'*'), _) => {
                (0..=text.len()).any(|taken| matches_by_definition(&pattern[1..], &text[taken..], nocase))
            }
            (Some(_), []) => false,
            (Some(_), [byte, rest @ ..]) => match_one(pattern, 0, *byte, nocase)
                .is_some_and(|next| matches_by_definition(&pattern[next..], rest, nocase)),
        }
    }

    proptest! {
        #[test]
        fn one_star_back_is_enough(pattern in r"[ab*?\[\]\\^-]{0,10}", text in "[abAB]{1,10}", nocase: bool) {
            let expected = matches_by_definition(pattern.as_bytes(), text.as_bytes(), nocase);
            prop_assert_eq!(matches(pattern.as_bytes(), text.as_bytes(), nocase), expected);
        }

        #[test]
        fn any_match_begins_with_the_prefix(pattern in r"[ab*?\[\]\\^-]{0,8}", text in r"[ab\\\]-]{0,6}") {
            if check(&pattern, &text) {
                prop_assert!(text.as_bytes().starts_with(&literal_prefix(pattern.as_bytes())));
            }
        }

        #[test]
        fn escaped_text_matches_itself_only(text in ".{1,20}", other in ".{0,20}") {
            let escape = |c: char| if c.is_ascii() { format!("\\{c}") } else { c.to_string() };
            let pattern: String = text.chars().map(escape).collect();
            prop_assert!(check(&pattern, &text));
            prop_assert_eq!(check(&pattern, &other), text == other);
            prop_assert_eq!(literal_prefix(pattern.as_bytes()), text.as_bytes());
        }
    }
}
