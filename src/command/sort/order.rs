//! What comes before what.

use std::cmp::Ordering;

use super::options::Options;
use crate::command::error::CommandError;
use crate::types::number::{is_c_space, parse_f64};

/// Sorts elements by what they are.
pub(super) fn by_elements(elements: &mut Vec<Vec<u8>>, options: &Options<'_>) -> Result<(), CommandError> {
    if options.alpha {
        let direct = |ordering: Ordering| if options.descending { ordering.reverse() } else { ordering };
        elements.sort_by(|a, b| direct(text(a, options).cmp(text(b, options))));
        return Ok(());
    }
    let weighed = std::mem::take(elements).into_iter().map(|element| (Some(element.clone()), element)).collect();
    *elements = by_numbers(weighed, options)?;
    Ok(())
}

/// Sorts elements by what they name, which stands before them. Those that name nothing have the number 0, and as texts
/// come first.
pub(super) fn by_weights(
    mut weighed: Vec<(Option<Vec<u8>>, Vec<u8>)>,
    options: &Options<'_>,
) -> Result<Vec<Vec<u8>>, CommandError> {
    if !options.alpha {
        return by_numbers(weighed, options);
    }
    let direct = |ordering: Ordering| if options.descending { ordering.reverse() } else { ordering };
    weighed.sort_by(|(a, _), (b, _)| {
        let (a, b) = (a.as_deref(), b.as_deref());
        direct(a.map(|a| text(a, options)).cmp(&b.map(|b| text(b, options))))
    });
    Ok(weighed.into_iter().map(|(_, element)| element).collect())
}

fn by_numbers(weighed: Vec<(Option<Vec<u8>>, Vec<u8>)>, options: &Options<'_>) -> Result<Vec<Vec<u8>>, CommandError> {
    const NOT_NUMBERS: CommandError = CommandError::Static("ERR One or more scores can't be converted into double");
    let mut numbered = Vec::with_capacity(weighed.len());
    for (weight, element) in weighed {
        let number = weight.map_or(Some(0.0), |weight| number(&weight)).ok_or(NOT_NUMBERS)?;
        numbered.push((number, element));
    }
    // The two zeros are equal, and no number is a NaN. Equal ones are told apart by the elements.
    numbered.sort_unstable_by(|(a, one), (b, other)| {
        let ordering = a.partial_cmp(b).unwrap_or(Ordering::Equal).then_with(|| one.cmp(other));
        if options.descending { ordering.reverse() } else { ordering }
    });
    Ok(numbered.into_iter().map(|(_, element)| element).collect())
}

/// A number as `strtod` reads it: white space may stand before it, and nothing at all is 0.
fn number(text: &[u8]) -> Option<f64> {
    let text = c_string(text);
    if text.is_empty() {
        return Some(0.0);
    }
    parse_f64(&text[text.iter().take_while(|byte| is_c_space(**byte)).count()..])
}

/// A text to compare. What is only answered is compared as Redis does it in the C locale, up to a zero byte; what is
/// stored byte by byte.
fn text<'t>(text: &'t [u8], options: &Options<'_>) -> &'t [u8] {
    if options.store.is_some() { text } else { c_string(text) }
}

fn c_string(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_strtod() {
        assert_eq!(number(b""), Some(0.0));
        assert_eq!(number(b" \t1.5"), Some(1.5));
        assert_eq!(number(b"0x10"), Some(16.0));
        assert_eq!(number(b"-inf"), Some(f64::NEG_INFINITY));
        assert_eq!(number(b"1\0more"), Some(1.0));
        for text in ["1 ", " ", "nan", "x", "1e400"] {
            assert_eq!(number(text.as_bytes()), None, "{text:?}");
        }
    }
}
