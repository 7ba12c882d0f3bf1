//! Points on the earth: sorted sets whose scores are geohashes of 52 bits.

mod points;
mod search;

use super::spec::{Access, Arg, Arity, CommandSpec, Deprecation, Flags, Group, Handler, KeySpec};
use points::{geoadd, geodist, geohash, geopos};
use search::{georadius, georadius_ro, georadiusbymember, georadiusbymember_ro, geosearch, geosearchstore};

const UNIT: Arg =
    Arg::one_of("unit", &[Arg::word("m", "m"), Arg::word("km", "km"), Arg::word("ft", "ft"), Arg::word("mi", "mi")]);
const COUNT: Arg =
    Arg::block("count-block", &[Arg::integer("count").after("COUNT"), Arg::word("any", "ANY").optional()]).optional();
const WITH_COORD: Arg = Arg::word("withcoord", "WITHCOORD").optional();
const WITH_DIST: Arg = Arg::word("withdist", "WITHDIST").optional();
const WITH_HASH: Arg = Arg::word("withhash", "WITHHASH").optional();
const STORE: Arg = Arg::one_of(
    "store",
    &[
        Arg::key_at("storekey", 1).shown_as("key").after("STORE"),
        Arg::key_at("storedistkey", 2).shown_as("key").after("STOREDIST"),
    ],
)
.optional();
const FROM: Arg = Arg::one_of(
    "from",
    &[
        Arg::string("member").after("FROMMEMBER"),
        Arg::block("fromlonlat", &[Arg::double("longitude"), Arg::double("latitude")]).after("FROMLONLAT"),
    ],
);
const BY: Arg = Arg::one_of(
    "by",
    &[
        Arg::block("circle", &[Arg::double("radius").after("BYRADIUS"), UNIT]),
        Arg::block("box", &[Arg::double("width").after("BYBOX"), Arg::double("height"), UNIT]),
    ],
);

const STORE_KEYS: &[KeySpec] = &[
    KeySpec::one(1, Access::Read),
    KeySpec::Keyword { word: "STORE", from: 6, limit: 0, access: Access::Overwrite },
    KeySpec::Keyword { word: "STOREDIST", from: 6, limit: 0, access: Access::Overwrite },
];
const MEMBER_STORE_KEYS: &[KeySpec] = &[
    KeySpec::one(1, Access::Read),
    KeySpec::Keyword { word: "STORE", from: 5, limit: 0, access: Access::Overwrite },
    KeySpec::Keyword { word: "STOREDIST", from: 5, limit: 0, access: Access::Overwrite },
];

const RADIUS_COMPLEXITY: &str = "O(N+log(M))";
/// What the commands that only read have in common.
const READS: CommandSpec = CommandSpec {
    since: "3.2.0",
    group: Group::Geo,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, Access::Read)],
    ..CommandSpec::BASE
};

/// The commands of this family.
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "GEOADD",
        arity: Arity::at_least(5),
        flags: Flags::WRITE.or(Flags::DENYOOM),
        keys: &[KeySpec::one(1, Access::Update)],
        summary: "Adds points to a geo set, or moves them.",
        complexity: "O(log(N))",
        args: &[
            Arg::key("key"),
            Arg::one_of("condition", &[Arg::word("nx", "NX"), Arg::word("xx", "XX")]).optional(),
            Arg::word("change", "CH").optional(),
            Arg::block("data", &[Arg::double("longitude"), Arg::double("latitude"), Arg::string("member")]).multiple(),
        ],
        handler: Handler::Write(geoadd),
        ..READS
    },
    CommandSpec {
        name: "GEODIST",
        arity: Arity::at_least(4),
        summary: "Returns the distance between two members of a geo set.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::string("member1"), Arg::string("member2"), UNIT.optional()],
        handler: Handler::Read(geodist),
        ..READS
    },
    CommandSpec {
        name: "GEOHASH",
        arity: Arity::at_least(2),
        summary: "Returns the geohashes of members as standard text.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::string("member").optional().multiple()],
        handler: Handler::Read(geohash),
        ..READS
    },
    CommandSpec {
        name: "GEOPOS",
        arity: Arity::at_least(2),
        summary: "Returns the longitudes and latitudes of members.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::string("member").optional().multiple()],
        handler: Handler::Read(geopos),
        ..READS
    },
    CommandSpec {
        name: "GEORADIUS",
        arity: Arity::at_least(6),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::MOVABLEKEYS).or(Flags::ANSWERS_VALUE),
        keys: STORE_KEYS,
        summary: "Finds members within a distance of a point, and may store them.",
        complexity: RADIUS_COMPLEXITY,
        args: &[
            Arg::key("key"),
            Arg::double("longitude"),
            Arg::double("latitude"),
            Arg::double("radius"),
            UNIT,
            WITH_COORD,
            WITH_DIST,
            WITH_HASH,
            COUNT,
            Arg::ORDER,
            STORE,
        ],
        deprecated: Some(Deprecation {
            since: "6.2.0",
            replaced_by: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument",
        }),
        handler: Handler::Write(georadius),
        ..READS
    },
    CommandSpec {
        name: "GEORADIUSBYMEMBER",
        arity: Arity::at_least(5),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::MOVABLEKEYS).or(Flags::ANSWERS_VALUE),
        keys: MEMBER_STORE_KEYS,
        summary: "Finds members within a distance of a member, and may store them.",
        complexity: RADIUS_COMPLEXITY,
        args: &[
            Arg::key("key"),
            Arg::string("member"),
            Arg::double("radius"),
            UNIT,
            WITH_COORD,
            WITH_DIST,
            WITH_HASH,
            COUNT,
            Arg::ORDER,
            STORE,
        ],
        deprecated: Some(Deprecation {
            since: "6.2.0",
            replaced_by: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
        }),
        handler: Handler::Write(georadiusbymember),
        ..READS
    },
    CommandSpec {
        name: "GEORADIUSBYMEMBER_RO",
        since: "3.2.10",
        arity: Arity::at_least(5),
        summary: "Finds members within a distance of a member.",
        complexity: RADIUS_COMPLEXITY,
        args: &[
            Arg::key("key"),
            Arg::string("member"),
            Arg::double("radius"),
            UNIT,
            WITH_COORD,
            WITH_DIST,
            WITH_HASH,
            COUNT,
            Arg::ORDER,
        ],
        deprecated: Some(Deprecation {
            since: "6.2.0",
            replaced_by: "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments",
        }),
        handler: Handler::Read(georadiusbymember_ro),
        ..READS
    },
    CommandSpec {
        name: "GEORADIUS_RO",
        since: "3.2.10",
        arity: Arity::at_least(6),
        summary: "Finds members within a distance of a point.",
        complexity: RADIUS_COMPLEXITY,
        args: &[
            Arg::key("key"),
            Arg::double("longitude"),
            Arg::double("latitude"),
            Arg::double("radius"),
            UNIT,
            WITH_COORD,
            WITH_DIST,
            WITH_HASH,
            COUNT,
            Arg::ORDER,
        ],
        deprecated: Some(Deprecation { since: "6.2.0", replaced_by: "`GEOSEARCH` with the `BYRADIUS` argument" }),
        handler: Handler::Read(georadius_ro),
        ..READS
    },
    CommandSpec {
        name: "GEOSEARCH",
        since: "6.2.0",
        arity: Arity::at_least(7),
        summary: "Finds members within a circle or a rectangle.",
        complexity: RADIUS_COMPLEXITY,
        args: &[Arg::key("key"), FROM, BY, Arg::ORDER, COUNT, WITH_COORD, WITH_DIST, WITH_HASH],
        handler: Handler::Read(geosearch),
        ..READS
    },
    CommandSpec {
        name: "GEOSEARCHSTORE",
        since: "6.2.0",
        arity: Arity::at_least(8),
        flags: Flags::WRITE.or(Flags::DENYOOM),
        keys: &[KeySpec::one(1, Access::Overwrite), KeySpec::one(2, Access::Read)],
        summary: "Stores the members within a circle or a rectangle.",
        complexity: RADIUS_COMPLEXITY,
        args: &[
            Arg::key("destination"),
            Arg::key_at("source", 1),
            FROM,
            BY,
            Arg::ORDER,
            COUNT,
            Arg::word("storedist", "STOREDIST").optional(),
        ],
        handler: Handler::Write(geosearchstore),
        ..READS
    },
];
