//! "Did you mean": the nearest words by edit distance, some of which have several names.

use kairos_model::near::distance;

fn lower(s: &str) -> (String, usize) {
    (s.to_ascii_lowercase(), s.chars().count())
}

/// At most three of `candidates` near `word`, the nearest first. A candidate is (what to suggest, its other names).
/// Near: within a third of the word's length (at least 1, at most 3), or one begins with the other, or another name
/// is the word or contains it.
pub(crate) fn near<'a>(word: &str, candidates: impl Iterator<Item = (&'a str, Vec<&'a str>)>) -> Vec<String> {
    let (w, length) = lower(word);
    if w.is_empty() || length > 64 {
        return Vec::new();
    }
    let bound = (length / 3).clamp(1, 3);
    let mut found: Vec<(usize, &str)> = Vec::new();
    for (id, names) in candidates {
        let (c, long) = lower(id);
        let mut score = None;
        if long.abs_diff(length) <= bound {
            score = Some(distance(&w, &c)).filter(|&d| d <= bound && d < length.max(long));
        }
        if score.is_none() && length.min(long) >= 3 && (c.starts_with(&w) || w.starts_with(&c)) {
            score = Some(bound + 1);
        }
        for name in names {
            if lower(name).0 == w {
                score = Some(0);
            } else if score.is_none() && length >= 2 && name.contains(word) {
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
