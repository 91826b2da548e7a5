//! "Did you mean": the nearest of the names that would have been right.

/// The candidate nearest to `name`: equal but for case and punctuation, or within a third of its length in edits
/// (one at least).
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = fold(name);
    // a longer name is not worth the square of its length
    let limit = (plain.chars().count() / 3).max(1);
    if limit > 32 {
        return None;
    }
    let scored = candidates.into_iter().filter(|c| c.len() < 256).map(|c| (distance(&plain, &fold(c)), c));
    scored.filter(|(d, _)| *d <= limit).min_by_key(|(d, _)| *d).map(|(_, c)| c)
}

/// `; did you mean `x`?`, or nothing.
pub(crate) fn hint<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, candidates).map_or_else(String::new, |c| format!("; did you mean `{c}`?"))
}

fn fold(s: &str) -> String {
    s.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Optimal string alignment: insertions, deletions, replacements, and swaps of neighbours, each once.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let above = &rows[i - 1];
            let mut least = (above[j - 1] + usize::from(a[i - 1] != b[j - 1])).min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_and_a_far_one_is_not() {
        let names = ["duration_s", "bytes", "cell"];
        assert_eq!(nearest("durations", names), Some("duration_s"));
        assert_eq!(nearest("Duration-S", names), Some("duration_s"));
        assert_eq!(nearest("byte", names), Some("bytes"));
        assert_eq!(nearest("clel", names), Some("cell"));
        assert_eq!(nearest("colour", names), None);
        assert_eq!(nearest("tell-tale", names), None);
    }
}
