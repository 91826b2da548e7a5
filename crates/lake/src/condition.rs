//! A condition as a DataFusion expression over the columns of a snapshot.
//!
//! Equal to `kairos_rules`' row evaluation in every answer, unknown included: the property test in `tests/it` holds them
//! together over every type and operator.

use crate::{
    error::{LakeError, Result},
    schema,
    tags::Sets,
};
use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, BooleanArray},
        datatypes::{DataType, UInt32Type},
    },
    common::{ScalarValue, exec_err},
    functions::expr_fn::{contains, starts_with},
    logical_expr::{ColumnarValue, Operator, Volatility, binary_expr, create_udf},
    prelude::{Expr, ident, lit},
};
use kairos_model::{CellId, LocalDay};
use kairos_rules::{Cmp, Condition, HasMode, Leaf, Literal, Node, TagLeaf, Test};
use roaring::RoaringBitmap;
use std::sync::Arc;

/// The condition over a table with the column `subscriber` and one a tag, in the types of a snapshot. `as_of`: the
/// snapshot's local day, to which relative days refer.
///
/// Errors: an area or list that `sets` does not have.
pub fn expr(condition: &Condition, as_of: LocalDay, sets: &Sets) -> Result<Expr> {
    Maker { as_of, sets }.node(condition.root())
}

/// A hash of each area and list that a condition reads.
pub(crate) fn sets_state(condition: &Condition, sets: &Sets) -> Vec<String> {
    let cells = |id: &String| {
        let mut h = blake3::Hasher::new();
        sets.area(id).unwrap_or_default().iter().for_each(|c| {
            h.update(&c.0.to_le_bytes());
        });
        h.finalize().to_hex().to_string()
    };
    let members = |id: &String| {
        let mut h = blake3::Hasher::new();
        sets.list(id).into_iter().flatten().for_each(|s| {
            h.update(&s.to_le_bytes());
        });
        sets.blocked(id).into_iter().for_each(|why| {
            h.update(why.as_bytes());
        });
        h.finalize().to_hex().to_string()
    };
    condition.areas().iter().map(cells).chain(condition.lists().iter().map(members)).collect()
}

struct Maker<'a> {
    as_of: LocalDay,
    sets: &'a Sets,
}

impl Maker<'_> {
    fn node(&self, n: &Node) -> Result<Expr> {
        Ok(match n {
            Node::And(all) => self.group(all, Operator::And)?,
            Node::Or(all) => self.group(all, Operator::Or)?,
            Node::Not(n) => Expr::Not(Box::new(self.node(n)?)),
            Node::Leaf(Leaf::InList { list, negated }) => {
                let members = self.sets.list(list).ok_or_else(|| match self.sets.blocked(list) {
                    Some(why) => LakeError::Limit { what: format!("the list `{list}` cannot be used: {why}") },
                    None => missing("list", list),
                })?;
                turned(in_list(list, members.clone()), *negated)
            }
            Node::Leaf(Leaf::Tag(t)) => self.tag(t)?,
        })
    }

    /// A balanced tree, so that 500 clauses are nine levels deep for those who walk it recursively.
    fn group(&self, all: &[Node], op: Operator) -> Result<Expr> {
        Ok(match all {
            [] => lit(op == Operator::And),
            [one] => self.node(one)?,
            _ => {
                let (left, right) = all.split_at(all.len() / 2);
                binary_expr(self.group(left, op)?, op, self.group(right, op)?)
            }
        })
    }

    fn tag(&self, t: &TagLeaf) -> Result<Expr> {
        let value = || ident(&t.tag);
        Ok(match &t.test {
            Test::Known => value().is_not_null(),
            Test::Unknown => value().is_null(),
            Test::Compare(cmp, to) => binary_expr(value(), operator(*cmp), self.literal(to)),
            Test::Between { low, high, negated } => {
                // not SQL's BETWEEN: `low > high` is false for what is known, and an optimiser may say so for NULL too
                let inside = value().gt_eq(self.literal(low)).and(value().lt_eq(self.literal(high)));
                turned(inside, *negated)
            }
            Test::In { values, negated } if values.is_empty() => lit(*negated),
            Test::In { values, negated } => value().in_list(values.iter().map(|v| self.literal(v)).collect(), *negated),
            Test::StartsWith { prefix, negated } => turned(starts_with(value(), lit(prefix.as_str())), *negated),
            Test::Contains { part, negated } => turned(contains(value(), lit(part.as_str())), *negated),
            Test::Has { mode, values, negated } if values.is_empty() => lit(*negated != (*mode == HasMode::All)),
            Test::Has { mode, values, negated } => turned(has(value(), *mode, values.clone()), *negated),
            Test::InArea { area, negated } => {
                let cells = self.sets.area(area).ok_or_else(|| missing("area", area))?;
                turned(in_area(area, value(), cells.to_vec()), *negated)
            }
        })
    }

    fn literal(&self, l: &Literal) -> Expr {
        lit(match l {
            Literal::Bool(b) => ScalarValue::Boolean(Some(*b)),
            Literal::Int(n) | Literal::Duration(n) => ScalarValue::Int64(Some(*n)),
            Literal::Decimal(n) => micros(*n),
            Literal::Money(m) => micros(m.micros),
            Literal::Text(t) | Literal::Enum(t) => ScalarValue::Utf8(Some(t.clone())),
            Literal::Date(d) => ScalarValue::Date32(Some(d.resolve(self.as_of).0)),
            Literal::Cell(c) => ScalarValue::UInt32(Some(c.0)),
        })
    }
}

fn micros(n: i64) -> ScalarValue {
    ScalarValue::Decimal128(Some(n.into()), schema::PRECISION, schema::SCALE)
}

fn turned(e: Expr, negated: bool) -> Expr {
    if negated { Expr::Not(Box::new(e)) } else { e }
}

fn operator(cmp: Cmp) -> Operator {
    match cmp {
        Cmp::Eq => Operator::Eq,
        Cmp::Ne => Operator::NotEq,
        Cmp::Lt => Operator::Lt,
        Cmp::Le => Operator::LtEq,
        Cmp::Gt => Operator::Gt,
        Cmp::Ge => Operator::GtEq,
    }
}

fn missing(kind: &str, id: &str) -> LakeError {
    LakeError::Limit { what: format!("there is no {kind} `{id}`; upload it, or name one that there is") }
}

/// A test on one column that keeps NULL as unknown.
fn test(
    name: String,
    ty: DataType,
    column: Expr,
    f: impl Fn(&ArrayRef) -> Option<BooleanArray> + Send + Sync + 'static,
) -> Expr {
    let call = {
        let name = name.clone();
        move |args: &[ColumnarValue]| match ColumnarValue::values_to_arrays(args)?.first().and_then(&f) {
            Some(answer) => Ok(ColumnarValue::Array(Arc::new(answer))),
            None => exec_err!("`{name}` was given another type"),
        }
    };
    create_udf(&name, vec![ty], DataType::Boolean, Volatility::Immutable, Arc::new(call)).call(vec![column])
}

fn in_list(id: &str, members: RoaringBitmap) -> Expr {
    test(format!("in list {id}"), DataType::UInt32, ident("subscriber"), move |a| {
        let a = a.as_primitive_opt::<UInt32Type>()?;
        Some(a.values().iter().map(|s| Some(members.contains(*s))).collect())
    })
}

fn in_area(id: &str, column: Expr, cells: Vec<CellId>) -> Expr {
    test(format!("in area {id}"), DataType::UInt32, column, move |a| {
        let a = a.as_primitive_opt::<UInt32Type>()?;
        Some(a.iter().map(|c| c.map(|c| cells.binary_search(&CellId(c)).is_ok())).collect())
    })
}

fn has(column: Expr, mode: HasMode, words: Vec<String>) -> Expr {
    let list = crate::tags::set_type();
    test(format!("has {mode:?} {words:?}"), list, column, move |a| {
        let lists = a.as_list_opt::<i32>()?;
        let members = lists.values().as_string_opt::<i32>()?;
        let answer = (0..lists.len()).map(|i| {
            let within = lists.value_offsets()[i] as usize..lists.value_offsets()[i + 1] as usize;
            let one = |w: &String| within.clone().any(|m| members.is_valid(m) && members.value(m) == w);
            lists.is_valid(i).then(|| match mode {
                HasMode::Any => words.iter().any(one),
                HasMode::All => words.iter().all(one),
            })
        });
        Some(answer.collect())
    })
}
