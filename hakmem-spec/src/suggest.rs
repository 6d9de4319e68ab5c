//! Suggestions for misspelt names: "did you mean".

/// Lists the possible names, after the one that was probably meant.
pub(crate) fn names(wrong: &str, possible: &[&str]) -> String {
    match closest(wrong, possible) {
        Some(name) => format!("did you mean `{name}`? Possible here: {}", list(possible)),
        None => format!("possible here: {}", list(possible)),
    }
}

/// Names as a list in prose.
pub(crate) fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The possible name closest to a wrong one, if it is close enough to be a typing mistake.
fn closest<'a>(wrong: &str, possible: &[&'a str]) -> Option<&'a str> {
    let wrong: Vec<char> = wrong.to_lowercase().chars().collect();
    possible
        .iter()
        .map(|name| (distance(&wrong, &name.chars().collect::<Vec<_>>()), *name))
        .filter(|(distance, name)| *distance <= (name.len().max(wrong.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The number of edits from one word to the other: insert, delete, replace, swap neighbours (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_typing_mistakes() {
        let possible = ["size", "sizes", "layers", "batch", "steps_per_doubling"];
        assert_eq!(closest("sise", &possible), Some("size"));
        assert_eq!(closest("szie", &possible), Some("size"));
        assert_eq!(closest("Layers", &possible), Some("layers"));
        assert_eq!(closest("layer", &possible), Some("layers"));
        assert_eq!(closest("steps_per_double", &possible), Some("steps_per_doubling"));
        assert_eq!(closest("colour", &possible), None);
        assert_eq!(closest("", &possible), None);
    }

    #[test]
    fn distance_counts_a_swap_once() {
        let chars = |word: &str| word.chars().collect::<Vec<_>>();
        assert_eq!(distance(&chars("ab"), &chars("ba")), 1);
        assert_eq!(distance(&chars("kitten"), &chars("sitting")), 3);
        assert_eq!(distance(&chars(""), &chars("abc")), 3);
    }
}
