//! Answers as text and JSON.

use crate::error::{LakeError, Result};
use datafusion::arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type},
    util::{
        display::{ArrayFormatter, FormatOptions},
        pretty::pretty_format_batches,
    },
};
use serde_json::{Map, Value};

/// A table drawn with lines, for a terminal.
pub fn to_text(batches: &[RecordBatch]) -> Result<String> {
    let table = pretty_format_batches(batches).map_err(LakeError::arrow("draw the answer"))?;
    Ok(table.to_string())
}

/// One object a row. Integers and booleans are themselves; decimals and money are strings, so that no reader rounds
/// them; dates and times are ISO 8601; lists are arrays; NULL is null.
pub fn to_json(batches: &[RecordBatch]) -> Result<Vec<Map<String, Value>>> {
    let mut rows = Vec::new();
    for b in batches {
        let columns = b.columns().iter().map(values).collect::<Result<Vec<_>>>()?;
        for r in 0..b.num_rows() {
            let cells =
                b.schema().fields().iter().zip(&columns).map(|(f, c)| (f.name().clone(), c[r].clone())).collect();
            rows.push(cells);
        }
    }
    Ok(rows)
}

macro_rules! ints {
    ($a:expr, $($variant:ident => $ty:ty),*) => {
        match $a.data_type() {
            $(DataType::$variant => Some($a.as_primitive::<$ty>().iter().map(|x| x.map_or(Value::Null, Value::from)).collect()),)*
            _ => None,
        }
    };
}

fn values(a: &ArrayRef) -> Result<Vec<Value>> {
    let ints: Option<Vec<Value>> = ints!(a, Int8 => Int8Type, Int16 => Int16Type, Int32 => Int32Type,
        Int64 => Int64Type, UInt8 => UInt8Type, UInt16 => UInt16Type, UInt32 => UInt32Type, UInt64 => UInt64Type);
    if let Some(ints) = ints {
        return Ok(ints);
    }
    if let Some(bools) = a.as_boolean_opt() {
        return Ok(bools.iter().map(|b| b.map_or(Value::Null, Value::Bool)).collect());
    }
    if let Some(lists) = a.as_list_opt::<i32>() {
        return lists.iter().map(|l| l.map_or(Ok(Value::Null), |l| values(&l).map(Value::Array))).collect();
    }
    let options = FormatOptions::default();
    let format = ArrayFormatter::try_new(a, &options).map_err(LakeError::arrow("print the answer"))?;
    let cell = |i| if a.is_null(i) { Value::Null } else { Value::String(format.value(i).to_string()) };
    Ok((0..a.len()).map(cell).collect())
}
