//! Draws the shares and the movement of rings of 1 to 64 shards, and prints the table of ARCHITECTURE.md.
//!
//! `make ring-plot` runs it; the argument is the file for the drawing.

use std::fmt::Write as _;

use anyhow::Context as _;
use kvorum::cluster::ring::{DEFAULT_VIRTUAL_NODES, DEFAULT_WEIGHT, Ring, Share, moves};
use kvorum::types::{SLOT_COUNT, ShardId};

const SHARDS_MAX: u32 = 64;
const WIDTH: f64 = 760.0;
const PANEL_HEIGHT: f64 = 200.0;
const LEFT: f64 = 60.0;

/// What a ring of so many equal shards is like.
struct Figures {
    shards: u32,
    min: f64,
    max: f64,
    /// Slots that moved when the last shard was added, over the mean share.
    moved: f64,
    /// The largest share after the removal of any one shard.
    max_after_removal: f64,
    ranges: usize,
}

fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).context("the argument is the file to write")?;
    let figures = figures()?;
    std::fs::write(&file, drawing(&figures)).with_context(|| format!("cannot write {file}"))?;
    println!("| shards | smallest share | largest share | moved by the last one | largest after a removal | ranges |");
    println!("|---|---|---|---|---|---|");
    for row in figures.iter().filter(|row| [2, 3, 4, 8, 9, 16, 32, 64].contains(&row.shards)) {
        let Figures { shards, min, max, moved, max_after_removal, ranges } = row;
        println!("| {shards} | {min:.3} | {max:.3} | {moved:.3} | {max_after_removal:.3} | {ranges} |");
    }
    let worst = |measure: fn(&Figures) -> f64| figures.iter().map(measure).fold(0.0, f64::max);
    println!("largest of all: share {:.4}, moved {:.4}", worst(|row| row.max), worst(|row| row.moved));
    println!("after a removal: {:.4}", worst(|row| row.max_after_removal));
    Ok(())
}

fn figures() -> anyhow::Result<Vec<Figures>> {
    let mut ring = Ring::new();
    let mut figures = Vec::new();
    for shards in 1..=SHARDS_MAX {
        let old = ring.clone();
        ring.add(ShardId(shards), DEFAULT_WEIGHT, DEFAULT_VIRTUAL_NODES)?;
        let moved: u32 = moves(&old, &ring).iter().map(|moved| u32::from(moved.slots())).sum();
        let mut max_after_removal = 1.0f64;
        for shard in ring.shards().filter(|_| shards > 1) {
            let mut less = ring.clone();
            less.remove(shard)?;
            max_after_removal = max_after_removal.max(less.max_load());
        }
        figures.push(Figures {
            shards,
            min: ring.shares().iter().map(Share::load).fold(f64::INFINITY, f64::min),
            max: ring.max_load(),
            moved: f64::from(moved) * f64::from(shards) / f64::from(SLOT_COUNT),
            max_after_removal,
            ranges: ring.ranges().len(),
        });
    }
    Ok(figures)
}

/// One set of axes, with values between `low` and `high`.
struct Panel {
    top: f64,
    low: f64,
    high: f64,
}

impl Panel {
    fn x(shards: u32) -> f64 {
        LEFT + (WIDTH - LEFT - 20.0) * f64::from(shards - 1) / f64::from(SHARDS_MAX - 1)
    }

    fn y(&self, value: f64) -> f64 {
        self.top + PANEL_HEIGHT * (self.high - value) / (self.high - self.low)
    }

    fn axes(&self, svg: &mut String, title: &str, ticks: &[f64]) {
        let right = Self::x(SHARDS_MAX);
        let _ = writeln!(svg, r#"<text x="{LEFT}" y="{:.0}" font-weight="bold">{title}</text>"#, self.top - 14.0);
        for tick in ticks {
            let y = self.y(*tick);
            let _ = writeln!(svg, r##"<path d="M{LEFT} {y:.1}H{right}" stroke="#ddd"/>"##);
            let _ = writeln!(svg, r#"<text x="52" y="{:.1}" text-anchor="end">{tick:.2}</text>"#, y + 4.0);
        }
        for shards in [1, 8, 16, 24, 32, 40, 48, 56, 64] {
            let (x, y) = (Self::x(shards), self.top + PANEL_HEIGHT + 18.0);
            let _ = writeln!(svg, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="middle">{shards}</text>"#);
        }
    }

    fn limit(&self, svg: &mut String, value: f64, label: &str) {
        let (y, right) = (self.y(value), Self::x(SHARDS_MAX));
        let _ = writeln!(svg, r##"<path d="M{LEFT} {y:.1}H{right}" stroke="#c22" stroke-dasharray="6 4"/>"##);
        let _ = writeln!(svg, r##"<text x="{right}" y="{:.1}" text-anchor="end" fill="#c22">{label}</text>"##, y - 5.0);
    }

    fn line(&self, svg: &mut String, points: &[(u32, f64)], colour: &str) {
        let points: Vec<String> =
            points.iter().map(|(shards, value)| format!("{:.1},{:.1}", Self::x(*shards), self.y(*value))).collect();
        let points = points.join(" ");
        let _ = writeln!(svg, r#"<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>"#);
    }
}

fn drawing(figures: &[Figures]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} 570\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"570\" fill=\"#fff\"/>\n"
    );
    let points = |measure: fn(&Figures) -> f64| -> Vec<(u32, f64)> {
        figures.iter().filter(|row| row.shards > 1).map(|row| (row.shards, measure(row))).collect()
    };
    let shares = Panel { top: 40.0, low: 0.97, high: 1.06 };
    shares.axes(
        &mut svg,
        "Shares, as multiples of the mean",
        &[0.97, 0.98, 0.99, 1.0, 1.01, 1.02, 1.03, 1.04, 1.05, 1.06],
    );
    shares.limit(&mut svg, 1.05, "limit of the largest share");
    shares.line(&mut svg, &points(|_| 1.0), "#888");
    shares.line(&mut svg, &points(|row| row.max_after_removal), "#d90");
    shares.line(&mut svg, &points(|row| row.max), "#17a");
    shares.line(&mut svg, &points(|row| row.min), "#393");
    let movement = Panel { top: 320.0, low: 0.9, high: 1.12 };
    movement.axes(&mut svg, "Slots moved by the last shard added, as multiples of 1/n", &[0.9, 0.95, 1.0, 1.05, 1.1]);
    movement.limit(&mut svg, 1.1, "limit");
    movement.line(&mut svg, &points(|row| row.moved), "#17a");
    let legend = [("#17a", "largest"), ("#888", "mean"), ("#393", "smallest"), ("#d90", "largest after any removal")];
    for ((colour, label), x) in legend.iter().zip([320.0, 400.0, 470.0, 560.0]) {
        let _ = writeln!(svg, r#"<text x="{x}" y="26" fill="{colour}">{label}</text>"#);
    }
    let _ = writeln!(svg, r#"<text x="{}" y="562" text-anchor="middle">shards</text>"#, WIDTH / 2.0);
    svg.push_str("</svg>\n");
    svg
}
