//! The order of what is compared within a round.

/// The indexes below `count`, beginning with `first` and running backwards in every other round. With another `first`
/// in each round, none always runs first, or always after the same one.
pub fn order(count: usize, first: usize, round: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.rotate_left(first % count.max(1));
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_has_all_in_another_order() {
        for (first, round) in [(0, 0), (7, 1), (17, 7)] {
            let mut order = order(9, first, round);
            order.sort_unstable();
            assert!(order.into_iter().eq(0..9));
        }
        assert_eq!(order(3, 1, 0), [1, 2, 0]);
        assert_eq!(order(3, 1, 1), [0, 2, 1]);
        assert_ne!(order(9, 0, 0), order(9, 1, 0));
        assert!(order(0, 1, 0).is_empty());
    }
}
