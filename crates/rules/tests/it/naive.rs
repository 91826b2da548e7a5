//! A second evaluator, as slow and plain as possible: three-valued logic as minimum and maximum over {0, ½, 1}.

use kairos_model::LocalDay;
use kairos_rules::{
    Cmp, DateValue, HasMode, Leaf, Literal, Node, Test,
    testing::{OwnedValue, Row, area_cells},
};

/// 0 false, 1 unknown, 2 true.
fn value(n: &Node, row: &Row, as_of: LocalDay) -> u8 {
    match n {
        Node::And(all) => all.iter().map(|n| value(n, row, as_of)).min().unwrap_or(2),
        Node::Or(all) => all.iter().map(|n| value(n, row, as_of)).max().unwrap_or(0),
        Node::Not(n) => 2 - value(n, row, as_of),
        Node::Leaf(l) => match leaf(l, row, as_of) {
            Some(true) => 2,
            Some(false) => 0,
            None => 1,
        },
    }
}

pub fn eval(n: &Node, row: &Row, as_of: LocalDay) -> Option<bool> {
    [Some(false), None, Some(true)][usize::from(value(n, row, as_of))]
}

/// Values on one line: numbers, days, cells and booleans as i128, or texts.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Debug)]
enum Plain {
    Number(i128),
    Text(String),
}

fn of_value(v: &OwnedValue) -> Option<Plain> {
    Some(match v {
        OwnedValue::Null | OwnedValue::Set(_) => return None,
        OwnedValue::Bool(b) => Plain::Number(i128::from(*b)),
        OwnedValue::Int(n) | OwnedValue::Micros(n) | OwnedValue::Seconds(n) => Plain::Number(i128::from(*n)),
        OwnedValue::Text(t) => Plain::Text(t.clone()),
        OwnedValue::Day(d) => Plain::Number(i128::from(d.0)),
        OwnedValue::Cell(c) => Plain::Number(i128::from(c.0)),
    })
}

fn of_literal(l: &Literal, as_of: LocalDay) -> Plain {
    match l {
        Literal::Bool(b) => Plain::Number(i128::from(*b)),
        Literal::Int(n) | Literal::Decimal(n) | Literal::Duration(n) => Plain::Number(i128::from(*n)),
        Literal::Money(m) => Plain::Number(i128::from(m.micros)),
        Literal::Text(t) | Literal::Enum(t) => Plain::Text(t.clone()),
        Literal::Date(DateValue::On(d)) => Plain::Number(i128::from(d.0)),
        Literal::Date(DateValue::Relative(r)) => Plain::Number(i128::from(r.resolve(as_of).0)),
        Literal::Cell(c) => Plain::Number(i128::from(c.0)),
    }
}

fn compare(cmp: Cmp, a: &Plain, b: &Plain) -> bool {
    match cmp {
        Cmp::Eq => a == b,
        Cmp::Ne => a != b,
        Cmp::Lt => a < b,
        Cmp::Le => a <= b,
        Cmp::Gt => a > b,
        Cmp::Ge => a >= b,
    }
}

fn leaf(l: &Leaf, row: &Row, as_of: LocalDay) -> Option<bool> {
    let t = match l {
        Leaf::InList { list, negated } => return Some(row.lists.contains(list) != *negated),
        Leaf::Tag(t) => t,
    };
    let v = &row.values[&t.tag];
    let plain = of_value(v);
    match &t.test {
        Test::Known => Some(*v != OwnedValue::Null),
        Test::Unknown => Some(*v == OwnedValue::Null),
        Test::Compare(cmp, x) => Some(compare(*cmp, &plain?, &of_literal(x, as_of))),
        Test::Between { low, high, negated } => {
            let v = plain?;
            Some((of_literal(low, as_of) <= v && v <= of_literal(high, as_of)) != *negated)
        }
        Test::In { values, negated } if values.is_empty() => Some(*negated),
        Test::In { values, negated } => {
            let v = plain?;
            Some(values.iter().any(|x| of_literal(x, as_of) == v) != *negated)
        }
        Test::StartsWith { prefix, negated } => match plain? {
            Plain::Text(t) => Some((t.get(..prefix.len()) == Some(prefix.as_str())) != *negated),
            Plain::Number(_) => None,
        },
        Test::Contains { part, negated } => match plain? {
            Plain::Text(t) => {
                let found = (0..=t.len()).any(|i| t.get(i..i + part.len()) == Some(part.as_str()));
                Some(found != *negated)
            }
            Plain::Number(_) => None,
        },
        Test::Has { mode, values, negated } => {
            if values.is_empty() {
                return Some((*mode == HasMode::All) != *negated);
            }
            let OwnedValue::Set(set) = v else { return None };
            let found = values.iter().filter(|x| set.contains(x)).count();
            let all = *mode == HasMode::All;
            Some((if all { found == values.len() } else { found > 0 }) != *negated)
        }
        Test::InArea { area, negated } => match v {
            OwnedValue::Cell(c) => Some(area_cells(area).contains(c) != *negated),
            _ => None,
        },
    }
}
