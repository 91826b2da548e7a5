//! The operators' page of the policy says what the code does.

use kairos_decide::Judgement;
use kairos_model::Reason;

const PAGE: &str = include_str!("../../../../docs/reference/policy.md");

#[test]
fn the_page_names_every_reason_in_its_order() {
    let want: Vec<String> = Reason::ALL
        .iter()
        .map(|&r| {
            let follows = if Judgement::defers(r) { "deferred" } else { "withheld" };
            format!("| {} | `{}` | {} | {follows} |", r as u8, r.name(), r.zh())
        })
        .collect();
    let is_row = |l: &&str| l.strip_prefix("| ").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let got: Vec<&str> = PAGE.lines().filter(is_row).collect();
    assert_eq!(got, want);
}
