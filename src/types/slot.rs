//! From a key to its hash slot, as Redis Cluster does it.
//!
//! The slot is the CRC-16 of the key modulo [`SLOT_COUNT`], where the CRC is the one called XMODEM
//! (polynomial 0x1021, initial value 0, nothing reflected). A key with a hash tag (`{…}`) is hashed
//! by the tag alone, so that a client can keep keys together.

use super::ids::{SLOT_COUNT, Slot};

/// `TABLES[k][b]` is the CRC of byte `b` followed by `k` zero bytes; eight of them take in eight
/// bytes at a step ("slicing by eight", Kounavis and Berry, 2005).
const TABLES: [[u16; 256]; 8] = tables();

const fn tables() -> [[u16; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut zeros = 1;
    while zeros < 8 {
        let mut byte = 0;
        while byte < 256 {
            let crc = tables[zeros - 1][byte];
            tables[zeros][byte] = (crc << 8) ^ tables[0][(crc >> 8) as usize];
            byte += 1;
        }
        zeros += 1;
    }
    tables
}

/// CRC-16/XMODEM.
pub fn crc16(bytes: &[u8]) -> u16 {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let mut crc = 0u16;
    for chunk in chunks {
        let [high, low] = crc.to_be_bytes();
        crc = TABLES[7][usize::from(chunk[0] ^ high)]
            ^ TABLES[6][usize::from(chunk[1] ^ low)]
            ^ TABLES[5][usize::from(chunk[2])]
            ^ TABLES[4][usize::from(chunk[3])]
            ^ TABLES[3][usize::from(chunk[4])]
            ^ TABLES[2][usize::from(chunk[5])]
            ^ TABLES[1][usize::from(chunk[6])]
            ^ TABLES[0][usize::from(chunk[7])];
    }
    for byte in rest {
        crc = (crc << 8) ^ TABLES[0][usize::from((crc >> 8) as u8 ^ byte)];
    }
    crc
}

/// The part of a key that decides its slot: what is between the first `{` and the first `}` after
/// it, or the whole key if there is no such pair or nothing between them.
pub fn hash_tag(key: &[u8]) -> &[u8] {
    // `contains` is vectorised for bytes, and most keys have no tag.
    if !key.contains(&b'{') {
        return key;
    }
    let mut parts = key.splitn(2, |byte| *byte == b'{').skip(1);
    let Some(after) = parts.next() else { return key };
    match after.iter().position(|byte| *byte == b'}') {
        None | Some(0) => key,
        Some(length) => &after[..length],
    }
}

/// The slot that a key belongs to.
pub fn slot_of(key: &[u8]) -> Slot {
    Slot(crc16(hash_tag(key)) % SLOT_COUNT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn crc16_bit_by_bit(bytes: &[u8]) -> u16 {
        bytes.iter().fold(0, |crc, byte| {
            (0..8).fold(
                crc ^ (u16::from(*byte) << 8),
                |crc, _| {
                    if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
                },
            )
        })
    }

    #[test]
    fn check_value_of_the_cluster_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
    }

    #[test]
    fn slots_are_those_of_redis() {
        for (key, slot) in [
            (&b""[..], 0),
            (b"foo", 12182),
            (b"bar", 5061),
            (b"hello", 866),
            (b"somekey", 11058),
            (b"123456789", 12739),
            (b"foo{hash_tag}", 2515),
            (b"hash_tag", 2515),
            (b"bar{hash_tag}", 2515),
        ] {
            assert_eq!(slot_of(key), Slot(slot), "{}", String::from_utf8_lossy(key));
        }
    }

    #[test]
    fn tag_is_what_the_first_braces_hold() {
        for (key, tag) in [
            ("{user1000}.following", "user1000"),
            ("foo{}{bar}", "foo{}{bar}"),
            ("foo{{bar}}zap", "{bar"),
            ("foo{bar}{zap}", "bar"),
            ("foo{bar", "foo{bar"),
            ("foo}bar{", "foo}bar{"),
            ("}{a}", "a"),
            ("{", "{"),
        ] {
            assert_eq!(hash_tag(key.as_bytes()), tag.as_bytes(), "{key}");
        }
    }

    proptest! {
        #[test]
        fn eight_at_a_step_is_bit_by_bit(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(crc16(&bytes), crc16_bit_by_bit(&bytes));
        }
    }
}
