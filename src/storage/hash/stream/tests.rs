//! One stream in memory; the engines are compared with each other and a model in `tests/engine_conformance`.

use super::*;
use crate::codec::Reader;
use crate::storage::streams::object::tests::sample;
use crate::storage::streams::{IdRange, Owner, StreamView};

fn read(bytes: &[u8]) -> StorageResult<MemoryStream> {
    let mut reader = Reader::new(bytes, "stream");
    let stream = MemoryStream::read(&mut reader)?;
    reader.end()?;
    Ok(stream)
}

#[test]
fn snapshots_bring_back_everything() {
    let mut stream = MemoryStream::from_object(&sample());
    assert!(stream.remove(StreamId::new(3, 9)));
    let mut bytes = Vec::new();
    stream.write(&mut bytes);
    let again = read(&bytes).unwrap();
    assert_eq!(StreamObject::of(&again).unwrap(), StreamObject::of(&stream).unwrap());
    assert_eq!(again.head, stream.head);
}

#[test]
fn damage_never_gets_in() {
    let mut bytes = Vec::new();
    MemoryStream::from_object(&sample()).write(&mut bytes);
    for end in 0..bytes.len() {
        assert!(read(&bytes[..end]).is_err(), "{end}");
    }
    // Other bytes may be another stream, but then one that can be read and changed.
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            let Ok(mut stream) = read(&damaged) else { continue };
            let object = StreamObject::of(&stream).unwrap();
            assert_eq!(object.len(), stream.head.len);
            for group in object.groups {
                let (id, head) = stream.group(&group.name).unwrap().unwrap();
                let mut count = 0;
                stream
                    .pending(Owner { group: id, consumer: None }, IdRange::ALL, &mut |_, _| {
                        count += 1;
                        true
                    })
                    .unwrap();
                assert_eq!(count, head.pending);
            }
            let settings = EncodingSettings::default();
            let trim = Trim { threshold: Threshold::MaxLen(1), approximate: false, limit: None };
            stream.edit(&settings).trim(&trim).unwrap();
            assert!(stream.head.len <= 1);
        }
    }
}

#[test]
fn entries_of_the_same_fields_are_small() {
    let settings = EncodingSettings::default();
    let mut stream = MemoryStream::default();
    for i in 0..10_000u64 {
        let value = i.to_string();
        let fields: [&[u8]; 4] = [b"temperature", value.as_bytes(), b"humidity", b"52"];
        stream.append(&settings, StreamId::new(1_700_000_000_000 + i * 7, 0), &fields);
    }
    let bytes = stream.bytes() / 10_000;
    // Flags, length, two differences, and values of four and two bytes with their lengths: 14 bytes.
    assert!(bytes <= 20, "{bytes} bytes an entry");
    assert_eq!(stream.nodes.len(), 100);
}

#[test]
fn bytes_are_accounted_for() {
    let settings = EncodingSettings::default();
    let mut stream = MemoryStream::default();
    let empty = stream.bytes();
    for round in 1..4u64 {
        for i in 0..1000 {
            stream.append(&settings, StreamId::new(round, i + 1), &[b"field", b"value"]);
        }
        let group = stream.groups.create(b"group", StreamId::MIN, None);
        stream.groups.change(group, |group| {
            let consumer = group.create_consumer(b"consumer", UnixMs(1));
            for i in 0..100 {
                group.put_pending(StreamId::new(1, i), Pending { consumer, delivered_at: UnixMs(1), deliveries: 1 });
            }
        });
        assert!(stream.bytes() > empty + 1000 * 8);
        stream.groups.destroy(b"group");
        let trim = Trim { threshold: Threshold::MaxLen(0), approximate: false, limit: None };
        assert_eq!(stream.edit(&settings).trim(&trim).unwrap(), 1000);
        assert_eq!(stream.bytes(), empty);
        assert_eq!((stream.head.first, stream.head.nodes), (StreamId::MIN, 0));
    }
}
