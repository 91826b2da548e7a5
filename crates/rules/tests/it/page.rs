//! The reference page says what the program does.

use crate::read;
use kairos_rules::{Condition, Lang, explain, limits, testing};

const PAGE: &str = include_str!("../../../../docs/reference/conditions.md");

fn blocks(kind: &str) -> Vec<&'static str> {
    let open = format!("```{kind}\n");
    PAGE.split(open.as_str()).skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect()
}

#[test]
fn its_conditions_read() {
    let all: Vec<_> = blocks("condition").into_iter().flat_map(str::lines).collect();
    assert!(all.len() > 10);
    all.into_iter().for_each(|line| {
        read(line);
    });
}

#[test]
fn its_refusals_are_those_of_the_program() {
    for block in blocks("refused") {
        let (text, want) = block.split_once('\n').unwrap();
        assert_eq!(Condition::parse(text, &testing::catalogue()).unwrap_err().render(), want);
    }
}

#[test]
fn its_tree_and_its_sentence_are_those_of_the_program() {
    let json: serde_json::Value = serde_json::from_str(blocks("json")[0]).unwrap();
    assert_eq!(Condition::from_json(&json, &testing::catalogue()).unwrap().to_json(), json);
    let lines: Vec<_> = blocks("said")[0].lines().collect();
    let c = read(lines[0]);
    let said = [Lang::Zh, Lang::En].map(|lang| explain(&c, &testing::catalogue(), lang));
    assert_eq!(said, [lines[1], lines[2]]);
}

#[test]
fn its_limits_are_those_of_the_program() {
    for (name, n) in [
        ("clauses", limits::CLAUSES_MAX.to_string()),
        ("groups and `not`s inside each other", limits::DEPTH_MAX.to_string()),
        ("values of one clause", "1,000".into()),
        ("problems reported at once", limits::PROBLEMS_MAX.to_string()),
    ] {
        assert!(PAGE.contains(&format!("| {name} | {n} |")), "{name}");
    }
}
