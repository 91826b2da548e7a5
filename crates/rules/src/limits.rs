//! Limits of one condition, and why each.

use crate::{
    problem::{Code, Place, Problem},
    tree::Node,
};

/// Clauses of one condition: what a planner can still read, and what the bitmap back end plans for.
pub const CLAUSES_MAX: usize = 500;
/// Groups and NOTs above a clause: JSON readers stop at 128 levels and a group takes two of them.
pub const DEPTH_MAX: usize = 48;
/// Values between the parentheses of one clause: more belong in a list or an area.
pub const VALUES_MAX: usize = 1_000;
/// Characters of one text value: longer than any tag's text.
pub const TEXT_MAX: usize = 1_000;
/// Bytes of a condition's text: room for 500 clauses with long lists.
pub const BYTES_MAX: usize = 1 << 20;
/// Problems reported at once: a page, not a flood.
pub const PROBLEMS_MAX: usize = 50;
/// Parentheses and NOTs that a reader follows before it gives up, superfluous ones included; bounds its stack.
pub(crate) const RAW_DEPTH_MAX: usize = 100;

pub(crate) fn too_many_clauses(place: Place) -> Problem {
    Problem::new(
        Code::TooManyClauses,
        place,
        format!("the condition has more than {CLAUSES_MAX} clauses"),
        "fewer clauses: put values into one `in (…)`, or subscribers into a list",
    )
}

pub(crate) fn too_deep(place: Place) -> Problem {
    Problem::new(
        Code::TooDeep,
        place,
        format!("groups are nested more than {DEPTH_MAX} deep"),
        "fewer parentheses and `not`s inside each other",
    )
}

/// The limit that a finished tree breaks, if any.
pub(crate) fn of_tree(root: &Node) -> Option<Problem> {
    let whole = || Place::Chars { start: 0, end: 0 };
    if root.depth() > DEPTH_MAX {
        return Some(too_deep(whole()));
    }
    (root.clauses() > CLAUSES_MAX).then(|| too_many_clauses(whole()))
}
