//! "Did you mean": the nearest known word.

/// Edits (insert, delete, replace, swap of neighbours) from `a` to `b`; optimal string alignment distance.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let width = b.len() + 1;
    let mut rows = vec![(0..width).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i; width];
        for j in 1..width {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replace.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(rows[i - 2][j - 2] + 1);
            }
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// `; did you mean …?` when a known word is near, else `; one of …`.
pub(crate) fn did_you_mean(given: &str, known: &[&str]) -> String {
    // longer texts are no misspelt field name, and the distance costs their product
    let near = (given.chars().count() <= 64)
        .then(|| known.iter().map(|k| (distance(given, k), *k)).min())
        .flatten()
        .filter(|(d, k)| *d <= 1 + k.chars().count() / 4);
    match near {
        Some((_, k)) => format!("; did you mean `{k}`?"),
        None => format!("; one of {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_named_and_a_far_one_is_not() {
        assert_eq!(did_you_mean("bugdet", &["audience", "budget"]), "; did you mean `budget`?");
        assert_eq!(did_you_mean("colour", &["audience", "budget"]), "; one of audience, budget");
    }
}
