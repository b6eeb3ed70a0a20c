//! Who is whose neighbour.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;

use fastrand::Rng;

/// How a network is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Everybody has as many neighbours, drawn at random.
    Regular(usize),
    /// Barabási and Albert's: each new peer takes so many neighbours, each with a probability that grows with the number
    /// of neighbours it has. A peer with [`Shape::HUB`] of them takes no more.
    ScaleFree(usize),
}

impl Shape {
    /// The most neighbours of a hub.
    pub const HUB: usize = 12;

    /// A connected network of this shape.
    ///
    /// # Panics
    /// If there are not more peers than neighbours.
    #[must_use]
    pub fn draw(self, peers: usize, rng: &mut Rng) -> Graph {
        loop {
            let graph = Graph::new(
                peers,
                match self {
                    Self::Regular(degree) => regular(peers, degree, rng),
                    Self::ScaleFree(new) => scale_free(peers, new, rng),
                },
            );
            if graph.distances(0).iter().all(Option::is_some) {
                return graph;
            }
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Regular(degree) => write!(f, "regular, degree {degree}"),
            Self::ScaleFree(new) => write!(f, "scale-free, mean degree {}", 2 * new),
        }
    }
}

/// Peers and links.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The two ends of each link.
    pub links: Vec<(usize, usize)>,
    neighbours: Vec<Vec<usize>>,
}

impl Graph {
    fn new(peers: usize, links: Vec<(usize, usize)>) -> Self {
        let mut neighbours = vec![Vec::new(); peers];
        for &(a, b) in &links {
            neighbours[a].push(b);
            neighbours[b].push(a);
        }
        Self { links, neighbours }
    }

    /// How many peers.
    #[must_use]
    pub fn peers(&self) -> usize {
        self.neighbours.len()
    }

    /// What one flood with duplicate suppression costs: 2E - N + 1.
    #[must_use]
    pub fn flood_cost(&self) -> usize {
        2 * self.links.len() + 1 - self.peers()
    }

    /// Over how many links each peer is reached from `start`.
    #[must_use]
    pub fn distances(&self, start: usize) -> Vec<Option<usize>> {
        let mut distances = vec![None; self.peers()];
        let mut next = VecDeque::from([(start, 0)]);
        while let Some((peer, distance)) = next.pop_front() {
            if distances[peer].is_none() {
                distances[peer] = Some(distance);
                next.extend(self.neighbours[peer].iter().map(|&other| (other, distance + 1)));
            }
        }
        distances
    }

    /// How many peers are at most so many links away from `start`, itself not counted.
    #[must_use]
    pub fn within(&self, start: usize, links: u8) -> usize {
        self.distances(start).iter().flatten().filter(|&&distance| (1..=links.into()).contains(&distance)).count()
    }
}

/// Ends of links are shuffled and joined by twos; what would be a loop or a second link is exchanged with another.
fn regular(peers: usize, degree: usize, rng: &mut Rng) -> Vec<(usize, usize)> {
    assert!(peers > degree);
    let mut ends: Vec<usize> = (0..peers).flat_map(|peer| [peer].repeat(degree)).collect();
    rng.shuffle(&mut ends);
    let mut links: Vec<(usize, usize)> = ends.as_chunks::<2>().0.iter().map(|&[a, b]| (a.min(b), a.max(b))).collect();
    let mut seen = BTreeSet::new();
    let mut bad: Vec<usize> = Vec::new();
    for (index, &(a, b)) in links.iter().enumerate() {
        if a == b || !seen.insert((a, b)) {
            bad.push(index);
        }
    }
    while let Some(&index) = bad.last() {
        let other = rng.usize(..links.len());
        let ((a, b), (c, d)) = (links[index], links[other]);
        let (new, also) = ((a.min(c), a.max(c)), (b.min(d), b.max(d)));
        if bad.contains(&other) || a == c || b == d || new == also || seen.contains(&new) || seen.contains(&also) {
            continue;
        }
        seen.remove(&(c, d));
        seen.extend([new, also]);
        (links[index], links[other]) = (new, also);
        bad.pop();
    }
    links
}

fn scale_free(peers: usize, new: usize, rng: &mut Rng) -> Vec<(usize, usize)> {
    assert!(peers > new);
    let mut links = Vec::new();
    let mut degree = vec![0; peers];
    // Each peer stands here once for each of its links: to draw from it is to prefer whoever has many.
    let mut ends: Vec<usize> = Vec::new();
    for peer in 1..peers {
        let mut chosen = BTreeSet::new();
        while chosen.len() < new.min(peer) {
            let drawn = if peer <= new { chosen.len() } else { ends[rng.usize(..ends.len())] };
            // All hubs near may be full; somebody at random is not.
            let drawn = if degree[drawn] < Shape::HUB { drawn } else { rng.usize(..peer) };
            if degree[drawn] < Shape::HUB {
                chosen.insert(drawn);
            }
        }
        for other in chosen {
            links.push((other, peer));
            ends.extend([other, peer]);
            degree[other] += 1;
            degree[peer] += 1;
        }
    }
    links
}
