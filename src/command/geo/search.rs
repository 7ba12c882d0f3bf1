//! Finding the points within a circle or a rectangle.

use super::points::{parse_point, parse_unit, reply_degrees, reply_distance};
use crate::command::context::{ReadContext, WriteContext};
use crate::command::cursor::Cursor;
use crate::command::error::{CommandError, CommandResult, SYNTAX};
use crate::command::zsets::store;
use crate::resp::Reply;
use crate::storage::{StorageResult, ZsetEdge, ZsetRead};
use crate::types::geo::{self, Point, Shape};
use crate::types::number::parse_f64;

/// Which of the commands it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `GEORADIUS key longitude latitude radius unit …`
    RadiusOfPoint,
    /// `GEORADIUSBYMEMBER key member radius unit …`
    RadiusOfMember,
    /// `GEOSEARCH key …`
    Search,
    /// `GEOSEARCHSTORE destination key …`
    SearchStore,
}

impl Form {
    fn is_search(self) -> bool {
        matches!(self, Self::Search | Self::SearchStore)
    }
}

/// What is asked for.
struct Query<'a> {
    center: Point,
    shape: Shape,
    /// Meters in the unit of distances.
    unit: f64,
    with_dist: bool,
    with_hash: bool,
    with_coord: bool,
    /// Most members wanted; 0 is no limit.
    count: usize,
    /// Any members will do, not only the nearest.
    any: bool,
    order: Option<Order>,
    store: Option<(&'a [u8], Stored)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Nearest,
    Farthest,
}

/// What the scores of a stored result are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stored {
    Geohashes,
    Distances,
}

/// A member that was found.
struct Found {
    member: Vec<u8>,
    score: f64,
    point: Point,
    meters: f64,
}

/// The point of a member.
fn point_of(zset: &ZsetRead<'_>, member: &[u8]) -> Result<Point, CommandError> {
    const NO_MEMBER: CommandError = CommandError::Static("ERR could not decode requested zset member");
    Ok(geo::point_of(zset.score(member)?.ok_or(NO_MEMBER)?))
}

/// A radius and its unit, in meters.
fn parse_radius(radius: &[u8], unit: &[u8]) -> Result<(Shape, f64), CommandError> {
    const NOT_NUMBER: CommandError = CommandError::Static("ERR need numeric radius");
    const NEGATIVE: CommandError = CommandError::Static("ERR radius cannot be negative");
    let radius = parse_f64(radius).ok_or(NOT_NUMBER)?;
    if radius < 0.0 {
        return Err(NEGATIVE);
    }
    let unit = parse_unit(unit)?;
    Ok((Shape::Circle(radius * unit), unit))
}

/// Width and height and their unit, in meters.
fn parse_box(width: &[u8], height: &[u8], unit: &[u8]) -> Result<(Shape, f64), CommandError> {
    const NO_WIDTH: CommandError = CommandError::Static("ERR need numeric width");
    const NO_HEIGHT: CommandError = CommandError::Static("ERR need numeric height");
    const NEGATIVE: CommandError = CommandError::Static("ERR height or width cannot be negative");
    let width = parse_f64(width).ok_or(NO_WIDTH)?;
    let height = parse_f64(height).ok_or(NO_HEIGHT)?;
    if width < 0.0 || height < 0.0 {
        return Err(NEGATIVE);
    }
    let unit = parse_unit(unit)?;
    Ok((Shape::Rectangle { width: width * unit, height: height * unit }, unit))
}

impl<'a> Query<'a> {
    /// Reads a command. Without a set at the key the point of a member, and what follows from it, is left open.
    fn parse(
        args: &'a [&'a [u8]],
        form: Form,
        may_store: bool,
        zset: Option<&ZsetRead<'_>>,
    ) -> Result<Self, CommandError> {
        let mut query = Self {
            center: Point { longitude: 0.0, latitude: 0.0 },
            shape: Shape::Circle(0.0),
            unit: 1.0,
            with_dist: false,
            with_hash: false,
            with_coord: false,
            count: 0,
            any: false,
            order: None,
            store: None,
        };
        let first = match form {
            Form::RadiusOfPoint => {
                query.center = parse_point(args[2], args[3])?;
                (query.shape, query.unit) = parse_radius(args[4], args[5])?;
                6
            }
            Form::RadiusOfMember => {
                if let Some(zset) = zset {
                    query.center = point_of(zset, args[2])?;
                    (query.shape, query.unit) = parse_radius(args[3], args[4])?;
                }
                5
            }
            Form::Search => 2,
            Form::SearchStore => {
                query.store = Some((args[1], Stored::Geohashes));
                3
            }
        };
        query.parse_options(args, first, form, may_store, zset)?;
        Ok(query)
    }

    fn parse_options(
        &mut self,
        args: &'a [&'a [u8]],
        first: usize,
        form: Form,
        may_store: bool,
        zset: Option<&ZsetRead<'_>>,
    ) -> Result<(), CommandError> {
        const NO_COUNT: CommandError = CommandError::Static("ERR COUNT must be > 0");
        let mut cursor = Cursor::new(args, first);
        let (mut from_member, mut from_point, mut by_radius, mut by_box) = (false, false, false, false);
        while let left @ 1.. = cursor.remaining() {
            if cursor.accept("WITHDIST") {
                self.with_dist = true;
            } else if cursor.accept("WITHHASH") {
                self.with_hash = true;
            } else if cursor.accept("WITHCOORD") {
                self.with_coord = true;
            } else if cursor.accept("ANY") {
                self.any = true;
            } else if cursor.accept("ASC") {
                self.order = Some(Order::Nearest);
            } else if cursor.accept("DESC") {
                self.order = Some(Order::Farthest);
            } else if left >= 2 && cursor.accept("COUNT") {
                let count = cursor.integer()?;
                self.count = usize::try_from(count).ok().filter(|&count| count > 0).ok_or(NO_COUNT)?;
            } else if !form.is_search() && may_store && left >= 2 && cursor.accept("STORE") {
                self.store = Some((cursor.required()?, Stored::Geohashes));
            } else if !form.is_search() && may_store && left >= 2 && cursor.accept("STOREDIST") {
                self.store = Some((cursor.required()?, Stored::Distances));
            } else if form == Form::SearchStore && cursor.accept("STOREDIST") {
                self.store = Some((args[1], Stored::Distances));
            } else if form.is_search() && left >= 2 && !from_point && cursor.accept("FROMMEMBER") {
                let member = cursor.required()?;
                if let Some(zset) = zset {
                    self.center = point_of(zset, member)?;
                }
                from_member = true;
            } else if form.is_search() && left >= 3 && !from_member && cursor.accept("FROMLONLAT") {
                self.center = parse_point(cursor.required()?, cursor.required()?)?;
                from_point = true;
            } else if form.is_search() && left >= 3 && !by_box && cursor.accept("BYRADIUS") {
                (self.shape, self.unit) = parse_radius(cursor.required()?, cursor.required()?)?;
                by_radius = true;
            } else if form.is_search() && left >= 4 && !by_radius && cursor.accept("BYBOX") {
                (self.shape, self.unit) = parse_box(cursor.required()?, cursor.required()?, cursor.required()?)?;
                by_box = true;
            } else {
                return Err(SYNTAX);
            }
        }
        let told = |text: String| Err(CommandError::Text(text));
        let name = String::from_utf8_lossy(args[0]);
        if self.store.is_some() && (self.with_dist || self.with_hash || self.with_coord) {
            let what = if form == Form::SearchStore { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
            return told(format!("ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"));
        }
        if form.is_search() && !(from_member || from_point) {
            return told(format!("ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {name}"));
        }
        if form.is_search() && !(by_radius || by_box) {
            return told(format!("ERR exactly one of BYRADIUS and BYBOX can be specified for {name}"));
        }
        if self.any && self.count == 0 {
            return told("ERR the ANY argument requires COUNT argument".to_owned());
        }
        Ok(())
    }

    /// The members that are wanted, in the order that is wanted.
    fn find(&self, zset: &ZsetRead<'_>) -> StorageResult<Vec<Found>> {
        let limit = if self.any { self.count } else { usize::MAX };
        let mut found: Vec<Found> = Vec::new();
        for area in self.shape.boxes(self.center) {
            if found.len() >= limit {
                break;
            }
            let (from, to) = area.scores();
            let edge = |score| ZsetEdge::Score { score, after: false };
            zset.walk(zset.ranks(edge(from), edge(to))?, false, &mut |member, score| {
                let point = geo::point_of(score);
                if let Some(meters) = self.shape.distance_within(self.center, point) {
                    found.push(Found { member: member.to_vec(), score, point, meters });
                }
                found.len() < limit
            })?;
        }
        // The nearest of all must be known before there can be so many of them.
        let order = self.order.or((self.count > 0 && !self.any).then_some(Order::Nearest));
        match order {
            Some(Order::Nearest) => found.sort_by(|a, b| a.meters.total_cmp(&b.meters)),
            Some(Order::Farthest) => found.sort_by(|a, b| b.meters.total_cmp(&a.meters)),
            None => {}
        }
        if self.count > 0 {
            found.truncate(self.count);
        }
        Ok(found)
    }

    fn reply(&self, found: &[Found], reply: &mut Reply<'_>) {
        let options = usize::from(self.with_dist) + usize::from(self.with_hash) + usize::from(self.with_coord);
        reply.array(found.len());
        for Found { member, score, point, meters } in found {
            if options > 0 {
                reply.array(options + 1);
            }
            reply.bulk(member);
            if self.with_dist {
                reply_distance(meters / self.unit, reply);
            }
            if self.with_hash {
                reply.integer(*score as i64);
            }
            if self.with_coord {
                reply.array(2);
                reply_degrees(point.longitude, reply);
                reply_degrees(point.latitude, reply);
            }
        }
    }
}

/// `GEORADIUS_RO key longitude latitude radius M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC]`
pub(super) fn georadius_ro(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    search(ctx, args, Form::RadiusOfPoint, reply)
}

/// `GEORADIUSBYMEMBER_RO key member radius M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC]`
pub(super) fn georadiusbymember_ro(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    search(ctx, args, Form::RadiusOfMember, reply)
}

/// `GEOSEARCH key FROMMEMBER member|FROMLONLAT longitude latitude BYRADIUS radius unit|BYBOX width height unit [ASC|DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]`
pub(super) fn geosearch(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    search(ctx, args, Form::Search, reply)
}

fn search(ctx: &ReadContext<'_>, args: &[&[u8]], form: Form, reply: &mut Reply<'_>) -> CommandResult {
    let zset = ctx.zset(args[1])?;
    let query = Query::parse(args, form, false, zset.as_ref())?;
    let found = match &zset {
        Some(zset) => query.find(zset)?,
        None => Vec::new(),
    };
    query.reply(&found, reply);
    Ok(())
}

/// `GEORADIUS key longitude latitude radius M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC] [STORE|STOREDIST key]`
pub(super) fn georadius(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    search_and_store(ctx, args, 1, Form::RadiusOfPoint, reply)
}

/// `GEORADIUSBYMEMBER key member radius M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC] [STORE|STOREDIST key]`
pub(super) fn georadiusbymember(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    search_and_store(ctx, args, 1, Form::RadiusOfMember, reply)
}

/// `GEOSEARCHSTORE destination source FROMMEMBER member|FROMLONLAT longitude latitude BYRADIUS radius unit|BYBOX width height unit [ASC|DESC] [COUNT count [ANY]] [STOREDIST]`
pub(super) fn geosearchstore(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    search_and_store(ctx, args, 2, Form::SearchStore, reply)
}

fn search_and_store(
    ctx: &mut WriteContext<'_>,
    args: &[&[u8]],
    key_at: usize,
    form: Form,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let zset = ctx.zset(args[key_at])?;
    let query = Query::parse(args, form, true, zset.as_ref())?;
    let found = match &zset {
        Some(zset) => query.find(zset)?,
        None => Vec::new(),
    };
    drop(zset);
    let Some((key, stored)) = query.store else {
        query.reply(&found, reply);
        return Ok(());
    };
    let scored = |found: Found| match stored {
        Stored::Geohashes => (found.member, found.score),
        Stored::Distances => (found.member, found.meters / query.unit),
    };
    let members: Vec<(Vec<u8>, f64)> = found.into_iter().map(scored).collect();
    let changes = members.len() as u64;
    store(ctx, key, members, changes, reply)
}
