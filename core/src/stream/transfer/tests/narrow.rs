//! A wire that holds few octets, and peers that take few that they did not ask for: who writes while nobody reads waits
//! for ever.

use std::vec::Vec;

use super::pair::Pair;
use super::stores::{Job, Shelf, get};
use super::{complete, octets, put};
use crate::wire::transfer::Request;

/// Buffers of input and output, on both sides.
const SHAPES: [(usize, usize); 4] = [(516, 512), (700, 5000), (20_000, 9000), (600_000, 600_000)];

fn narrow(shelf: Shelf, jobs: Vec<Job>, (input, output): (usize, usize), window: u32) -> Pair {
    let mut pair = Pair::new(shelf, jobs).buffers(input, output);
    (pair.up.capacity, pair.down.capacity) = (Some(4096), Some(4096));
    pair.window = window;
    pair
}

fn names(count: usize) -> Vec<&'static str> {
    (0..count).map(|n| &*std::format!("{n:03}").leak()).collect()
}

/// proves: R-VT-12, R-VT-14
#[test]
fn hundreds_of_small_files_do_not_block_a_narrow_wire() {
    let names = names(300);
    let mut shelf = Shelf::new();
    for (n, name) in names.iter().enumerate() {
        shelf.files.insert((*name).into(), octets(100 + n, 3));
    }
    let files = shelf.files.clone();
    for shape in SHAPES {
        // What the wire holds without being read; and less.
        for window in [0, 100, 4096] {
            let mut shelf = Shelf::new();
            shelf.files.clone_from(&files);
            let mut pair = narrow(shelf, names.iter().map(|name| get(name)).collect(), shape, window);
            complete(&mut pair);
            assert!(pair.desk.got.iter().map(|part| &part.octets).eq(files.values()));

            let inline = shape.1 > 1000;
            let jobs = files.iter().zip(&names).map(|((_, octets), name)| put(name, octets, inline)).collect();
            let mut pair = narrow(Shelf::new(), jobs, shape, window);
            complete(&mut pair);
            assert_eq!(pair.shelf.files, files);
        }
    }
}

/// Requests of all kinds, with large answers and large files between them.
///
/// proves: R-VT-12, R-VT-13
#[test]
fn everything_at_once_does_not_block_a_narrow_wire() {
    let mut shelf = Shelf::new();
    for name in names(200) {
        shelf.files.insert(name.into(), octets(10, 3));
    }
    shelf.files.insert("f".into(), octets(100_000, 1));
    let files = shelf.files.clone();
    let list = || Job::Other(Request::List { path: "", cursor: 0 });
    for shape in SHAPES {
        for window in [0, 2048, 4096] {
            let mut shelf = Shelf::new();
            shelf.files.clone_from(&files);
            let inline = shape.1 > 600;
            let jobs = std::vec![
                list(),
                list(),
                get("f"),
                list(),
                put("a", b"small", inline),
                put("b", &octets(50_000, 2), false),
                get("f"),
                get("000"),
                put("c", &octets(30_000, 4), shape.1 > 40_000),
                list(),
                Job::Other(Request::Time),
                put("d", &octets(50_000, 5), false),
            ];
            let mut pair = narrow(shelf, jobs, shape, window);
            complete(&mut pair);
            assert_eq!(pair.shelf.files.len(), files.len() + 4);
            assert_eq!(pair.desk.got.len(), 3);
        }
    }
}

/// A damaged block is asked for again while both sides have been writing.
///
/// proves: R-VT-53, R-VT-64
#[test]
fn repairs_fit_a_narrow_wire() {
    let file = octets(100_000, 1);
    for shape in SHAPES {
        let mut shelf = Shelf::new();
        shelf.files.insert("f".into(), file.clone());
        let mut pair = narrow(shelf, std::vec![get("f")], shape, 4096);
        pair.down.flip = std::vec![5000, 60_000];
        complete(&mut pair);
        assert_eq!(pair.desk.got[0].octets, file);

        let mut pair = narrow(Shelf::new(), std::vec![put("f", &file, false)], shape, 4096);
        pair.up.flip = std::vec![5000, 60_000];
        complete(&mut pair);
        assert_eq!(pair.shelf.files["f"], file);
    }
}
