//! What SQL may ask about time: the view's `as_of`, and local days and hours in the tenant's zone.

use datafusion::{
    arrow::{
        array::{Array, ArrowPrimitiveType, AsArray, Date32Array, Int32Array, PrimitiveArray},
        datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType},
    },
    common::{ScalarValue, exec_err},
    error::Result,
    logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf},
};
use jiff::civil::Date;
use kairos_model::{LocalDay, Timestamp, Zone};
use std::sync::{Arc, Mutex, PoisonError};

/// Instants within one quarter of an hour have one offset: no zone changes its clock elsewhere.
const QUARTER: i64 = 900_000_000;

/// Functions of a context, listed in `docs/reference/tags.md`.
pub(crate) fn functions(as_of: Timestamp, zone: &Zone) -> Vec<ScalarUDF> {
    let day = zone.day(as_of);
    let (z, z2) = (zone.clone(), zone.clone());
    let locals = Locals { zone: zone.clone(), idle: Arc::default() };
    let (l, l2, l3) = (locals.clone(), locals.clone(), locals);
    vec![
        constant("as_of", ScalarValue::TimestampMicrosecond(Some(as_of.0), Some("+00:00".into()))),
        constant("as_of_date", ScalarValue::Date32(Some(day.0))),
        // SQL's own clock reads the time asked for, not the wall
        constant("now", ScalarValue::TimestampMicrosecond(Some(as_of.0), Some("+00:00".into())))
            .with_aliases(["current_timestamp"]),
        constant("current_date", ScalarValue::Date32(Some(day.0))).with_aliases(["today"]),
        of_int("month_start", crate::schema::time_type(), move |n| {
            let at = month(day, n).and_then(|d| z.start_of(LocalDay::from_date(d)));
            ScalarValue::TimestampMicrosecond(at.map(|t| t.0), Some("+00:00".into()))
        }),
        of_int("month_date", DataType::Date32, move |n| {
            ScalarValue::Date32(month(day, n).map(|d| LocalDay::from_date(d).0))
        }),
        of_int("day_start", crate::schema::time_type(), move |n| {
            let back = i32::try_from(n).unwrap_or(i32::MAX);
            let at = z2.start_of(day.plus_days(back.saturating_neg()));
            ScalarValue::TimestampMicrosecond(at.map(|t| t.0), Some("+00:00".into()))
        }),
        of_time("local_hour", DataType::Int32, move |v| Arc::new(l.with(|local| hours(v, local)))),
        of_time("local_weekday", DataType::Int32, move |v| Arc::new(l2.with(|local| weekdays(v, local)))),
        of_time("local_date", DataType::Date32, move |v| Arc::new(l3.with(|local| dates(v, local)))),
        create_udf("bits", vec![DataType::Int64], DataType::Int32, Volatility::Immutable, Arc::new(bits)),
    ]
}

/// How many bits of a whole number are set.
fn bits(args: &[ColumnarValue]) -> Result<ColumnarValue> {
    let arrays = ColumnarValue::values_to_arrays(args)?;
    let Some(n) = arrays.first().and_then(|a| a.as_primitive_opt::<Int64Type>()) else {
        return exec_err!("`bits` takes one whole number");
    };
    Ok(ColumnarValue::Array(Arc::new(n.unary::<_, Int32Type>(|n| n.count_ones() as i32))))
}

/// First day of the month `n` months before the month of `day`.
fn month(day: LocalDay, n: i64) -> Option<Date> {
    let n = jiff::Span::new().try_months(n).ok()?;
    day.date()?.first_of_month().checked_sub(n).ok()
}

fn constant(name: &str, value: ScalarValue) -> ScalarUDF {
    let ty = value.data_type();
    create_udf(name, vec![], ty, Volatility::Immutable, Arc::new(move |_| Ok(ColumnarValue::Scalar(value.clone()))))
}

fn of_int(name: &'static str, ty: DataType, f: impl Fn(i64) -> ScalarValue + Send + Sync + 'static) -> ScalarUDF {
    let call = move |args: &[ColumnarValue]| match args {
        [ColumnarValue::Scalar(ScalarValue::Int64(Some(n)))] => Ok(ColumnarValue::Scalar(f(*n))),
        _ => exec_err!("`{name}` takes one whole number that is written out, such as {name}(1)"),
    };
    create_udf(name, vec![DataType::Int64], ty, Volatility::Immutable, Arc::new(call))
}

type Times = PrimitiveArray<TimestampMicrosecondType>;

fn of_time(
    name: &'static str,
    ty: DataType,
    f: impl Fn(&Times) -> Arc<dyn Array> + Send + Sync + 'static,
) -> ScalarUDF {
    let call = move |args: &[ColumnarValue]| -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(args)?;
        let Some(times) = arrays.first().and_then(|a| a.as_primitive_opt::<TimestampMicrosecondType>()) else {
            return exec_err!("`{name}` takes one time");
        };
        Ok(ColumnarValue::Array(f(times)))
    };
    create_udf(name, vec![crate::schema::time_type()], ty, Volatility::Immutable, Arc::new(call))
}

/// Quarters remembered: more than three months of them, and a power of two.
const REMEMBERED: usize = 1 << 14;

/// Local time of many instants: one look-up in the zone's rules for each quarter of an hour that occurs.
struct Local {
    zone: Zone,
    /// (quarter, offset) at the place `quarter % REMEMBERED`.
    offsets: Vec<(i64, i64)>,
}

impl Local {
    fn new(zone: &Zone) -> Self {
        Self { zone: zone.clone(), offsets: vec![(i64::MIN, 0); REMEMBERED] }
    }
    /// Local microseconds since 1970-01-01T00:00.
    fn micros(&mut self, t: i64) -> i64 {
        let quarter = t.div_euclid(QUARTER);
        let place = &mut self.offsets[quarter as usize % REMEMBERED];
        if place.0 != quarter {
            *place = (quarter, offset(&self.zone, quarter.saturating_mul(QUARTER)));
        }
        t.saturating_add(place.1)
    }
}

/// What was looked up for one batch serves the next, on whichever thread.
#[derive(Clone)]
struct Locals {
    zone: Zone,
    idle: Arc<Mutex<Vec<Local>>>,
}

impl Locals {
    fn with<T>(&self, f: impl FnOnce(&mut Local) -> T) -> T {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let mut local = taken.unwrap_or_else(|| Local::new(&self.zone));
        let answer = f(&mut local);
        idle().push(local);
        answer
    }
}

fn offset(zone: &Zone, t: i64) -> i64 {
    let c = zone.civil(Timestamp(t));
    let day = i64::from(LocalDay::from_date(c.date()).0);
    let second = i64::from(c.hour()) * 3_600 + i64::from(c.minute()) * 60 + i64::from(c.second());
    let local = day.saturating_mul(86_400).saturating_add(second).saturating_mul(1_000_000);
    // past the calendar's ends the local time is the time itself
    let off = local.saturating_sub(t.div_euclid(1_000_000).saturating_mul(1_000_000));
    if off.abs() <= 93_600_000_000 { off } else { 0 }
}

const DAY: i64 = 86_400_000_000;

fn hours(v: &Times, local: &mut Local) -> Int32Array {
    each(v, |t| (local.micros(t).rem_euclid(DAY) / 3_600_000_000) as i32)
}
/// Monday 1 … Sunday 7. 1970-01-01 was a Thursday.
fn weekdays(v: &Times, local: &mut Local) -> Int32Array {
    each(v, |t| ((local.micros(t).div_euclid(DAY) + 3).rem_euclid(7) + 1) as i32)
}
fn dates(v: &Times, local: &mut Local) -> Date32Array {
    each(v, |t| i32::try_from(local.micros(t).div_euclid(DAY)).unwrap_or(i32::MAX))
}
fn each<T: ArrowPrimitiveType<Native = i32>>(v: &Times, mut f: impl FnMut(i64) -> i32) -> PrimitiveArray<T> {
    PrimitiveArray::new(v.values().iter().map(|&t| f(t)).collect(), v.nulls().cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_time_follows_the_zone_through_a_change_of_clocks() {
        let z = Zone::named("Europe/Berlin").unwrap();
        let at = |s: &str| s.parse::<Timestamp>().unwrap().0;
        let t = Times::from(vec![
            at("2026-03-29T00:59:59Z"),
            at("2026-03-29T01:00:00Z"),
            at("2026-03-29T22:30:00Z"),
            i64::MIN,
            i64::MAX,
        ]);
        let mut local = Local::new(&z);
        assert_eq!(hours(&t, &mut local).values()[..3], [1, 3, 0]);
        assert_eq!(weekdays(&t, &mut local).values()[..3], [7, 7, 1]);
        assert_eq!(dates(&t, &mut local).value(2), "2026-03-30".parse::<LocalDay>().unwrap().0);
    }

    #[test]
    fn months_are_counted_back_in_the_calendar() {
        let day: LocalDay = "2026-03-02".parse().unwrap();
        assert_eq!(month(day, 3).unwrap().to_string(), "2025-12-01");
        assert_eq!(month(day, 0).unwrap().to_string(), "2026-03-01");
        assert!(month(day, i64::MAX).is_none());
    }
}
