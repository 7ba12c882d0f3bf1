//! RDB payloads and files of any bytes: no panic, little memory, and what is taken for a value can be written and
//! read again.
#![no_main]

use kvorum_fuzz::storage::rdb::file::{FileReader, Record};
use kvorum_fuzz::storage::rdb::{SaveOptions, decode, dump, restore};
use kvorum_fuzz::storage::{EncodingSettings, Object};
use kvorum_fuzz::types::number::parse_i64;
use libfuzzer_sys::fuzz_target;

/// A value that was written and read again must be what it was.
fn check(mut object: Object) {
    if let Object::Set(members) = &mut object
        && members.iter().all(|member| parse_i64(member).is_some())
    {
        // Integers are put in order.
        members.sort_unstable_by_key(|member| parse_i64(member));
    }
    let encoding = EncodingSettings::default();
    let again = |object: &Object, compress| {
        restore(&dump(object, SaveOptions { encoding: &encoding, compress })).expect("what was written is a value")
    };
    let second = again(&object, true);
    if let Object::Stream(_) = object {
        // Traces of what was removed from its nodes are not written.
        assert_eq!(again(&second, false), second);
    } else {
        assert_eq!(second, object);
        assert_eq!(again(&object, false), object);
    }
}

fuzz_target!(|data: &[u8]| {
    let _ = restore(data);
    // The checksum keeps most inputs out, so what lies behind it is given them directly.
    if let Ok(object) = decode(data) {
        check(object);
    }
    let Ok(mut file) = FileReader::new(data) else { return };
    while let Ok(Some(record)) = file.next_record() {
        if let Record::Key(entry) = record
            && let Ok(object) = decode(entry.value)
        {
            check(object);
        }
    }
});
