//! Points on the earth as numbers of 52 bits, and distances between them, with Redis's own arithmetic.
//!
//! A point becomes a *geohash* (G. Niemeyer): longitude and latitude are halved alternately, and each bit says
//! which half the point is in. Points of one box share their first bits, so a box is a range of numbers. The scores of
//! a geo set are such numbers with 26 bits for each coordinate.
//!
//! Distances are great-circle distances by the haversine formula on a sphere. The order of the operations is
//! that of Redis, so that the results agree to the last digit as far as the C library's sine and cosine do.

/// Bits of each coordinate in a score.
pub const STEPS: u8 = 26;
/// Farthest north and south that can be a score: where the Mercator projection of web maps ends (EPSG:3857).
pub const LATITUDE_MAX: f64 = 85.051_128_78;
/// Farthest east and west.
pub const LONGITUDE_MAX: f64 = 180.0;
/// Redis's radius of the earth: the quadratic mean of WGS 84.
const EARTH_RADIUS_METERS: f64 = 6_372_797.560_856;
/// Half of the equator in the Mercator projection.
const MERCATOR_MAX: f64 = 20_037_726.37;

/// A place, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Degrees east.
    pub longitude: f64,
    /// Degrees north.
    pub latitude: f64,
}

/// A half-open range of degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Degrees {
    /// Its beginning.
    pub min: f64,
    /// Its end.
    pub max: f64,
}

impl Degrees {
    fn symmetric(max: f64) -> Self {
        Self { min: -max, max }
    }

    /// The range's part number `index` of `2^steps`.
    fn part(self, index: u32, steps: u8) -> Self {
        let parts = (1u64 << steps) as f64;
        let scale = self.max - self.min;
        let at = |index: f64| self.min + (index / parts) * scale;
        // In 32 bits, as in Redis: the last of 2^32 parts would end at the beginning.
        Self { min: at(f64::from(index)), max: at(f64::from(index.wrapping_add(1))) }
    }

    fn fixed_point(self, degrees: f64, steps: u8) -> u32 {
        let offset = (degrees - self.min) / (self.max - self.min);
        (offset * (1u64 << steps) as f64) as u32
    }
}

/// A box on the earth: the first bits of geohashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeoBox {
    /// Bits of longitude and latitude, alternately.
    pub bits: u64,
    /// Bits of each coordinate.
    pub steps: u8,
}

/// The bits of longitude in a geohash, if its lowest bit is one of latitude.
const LONGITUDE_BITS: u64 = 0xaaaa_aaaa_aaaa_aaaa;
const LATITUDE_BITS: u64 = 0x5555_5555_5555_5555;

/// Moves the bits of a number to the even places.
fn spread(number: u32) -> u64 {
    let mut x = u64::from(number);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, LATITUDE_BITS),
    ] {
        x = (x | (x << shift)) & mask;
    }
    x
}

/// The bits at the even places of a number.
fn gather(bits: u64) -> u32 {
    let mut x = bits & LATITUDE_BITS;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333u64),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ] {
        x = (x | (x >> shift)) & mask;
    }
    x as u32
}

impl GeoBox {
    fn encode(point: Point, longitudes: Degrees, latitudes: Degrees, steps: u8) -> Self {
        let latitude = latitudes.fixed_point(point.latitude, steps);
        let longitude = longitudes.fixed_point(point.longitude, steps);
        Self { bits: spread(latitude) | spread(longitude) << 1, steps }
    }

    /// The box of a point, with so many bits for each coordinate.
    fn around(point: Point, steps: u8) -> Self {
        Self::encode(point, Degrees::symmetric(LONGITUDE_MAX), Degrees::symmetric(LATITUDE_MAX), steps)
    }

    /// Its longitudes and latitudes.
    fn area(self) -> (Degrees, Degrees) {
        (
            Degrees::symmetric(LONGITUDE_MAX).part(gather(self.bits >> 1), self.steps),
            Degrees::symmetric(LATITUDE_MAX).part(gather(self.bits), self.steps),
        )
    }

    /// The box next to this one: `east` and `north` are -1, 0 or 1. It goes round the earth.
    fn neighbor(self, east: i8, north: i8) -> Self {
        let unused = 64 - u32::from(self.steps) * 2;
        let step = |bits: u64, others: u64, own: u64, direction: i8| match direction {
            0 => bits,
            // With the bits between set, a carry passes over them.
            1.. => (bits.wrapping_add((others >> unused) + 1)) & (own >> unused),
            _ => ((bits | (others >> unused)).wrapping_sub((others >> unused) + 1)) & (own >> unused),
        };
        let longitude = step(self.bits & LONGITUDE_BITS, LATITUDE_BITS, LONGITUDE_BITS, east);
        let latitude = step(self.bits & LATITUDE_BITS, LONGITUDE_BITS, LATITUDE_BITS, north);
        Self { bits: longitude | latitude, steps: self.steps }
    }

    /// The scores of the points in it: from the first to before the second.
    pub fn scores(self) -> (f64, f64) {
        let align = |bits: u64| (bits << (2 * (STEPS - self.steps))) as f64;
        (align(self.bits), align(self.bits + 1))
    }
}

/// The score of a point, which must be within the bounds of this module.
pub fn score_of(point: Point) -> f64 {
    GeoBox::around(point, STEPS).bits as f64
}

/// The point of a score: the middle of its box.
pub fn point_of(score: f64) -> Point {
    let (longitude, latitude) = GeoBox { bits: score as u64, steps: STEPS }.area();
    let middle = |range: Degrees, max: f64| ((range.min + range.max) / 2.0).clamp(-max, max);
    Point { longitude: middle(longitude, LONGITUDE_MAX), latitude: middle(latitude, LATITUDE_MAX) }
}

/// The standard geohash of eleven letters, whose latitudes go from pole to pole. Of the last letter only the first two bits would
/// be known, and it is `0`.
pub fn geohash_text(point: Point) -> [u8; 11] {
    const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
    let standard = GeoBox::encode(point, Degrees::symmetric(180.0), Degrees::symmetric(90.0), STEPS);
    let mut text = [b'0'; 11];
    for (index, letter) in text[..10].iter_mut().enumerate() {
        *letter = ALPHABET[(standard.bits >> (52 - (index + 1) * 5)) as usize & 0x1f];
    }
    text
}

fn radians(degrees: f64) -> f64 {
    degrees * (std::f64::consts::PI / 180.0)
}

fn degrees(radians: f64) -> f64 {
    radians / (std::f64::consts::PI / 180.0)
}

fn latitude_distance(a: f64, b: f64) -> f64 {
    EARTH_RADIUS_METERS * (radians(b) - radians(a)).abs()
}

/// The distance between two points in meters.
pub fn distance(a: Point, b: Point) -> f64 {
    let v = ((radians(b.longitude) - radians(a.longitude)) / 2.0).sin();
    if v == 0.0 {
        return latitude_distance(a.latitude, b.latitude);
    }
    let (a_latitude, b_latitude) = (radians(a.latitude), radians(b.latitude));
    let u = ((b_latitude - a_latitude) / 2.0).sin();
    let haversine = u * u + a_latitude.cos() * b_latitude.cos() * v * v;
    // Rounding may make it a little more than one for points that are opposite each other.
    2.0 * EARTH_RADIUS_METERS * haversine.sqrt().min(1.0).asin()
}

/// What is searched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// A circle around the point, by its radius in meters.
    Circle(f64),
    /// A rectangle around the point, by its width and height in meters.
    Rectangle {
        /// From west to east.
        width: f64,
        /// From south to north.
        height: f64,
    },
}

impl Shape {
    /// The distance of a point from the center, if it is within the shape around the center.
    pub fn distance_within(self, center: Point, point: Point) -> Option<f64> {
        match self {
            Self::Circle(radius) => Some(distance(center, point)).filter(|&distance| distance <= radius),
            Self::Rectangle { width, height } => {
                let north = latitude_distance(point.latitude, center.latitude);
                let east = distance(point, Point { longitude: center.longitude, latitude: point.latitude });
                let inside = north <= height / 2.0 && east <= width / 2.0;
                inside.then(|| distance(center, point))
            }
        }
    }

    /// The longitudes and latitudes around the shape.
    fn bounds(self, center: Point) -> (Degrees, Degrees) {
        let (width, height) = match self {
            Self::Circle(radius) => (radius, radius),
            Self::Rectangle { width, height } => (width / 2.0, height / 2.0),
        };
        let north = degrees(height / EARTH_RADIUS_METERS);
        let edge = |latitude: f64| degrees(width / EARTH_RADIUS_METERS / radians(latitude).cos());
        // The edge that is nearer to a pole spans more longitudes.
        let east = edge(if center.latitude < 0.0 { center.latitude - north } else { center.latitude + north });
        (
            Degrees { min: center.longitude - east, max: center.longitude + east },
            Degrees { min: center.latitude - north, max: center.latitude + north },
        )
    }

    /// Bits for each coordinate with which a box and its neighbours cover the shape, about.
    fn steps(self, center: Point) -> u8 {
        let mut radius = match self {
            Self::Circle(radius) => radius,
            Self::Rectangle { width, height } => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
        };
        if radius == 0.0 {
            return STEPS;
        }
        let mut steps = 1i32;
        while radius < MERCATOR_MAX {
            radius *= 2.0;
            steps += 1;
        }
        steps -= 2;
        // Boxes are narrow near the poles.
        let latitude = center.latitude.abs();
        steps -= i32::from(latitude > 66.0) + i32::from(latitude > 80.0);
        steps.clamp(1, i32::from(STEPS)) as u8
    }

    /// The boxes to search, in Redis's order: they cover the shape, and none stands twice.
    pub fn boxes(self, center: Point) -> Vec<GeoBox> {
        let (longitudes, latitudes) = self.bounds(center);
        let mut steps = self.steps(center);
        let mut middle = GeoBox::around(center, steps);
        let too_narrow = middle.neighbor(0, 1).area().1.max < latitudes.max
            || middle.neighbor(0, -1).area().1.min > latitudes.min
            || middle.neighbor(1, 0).area().0.max < longitudes.max
            || middle.neighbor(-1, 0).area().0.min > longitudes.min;
        if steps > 1 && too_narrow {
            steps -= 1;
            middle = GeoBox::around(center, steps);
        }
        let (own_longitudes, own_latitudes) = middle.area();
        let wanted = |east: i8, north: i8| {
            steps < 2
                || !((north < 0 && own_latitudes.min < latitudes.min)
                    || (north > 0 && own_latitudes.max > latitudes.max)
                    || (east < 0 && own_longitudes.min < longitudes.min)
                    || (east > 0 && own_longitudes.max > longitudes.max))
        };
        let mut boxes = vec![middle];
        for (east, north) in [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)] {
            let next = middle.neighbor(east, north);
            // With very large boxes one to the west is also one to the east.
            if wanted(east, north) && !boxes.contains(&next) {
                boxes.push(next);
            }
        }
        boxes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::rng::Rng;

    const PALERMO: Point = Point { longitude: 13.361389, latitude: 38.115556 };
    const CATANIA: Point = Point { longitude: 15.087269, latitude: 37.502669 };

    #[test]
    fn scores_are_those_of_redis() {
        assert_eq!(score_of(PALERMO), 3_479_099_956_230_698.0);
        assert_eq!(score_of(CATANIA), 3_479_447_370_796_909.0);
        let point = point_of(score_of(PALERMO));
        assert_eq!((point.longitude, point.latitude), (13.361_389_338_970_184, 38.115_556_395_496_3));
        assert_eq!(&geohash_text(point), b"sqc8b49rny0");
        assert_eq!(&geohash_text(point_of(score_of(CATANIA))), b"sqdtr74hyu0");
    }

    #[test]
    fn distances_are_those_of_redis() {
        let (a, b) = (point_of(score_of(PALERMO)), point_of(score_of(CATANIA)));
        assert_eq!(format!("{:.4}", distance(a, b)), "166274.1516");
        assert_eq!(distance(a, a), 0.0);
        let opposite = Point { longitude: a.longitude - 180.0, latitude: -a.latitude };
        assert!(distance(a, opposite) > 20_000_000.0);
    }

    #[test]
    fn spreading_is_undone_by_gathering() {
        let mut rng = Rng::new(3);
        for _ in 0..1000 {
            let (a, b) = (rng.next_u64() as u32, rng.next_u64() as u32);
            let bits = spread(a) | spread(b) << 1;
            assert_eq!((gather(bits), gather(bits >> 1)), (a, b));
        }
    }

    #[test]
    fn neighbors_come_back() {
        let mut rng = Rng::new(4);
        for _ in 0..1000 {
            let steps = 1 + rng.below(26) as u8;
            let start = GeoBox { bits: rng.next_u64() & ((1 << (2 * steps)) - 1), steps };
            assert_eq!(start.neighbor(1, 1).neighbor(-1, -1), start);
            assert_eq!(start.neighbor(0, 1).neighbor(0, -1), start);
            if steps > 1 {
                assert_eq!(start.neighbor(1, 0).area().1, start.area().1, "east is as far north");
            }
        }
    }

    #[test]
    fn boxes_cover_circles() {
        let mut rng = Rng::new(5);
        let mut degrees = |max: f64| (rng.below(2_000_001) as f64 / 1e6 - 1.0) * max;
        let mut found = 0;
        for _ in 0..20_000 {
            let center = Point { longitude: degrees(170.0), latitude: degrees(70.0) };
            let radius = degrees(1.0).abs() * 500_000.0 + 1.0;
            let reach = radius / 100_000.0;
            let point =
                Point { longitude: center.longitude + degrees(reach), latitude: center.latitude + degrees(reach) };
            if point.longitude.abs() > 180.0 || point.latitude.abs() > 85.0 {
                continue;
            }
            let score = score_of(point);
            let covered = Shape::Circle(radius).boxes(center).iter().any(|area| {
                let (from, to) = area.scores();
                (from..to).contains(&score)
            });
            let within = Shape::Circle(radius).distance_within(center, point_of(score)).is_some();
            assert!(covered || !within, "{center:?} {radius} {point:?}");
            found += u32::from(within);
        }
        assert!(found > 1000);
    }
}
