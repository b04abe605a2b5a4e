//! The layout of a snapshot against the one that was written down when its number was given.

use super::errands::Program;
use crate::control::thread::{Control, Sockets};
use crate::edge::broker::Broker;
use crate::upgrade::VERSION;
use msf_wire::snapshot::State;

/// What both processes must agree on, in lines that a person can compare.
fn layout() -> String {
    let mut shape = String::from("control: ");
    Control::<Program>::shape(&mut shape);
    shape.push_str("\nreactor: ");
    Broker::shape(&mut shape);
    let mut text = format!("layout {VERSION}\n");
    for part in shape.lines() {
        let mut width = 0;
        for word in part.split_whitespace() {
            if width + word.len() > 100 {
                text.push('\n');
                width = 0;
            }
            text.push_str(if width > 0 { " " } else { "" });
            text.push_str(word);
            width += word.len() + 1;
        }
        text.push('\n');
    }
    text
}

/// When this fails, what a snapshot holds has changed: old and new agents no longer understand each other. Then
/// `upgrade::VERSION` gets the next number, and `upgrade/layout.txt` the text that is shown here.
#[test]
fn golden_another_layout_has_another_number() {
    let (now, golden) = (layout(), include_str!("../upgrade/layout.txt"));
    let written = golden.lines().find(|line| line.starts_with("layout"));
    if now != golden {
        if let Ok(place) = std::env::var("MSF_WRITE_LAYOUT") {
            std::fs::write(place, &now).unwrap();
        }
        panic!("the snapshot has another layout than {written:?}:\n{now}");
    }
}

/// What passes between any two versions. This one cannot get another number: agents of every version must read it.
#[test]
fn golden_what_passes_in_any_case_is_the_same_for_ever() {
    let mut shape = String::new();
    <Sockets as State>::shape(&mut shape);
    let listener = "([u8] ([u8] u64)?) fd";
    let sockets = format!(
        "Sockets{{ pid:i32 lock:fd? listeners:[({listener} Door( 0=Librpc 1=Nmid 2=Http ))] metrics:{listener}? admin:{listener}? }}"
    );
    assert_eq!(shape, sockets);
}
