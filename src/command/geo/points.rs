//! Adding points, and reading what is known of them.

use crate::command::context::{ReadContext, WriteContext};
use crate::command::cursor::Cursor;
use crate::command::error::{CommandError, CommandResult, NOT_FLOAT, SYNTAX};
use crate::command::zsets::{AddOptions, add_all, reply_added};
use crate::resp::Reply;
use crate::types::decimal::LongDouble;
use crate::types::geo::{self, LATITUDE_MAX, LONGITUDE_MAX, Point};
use crate::types::number::parse_f64;

/// Longitude and latitude, within the bounds of scores.
pub(super) fn parse_point(longitude: &[u8], latitude: &[u8]) -> Result<Point, CommandError> {
    let longitude = parse_f64(longitude).ok_or(NOT_FLOAT)?;
    let latitude = parse_f64(latitude).ok_or(NOT_FLOAT)?;
    if longitude.abs() > LONGITUDE_MAX || latitude.abs() > LATITUDE_MAX {
        let text = format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}");
        return Err(CommandError::Text(text));
    }
    Ok(Point { longitude, latitude })
}

/// Meters in a unit.
pub(super) fn parse_unit(unit: &[u8]) -> Result<f64, CommandError> {
    const UNKNOWN: CommandError = CommandError::Static("ERR unsupported unit provided. please use M, KM, FT, MI");
    let units: [(&[u8], f64); 4] = [(b"m", 1.0), (b"km", 1000.0), (b"ft", 0.3048), (b"mi", 1609.34)];
    units.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name)).map(|&(_, meters)| meters).ok_or(UNKNOWN)
}

/// A distance with four digits behind the point.
pub(super) fn reply_distance(distance: f64, reply: &mut Reply<'_>) {
    // Beyond this a double has no digits behind the point.
    let scaled = (distance * 10_000.0).round_ties_even().min(9e18) as u64;
    reply.bulk_display(format_args!("{}.{:04}", scaled / 10_000, scaled % 10_000));
}

/// A coordinate, to the last digit.
pub(super) fn reply_degrees(degrees: f64, reply: &mut Reply<'_>) {
    reply.human_long_double(&LongDouble::from(degrees).to_human_string());
}

/// `GEOADD key [NX|XX] [CH] longitude latitude member [longitude latitude member ...]`
pub(super) fn geoadd(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let mut options = AddOptions::default();
    let mut cursor = Cursor::new(args, 2);
    loop {
        if cursor.accept("NX") {
            options.rule.only_new = true;
        } else if cursor.accept("XX") {
            options.rule.only_present = true;
        } else if cursor.accept("CH") {
            options.changes = true;
        } else {
            break;
        }
    }
    let rest = &args[args.len() - cursor.remaining()..];
    let both = options.rule.only_new && options.rule.only_present;
    if rest.is_empty() || !rest.len().is_multiple_of(3) || both {
        return Err(SYNTAX);
    }
    let mut pairs = Vec::with_capacity(rest.len() / 3);
    for triple in rest.chunks_exact(3) {
        pairs.push((triple[2], geo::score_of(parse_point(triple[0], triple[1])?)));
    }
    let outcome = add_all(ctx, args[1], &pairs, options.rule)?;
    reply_added(outcome, options, reply);
    Ok(())
}

/// `GEODIST key member1 member2 [M|KM|FT|MI]`
pub(super) fn geodist(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let meters = match args[4..] {
        [] => 1.0,
        [unit] => parse_unit(unit)?,
        _ => return Err(SYNTAX),
    };
    let scores = match ctx.zset(args[1])? {
        Some(zset) => zset.score(args[2])?.zip(zset.score(args[3])?),
        None => None,
    };
    match scores {
        Some((a, b)) => reply_distance(geo::distance(geo::point_of(a), geo::point_of(b)) / meters, reply),
        None => reply.null(),
    }
    Ok(())
}

/// `GEOHASH key [member [member ...]]`
pub(super) fn geohash(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    each_point(ctx, args, reply, |point, reply| match point {
        Some(point) => reply.bulk(&geo::geohash_text(point)),
        None => reply.null(),
    })
}

/// `GEOPOS key [member [member ...]]`
pub(super) fn geopos(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    each_point(ctx, args, reply, |point, reply| match point {
        Some(point) => {
            reply.array(2);
            reply_degrees(point.longitude, reply);
            reply_degrees(point.latitude, reply);
        }
        None => reply.null_array(),
    })
}

fn each_point(
    ctx: &ReadContext<'_>,
    args: &[&[u8]],
    reply: &mut Reply<'_>,
    tell: fn(Option<Point>, &mut Reply<'_>),
) -> CommandResult {
    let zset = ctx.zset(args[1])?;
    reply.array(args.len() - 2);
    for member in &args[2..] {
        let score = match &zset {
            Some(zset) => zset.score(member)?,
            None => None,
        };
        tell(score.map(geo::point_of), reply);
    }
    Ok(())
}
