//! What is said about a condition that is wrong.

use expect_test::{Expect, expect};
use kairos_rules::{Condition, Place, limits, testing};

fn wrong(text: &str, want: Expect) {
    let problems = Condition::parse(text, &testing::catalogue()).expect_err(text);
    want.assert_eq(&problems.render());
}

#[test]
fn names_are_suggested() {
    wrong(
        "apru >= 80 yuan",
        expect![[r#"
        unknown tag `apru`; did you mean `arpu`?
          apru >= 80 yuan
          ^^^^"#]],
    );
    wrong(
        "ring_back and 消费 >= 80 yuan",
        expect![[r#"
        unknown tag `ring_back`; did you mean `ring_back_tone`?
          ring_back and 消费 >= 80 yuan
          ^^^^^^^^^
        unknown tag `消费`; did you mean `arpu`?
          ring_back and 消费 >= 80 yuan
                        ^^^^"#]],
    );
    wrong(
        "brand = 全球通 or brand in (gotnoe, mzone)",
        expect![[r#"
        `brand` has no value `全球通`; expected one of gotone, easyown, mzone; did you mean `gotone`?
          brand = 全球通 or brand in (gotnoe, mzone)
                  ^^^^^^
        `brand` has no value `gotnoe`; expected one of gotone, easyown, mzone; did you mean `gotone`?
          brand = 全球通 or brand in (gotnoe, mzone)
                  　　　              ^^^^^^"#]],
    );
    wrong(
        "home_cell in area campsu or subscriber in list owner or subscriber in list 无人",
        expect![[r#"
        unknown area `campsu`; did you mean `campus`?
          home_cell in area campsu or subscriber in list owner or subscriber in list 无人
                            ^^^^^^
        unknown list `owner`; did you mean `owners`?
          home_cell in area campsu or subscriber in list owner or subscriber in list 无人
                                                         ^^^^^
        unknown list `无人`; did you mean `no one`?
          …ea campsu or subscriber in list owner or subscriber in list 无人
                                                                       ^^^^"#]],
    );
    wrong(
        "zzz = 1",
        expect![[r#"
        unknown tag `zzz`
          zzz = 1
          ^^^"#]],
    );
    wrong(
        "subscribers in list owners",
        expect![[r#"
        unknown tag `subscribers`; did you mean `subscriber`?
          subscribers in list owners
          ^^^^^^^^^^^"#]],
    );
}

#[test]
fn keywords_and_operators_are_suggested() {
    wrong(
        "senior adn not ring_back_tone ro calls = 1",
        expect![[r#"
        found `adn`; expected `and` or `or`; did you mean `and`?
          senior adn not ring_back_tone ro calls = 1
                 ^^^
        found `ro`; expected `and` or `or`; did you mean `or`?
          senior adn not ring_back_tone ro calls = 1
                                        ^^"#]],
    );
    wrong(
        "calls betwen 1 and 5",
        expect![[r#"
            found `betwen`; expected an operator: = != < <= > >=, in (…), between … and …, is known, is unknown, has, starts with, contains, before, after, in area; did you mean `between`?
              calls betwen 1 and 5
                    ^^^^^^"#]],
    );
    wrong(
        "senior && calls = 1 || ring_back_tone",
        expect![[r#"
        `&&` has no meaning here; did you mean `and`?
          senior && calls = 1 || ring_back_tone
                 ^^
        `||` has no meaning here; did you mean `or`?
          senior && calls = 1 || ring_back_tone
                              ^^"#]],
    );
    wrong(
        "plan start with \"x\"",
        expect![[r#"
        found `start`; expected an operator: = != < <= > >=, in (…), between … and …, is known, is unknown, has, starts with, contains, before, after, in area; did you mean `starts with`?
          plan start with "x"
               ^^^^^"#]],
    );
    wrong(
        "gender is M",
        expect![[r#"
        found `M`; expected `known` or `unknown`; a value is compared by `=`
          gender is M
                    ^"#]],
    );
    wrong(
        "gender is unknwon",
        expect![[r#"
        found `unknwon`; expected `known` or `unknown`; a value is compared by `=`; did you mean `unknown`?
          gender is unknwon
                    ^^^^^^^"#]],
    );
    wrong(
        "calls = 1 senior",
        expect![[r#"
            `1 senior` does not fit `calls`, which is a whole number; expected a whole number such as 100; did you mean `1`?
              calls = 1 senior
                      ^^^^^^^^"#]],
    );
    wrong(
        "calls > 18 gender = F",
        expect![[r#"
        found `gender`; expected `and` or `or` before it
          calls > 18 gender = F
                     ^^^^^^"#]],
    );
    wrong(
        "joined before 3 mnths ago",
        expect![[r#"
        a day cannot be given in `mnths`; expected days, weeks, months or years; did you mean `months`?
          joined before 3 mnths ago
                        ^^^^^^^^^^^"#]],
    );
    wrong(
        "joined after start of mont",
        expect![[r#"
        found `mont`; expected `week`, `month`, `quarter` or `year`; did you mean `month`?
          joined after start of mont
                                ^^^^"#]],
    );
    wrong(
        "joined after todya",
        expect![[r#"
        `todya` does not fit `joined`, which is a date; expected a day such as 2026-01-31, today, `30 days ago` or `start of month`; did you mean `today`?
          joined after todya
                       ^^^^^"#]],
    );
}

#[test]
fn types_are_explained() {
    wrong(
        "arpu",
        expect![[r#"
        `arpu` is money in CNY, which is neither true nor false by itself; expected an operator: = != < <= > >=, between, in, is known, is unknown
          arpu
          ^^^^"#]],
    );
    wrong(
        "arpu >= 80",
        expect![[r#"
        `80` has no unit, and `arpu` is money in CNY; expected an amount such as `80 yuan`; did you mean `80 yuan`?
          arpu >= 80
                  ^^"#]],
    );
    wrong(
        "call_length > 5",
        expect![[r#"
        `5` has no unit, and `call_length` is a duration; expected a duration such as `5 min` or `2 h`; did you mean `5 s`, `5 min` or `5 h`?
          call_length > 5
                        ^"#]],
    );
    wrong(
        "arpu >= 80 USD",
        expect![[r#"
        `arpu` is in CNY, not in USD; expected an amount such as `80 yuan`
          arpu >= 80 USD
                  ^^^^^^"#]],
    );
    wrong(
        "arpu >= 80 yaun",
        expect![[r#"
            unknown unit `yaun`; expected an amount such as `80 yuan`; did you mean `80 yuan`?
              arpu >= 80 yaun
                      ^^^^^^^"#]],
    );
    wrong(
        "calls = 1.5 and calls = 9223372036854775808 and home_cell = -1",
        expect![[r#"
        `1.5` does not fit `calls` exactly; expected a whole number of at most 64 bits
          calls = 1.5 and calls = 9223372036854775808 and home_cell = -1
                  ^^^
        `9223372036854775808` does not fit `calls` exactly; expected a whole number of at most 64 bits
          calls = 1.5 and calls = 9223372036854775808 and home_cell = -1
                                  ^^^^^^^^^^^^^^^^^^^
        `-1` does not fit `home_cell` exactly; expected a whole number from 0 to 4294967295
          calls = 1.5 and calls = 9223372036854775808 and home_cell = -1
                                                                      ^^"#]],
    );
    wrong(
        "data_mb = 0.0000001",
        expect![[r#"
        `0.0000001` does not fit `data_mb` exactly; expected at most six decimals, between ±9223372036854.775807
          data_mb = 0.0000001
                    ^^^^^^^^^"#]],
    );
    wrong(
        "arpu <= 9223372036854.775808 yuan",
        expect![[r#"
        `9223372036854.775808 yuan` does not fit `arpu` exactly; expected at most six decimals, between ±9223372036854.775807
          arpu <= 9223372036854.775808 yuan
                  ^^^^^^^^^^^^^^^^^^^^^^^^^"#]],
    );
    wrong(
        "brand > gotone",
        expect![[r#"
        `>` does not fit `brand`, which is an enum; expected = !=, in, is known, is unknown
          brand > gotone
                ^"#]],
    );
    wrong(
        "interests = music and interests in (music)",
        expect![[r#"
        `=` does not fit `interests`, which is a set; expected has, has any, has all, has none, is known, is unknown; did you mean `has`?
          interests = music and interests in (music)
                    ^
        `in` does not fit `interests`, which is a set; expected has, has any, has all, has none, is known, is unknown; did you mean `has any`?
          interests = music and interests in (music)
                                          ^^"#]],
    );
    wrong(
        "brand has gotone",
        expect![[r#"
        `has` does not fit `brand`, which is an enum; expected = !=, in, is known, is unknown; did you mean `in`?
          brand has gotone
                ^^^"#]],
    );
    wrong(
        "calls starts with 1",
        expect![[r#"
        `starts with` does not fit `calls`, which is a whole number; expected = != < <= > >=, between, in, is known, is unknown
          calls starts with 1
                ^^^^^^^^^^^"#]],
    );
    wrong(
        "ring_back_tone = yes",
        expect![[r#"
            `yes` does not fit `ring_back_tone`, which is a bool; expected true or false; did you mean `true`?
              ring_back_tone = yes
                               ^^^"#]],
    );
    wrong(
        "gender = today",
        expect![[r#"
        `today` does not fit `gender`, which is an enum; expected one of M, F, "not said", "today"; did you mean `"today"`?
          gender = today
                   ^^^^^"#]],
    );
    wrong(
        "plan = 18",
        expect![[r#"
        `18` does not fit `plan`, which is text; expected a text in quotes; did you mean `"18"`?
          plan = 18
                 ^^"#]],
    );
    wrong(
        "joined before 5 min ago",
        expect![[r#"
        a day cannot be given in `min`; expected days, weeks, months or years
          joined before 5 min ago
                        ^^^^^^^^^"#]],
    );
    wrong(
        "joined = 2026-02-30 or joined = 26-1-1",
        expect![[r#"
        `2026-02-30` is no day of the calendar; expected YYYY-MM-DD, such as 2026-01-31
          joined = 2026-02-30 or joined = 26-1-1
                   ^^^^^^^^^^
        `26-1-1` is no day of the calendar; expected YYYY-MM-DD, such as 2026-01-31
          joined = 2026-02-30 or joined = 26-1-1
                                          ^^^^^^"#]],
    );
    wrong(
        "joined before 201 years ago",
        expect![[r#"
        201 years is no distance between two days; expected a whole number up to 200
          joined before 201 years ago
                        ^^^^^^^^^^^^^"#]],
    );
    wrong(
        "calls in area campus or arpu in list owners or subscriber = 1",
        expect![[r#"
        `in area` does not fit `calls`, which is a whole number; expected = != < <= > >=, between, in, is known, is unknown
          calls in area campus or arpu in list owners or subscriber = 1
                ^^^^^^^
        `arpu` cannot be in a list; did you mean `subscriber in list …`?
          calls in area campus or arpu in list owners or subscriber = 1
                                       ^^^^^^^
        `=` does not fit `subscriber`; expected in list NAME, not in list NAME
          calls in area campus or arpu in list owners or subscriber = 1
                                                                    ^"#]],
    );
}

#[test]
fn broken_text_is_pointed_at() {
    wrong("", expect!["the condition is empty; expected a clause such as `arpu >= 80 yuan`, or `everyone`"]);
    wrong("  ", expect!["the condition is empty; expected a clause such as `arpu >= 80 yuan`, or `everyone`"]);
    wrong(
        "(senior and calls = 1",
        expect![[r#"
        this parenthesis is never closed; expected `)`
          (senior and calls = 1
          ^"#]],
    );
    wrong(
        "senior) and calls = 1",
        expect![[r#"
        found `)`; expected `and`, `or` or the end
          senior) and calls = 1
                ^"#]],
    );
    wrong(
        "plan = \"abc",
        expect![[r#"
        the text has no closing quote; expected a closing quote
          plan = "abc
                 ^^^^"#]],
    );
    wrong(
        r#"plan = "a\qb""#,
        expect![[r#"
        unknown escape in a text; expected \" \\ \n \t or \u{…}
          plan = "a\qb"
                   ^^^^"#]],
    );
    wrong(
        "calls = and senior",
        expect![[r#"
        found `and`; expected a value
          calls = and senior
                  ^^^"#]],
    );
    wrong(
        "calls in 1, 2",
        expect![[r#"
        found `1`; expected `(`, values between commas, `)`
          calls in 1, 2
                   ^"#]],
    );
    wrong(
        "calls in (1 2)",
        expect![[r#"
            found `2`; expected `,` or `)`
              calls in (1 2)
                          ^"#]],
    );
    wrong(
        "interests has (music)",
        expect![[r#"
        found `(`; expected `any`, `all` or `none` before the values
          interests has (music)
                        ^"#]],
    );
    wrong(
        "senior and",
        expect![[r#"
        found the end; expected a clause: a tag, `subscriber in list …`, `not` or `(`
          senior and
                    ^"#]],
    );
    wrong(
        "senior; drop table",
        expect![[r#"
        `;` has no meaning here
          senior; drop table
                ^"#]],
    );
    wrong(
        "calls between 1 or 2",
        expect![[r#"
            found `or`; expected `and` and the upper end of `between`
              calls between 1 or 2
                              ^^"#]],
    );
}

#[test]
fn every_problem_is_reported_at_its_character() {
    let text = "plan = \"天气预报\" and apru > 1 yuan\n  and (brand = gotnoe or calls = x) and senior = 1";
    wrong(
        text,
        expect![[r#"
        unknown tag `apru`; did you mean `arpu`?
          1: plan = "天气预报" and apru > 1 yuan
                     　　　　      ^^^^
        `brand` has no value `gotnoe`; expected one of gotone, easyown, mzone; did you mean `gotone`?
          2:   and (brand = gotnoe or calls = x) and senior = 1
                            ^^^^^^
        `x` does not fit `calls`, which is a whole number; expected a whole number such as 100
          2:   and (brand = gotnoe or calls = x) and senior = 1
                                              ^
        `1` does not fit `senior`, which is a bool; expected true or false
          2:   and (brand = gotnoe or calls = x) and senior = 1
                                                              ^"#]],
    );
    let problems = Condition::parse(text, &testing::catalogue()).expect_err("wrong");
    let places: Vec<_> = problems.all().iter().map(|p| (p.code.name(), p.place.clone())).collect();
    let at = |start, end| Place::Chars { start, end };
    assert_eq!(
        places,
        [
            ("unknown_tag", at(18, 22)),
            ("unknown_value", at(47, 53)),
            ("wrong_type", at(65, 66)),
            ("wrong_type", at(81, 82))
        ]
    );
}

#[test]
fn a_long_line_is_shown_around_the_place() {
    let text =
        format!("{} and apru > 1 yuan and {}", vec!["senior"; 40].join(" and "), vec!["senior"; 40].join(" and "));
    wrong(
        &text,
        expect![[r#"
        unknown tag `apru`; did you mean `arpu`?
          … and senior and senior and senior and senior and senior and apru > 1 yuan and senior and senior and senior and senior and se…
                                                                       ^^^^"#]],
    );
}

#[test]
fn limits_are_refused_at_once() {
    let leaves = |n: usize| vec!["calls = 1"; n].join(" or ");
    assert!(Condition::parse(&leaves(limits::CLAUSES_MAX), &testing::catalogue()).is_ok());
    for text in [
        leaves(limits::CLAUSES_MAX + 1),
        leaves(10_000),
        "(".repeat(10_000) + "senior" + &")".repeat(10_000),
        "not ".repeat(10_000) + "senior",
        "not ".repeat(limits::DEPTH_MAX + 1) + "senior",
        format!("calls in ({})", vec!["1"; 10_000].join(",")),
        format!("plan = \"{}\"", "天".repeat(limits::TEXT_MAX + 1)),
        "senior or ".repeat(limits::BYTES_MAX / 10) + "senior",
        "apru = 1 or ".repeat(400) + "senior",
    ] {
        let problems = Condition::parse(&text, &testing::catalogue()).expect_err("past a limit");
        let first = problems.all()[0].to_string();
        let (n, more) = (problems.all().len(), problems.more());
        LIMITS.with_borrow_mut(|l| l.push_str(&format!("{n}+{more}: {first}\n")));
    }
    expect![[r#"
        1+0: the condition has more than 500 clauses; expected fewer clauses: put values into one `in (…)`, or subscribers into a list
        1+0: the condition has more than 500 clauses; expected fewer clauses: put values into one `in (…)`, or subscribers into a list
        1+0: groups are nested more than 48 deep; expected fewer parentheses and `not`s inside each other
        1+0: groups are nested more than 48 deep; expected fewer parentheses and `not`s inside each other
        1+0: groups are nested more than 48 deep; expected fewer parentheses and `not`s inside each other
        1+0: 10000 values between parentheses, at most 1000; expected a list or an area for so many
        1+0: a text of more than 1000 characters; expected a shorter one
        1+0: the condition has more than 500 clauses; expected fewer clauses: put values into one `in (…)`, or subscribers into a list
        50+350: unknown tag `apru`; did you mean `arpu`?
    "#]].assert_eq(&LIMITS.take());
}

thread_local! {
    static LIMITS: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
}
