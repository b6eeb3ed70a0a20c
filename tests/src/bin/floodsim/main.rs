//! Measures flooded search on simulated networks: `cargo run --release -p feige-tests --bin floodsim [FOLDER]`.
//!
//! Prints a table of the goals and of what was reached; with a folder, writes it there as `flood-simulation.md`, with a
//! plot of messages and recall. Takes some minutes; the same table comes out each time.

mod plot;

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use feige_tests::floodsim::{Network, Small};
use feige_tests::floodsim::{Row, Scale, Shape, coverage, flood, full_table, losses, rings};
use plot::Series;

/// Of all runs.
const SEED: u64 = 20;

const SHAPES: [Shape; 6] = [
    Shape::Regular(4),
    Shape::Regular(6),
    Shape::Regular(8),
    Shape::ScaleFree(2),
    Shape::ScaleFree(3),
    Shape::ScaleFree(4),
];

fn main() -> ExitCode {
    let mut rows = Vec::new();
    let mut add = |new: Vec<Row>| {
        for row in new {
            println!("{}", line(&row));
            rows.push(row);
        }
    };
    println!("{HEAD}");
    let scale = |peers, shape, searches| Scale { peers, shape, seed: SEED, searches };
    for peers in [100, 300, 1000, 3000, 10_000] {
        for shape in SHAPES {
            add(coverage(&scale(peers, shape, 10), 7));
        }
    }
    for shape in SHAPES {
        add(coverage(&scale(10_000, shape, 10), 5));
    }
    for (peers, searches) in [(100, 60), (300, 60), (1000, 60), (3000, 40), (10_000, 20)] {
        for shape in SHAPES {
            add(rings(&scale(peers, shape, searches), false));
            add(rings(&scale(peers, shape, searches), true));
        }
    }
    for shape in SHAPES {
        add(vec![full_table(&scale(300, shape, 1))]);
    }
    for loss in [0.001, 0.01, 0.05] {
        add(losses(&scale(1000, Shape::Regular(6), 20), loss));
    }
    let Some(folder) = std::env::args_os().nth(1) else { return verdict(&rows) };
    let series: Vec<Series> = SHAPES.into_iter().map(measure).collect();
    let folder = Path::new(&folder);
    let written = std::fs::write(folder.join("flood-simulation.md"), report(&rows, &series))
        .map_err(|error| error.to_string())
        .and_then(|()| plot::write(&folder.join("flood-messages.svg"), &series).map_err(|error| error.to_string()));
    if let Err(error) = written {
        eprintln!("floodsim: cannot write to {}: {error}", folder.display());
        return ExitCode::FAILURE;
    }
    verdict(&rows)
}

fn verdict(rows: &[Row]) -> ExitCode {
    if rows.iter().all(|row| row.is_met) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Floods of TTL 7 on ever larger networks.
fn measure(shape: Shape) -> Series {
    let at = [100, 300, 1000, 3000, 10_000, 30_000, 100_000].map(|peers| {
        let effort = flood(&Scale { peers, shape, seed: SEED, searches: 3 }, Network::default(), 7);
        println!("N = {peers}, {shape}: {:.0} messages, {:.2} % of all peers", effort.messages, 100.0 * effort.recall);
        (peers, effort)
    });
    Series { shape, at: at.to_vec() }
}

const HEAD: &str = "| | network | goal | reached | |\n|--|--|--|--|--|";

fn line(row: &Row) -> String {
    let Row { goal, setting, wanted, measured, is_met } = row;
    format!("| {goal} | {setting} | {wanted} | {measured} | {} |", if *is_met { "yes" } else { "NO" })
}

fn report(rows: &[Row], series: &[Series]) -> String {
    let mut text = format!(
        "# Flooded search, simulated\n\n\
         Written by `cargo run --release -p feige-tests --bin floodsim docs`, seed {SEED}: the real core, messages written and \
         read,\nunder a simulated clock. A message takes 10 ms over a link on average, exponentially distributed; peers hold \
         queries for\n10 ms (the default). Searchers and copies are drawn at random. A peer remembers 32 queries, has at most 12 \
         links and 6\nslots ({} octets; those of G5: 256 queries, 16 slots); a hub of a scale-free network takes no more than 12 \
         neighbours.\n*One flood* is 2E - N + 1 messages: what a flood to the end costs without delays.\n\n\
         {HEAD}\n",
        size_of::<Small>()
    );
    for row in rows {
        let _ = writeln!(text, "{}", line(row));
    }
    text.push_str("\n## One flood of TTL 7 by size of the network\n\n![Messages and recall](flood-messages.svg)\n\n");
    text.push_str("| network | N | messages | of 2E - N + 1 | peers asked |\n|--|--|--|--|--|\n");
    for Series { shape, at } in series {
        for (peers, effort) in at {
            let recall = 100.0 * effort.recall;
            let _ = writeln!(
                text,
                "| {shape} | {peers} | {:.0} | {:.3} | {recall:.2} % |",
                effort.messages, effort.of_flood
            );
        }
    }
    text
}
