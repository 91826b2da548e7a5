//! What lists have in common: limit, cursor, chosen fields.

use crate::{
    effect::to_value,
    problem::{Failure, Result},
    view::{Page, time},
};
use kairos_catalog::PAGE_MAX;
use kairos_model::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// Items of a page unless the caller says how many.
pub const LIMIT_DEFAULT: u32 = 50;

/// Kept whatever fields were asked for (TMF630).
const ALWAYS: [&str; 3] = ["id", "href", "@type"];

/// The limit of a page, 1 to 200.
pub fn limit(asked: Option<u32>) -> Result<u32> {
    match asked {
        None => Ok(LIMIT_DEFAULT),
        Some(n) if (1..=PAGE_MAX).contains(&n) => Ok(n),
        Some(_) => Err(Failure::bad_request("limit", format!("`limit` is 1 to {PAGE_MAX}"))),
    }
}

/// A page as JSON, each item cut down to the fields asked for: `fields=name,state`.
pub fn page<T: Serialize>(
    items: &[T],
    next: Option<String>,
    fields: Option<&str>,
    as_of: Timestamp,
) -> Result<Page<Value>> {
    let items = items.iter().map(|i| chosen(i, fields)).collect::<Result<_>>()?;
    Ok(Page { items, next, as_of: time(as_of) })
}

/// A resource as JSON with the fields asked for; all of them if none were.
pub fn chosen(item: &impl Serialize, fields: Option<&str>) -> Result<Value> {
    let value = to_value(item)?;
    let (Some(fields), Value::Object(map)) = (fields, &value) else { return Ok(value) };
    let asked: Vec<&str> = fields.split(',').map(str::trim).filter(|f| !f.is_empty()).collect();
    if asked.iter().any(|f| !map.contains_key(*f)) {
        let known: Vec<&str> = map.keys().map(String::as_str).collect();
        let detail = format!("`fields` names one that is not there; there are {}", known.join(", "));
        return Err(Failure::bad_request("fields", detail));
    }
    let kept = map.iter().filter(|(k, _)| ALWAYS.contains(&k.as_str()) || asked.contains(&k.as_str()));
    Ok(Value::Object(kept.map(|(k, v)| (k.clone(), v.clone())).collect()))
}

/// A page of what lies in memory: items, and the cursor behind the last of them. Opaque: the place in hexadecimal.
pub fn cut<'a, T>(all: &'a [T], cursor: Option<&str>, limit: u32) -> Result<(&'a [T], Option<String>)> {
    let from = match cursor {
        None => 0,
        Some(text) => text
            .strip_prefix('n')
            .and_then(|x| usize::from_str_radix(x, 16).ok())
            .filter(|n| *n <= all.len())
            .ok_or_else(|| Failure::bad_request("cursor", "that is no cursor of this list; begin without one"))?,
    };
    let to = all.len().min(from + limit as usize);
    Ok((&all[from..to], (to < all.len()).then(|| format!("n{to:x}"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_chosen_and_identity_stays() {
        let item = json!({ "id": "a", "href": "/a", "@type": "A", "name": "n", "state": "s" });
        let cut = chosen(&item, Some("state")).unwrap();
        assert_eq!(cut, json!({ "id": "a", "href": "/a", "@type": "A", "state": "s" }));
        assert_eq!(chosen(&item, Some("stat")).unwrap_err().code, "fields");
    }

    #[test]
    fn cursors_walk_to_the_end() {
        let all = [1, 2, 3, 4, 5];
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let (some, next) = cut(&all, cursor.as_deref(), 2).unwrap();
            seen.extend_from_slice(some);
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, all);
        assert_eq!(cut(&all, Some("n6"), 2).unwrap_err().code, "cursor");
        assert_eq!(cut(&all, Some("x"), 2).unwrap_err().code, "cursor");
        assert_eq!(limit(Some(0)).unwrap_err().code, "limit");
    }
}
