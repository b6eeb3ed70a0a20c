//! The goal figures of flooded search, G1 to G5, measured.

use fastrand::Rng;
use feige_core::flood::Plan;
use feige_core::wire::flood::{NameFilter, RADIUS};

use super::net::COPIES;
use super::{Graph, Net, Network, Shape};

type SmallNet = Box<Net<32, 12, 6>>;

/// One network to measure on.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// How many peers.
    pub peers: usize,
    /// How they are linked.
    pub shape: Shape,
    /// The same seed gives the same run.
    pub seed: u64,
    /// How many searches, each from a peer at random.
    pub searches: usize,
}

/// A line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// G1 to G5.
    pub goal: &'static str,
    /// On which network, and how.
    pub setting: String,
    /// What is to be reached.
    pub wanted: String,
    /// What was reached.
    pub measured: String,
    /// It was reached.
    pub is_met: bool,
}

/// What searches cost on average.
#[derive(Clone, Copy, Debug, Default)]
pub struct Effort {
    /// Messages of a search.
    pub messages: f64,
    /// That divided by 2E - N + 1.
    pub of_flood: f64,
    /// The share of the peers within reach that were asked.
    pub coverage: f64,
    /// The share of all peers that were asked: so often a single copy is found.
    pub recall: f64,
    /// Every searcher reached all peers.
    pub reaches_all: bool,
    /// The most messages of one search over one link, in one direction.
    pub most_over_a_link: u8,
}

impl Scale {
    fn graph(&self) -> (Graph, Rng) {
        let mut rng = Rng::with_seed(self.seed);
        (self.shape.draw(self.peers, &mut rng), rng)
    }

    fn row(&self, goal: &'static str, how: &str, wanted: &str, measured: String, is_met: bool) -> Row {
        let setting = format!("N = {}, {}{how}", self.peers, self.shape);
        Row { goal, setting, wanted: wanted.to_owned(), measured, is_met }
    }
}

/// Floods with this TTL.
#[must_use]
pub fn flood(scale: &Scale, network: Network, ttl: u8) -> Effort {
    searches(scale, network, Plan::All, ttl)
}

/// Searches for what nobody has.
fn searches(scale: &Scale, network: Network, plan: Plan, ttl: u8) -> Effort {
    let (graph, mut rng) = scale.graph();
    let mut net: SmallNet = Box::new(Net::new(&graph, network, rng.fork(), |_| NameFilter::ALL));
    let mut effort = Effort { reaches_all: true, ..Effort::default() };
    let share = 1.0 / scale.searches as f64;
    for _ in 0..scale.searches {
        let asker = rng.usize(..scale.peers);
        let within = graph.within(asker, ttl);
        let search = net.search(asker, "x", plan, ttl);
        effort.messages += share * search.messages as f64;
        effort.of_flood += share * search.messages as f64 / graph.flood_cost() as f64;
        effort.coverage += share * search.asked as f64 / within as f64;
        effort.recall += share * search.asked as f64 / (scale.peers - 1) as f64;
        effort.reaches_all &= within + 1 == scale.peers;
        effort.most_over_a_link = effort.most_over_a_link.max(search.most_over_a_link);
    }
    effort
}

/// G1 and G2: everybody within the TTL is asked, for no more messages than a flood without delays costs.
#[must_use]
pub fn coverage(scale: &Scale, ttl: u8) -> Vec<Row> {
    let effort = flood(scale, Network::default(), ttl);
    let how = format!(", TTL {ttl}");
    let asked = format!("{:.2} % asked", 100.0 * effort.coverage);
    let mut rows = vec![scale.row("G1", &how, "100 %", asked, effort.coverage > 1.0 - 1e-9)];
    let most = effort.most_over_a_link;
    let wanted = if effort.reaches_all { "<= 1 flood, aim 0.92" } else { "(TTL < diameter) <= TTL over a link" };
    let is_met = most <= ttl.min(COPIES) && (!effort.reaches_all || effort.of_flood <= 1.0);
    let measured = format!("{:.3} floods, at most {most} over a link", effort.of_flood);
    rows.push(scale.row("G2", &how, wanted, measured, is_met));
    rows
}

/// What coverage is left when messages get lost: links are TCP, but full queues drop. At once, and in rings.
#[must_use]
pub fn losses(scale: &Scale, loss: f64) -> Vec<Row> {
    let network = Network { loss, ..Network::default() };
    [("", Plan::All), (" in rings", Plan::First)]
        .map(|(how, plan)| {
            let effort = searches(scale, network, plan, RADIUS);
            let how = format!(", TTL {RADIUS}{how}, {} % lost", 100.0 * loss);
            let measured = format!("{:.2} % asked, {:.3} floods", 100.0 * effort.coverage, effort.of_flood);
            scale.row("loss", &how, "-", measured, true)
        })
        .into()
}

/// What rings have to save against one flood by degree, without and with filters: G3 and G4.
const SAVINGS: [(usize, f64, f64); 3] = [(4, 0.3, 0.7), (6, 0.5, 0.85), (8, 0.6, 0.9)];

/// G3, or G4 if neighbours send filters of as many names as they hold well: what rings save when there is one copy, and
/// what they cost when there is none.
#[must_use]
pub fn rings(scale: &Scale, is_filtered: bool) -> Vec<Row> {
    let of_flood = flood(scale, Network::default(), RADIUS).of_flood;
    let (graph, mut rng) = scale.graph();
    let one_flood = graph.flood_cost() as f64;
    let copies: Vec<(usize, String)> =
        (0..scale.searches).map(|number| (rng.usize(..scale.peers), format!("copy {number}.txt"))).collect();
    let names = |peer: usize| {
        if !is_filtered {
            return NameFilter::ALL;
        }
        let others: Vec<String> = (1..NameFilter::GOOD_FOR).map(|number| format!("{peer} {number}.txt")).collect();
        let own = copies.iter().filter(|(holder, _)| *holder == peer).map(|(_, name)| name);
        others.iter().chain(own).map(String::as_str).collect()
    };
    let mut net: SmallNet = Box::new(Net::new(&graph, Network::default(), rng.fork(), names));
    copies.iter().for_each(|(holder, name)| net.hold(*holder, name));
    let (mut found, mut missed, mut asked) = (Vec::new(), Vec::new(), Vec::new());
    for (number, (holder, name)) in copies.iter().enumerate() {
        let asker = (holder + rng.usize(1..scale.peers)) % scale.peers;
        let search = net.search(asker, name, Plan::First, RADIUS);
        if search.hits > 0 {
            found.push(search.messages as f64);
        }
        let search = net.search(asker, &format!("nowhere {number}"), Plan::First, RADIUS);
        missed.push(search.messages as f64);
        asked.push(search.asked as f64 / graph.within(asker, RADIUS) as f64);
    }
    let saved = 1.0 - mean(&found) / one_flood;
    let wanted = SAVINGS.iter().find(|(degree, ..)| scale.shape == Shape::Regular(*degree));
    let wanted = wanted.map(|&(_, plain, filtered)| if is_filtered { filtered } else { plain });
    let (goal, how) = if is_filtered { ("G4", ", rings, filters") } else { ("G3", ", rings") };
    let text = wanted.map_or("-".to_owned(), |wanted| format!("saves {:.0} %", 100.0 * wanted));
    // Where TTL 7 does not reach everybody, a flood of it is cheaper than a whole one.
    let of_seven = 100.0 * (1.0 - (1.0 - saved) / of_flood);
    let measured = format!(
        "saves {:.1} % ({of_seven:.1} % of a flood of TTL 7; {} of {} found)",
        100.0 * saved,
        found.len(),
        copies.len()
    );
    let mut rows = vec![scale.row(goal, how, &text, measured, wanted.is_none_or(|wanted| saved >= wanted))];
    if is_filtered {
        let filtered: u64 = net.peers().iter().map(|peer| peer.counters().filtered).sum();
        let wrong = net.asked_in_vain as f64 / (net.asked_in_vain + filtered) as f64;
        let measured = format!("{:.3} % wrong", 100.0 * wrong);
        rows.push(scale.row(goal, ", false positives", "<= 0.2 %", measured, wrong <= 0.002));
    } else {
        let cost = mean(&missed) / one_flood;
        let coverage = mean(&asked);
        let measured = format!("{cost:.2} floods, {:.2} % asked", 100.0 * coverage);
        let is_met = cost <= 1.7 && coverage > 1.0 - 1e-9;
        rows.push(scale.row(goal, ", not found", "<= 1.7 floods, 100 %", measured, is_met));
    }
    rows
}

/// How many searches at once, and how many a peer remembers.
const AT_ONCE: usize = 512;
const TABLE: usize = 256;

/// G5: 512 searches at once at tables of 256 do not grow anything, are counted, and cost no more than others.
#[must_use]
pub fn full_table(scale: &Scale) -> Row {
    let (graph, mut rng) = scale.graph();
    let mut net: Box<Net<TABLE, 12, 16>> =
        Box::new(Net::new(&graph, Network::default(), rng.fork(), |_| NameFilter::ALL));
    net.begin();
    let asked = (0..AT_ONCE).filter(|number| net.ask(number % scale.peers, "x", Plan::All, RADIUS)).count();
    net.run(5000);
    let search = net.end();
    let now = net.now();
    let most = net.peers().iter().map(|peer| peer.remembered(now)).max().unwrap_or(0);
    let counted: u64 = net.peers().iter().map(|peer| peer.counters().full + peer.counters().too_often).sum();
    let of_flood = search.messages as f64 / asked as f64 / graph.flood_cost() as f64;
    let measured = format!(
        "{asked} asked, at most {most} remembered, {} of {counted} refusals counted, {of_flood:.3} floods each",
        net.refused
    );
    let is_met = asked == AT_ONCE && most <= TABLE && counted == net.refused && counted > 0 && of_flood <= 1.0;
    scale.row("G5", ", 512 at once, 256 remembered", "all counted, <= 1 flood each", measured, is_met)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_met(rows: &[Row]) {
        for row in rows {
            assert!(row.is_met, "{row:?}");
        }
    }

    fn scale(shape: Shape, searches: usize) -> Scale {
        Scale { peers: 300, shape, seed: 7, searches }
    }

    #[test]
    fn everybody_is_asked_for_no_more_than_a_flood() {
        for shape in [Shape::Regular(4), Shape::Regular(8), Shape::ScaleFree(3)] {
            all_met(&coverage(&scale(shape, 2), 5));
            all_met(&coverage(&scale(shape, 2), RADIUS));
        }
    }

    #[test]
    fn rings_save_what_they_should() {
        for shape in [Shape::Regular(4), Shape::Regular(8)] {
            all_met(&rings(&scale(shape, 12), false));
            all_met(&rings(&scale(shape, 12), true));
        }
    }

    #[test]
    fn a_full_table_costs_nothing_but_answers() {
        all_met(&[full_table(&Scale { peers: 100, ..scale(Shape::Regular(4), 1) })]);
    }

    #[test]
    fn the_same_seed_gives_the_same_run() {
        let run = || flood(&scale(Shape::ScaleFree(2), 2), Network { loss: 0.1, ..Network::default() }, RADIUS);
        let (one, other) = (run(), run());
        assert_eq!((one.messages, one.coverage), (other.messages, other.coverage));
        assert!(one.coverage < 1.0);
    }
}
