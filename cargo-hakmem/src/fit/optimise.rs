//! The cheapest classes for each number of them, by dynamic programming.
//!
//! The candidate sizes are numbered in ascending order. If a class *c* is the next above a class *p*, the requests
//! between them cost `block(c) × blocks − bytes`, which prefix sums of the demand give. So the cheapest choice that
//! ends with *c* extends the cheapest choice that ends with some *p*. Requests aligned to 16 or more are served by the
//! next class that is a multiple of 16, so the last such class ("wide") is part of the state; above 1,024 bytes every
//! class is wide. The result is exact: for the given demand and costs, no other choice of as many classes is cheaper (a
//! test tries all).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use hakmem_spec::SMALL_MAX;

use super::cost::{Prices, Use};
use super::demand::{Demand, Weight};

/// The cheapest choice of some number of classes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice {
    /// Their sizes, ascending.
    pub(crate) sizes: Vec<u32>,
    /// Bytes wasted by requests that are smaller than their block.
    pub(crate) waste: f64,
    /// The same plus the fixed costs of the classes.
    pub(crate) cost: f64,
}

/// A state: the numbers of the last class and of the last wide class; 0 is none.
type State = (usize, usize);

/// The cost of a state, and the state that it extends.
type Reached = (f64, State);

struct Sizes<'a> {
    sizes: Vec<u32>,
    forced: Vec<bool>,
    word: Vec<Weight>,
    wide: Vec<Weight>,
    uses: Vec<Use>,
    prices: &'a Prices,
}

/// The cheapest choices of 1, 2, … `most` classes. Each contains all `forced` sizes, and no other size in a `closed`
/// range; a number of classes too small for that has no choice. The last class is the largest size that is requested or
/// forced.
pub(crate) fn choices(
    demand: &Demand,
    forced: &[u32],
    closed: &[RangeInclusive<u32>],
    prices: &Prices,
    most: usize,
) -> Vec<Choice> {
    let problem = Sizes::new(demand, forced, closed, prices);
    let count = problem.sizes.len();
    // reached[k][p][m]: states after k classes.
    let mut reached: Vec<Vec<Vec<Option<Reached>>>> = vec![problem.empty()];
    reached[0][0][0] = Some((0.0, (0, 0)));
    let mut choices = Vec::new();
    for number in 1..=most.min(count - 1) {
        let mut next = problem.empty();
        for (last, of_last) in reached[number - 1].iter().enumerate() {
            for (wide, found) in of_last.iter().enumerate() {
                if let Some((cost, _)) = found {
                    problem.extend((last, wide), *cost, &mut next);
                }
            }
        }
        reached.push(next);
        choices.extend(problem.choice(&reached));
    }
    choices
}

/// A greedy choice, to compare with the optimum: starts with the largest and the forced classes, and adds one class
/// after the other, each time the one that saves most.
pub(crate) fn greedy(
    demand: &Demand,
    forced: &[u32],
    closed: &[RangeInclusive<u32>],
    prices: &Prices,
    count: usize,
) -> Option<Choice> {
    let problem = Sizes::new(demand, forced, closed, prices);
    let all: BTreeSet<usize> = (1..problem.sizes.len()).collect();
    let mut chosen: BTreeSet<usize> = all.iter().copied().filter(|&class| problem.forced[class]).collect();
    chosen.insert(*all.last()?);
    while chosen.len() < count {
        let with = |class: usize| {
            let mut chosen = chosen.clone();
            chosen.insert(class);
            problem.cost_of(&chosen)
        };
        let best = all.difference(&chosen).copied().map(|class| (with(class), class));
        chosen.insert(best.min_by(|(one, _), (other, _)| one.total_cmp(other))?.1);
    }
    let classes: Vec<usize> = chosen.iter().copied().collect();
    (classes.len() == count).then(|| problem.priced(&classes, problem.cost_of(&chosen)))
}

/// The cheapest choice: more classes would cost more than they save.
pub(crate) fn knee(choices: &[Choice]) -> Option<&Choice> {
    choices.iter().min_by(|a, b| a.cost.total_cmp(&b.cost))
}

impl<'a> Sizes<'a> {
    fn new(demand: &Demand, forced: &[u32], closed: &[RangeInclusive<u32>], prices: &'a Prices) -> Self {
        let mut sizes: BTreeSet<u32> = demand.word.keys().chain(demand.wide.keys()).chain(forced).copied().collect();
        // Multiples of 16 may also serve requests aligned to 16 or more.
        sizes.extend(demand.wide.keys().map(|size| size.next_multiple_of(16)));
        if let Some(last) = sizes.last().copied() {
            sizes.insert(last.next_multiple_of(16));
        }
        sizes.retain(|size| forced.contains(size) || !closed.iter().any(|range| range.contains(size)));
        // Number 0 stands for no class.
        let sizes: Vec<u32> = std::iter::once(0).chain(sizes).collect();
        let sums = |of: &BTreeMap<u32, Weight>| {
            let up_to = |size: &u32| {
                of.range(..=size).fold(Weight::default(), |sum, (_, weight)| Weight {
                    blocks: sum.blocks + weight.blocks,
                    bytes: sum.bytes + weight.bytes,
                })
            };
            sizes.iter().map(up_to).collect()
        };
        let (word, wide) = (sums(&demand.word), sums(&demand.wide));
        let uses = sizes.iter().map(|size| demand.uses.range(..=size).map(|(_, of_size)| *of_size).sum()).collect();
        Self { forced: sizes.iter().map(|size| forced.contains(size)).collect(), word, wide, uses, prices, sizes }
    }

    fn empty(&self) -> Vec<Vec<Option<Reached>>> {
        let wides = self.sizes.iter().rposition(|size| size % 16 == 0 && *size <= SMALL_MAX).unwrap_or(0);
        // Above 1,024 bytes the last wide class is the last class, so that one number is enough.
        (0..self.sizes.len()).map(|last| vec![None; last.min(wides) + 1]).collect()
    }

    /// The number of the last wide class in a state: above 1,024 bytes it is the last class.
    fn wide_of(&self, (last, wide): State) -> usize {
        if self.sizes[last] > SMALL_MAX { last } else { wide }
    }

    /// Extends a state by each possible next class.
    fn extend(&self, state: State, cost: f64, next: &mut [Vec<Option<Reached>>]) {
        let wide = self.wide_of(state);
        for (class, places) in next.iter_mut().enumerate().skip(state.0 + 1) {
            let size = self.sizes[class];
            let block = self.prices.block(size);
            let mut sum = cost + self.price(state.0, class) + between(&self.word, state.0, class, block);
            let serves_wide = size.is_multiple_of(16);
            if serves_wide {
                sum += between(&self.wide, wide, class, block);
            }
            let place = if size > SMALL_MAX {
                0
            } else if serves_wide {
                class
            } else {
                wide
            };
            let reached = &mut places[place];
            if reached.is_none_or(|(least, _)| sum < least) {
                *reached = Some((sum, state));
            }
            if self.forced[class] {
                break;
            }
        }
    }

    /// The fixed cost of `class` if the next class below it is `below`.
    fn price(&self, below: usize, class: usize) -> f64 {
        self.prices.class(self.sizes[class], self.uses[class] - self.uses[below])
    }

    /// The choice of these classes, whose cost is known.
    fn priced(&self, classes: &[usize], cost: f64) -> Choice {
        let below = std::iter::once(0).chain(classes.iter().copied());
        let prices: f64 = below.zip(classes).map(|(below, &class)| self.price(below, class)).sum();
        Choice { sizes: classes.iter().map(|&class| self.sizes[class]).collect(), waste: cost - prices, cost }
    }

    /// The cost of these classes, which include the last size.
    fn cost_of(&self, classes: &BTreeSet<usize>) -> f64 {
        let (mut cost, mut last, mut wide) = (0.0, 0, 0);
        for &class in classes {
            let size = self.sizes[class];
            let block = self.prices.block(size);
            cost += self.price(last, class) + between(&self.word, last, class, block);
            if size.is_multiple_of(16) {
                cost += between(&self.wide, wide, class, block);
                wide = class;
            }
            last = class;
        }
        cost
    }

    /// The cheapest choice that ends with the last size, with as many classes as `reached` has steps.
    fn choice(&self, reached: &[Vec<Vec<Option<Reached>>>]) -> Option<Choice> {
        let last = self.sizes.len() - 1;
        let ends = reached.last()?[last].iter().enumerate();
        let (wide, (cost, _)) = ends
            .filter_map(|(wide, found)| Some((wide, (*found)?)))
            .min_by(|(_, (one, _)), (_, (other, _))| one.total_cmp(other))?;
        let mut classes = Vec::new();
        let mut state = (last, wide);
        for of_number in reached.iter().skip(1).rev() {
            classes.push(state.0);
            state = of_number[state.0][state.1]?.1;
        }
        classes.reverse();
        Some(self.priced(&classes, cost))
    }
}

/// The waste of the requests above one size, up to another, in blocks of `block` bytes.
fn between(sums: &[Weight], below: usize, to: usize, block: f64) -> f64 {
    block.mul_add(sums[to].blocks - sums[below].blocks, sums[below].bytes - sums[to].bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hakmem_spec::Geometry;

    /// The cost of any classes: finds the class of each request.
    fn cost_of(demand: &Demand, prices: &Prices, classes: &[u32]) -> f64 {
        let of = |requests: &BTreeMap<u32, Weight>, grain: u32| {
            let cost = |(size, weight): (&u32, &Weight)| {
                let class = classes.iter().find(|class| *class >= size && class.is_multiple_of(grain));
                class.map_or(f64::INFINITY, |&class| prices.block(class) * weight.blocks - weight.bytes)
            };
            requests.iter().map(cost).sum::<f64>()
        };
        let below = std::iter::once(0).chain(classes.iter().copied());
        let price = |(below, &class): (u32, &u32)| {
            prices.class(class, demand.uses.range(below + 1..=class).map(|(_, of_size)| *of_size).sum())
        };
        of(&demand.word, 8) + of(&demand.wide, 16) + below.zip(classes).map(price).sum::<f64>()
    }

    fn demand(random: &mut u64, count: usize) -> Demand {
        let mut next = |bound: u64| {
            *random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (*random >> 33) % bound
        };
        let mut demand = Demand::default();
        for _ in 0..count {
            let blocks = next(1000) as f64;
            let (size, kind) = ((next(24) as u32 + 1) * 8, next(3));
            let size = if kind == 2 { 1024 + size.next_multiple_of(64) * 2 } else { size };
            let requests = if next(3) == 0 { &mut demand.wide } else { &mut demand.word };
            demand.uses.insert(size, Use { live: next(400_000) as f64, idle: next(200_000) as f64 });
            requests.insert(size, Weight { blocks, bytes: blocks * f64::from(size - next(8) as u32) });
        }
        demand
    }

    #[test]
    fn no_other_choice_is_cheaper() {
        let prices = Prices::new(Geometry::default(), 1);
        let mut random = 1;
        for _ in 0..60 {
            let demand = demand(&mut random, 9);
            let problem = Sizes::new(&demand, &[], &[], &prices);
            let sizes = &problem.sizes[1..];
            let found = choices(&demand, &[], &[], &prices, 4);
            assert!(!found.is_empty());
            for choice in &found {
                let all = 0_u32..1 << sizes.len();
                let subsets = all.filter(|set| set.count_ones() as usize == choice.sizes.len());
                let subset = |set: u32| {
                    let members = sizes.iter().enumerate().filter(|(bit, _)| set & 1 << bit != 0);
                    members.map(|(_, size)| *size).collect::<Vec<u32>>()
                };
                let least = subsets.map(|set| cost_of(&demand, &prices, &subset(set))).fold(f64::INFINITY, f64::min);
                assert!((choice.cost - least).abs() < 1e-6 * least.abs().max(1.0), "{choice:?} is not {least}");
                assert!((cost_of(&demand, &prices, &choice.sizes) - least).abs() < 1e-6 * least.abs().max(1.0));
            }
        }
    }

    #[test]
    fn greedy_is_never_cheaper_and_sometimes_more_expensive() {
        let prices = Prices::new(Geometry::default(), 1);
        let (mut random, mut worse) = (3, 0);
        for _ in 0..60 {
            let demand = demand(&mut random, 12);
            for best in choices(&demand, &[], &[], &prices, 6) {
                let greedy = greedy(&demand, &[], &[], &prices, best.sizes.len()).unwrap();
                assert!(greedy.cost >= best.cost - 1e-6 * best.cost.abs(), "{greedy:?} is cheaper than {best:?}");
                assert!((greedy.cost - cost_of(&demand, &prices, &greedy.sizes)).abs() < 1e-6 * greedy.cost.abs());
                worse += usize::from(greedy.cost > best.cost * (1.0 + 1e-6));
            }
        }
        assert!(worse > 0);
    }

    #[test]
    fn forced_sizes_are_always_there() {
        let prices = Prices::new(Geometry::default(), 1);
        let mut random = 7;
        for _ in 0..20 {
            let demand = demand(&mut random, 9);
            for choice in choices(&demand, &[40, 2048], &[40..=2048], &prices, 8) {
                assert!(choice.sizes.contains(&40) && choice.sizes.contains(&2048), "{choice:?}");
                assert!(choice.sizes.is_sorted());
                assert!(!choice.sizes.iter().any(|size| (41..2048).contains(size)), "{choice:?}");
            }
        }
    }

    #[test]
    fn the_knee_is_where_another_class_costs_more_than_it_saves() {
        let prices = Prices::new(Geometry::default(), 1);
        let mut demand = Demand::default();
        // Two sizes in thousands of blocks, and one block between them.
        for (size, blocks) in [(24, 50_000.0), (32, 1.0), (96, 50_000.0)] {
            demand.word.insert(size, Weight { blocks, bytes: blocks * f64::from(size) });
        }
        let found = choices(&demand, &[], &[], &prices, 10);
        assert_eq!(knee(&found).unwrap().sizes, [24, 96]);
    }
}
