//! What the server writes, the folder client reads.

use super::*;

/// A small generator of numbers (xorshift): the same tree for the same seed, everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A random tree, depth first, in a folder called `name`.
fn tree(dice: &mut Dice, name: &str, depth: u64, steps: &mut Vec<Step>) {
    let metadata = Metadata {
        modified: (dice.below(2) == 0).then(|| dice.below(1 << 33)),
        permissions: (dice.below(2) == 0).then_some(0o755),
        hidden: dice.below(4) == 0,
        ..Metadata::default()
    };
    steps.push(Step::Folder { name: name.into(), metadata });
    for child in 0..dice.below(6) {
        let name = std::format!("{child}{}", ["文件", ":", "a b", ".."][usize::try_from(dice.below(4)).unwrap()]);
        if depth > 0 && dice.below(3) == 0 {
            tree(dice, &name, depth - 1, steps);
        } else {
            let most = [1, 20, 300, 3000][usize::try_from(dice.below(4)).unwrap()];
            let octets = (0..dice.below(most)).map(|n| b"0016:.:0:3:"[usize::try_from(n % 11).unwrap()]).collect();
            let metadata = Metadata { created: Some(dice.below(u64::MAX)), read_only: true, ..Metadata::default() };
            steps.push(Step::File { name: name.into(), octets, metadata });
        }
    }
    steps.push(Step::Leave);
}

/// The root arrives without its name.
fn nameless(steps: &[Step]) -> Vec<Step> {
    let mut steps = steps.to_vec();
    if let Some(Step::Folder { name, .. } | Step::File { name, .. }) = steps.first_mut() {
        name.clear();
    }
    steps
}

#[test]
fn random_trees() {
    for seed in 1..=60 {
        let mut dice = Dice(seed * 0x9e37_79b9);
        let mut steps = Vec::new();
        tree(&mut dice, "root", 5, &mut steps);
        let room = usize::try_from(128 + dice.below(4000)).unwrap();
        let (ended, script, _) = serve(&steps, Script::new(FOLDER_REQUEST, Ending::Eof), room);
        assert!(matches!(ended, Ok(Outcome::Complete(_))), "{ended:?}");
        let room = usize::try_from(128 + dice.below(4000)).unwrap();
        let mut answer = Script::new(&script.written, Ending::Silence);
        answer.most_read = usize::try_from(1 + dice.below(700)).unwrap();
        let (fetched, _, ram) = fetch_folder(Ram::default(), answer, room, Limits::default());
        assert_eq!(fetched, ended, "both count alike");
        assert_eq!(ram.received, nameless(&steps));
    }
}

#[test]
fn as_deep_as_the_limit_and_one_deeper() {
    let depth = usize::from(Limits::default().depth);
    for (depth, fits) in [(depth, true), (depth + 1, false)] {
        let mut steps = std::vec![folder("d"); depth];
        steps.resize(2 * depth, Step::Leave);
        let (_, script, _) = serve(&steps, Script::new(FOLDER_REQUEST, Ending::Eof), 512);
        let answer = Script::new(&script.written, Ending::Silence);
        let (ended, _, ram) = fetch_folder(Ram::default(), answer, 512, Limits::default());
        if fits {
            assert_eq!((ended, ram.received), (complete(0, 64, 0), nameless(&steps)));
        } else {
            assert_eq!(ended, broken(ProtocolError::TooDeep));
        }
    }
}

/// Many small files take few reads and writes: a call for about every buffer full, not for every file.
#[test]
fn ten_thousand_small_files() {
    let mut steps = std::vec![folder("d")];
    steps.resize(10_001, file("0123456789.dat", &[b'x'; 4096]));
    steps.push(Step::Leave);
    let room = 128 * 1024;
    let (ended, script, _) = serve(&steps, Script::new(FOLDER_REQUEST, Ending::Eof), room);
    assert_eq!(ended, complete(10_000, 1, 40_960_000));
    assert!(script.writes < 400, "{} writes", script.writes);
    let answer = Script::new(&script.written, Ending::Silence);
    let (ended, script, ram) = fetch_folder(Ram::default(), answer, room, Limits::default());
    assert_eq!(ended, complete(10_000, 1, 40_960_000));
    assert!(script.reads < 700, "{} reads", script.reads);
    assert_eq!(ram.received, nameless(&steps));
}
