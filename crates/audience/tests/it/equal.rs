//! The bitmap back end says what the row evaluation says.

use crate::world::World;
use kairos_rules::{Condition, limits, testing};

#[test]
fn random_conditions_over_random_rows() {
    let catalogue = testing::catalogue();
    for (seed, rows, stride) in [(1, 3_000, 1), (2, 4_000, 37), (3, 64, 1), (4, 1, 1), (5, 131_072 / 64, 64)] {
        let world = World::new(seed, rows, stride, 500);
        for i in 0..400 {
            let clauses = 1 + (i as usize) % 40;
            world.check(&testing::condition(seed * 100_000 + i, clauses, &catalogue));
        }
    }
}

#[test]
fn random_conditions_over_blocks_of_every_form() {
    let catalogue = testing::catalogue();
    let world = World::new(9, 262_144 + 70_000, 1, 300);
    for i in 0..30 {
        world.check(&testing::condition(7_700 + i, 1 + (i as usize) % 12, &catalogue));
    }
}

#[test]
fn five_hundred_clauses_and_one_more() {
    let catalogue = testing::catalogue();
    let world = World::new(11, 2_000, 3, 400);
    for seed in 0..3 {
        world.check(&testing::condition(seed, limits::CLAUSES_MAX, &catalogue));
    }
    let clause = |i: usize| format!("(calls > {i} and not arpu between {i} CNY and 80 CNY)");
    let text = |n: usize| (0..n / 2).map(clause).collect::<Vec<_>>().join(" or ");
    world.check(&Condition::parse(&text(500), &catalogue).unwrap());
    let error = Condition::parse(&text(502), &catalogue).unwrap_err();
    assert_eq!(error.all()[0].message, "the condition has more than 500 clauses");
    let error = Condition::parse(&text(10_000), &catalogue).unwrap_err();
    assert_eq!(error.all()[0].message, "the condition has more than 500 clauses");
}

#[test]
fn every_operator_at_its_edges() {
    let catalogue = testing::catalogue();
    let world = World::new(13, 4_000, 1, 600);
    let texts = [
        "everyone",
        "nobody",
        "not nobody",
        "ring_back_tone is known",
        "ring_back_tone is unknown",
        "not (ring_back_tone = true)",
        "not not ring_back_tone = false",
        "calls in ()",
        "not calls in ()",
        "calls not in (-500, -1, 0, 1, 2, 100, 500)",
        "calls in (9223372036854775807, -9223372036854775808)",
        "calls > 9223372036854775807 or calls < -9223372036854775808",
        "calls >= -9223372036854775808",
        "not calls between 100 and 1",
        "calls between 100 and 1",
        "arpu between -0.000001 CNY and 80 CNY",
        "data_mb != 0.5",
        "plan < \"b\" and plan >= \"a\"",
        "plan between \"\" and \"天\"",
        "plan starts with \"\"",
        "plan starts with \"天\"",
        "not plan contains \"not there\"",
        "plan in (\"ab\", \"天气\", \"never seen\")",
        "interests has any (music, reading)",
        "interests has all (music, reading)",
        "not interests has all (music, reading)",
        "interests has any ()",
        "interests has all ()",
        "colours has red and not colours has unheard",
        "not colours has all (red, unheard)",
        "brand != gotone",
        "brand in (gotone, mzone) and brand is known",
        "joined >= start of month",
        "joined < 90 days ago or joined is unknown",
        "home_cell in area campus",
        "home_cell not in area nowhere",
        "home_cell in (1, 2, 4294967295)",
        "subscriber in list owners",
        "subscriber not in list \"no one\"",
        "call_length between 60 s and 2 h",
    ];
    for text in texts {
        let condition = Condition::parse(text, &catalogue).unwrap_or_else(|e| panic!("{text}: {e}"));
        world.check(&condition);
    }
}

#[test]
fn the_funnel_says_what_each_clause_removes() {
    let catalogue = testing::catalogue();
    let world = World::new(23, 6_000, 25, 500);
    let texts = ["calls >= 0", "not (arpu > 80 CNY or senior = true)", "subscriber in list owners", "plan is known"];
    let condition = |all: &[&str]| Condition::parse(&all.join(" and "), &catalogue).unwrap();
    let n =
        |all: &[&str]| world.by_row(&if all.is_empty() { Condition::everyone() } else { condition(all) }).len() as u64;
    let funnel = world.index.view().funnel(&condition(&texts), &world.sets).unwrap();
    assert_eq!((funnel.everyone, funnel.count), (6_000, n(&texts)));
    for (i, step) in funnel.steps.iter().enumerate() {
        let others: Vec<&str> = texts.iter().enumerate().filter(|(k, _)| *k != i).map(|(_, t)| *t).collect();
        assert_eq!((step.alone, step.left), (n(&texts[i..=i]), n(&texts[..=i])), "{}", texts[i]);
        assert_eq!(
            (step.removed, step.only),
            (n(&texts[..i]) - n(&texts[..=i]), n(&others) - n(&texts)),
            "{}",
            texts[i]
        );
    }
    let one =
        world.index.view().funnel(&Condition::parse("calls > 5 or senior = true", &catalogue).unwrap(), &world.sets);
    assert_eq!(one.unwrap().steps.len(), 1);
    let all = world.index.view().funnel(&Condition::everyone(), &world.sets).unwrap();
    assert_eq!((all.steps.len(), all.count), (0, 6_000));
}
