//! Random values: few different ones, so that they meet, and now and then one that is wrong.

use kvorum::types::rng::Rng;

/// Kinds of keys by the first letter of their names: strings, hashes, lists, sets, sorted sets, streams,
/// bitmaps. Commands for one kind are now and then given a key of another.
const KINDS: &[u8] = b"shltzxb";
/// Lists, sorted sets whose scores are all equal, places, HyperLogLogs, and damaged ones, that only commands get that ask for one.
const APART: &[u8] = b"qypcg";

/// A generator of values for one round.
pub(crate) struct Values<'r> {
    rng: &'r mut Rng,
    /// Keys of each kind.
    keys: u64,
    /// Different fields, members and elements.
    names: u64,
    /// Bits that bitmaps may have.
    bits: u64,
    /// Milliseconds of the last stream id.
    stream_ms: u64,
}

impl<'r> Values<'r> {
    pub(crate) fn new(rng: &'r mut Rng) -> Self {
        let pick = |rng: &mut Rng, choices: &[u64]| choices[rng.below(choices.len() as u64) as usize];
        let keys = pick(rng, &[1, 2, 3, 6]);
        let names = pick(rng, &[4, 10, 40, 300]);
        let bits = pick(rng, &[20, 200, 3000]);
        Self { rng, keys, names, bits, stream_ms: 1 }
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.rng.below(bound)
    }

    /// Once in so many times.
    pub(crate) fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1).unsigned_abs()).cast_signed()
    }

    /// Every key that a command may name.
    pub(crate) fn all_keys(&self) -> Vec<Vec<u8>> {
        KINDS.iter().chain(APART).flat_map(|kind| (0..self.keys).map(|number| Self::key_name(*kind, number))).collect()
    }

    fn key_name(kind: u8, number: u64) -> Vec<u8> {
        format!("{}{number}", char::from(kind)).into_bytes()
    }

    /// A key of a kind; sometimes of another.
    fn key(&mut self, kind: Option<u8>) -> Vec<u8> {
        let kind = match kind {
            Some(kind) if APART.contains(&kind) || !self.chance(15) => kind,
            _ => KINDS[self.below(KINDS.len() as u64) as usize],
        };
        let number = self.below(self.keys);
        Self::key_name(kind, number)
    }

    /// Appends what `<name>` stands for: one argument, or several for counted keys.
    pub(crate) fn produce(&mut self, name: &str, args: &mut Vec<Vec<u8>>) {
        if let Some(word) = name.strip_prefix('=') {
            return args.push(word.as_bytes().to_vec());
        }
        if let Some(kind) = name.strip_prefix("key:") {
            let key = self.key(kind.bytes().next());
            return args.push(key);
        }
        if let Some(kind) = name.strip_prefix("keys:") {
            let count = 1 + self.below(3);
            args.push(if self.chance(40) { self.integer() } else { count.to_string() }.into_bytes());
            for _ in 0..count {
                let key = self.key(kind.bytes().next());
                args.push(key);
            }
            return;
        }
        if let Some((low, high)) = name.split_once("..") {
            let (low, high) = (low.parse().expect("a bound is a number"), high.parse().expect("a bound is a number"));
            let number = self.between(low, high);
            return args.push(number.to_string().into_bytes());
        }
        let value = match name {
            "key" => return args.push(self.key(None)),
            "value" => return args.push(self.value()),
            "name" => return args.push(self.name()),
            "small" => self.name_number(),
            "int" => self.integer(),
            "index" => self.index(),
            "field-value" => match self.integer() {
                lowest if lowest == i64::MIN.to_string() => "-4000000000000000000".to_owned(),
                other => other,
            },
            "float" => self.float(),
            "score" => self.score(),
            "score-bound" => self.score_bound(),
            "lex-bound" => self.lex_bound(),
            "bit" => self.rare("01", &["2", "-1", "x"]),
            "bit-offset" => self.bit_offset(),
            "field-offset" => self.field_offset(),
            "field-type" => self.field_type(),
            "seconds" => self.rare_of(&["100", "5000", "100000"], &["0", "-1", "x", "9223372036854775807"]),
            "milliseconds" => self.rare_of(&["100000", "5000000"], &["0", "-1", "x", "9223372036854775807"]),
            "at" => self.rare_of(&["4102444800", "4200000000", "4300000000"], &["1000", "0", "-1", "x"]),
            "at-ms" => self.rare_of(&["4102444800000", "4200000000000", "4300000000000"], &["1000", "0", "-1", "x"]),
            "pattern" => self.pick(&["*", "?*", "s*", "[a-h]*", "*1", "n*", "[^a]?", "\\*", "zzz"]).to_owned(),
            "longitude" => {
                self.rare_of(&["13.361389", "15.087269", "2.349014", "-122.27652", "0"], &["181", "x", "-180"])
            }
            "latitude" => {
                self.rare_of(&["38.115556", "37.502669", "48.864716", "37.805186", "0"], &["86", "x", "85.05"])
            }
            "radius" => self.rare_of(&["0", "1", "100", "200.5", "5000", "20000"], &["-1", "x", "inf"]),
            "unit" => self.rare_of(&["m", "km", "mi", "ft"], &["x"]),
            "new-id" => self.new_id(),
            "id" => self.stream_id(),
            "id-bound" => self.id_bound(),
            _ => panic!("<{name}> stands for nothing"),
        };
        args.push(value.into_bytes());
    }

    fn rare_of(&mut self, usual: &[&str], rare: &[&str]) -> String {
        if self.chance(25) { self.pick(rare).to_owned() } else { self.pick(usual).to_owned() }
    }

    fn rare(&mut self, usual: &str, rare: &[&str]) -> String {
        let all: Vec<&str> = usual.split("").filter(|part| !part.is_empty()).collect();
        self.rare_of(&all, rare)
    }

    fn value(&mut self) -> Vec<u8> {
        match self.below(20) {
            0 => Vec::new(),
            1 => b"\x00\xff\r\n\x80".to_vec(),
            2 => vec![b'x'; [43, 44, 45, 64, 65, 300][self.below(6) as usize]],
            3 => self.float().into_bytes(),
            4..10 => self.integer().into_bytes(),
            _ => self.name(),
        }
    }

    fn name(&mut self) -> Vec<u8> {
        match self.below(30) {
            0 => Vec::new(),
            1 => vec![b'y'; 64 + self.below(2) as usize],
            2..10 => self.name_number().into_bytes(),
            _ => format!("n{}", self.below(self.names)).into_bytes(),
        }
    }

    fn name_number(&mut self) -> String {
        let number = self.below(self.names).cast_signed();
        match self.below(12) {
            0 => (number - 40_000).to_string(),
            1 => (number + (1 << 40)).to_string(),
            _ => number.to_string(),
        }
    }

    fn integer(&mut self) -> String {
        match self.below(30) {
            0 => self.pick(&["9223372036854775807", "-9223372036854775808", "9223372036854775808"]).to_owned(),
            1 => self.pick(&["x", "", "1.0", " 1", "01", "+1", "-0", "1e3"]).to_owned(),
            2 => self.between(-100_000, 100_000).to_string(),
            _ => self.between(-5, 20).to_string(),
        }
    }

    fn index(&mut self) -> String {
        if self.chance(60) { self.integer() } else { self.between(-12, 12).to_string() }
    }

    fn float(&mut self) -> String {
        const FLOATS: &[&str] = &[
            "1.5",
            "-2.25",
            "0.1",
            "3",
            "-7",
            "0",
            "-0",
            "1e3",
            "1.7e-9",
            "123456789.123",
            "3.0",
            "0.30000000000000004",
        ];
        self.rare_of(FLOATS, &["inf", "-inf", "nan", "1e308", "x", "", " 1", "0x10"])
    }

    /// No negative zero: SORT makes Redis keep a small set in the other encoding, in which there is one. And nothing that
    /// overflows a double: after that Redis refuses numbers in SORT, whose `errno` it finds.
    fn score(&mut self) -> String {
        const SCORES: &[&str] = &["inf", "-inf", "1.5", "0.1", "1e17", "3.0", "123456789012345680"];
        match self.below(10) {
            0..3 => self.rare_of(SCORES, &["nan", "x", ""]),
            _ => self.between(-3, 6).to_string(),
        }
    }

    fn score_bound(&mut self) -> String {
        match self.below(8) {
            0 => self.pick(&["-inf", "+inf", "(inf", "(-inf"]).to_owned(),
            1 => format!("({}", self.score()),
            _ => self.score(),
        }
    }

    fn lex_bound(&mut self) -> String {
        let sign = self.rare_of(&["[", "("], &["", "-", "+"]);
        if self.chance(5) { self.pick(&["-", "+"]).to_owned() } else { format!("{sign}n{}", self.below(self.names)) }
    }

    fn bit_offset(&mut self) -> String {
        if self.chance(50) {
            self.pick(&["-1", "x", "4294967296", "#1"]).to_owned()
        } else {
            self.below(self.bits).to_string()
        }
    }

    fn field_offset(&mut self) -> String {
        if self.chance(3) { format!("#{}", self.below(self.bits / 8)) } else { self.bit_offset() }
    }

    fn field_type(&mut self) -> String {
        if self.chance(30) {
            return self.pick(&["u64", "i65", "i0", "x8", "u", "8", "i-1"]).to_owned();
        }
        let sign = self.pick(&["i", "u"]);
        let bits = if self.chance(3) { 1 + self.below(64) } else { [1, 4, 5, 8, 16, 32, 63][self.below(7) as usize] };
        format!("{sign}{bits}")
    }

    fn new_id(&mut self) -> String {
        self.stream_ms += self.below(2);
        match self.below(20) {
            0 => self.stream_id(),
            1..5 => format!("{}-*", self.stream_ms),
            _ => {
                let number = self.below(5);
                format!("{}-{number}", self.stream_ms)
            }
        }
    }

    fn stream_id(&mut self) -> String {
        let ms = self.below(self.stream_ms + 2);
        match self.below(20) {
            0 => self.pick(&["x", "-", "1-x", "0-0", "18446744073709551615-18446744073709551615"]).to_owned(),
            1..5 => ms.to_string(),
            _ => format!("{ms}-{}", self.below(5)),
        }
    }

    fn id_bound(&mut self) -> String {
        match self.below(6) {
            0 => self.pick(&["-", "+"]).to_owned(),
            1 => format!("({}", self.stream_id()),
            _ => self.stream_id(),
        }
    }
}
