//! "Did you mean": the nearest words by edit distance.

/// Optimal string alignment distance (insert, delete, replace, swap neighbours) in characters, ignoring ASCII case.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let differs = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + differs);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

fn lower(s: &str) -> Vec<char> {
    s.chars().map(|c| c.to_ascii_lowercase()).collect()
}

/// At most three of `candidates` near `word`, the nearest first. A candidate is (what to suggest, its other names).
/// Near: within a third of the word's length (at least 1, at most 3), or one begins with the other, or another name
/// is the word or contains it.
pub(crate) fn near<'a>(word: &str, candidates: impl Iterator<Item = (&'a str, Vec<&'a str>)>) -> Vec<String> {
    let w = lower(word);
    if w.is_empty() || w.len() > 64 {
        return Vec::new();
    }
    let bound = (w.len() / 3).clamp(1, 3);
    let mut found: Vec<(usize, &str)> = Vec::new();
    for (id, names) in candidates {
        let c = lower(id);
        let mut score = None;
        if c.len().abs_diff(w.len()) <= bound {
            score = Some(distance(&w, &c)).filter(|&d| d <= bound && d < w.len().max(c.len()));
        }
        if score.is_none() && w.len().min(c.len()) >= 3 && (c.starts_with(&w) || w.starts_with(&c)) {
            score = Some(bound + 1);
        }
        for name in names {
            let n = lower(name);
            if n == w {
                score = Some(0);
            } else if score.is_none() && w.len() >= 2 && name.contains(word) {
                score = Some(bound + 2);
            }
        }
        if let Some(score) = score {
            found.push((score, id));
        }
    }
    found.sort_unstable();
    found.dedup();
    found.truncate(3);
    found.into_iter().map(|(_, id)| id.to_owned()).collect()
}

/// [`near`] for plain words.
pub(crate) fn near_words(word: &str, candidates: &[&str]) -> Vec<String> {
    near(word, candidates.iter().map(|&c| (c, Vec::new())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_come_nearest_first() {
        let words = ["arpu", "arpu_3m", "age", "data_mb", "ring_back_tone"];
        assert_eq!(near_words("apru", &words), ["arpu"]);
        assert_eq!(near_words("ring_back", &words), ["ring_back_tone"]);
        assert_eq!(near_words("ARPU", &words), ["arpu", "arpu_3m"]);
        assert!(near_words("zzz", &words).is_empty() && near_words("", &words).is_empty());
        assert_eq!(near("消费", [("arpu", vec!["月均消费"])].into_iter()), ["arpu"]);
    }
}
