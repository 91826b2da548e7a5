//! Conditions as sentences, and why one subscriber was or was not selected.

use crate::read;
use expect_test::{Expect, expect};
use kairos_rules::{
    Lang, explain,
    testing::{self, AS_OF, OwnedValue},
    trace,
};
use proptest::prelude::*;

fn said(text: &str, want: Expect) {
    let (c, catalogue) = (read(text), testing::catalogue());
    want.assert_eq(&format!("{}\n{}", explain(&c, &catalogue, Lang::Zh), explain(&c, &catalogue, Lang::En)));
}

#[test]
fn conditions_are_said_in_both_languages() {
    said(
        "arpu >= 80 yuan and not ring_back_tone and brand in (gotone, mzone)",
        expect![[r#"
        消费不低于80元，且没有彩铃，且品牌为全球通或动感地带。
        ARPU is at least ¥80 and has no ring-back tone and brand is GoTone or M-Zone."#]],
    );
    said(
        "interests has any (music, reading) and joined before 6 months ago and home_cell in area campus",
        expect![[r#"
            兴趣包含音乐、阅读中的至少一项，且入网日期早于6个月前，且居住小区在区域“校园”内。
            Has at least one of music, reading among interests and join date is before 6 months ago and home cell is in the area “campus”."#]],
    );
    said(
        "subscriber in list owners and data_mb between 100 and 500 and gender is unknown",
        expect![[r#"
        在名单“彩铃用户”内，且流量在100到500之间（含两端），且性别未知。
        Is on the list “owners” and data volume is between 100 and 500 and gender is unknown."#]],
    );
    said(
        "(senior or calls > 3) and not (senior and brand = mzone)",
        expect![[r#"
            （是老年客户，或通话次数高于3），且（不是老年客户，或品牌不为动感地带）。
            (is a senior or number of calls is above 3) and (is not a senior or brand is not M-Zone)."#]],
    );
    said(
        "not not senior",
        expect![[r#"
        是老年客户。
        Is a senior."#]],
    );
    said(
        "everyone",
        expect![[r#"
        所有客户。
        Everyone."#]],
    );
    said(
        "nobody or not nobody",
        expect![[r#"
        没有客户，或所有客户。
        Nobody or everyone."#]],
    );
    said(
        "call_length < 5 min and call_length != 2 h and arpu < -0.5 yuan and roaming_fee = 3 USD",
        expect![[r#"
        平均通话时长短于5分钟，且平均通话时长不为2小时，且消费低于-0.5元，且漫游费为3 USD。
        Mean call length is shorter than 5 minutes and mean call length is not 2 hours and ARPU is below -¥0.5 and roaming fee is 3 USD."#]],
    );
    said(
        "joined >= start of month and joined <= 3 months before start of year and joined on 2026-01-31",
        expect![[r#"
            入网日期不早于本月1日，且入网日期不晚于今年1月1日的3个月前，且入网日期为2026年1月31日。
            Join date is no earlier than the start of this month and join date is no later than 3 months before the start of this year and join date is 2026-01-31."#]],
    );
    said(
        "plan = \"天气\" or plan not starts with \"a\" or plan contains \"b\" or plan < \"c\"",
        expect![[r#"
            套餐为“天气”，或套餐不以“a”开头，或套餐含有“b”，或套餐按字符顺序在“c”之前。
            Plan is “天气” or plan does not start with “a” or plan contains “b” or plan sorts before “c”."#]],
    );
    said(
        "brand not in (gotone, mzone) and brand != easyown and calls in () and calls not in ()",
        expect![[r#"
            品牌不为全球通、动感地带中的任何一个，且品牌不为神州行，且通话次数属于空的取值范围（恒不成立），且通话次数不属于空的取值范围（恒成立）。
            Brand is none of GoTone, M-Zone and brand is not EasyOwn and number of calls is one of no values (which never holds) and number of calls is not one of no values (which always holds)."#]],
    );
    said(
        "interests has all (music, sport) or interests has none (music, sport) or interests not has all (music, sport)",
        expect![[r#"
            兴趣同时包含音乐、sport，或兴趣不包含音乐、sport中的任何一项，或兴趣未同时包含音乐、sport。
            Has all of music, sport among interests or has none of music, sport among interests or lacks at least one of music, sport among interests."#]],
    );
    said(
        "interests has music or interests has none (music) or home_cell not in area airport or home_cell = 7",
        expect![[r#"
            兴趣包含音乐，或兴趣不包含音乐，或居住小区不在区域“机场”内，或居住小区为7。
            Has music among interests or does not have music among interests or home cell is not in the area “airport” or home cell is 7."#]],
    );
    said(
        "subscriber not in list \"no one\" and arpu not between 1 and 2 yuan and arpu is known",
        expect![[r#"
        不在名单“无人”内，且消费不在1元到2元之间（含两端），且消费已知。
        Is not on the list “no one” and ARPU is not between ¥1 and ¥2 and ARPU is known."#]],
    );
}

#[test]
fn the_deciding_clause_is_found() {
    let catalogue = testing::catalogue();
    let mut row = testing::row(1, i64::MAX, &catalogue);
    row.lists.clear();
    for (tag, v) in [
        ("arpu", OwnedValue::Micros(92_500_000)),
        ("ring_back_tone", OwnedValue::Bool(true)),
        ("brand", OwnedValue::Text("mzone".into())),
        ("joined", OwnedValue::Day("2025-12-24".parse().unwrap())),
        ("interests", OwnedValue::Set(vec!["music".into(), "sport".into()])),
        ("gender", OwnedValue::Null),
    ] {
        row.values.insert(tag.into(), v);
    }
    let text = "arpu >= 80 yuan and not ring_back_tone and (brand = gotone or interests has reading) \
                and joined before 6 months ago and (gender = F or subscriber in list owners)";
    let c = read(text);
    let compiled = c.compile();
    for (lang, want) in [
        (
            Lang::En,
            expect![[r#"
                → ✗ all of
                    ✓ ARPU is at least ¥80 (seen: ¥92.5)
                →   ✗ has no ring-back tone (seen: yes)
                →   ✗ at least one of
                →     ✗ brand is GoTone (seen: M-Zone)
                →     ✗ has reading among interests (seen: music, sport)
                →   ✗ join date is before 6 months ago (2025-09-01) (seen: 2025-12-24)
                    ? at least one of
                      ? gender is F (seen: unknown)
                      ✗ is on the list “owners” (seen: no)
                1: has no ring-back tone | yes"#]],
        ),
        (
            Lang::Zh,
            expect![[r#"
                → ✗ 全部满足
                    ✓ 消费不低于80元（实际：92.5元）
                →   ✗ 没有彩铃（实际：是）
                →   ✗ 至少满足一项
                →     ✗ 品牌为全球通（实际：动感地带）
                →     ✗ 兴趣包含阅读（实际：音乐、sport）
                →   ✗ 入网日期早于6个月前（2025年9月1日）（实际：2025年12月24日）
                    ? 至少满足一项
                      ? 性别为F（实际：未知）
                      ✗ 在名单“彩铃用户”内（实际：否）
                1: 没有彩铃 | 是"#]],
        ),
    ] {
        let t = trace(&c, &catalogue, &row.facts(&compiled), AS_OF, lang);
        let primary = t.primary().unwrap();
        want.assert_eq(&format!("{}\n{}: {} | {}", t.render(lang), primary.index, primary.said, primary.seen));
    }
}

proptest! {
    #[test]
    fn every_condition_can_be_said_and_traced(seed: u64, clauses in 1usize..30) {
        let catalogue = testing::catalogue();
        let c = testing::condition(seed, clauses, &catalogue);
        let (zh, en) = (explain(&c, &catalogue, Lang::Zh), explain(&c, &catalogue, Lang::En));
        prop_assert!(zh.ends_with('。') && en.ends_with('.'));
        let row = testing::row(seed, i64::MAX, &catalogue);
        let compiled = c.compile();
        let t = trace(&c, &catalogue, &row.facts(&compiled), AS_OF, Lang::Zh);
        let mut leaves = 0;
        c.root().leaves(&mut |_| leaves += 1);
        prop_assert!(t.root.decides && (leaves > 0 || t.primary().is_none()));
    }
}
