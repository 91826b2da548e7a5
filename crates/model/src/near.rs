//! "Did you mean": the known name nearest to one that is not known.

/// Optimal string alignment distance in characters: insert, delete, replace, swap of neighbours, each once.
pub fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// The candidate nearest to `name`: equal but for case and punctuation, or within a third of its length in edits
/// (one at least). Names of more than 96 characters are not worth the square of their length.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = fold(name);
    let limit = (plain.chars().count() / 3).max(1);
    if limit > 32 {
        return None;
    }
    let scored = candidates.into_iter().filter(|c| c.len() < 256).map(|c| (distance(&plain, &fold(c)), c));
    scored.filter(|(d, _)| *d <= limit).min_by_key(|(d, c)| (*d, c.len())).map(|(_, c)| c)
}

/// ``; did you mean `x`?``, or nothing.
pub fn hint<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, candidates).map_or_else(String::new, |c| format!("; did you mean `{c}`?"))
}

/// ``; did you mean `x`?``, or all that there are: for short lists of words.
pub fn hint_or_all(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(c) => format!("; did you mean `{c}`?"),
        None => format!("; one of {}", known.join(", ")),
    }
}

fn fold(s: &str) -> String {
    s.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_and_a_far_one_is_not() {
        let names = ["duration_s", "bytes", "cell"];
        for (given, meant) in
            [("durations", "duration_s"), ("Duration-S", "duration_s"), ("byte", "bytes"), ("clel", "cell")]
        {
            assert_eq!(nearest(given, names), Some(meant));
        }
        assert_eq!(nearest("colour", names), None);
        assert_eq!(nearest("tell-tale", names), None);
        assert_eq!(nearest("apru", ["arpu", "age", "brand"]), Some("arpu"));
        assert_eq!(nearest(&"x".repeat(10_000), names), None);
    }

    #[test]
    fn a_hint_is_part_of_a_sentence() {
        assert_eq!(hint("bugdet", ["audience", "budget"]), "; did you mean `budget`?");
        assert_eq!(hint("colour", ["audience", "budget"]), "");
        assert_eq!(hint_or_all("colour", &["audience", "budget"]), "; one of audience, budget");
    }

    #[test]
    fn neighbours_swapped_are_one_edit() {
        assert_eq!((distance("apru", "arpu"), distance("", "abc"), distance("消费额", "消费")), (1, 3, 1));
    }
}
