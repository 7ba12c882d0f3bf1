//! The checksum of RDB: CRC-64 with Jones's polynomial, reflected, without inversions.

/// Jones's polynomial, the bits of each coefficient in reflected order.
const POLYNOMIAL: u64 = 0xad93_d235_94c9_35a9_u64.reverse_bits();

/// Bytes taken at a time.
const STRIDE: usize = 8;

/// `TABLES[n][byte]` is what `byte` adds to the checksum when `n` more bytes follow it.
static TABLES: [[u64; 256]; STRIDE] = tables();

const fn tables() -> [[u64; 256]; STRIDE] {
    let mut tables = [[0; 256]; STRIDE];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut level = 1;
    while level < STRIDE {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[level - 1][byte];
            tables[level][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        level += 1;
    }
    tables
}

/// Continues a checksum, which begins with 0, over more bytes.
pub fn crc64(crc: u64, bytes: &[u8]) -> u64 {
    let mut crc = crc;
    let mut words = bytes.chunks_exact(STRIDE);
    for word in &mut words {
        let mixed = crc ^ u64::from_le_bytes(word.try_into().expect("a chunk has the length of a word"));
        crc = 0;
        for (index, byte) in mixed.to_le_bytes().into_iter().enumerate() {
            crc ^= TABLES[STRIDE - 1 - index][usize::from(byte)];
        }
    }
    for &byte in words.remainder() {
        crc = crc >> 8 ^ TABLES[0][(crc as u8 ^ byte) as usize];
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_checksum_that_redis_writes() {
        assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(crc64(0, b""), 0);
    }

    #[test]
    fn it_can_be_continued_anywhere() {
        let bytes: Vec<u8> = (0..100u8).map(|i| i.wrapping_mul(37)).collect();
        let whole = crc64(0, &bytes);
        for cut in 0..bytes.len() {
            assert_eq!(crc64(crc64(0, &bytes[..cut]), &bytes[cut..]), whole);
        }
    }
}
