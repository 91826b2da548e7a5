//! What is said about a JSON tree that is wrong.

use expect_test::{Expect, expect};
use kairos_rules::{Condition, limits, testing};
use serde_json::{Value, json};

fn wrong_json(json: Value, want: Expect) {
    let problems = Condition::from_json(&json, &testing::catalogue()).expect_err(&json.to_string());
    want.assert_eq(&problems.render());
}

#[test]
fn json_is_pointed_at_by_pointer() {
    wrong_json(
        json!(7),
        expect![[r#"
        the root is no group; expected {"combinator": "and", "rules": […]}
          at the whole"#]],
    );
    wrong_json(
        json!({"field": "arpu", "operator": "=", "value": 1}),
        expect![[r#"
        the root is no group; expected {"combinator": "and", "rules": […]}
          at the whole"#]],
    );
    wrong_json(
        json!({"combinator": "xor", "rules": [1]}),
        expect![[r#"
        no known combinator; expected "and" or "or"
          at /combinator"#]],
    );
    wrong_json(
        json!({"combinator": "or", "rules": []}),
        expect![[r#"
        the group is empty; expected at least one rule (a rule on field `everyone` or `nobody` says it openly)
          at the whole"#]],
    );
    wrong_json(
        json!({"combinator": "and", "rules": [
            {"field": "apru", "operator": ">", "value": "1 yuan"},
            {"field": "arpu", "operator": ">", "value": 1},
            {"field": "arpu", "operator": "greater", "value": 1},
            {"field": "arpu", "operator": "between", "value": ["1 yuan"]},
            {"combinator": "or", "rules": []},
            "and",
            {"field": "calls", "operator": "=", "value": "abc"},
            {"field": "calls", "operator": "=", "value": null},
            {"field": "calls", "operator": "=", "valueSource": "field", "value": "data_mb"},
            {"field": "brand", "operator": "beginWith", "value": "x"},
            {"field": "joined", "operator": "<", "value": "senior and senior"},
            {"field": "brand", "operator": "in", "value": ["gotone", "mzona"]}]}),
        expect![[r#"
            unknown tag `apru`; did you mean `arpu`?
              at /rules/0/field
            `1` has no unit, and `arpu` is money in CNY; expected an amount such as `80 yuan`; did you mean `1 yuan`?
              at /rules/1/value
            unknown operator `greater`; expected = != < <= > >= null notNull in notIn between notBetween beginsWith doesNotBeginWith contains doesNotContain has hasAny hasNone hasAll notHasAll inArea notInArea inList notInList
              at /rules/2/operator
            1 values; expected two values: the lower and the upper end
              at /rules/3/value
            the group is empty; expected at least one rule (a rule on field `everyone` or `nobody` says it openly)
              at /rules/4
            found a text; expected a rule or a group (combinators between rules are not read)
              at /rules/5
            `"abc"` does not fit `calls`, which is a whole number; expected a whole number such as 100
              at /rules/6/value
            found null; expected a text, a number or a boolean
              at /rules/7/value
            a tag is compared with values only; expected "value"
              at /rules/8/valueSource
            unknown operator `beginWith`; expected = != < <= > >= null notNull in notIn between notBetween beginsWith doesNotBeginWith contains doesNotContain has hasAny hasNone hasAll notHasAll inArea notInArea inList notInList; did you mean `beginsWith`?
              at /rules/9/operator
            `"senior and senior"` does not fit `joined`, which is a date; expected a day such as 2026-01-31, today, `30 days ago` or `start of month`
              at /rules/10/value
            `brand` has no value `mzona`; expected one of gotone, easyown, mzone; did you mean `mzone`?
              at /rules/11/value/1"#]],
    );
    let many: Vec<_> = (0..10_000).map(|i| json!({"field": "calls", "operator": "=", "value": i})).collect();
    wrong_json(
        json!({"combinator": "and", "rules": many}),
        expect![[r#"
        the condition has more than 500 clauses; expected fewer clauses: put values into one `in (…)`, or subscribers into a list
          at /rules/500"#]],
    );
    let mut deep = json!({"field": "senior", "operator": "=", "value": true});
    for _ in 0..limits::DEPTH_MAX + 1 {
        deep = json!({"combinator": "and", "not": true, "rules": [deep]});
    }
    wrong_json(
        deep.clone(),
        expect!["groups are nested more than 48 deep; expected fewer parentheses and `not`s inside each other"],
    );
    for _ in 0..100 {
        deep = json!({"combinator": "and", "not": true, "rules": [deep]});
    }
    wrong_json(
        deep,
        expect![[r#"
        groups are nested more than 48 deep; expected fewer parentheses and `not`s inside each other
          at /rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0/rules/0"#]],
    );
}
