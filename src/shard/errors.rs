//! Counts of error replies, by their code.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Most different error codes that are counted apart.
const ERROR_CODES_MAX: usize = 128;

/// Errors that were answered since start or `CONFIG RESETSTAT`, by commands of the shard and of the
/// server alike.
#[derive(Default)]
pub struct ErrorStats {
    total: AtomicU64,
    by_code: Mutex<BTreeMap<String, u64>>,
}

impl ErrorStats {
    /// Counts an error reply; `text` begins with its code.
    #[cold]
    pub fn count(&self, text: &str) {
        self.total.fetch_add(1, Ordering::Relaxed);
        let code = text.split([' ', '\r', '\n']).next().unwrap_or("ERR");
        let mut by_code = self.by_code.lock();
        if let Some(count) = by_code.get_mut(code) {
            *count += 1;
        } else if by_code.len() < ERROR_CODES_MAX {
            by_code.insert(code.to_owned(), 1);
        }
    }

    /// Counts an error that stands encoded in a reply.
    #[cold]
    pub fn count_reply(&self, reply: &[u8]) {
        self.count(&String::from_utf8_lossy(reply.strip_prefix(b"-").unwrap_or(reply)));
    }

    /// Number of errors answered.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Errors answered, by code.
    pub fn by_code(&self) -> BTreeMap<String, u64> {
        self.by_code.lock().clone()
    }

    /// Forgets everything.
    pub fn reset(&self) {
        self.total.store(0, Ordering::Relaxed);
        self.by_code.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_code() {
        let errors = ErrorStats::default();
        errors.count("ERR one");
        errors.count_reply(b"-ERR two\r\n");
        errors.count_reply(b"-WRONGTYPE\r\n");
        assert_eq!(errors.total(), 3);
        let by_code: Vec<_> = errors.by_code().into_iter().collect();
        assert_eq!(by_code, [("ERR".to_owned(), 2), ("WRONGTYPE".to_owned(), 1)]);
        errors.reset();
        assert!(errors.total() == 0 && errors.by_code().is_empty());
    }

    #[test]
    fn the_number_of_codes_is_bounded() {
        let errors = ErrorStats::default();
        for number in 0..2 * ERROR_CODES_MAX {
            errors.count(&format!("CODE{number} text"));
        }
        assert_eq!(errors.by_code().len(), ERROR_CODES_MAX);
        assert_eq!(errors.total(), 2 * ERROR_CODES_MAX as u64);
    }
}
