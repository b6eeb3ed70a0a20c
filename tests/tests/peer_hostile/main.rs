//! `feige peer` and `feige fetch` among those who mean no good: after each attempt the peer is alive, idle, has nothing new
//! in its home, has said once what was wrong, and still answers.
//!
//! Each attempt has peers of its own and waits most of the time, so many run at once.
#![cfg(target_os = "linux")]

mod archives;
mod crowd;
mod links;
mod parcels;
mod texts;

use std::thread::Builder;

macro_rules! named {
    ($attempt:path) => {
        (stringify!($attempt), $attempt as fn())
    };
}

/// Makes these attempts at the same time.
fn together(attempts: &[(&str, fn())]) {
    let threads = attempts.iter().map(|(name, attempt)| {
        // The message of a panic has the name of its thread.
        let thread = Builder::new().name((*name).to_owned()).spawn(*attempt).expect("a thread");
        (*name, thread)
    });
    let threads: Vec<_> = threads.collect();
    let failed: Vec<_> =
        threads.into_iter().filter_map(|(name, thread)| thread.join().is_err().then_some(name)).collect();
    assert!(failed.is_empty(), "{failed:?}, see above");
}

#[test]
fn neighbours() {
    together(&[
        named!(links::links_that_break_the_rules_end),
        named!(links::queries_that_go_too_far_are_dropped),
        named!(links::messages_are_understood_wherever_they_are_split),
        named!(links::a_question_is_answered_once),
        named!(links::a_link_that_is_given_up_is_told_as_what_it_was),
        named!(texts::nonsense_is_told_and_harms_nobody),
        named!(texts::texts_are_understood_wherever_they_are_split),
        named!(texts::nobody_outside_of_the_networks_is_told_and_nobody_without_end),
        named!(texts::what_was_found_for_nobody_is_not_followed),
        named!(texts::a_holder_outside_of_the_networks_is_not_asked),
        named!(texts::twenty_answers_are_one_download),
        named!(texts::links_in_the_share_lead_nowhere),
    ]);
}

/// What is waited for for half a minute, and what uses the processor meanwhile.
#[test]
fn holders_and_crowds() {
    together(&[
        named!(crowd::a_loop_and_somebody_who_sends_everything_back_end),
        named!(crowd::a_full_table_refuses_and_recovers),
        named!(crowd::a_question_to_two_gateways_is_one_query),
        named!(parcels::headers),
        named!(parcels::entries),
        named!(parcels::bombs),
        named!(parcels::patience),
        named!(parcels::names_that_lead_nowhere),
    ]);
}
