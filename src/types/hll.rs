//! HyperLogLog: how many different elements were added, within 0.81 % or so, in 12 KiB at most.
//!
//! The value is a string in exactly Redis's representation, so that values go back and forth:
//!
//! ```text
//! value := "HYLL" | encoding: u8 | 3 bytes, not used | cardinality: u64, little-endian | registers
//! ```
//! The highest bit of the cardinality says that it is out of date. Encoding 0 is `dense`: 16384 registers of 6 bits each.
//! Encoding 1 is `sparse`: runs of registers, as long as that is short. The values of registers and the estimate
//! are those of `estimate`.
//!
//! Any client may store any string, so nothing here trusts the bytes: what is not exactly a HyperLogLog is
//! [`Corrupt`].
//!
//! Flajolet, Fusy, Gandouet, Meunier: "HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm", 2007.

mod dense;
mod estimate;
mod murmur;
mod selftest;
mod sparse;

pub use selftest::selftest;

/// How many registers there are.
pub const REGISTERS: usize = 1 << INDEX_BITS;
/// Bits of an element's hash that choose its register.
const INDEX_BITS: u32 = 14;
/// Bits of the hash that its register counts zeros in.
const COUNTED_BITS: u32 = 64 - INDEX_BITS;
/// Largest value of a register that an element gives it.
const REGISTER_MAX: u8 = COUNTED_BITS as u8 + 1;

const MAGIC: &[u8] = b"HYLL";
const HEADER_BYTES: usize = 16;
const ENCODING_AT: usize = 4;
const CARDINALITY: std::ops::Range<usize> = 8..16;
/// Set in the last byte of the cardinality when it is out of date.
const STALE: u8 = 0x80;

/// The bytes are not a HyperLogLog, although their header is one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// The two ways to write registers down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Every register by itself.
    Dense = 0,
    /// As runs of equal registers.
    Sparse = 1,
}

impl Encoding {
    /// Redis's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Sparse => "sparse",
        }
    }
}

/// The encoding of a string whose header and length are a HyperLogLog's; `None` for all others.
pub fn encoding(bytes: &[u8]) -> Option<Encoding> {
    if bytes.len() < HEADER_BYTES || !bytes.starts_with(MAGIC) {
        return None;
    }
    match bytes[ENCODING_AT] {
        0 => (bytes.len() == HEADER_BYTES + dense::BYTES).then_some(Encoding::Dense),
        1 => Some(Encoding::Sparse),
        _ => None,
    }
}

/// A HyperLogLog to which nothing was added, in its sparse form.
pub fn empty() -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[..MAGIC.len()].copy_from_slice(MAGIC);
    bytes[ENCODING_AT] = Encoding::Sparse as u8;
    bytes.extend_from_slice(&sparse::EMPTY);
    bytes
}

/// Which register an element concerns, and the value that the register has at least once it was added.
pub fn place_of(element: &[u8]) -> (usize, u8) {
    /// Redis's seed.
    const SEED: u64 = 0xadc8_3b19;
    let hash = murmur::hash(element, SEED);
    let index = hash as usize & (REGISTERS - 1);
    // A bit beyond the hash ends the count of zeros.
    let counted = hash >> INDEX_BITS | 1 << COUNTED_BITS;
    (index, counted.trailing_zeros() as u8 + 1)
}

/// Whether adding would change a register of a dense HyperLogLog.
pub fn would_change_dense(bytes: &[u8], (index, value): (usize, u8)) -> bool {
    dense::get(&bytes[HEADER_BYTES..], index) < value
}

/// Raises a register to a value; answers whether it was below. What is sparse becomes dense when it outgrows
/// `sparse_max_bytes`, header included, or the value is too large for it.
///
/// # Errors
/// [`Corrupt`] when the runs are not those of all registers; the bytes are then left in any state.
pub fn raise(bytes: &mut Vec<u8>, (index, value): (usize, u8), sparse_max_bytes: usize) -> Result<bool, Corrupt> {
    match encoding(bytes).ok_or(Corrupt)? {
        Encoding::Dense => Ok(dense::raise(&mut bytes[HEADER_BYTES..], index, value)),
        Encoding::Sparse => match sparse::raise(bytes, index, value, sparse_max_bytes)? {
            sparse::Raised::No => Ok(false),
            sparse::Raised::Yes => Ok(true),
            sparse::Raised::TooSmall => {
                make_dense(bytes)?;
                Ok(dense::raise(&mut bytes[HEADER_BYTES..], index, value))
            }
        },
    }
}

/// Turns what is sparse into what is dense; answers whether it was sparse.
///
/// # Errors
/// [`Corrupt`] when the runs are not those of all registers; nothing is changed then.
pub fn make_dense(bytes: &mut Vec<u8>) -> Result<bool, Corrupt> {
    if encoding(bytes).ok_or(Corrupt)? == Encoding::Dense {
        return Ok(false);
    }
    let mut registers = vec![0; dense::BYTES];
    let mut index = 0;
    for run in sparse::runs(&bytes[HEADER_BYTES..]) {
        let run = run?;
        if run.value > 0 {
            (index..index + run.len).for_each(|index| {
                dense::raise(&mut registers, index, run.value);
            });
        }
        index += run.len;
    }
    bytes.truncate(HEADER_BYTES);
    bytes[ENCODING_AT] = Encoding::Dense as u8;
    bytes.extend_from_slice(&registers);
    Ok(true)
}

/// Notes that the cardinality in the header is out of date.
pub fn invalidate(bytes: &mut [u8]) {
    bytes[CARDINALITY.end - 1] |= STALE;
}

/// The cardinality in the header, unless it is out of date.
pub fn cached(bytes: &[u8]) -> Option<u64> {
    let cardinality = u64::from_le_bytes(bytes[CARDINALITY].try_into().expect("it has eight bytes"));
    (bytes[CARDINALITY.end - 1] & STALE == 0).then_some(cardinality)
}

/// The estimate of how many different elements were added.
///
/// # Errors
/// [`Corrupt`] when the runs are not those of all registers.
pub fn count(bytes: &[u8]) -> Result<u64, Corrupt> {
    let encoding = encoding(bytes).ok_or(Corrupt)?;
    let registers = &bytes[HEADER_BYTES..];
    let histogram = match encoding {
        Encoding::Dense => dense::histogram(registers),
        Encoding::Sparse => sparse::histogram(registers)?,
    };
    Ok(estimate::cardinality(&histogram))
}

/// The runs of a sparse HyperLogLog as `PFDEBUG DECODE` shows them.
///
/// # Errors
/// [`Corrupt`] when the runs are not those of all registers.
pub fn describe_sparse(bytes: &[u8]) -> Result<String, Corrupt> {
    sparse::describe(bytes.get(HEADER_BYTES..).ok_or(Corrupt)?)
}

/// All registers, a byte each: what unions are made in.
pub struct Registers(Box<[u8; REGISTERS]>);

impl Default for Registers {
    fn default() -> Self {
        Self(Box::new([0; REGISTERS]))
    }
}

impl Registers {
    /// Raises every register to what it is in a HyperLogLog, if that is more.
    ///
    /// # Errors
    /// [`Corrupt`] when the runs are not those of all registers.
    pub fn merge(&mut self, bytes: &[u8]) -> Result<(), Corrupt> {
        let encoding = encoding(bytes).ok_or(Corrupt)?;
        let registers = &bytes[HEADER_BYTES..];
        match encoding {
            Encoding::Dense => dense::merge(registers, &mut self.0),
            Encoding::Sparse => {
                let mut index = 0;
                for run in sparse::runs(registers) {
                    let run = run?;
                    for register in &mut self.0[index..index + run.len] {
                        *register = run.value.max(*register);
                    }
                    index += run.len;
                }
            }
        }
        Ok(())
    }

    /// The values, by index.
    pub fn values(&self) -> &[u8; REGISTERS] {
        &self.0
    }

    /// The estimate of how many different elements were added.
    pub fn count(&self) -> u64 {
        let mut histogram: estimate::Histogram = [0; 64];
        self.0.iter().for_each(|&value| histogram[usize::from(value)] += 1);
        estimate::cardinality(&histogram)
    }
}

#[cfg(test)]
mod tests;
