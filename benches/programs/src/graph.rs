//! Graphs: which words stand beside which, searched, cut into components, condensed, thinned out.

use crate::checksum::Checksum;
use crate::input::{self, Rng};
use petgraph::algo::{condensation, dijkstra, min_spanning_tree};
use petgraph::data::FromElements;
use petgraph::graph::{Graph, UnGraph};
use petgraph::graphmap::DiGraphMap;
use petgraph::stable_graph::{NodeIndex, StableDiGraph};
use petgraph::visit::{Bfs, EdgeRef, IntoEdgeReferences};
use std::collections::{BTreeMap, VecDeque};

/// Edges of one graph.
const EDGES: usize = 12_000;
/// Graphs alive at a time.
const KEPT: usize = 12;

struct Edge {
    weight: u32,
    seen: Vec<u32>,
}

type Words = StableDiGraph<String, Edge>;

fn build(rng: &mut Rng, words: &[&str]) -> Words {
    let mut graph = Words::new();
    let mut nodes: BTreeMap<String, NodeIndex> = BTreeMap::new();
    for at in 0..EDGES as u32 {
        let mut node = |graph: &mut Words| {
            let word = format!("{}-{}", words[rng.skewed(words.len())], rng.below(3));
            *nodes.entry(word).or_insert_with_key(|word| graph.add_node(word.clone()))
        };
        let (from, to) = (node(&mut graph), node(&mut graph));
        match graph.find_edge(from, to) {
            Some(edge) => graph[edge].seen.push(at),
            None => {
                graph.add_edge(from, to, Edge { weight: 1 + at % 17, seen: vec![at] });
            }
        }
    }
    graph
}

/// Removes nodes with fewer than two edges until none are left.
fn thin(graph: &mut Words) -> usize {
    let before = graph.node_count();
    loop {
        let loose: Vec<NodeIndex> =
            graph.node_indices().filter(|&node| graph.neighbors_undirected(node).count() < 2).collect();
        if loose.is_empty() {
            return before - graph.node_count();
        }
        for node in loose {
            graph.remove_node(node);
        }
    }
}

pub(crate) fn run(scale: u32) -> u64 {
    let words = input::words();
    let mut rng = Rng::new(14);
    let mut sum = Checksum::default();
    let mut kept = VecDeque::new();
    for _ in 0..scale {
        let mut graph = build(&mut rng, &words);
        sum.count(graph.node_count());
        for start in graph.node_indices().step_by(150) {
            let costs = dijkstra(&graph, start, None, |edge| edge.weight().weight);
            // The map's order is its hasher's: commutative.
            sum.add(costs.iter().fold(0, |all, (node, cost)| all.wrapping_add(u64::from(*cost) * node.index() as u64)));
            let mut search = Bfs::new(&graph, start);
            while let Some(node) = search.next(&graph) {
                sum.count(graph[node].len());
            }
        }
        sum.count(thin(&mut graph));

        let plain = graph.map(|_, word| word.clone(), |_, edge| edge.weight);
        let condensed = condensation(Graph::from(plain.clone()), true);
        for component in condensed.node_weights() {
            let longest = component.iter().max().cloned().unwrap_or_default();
            sum.count(component.len());
            sum.text(&longest);
        }
        let undirected = UnGraph::<String, u32>::from_elements(min_spanning_tree(&plain));
        sum.add(undirected.edge_weights().map(|&weight| u64::from(weight)).sum());

        let mut pairs: DiGraphMap<&str, Vec<u32>> = DiGraphMap::new();
        for edge in graph.edge_references() {
            let (from, to) = (&graph[edge.source()], &graph[edge.target()]);
            let key = (&from[..3], &to[..3]);
            if let Some(seen) = pairs.edge_weight_mut(key.0, key.1) {
                seen.extend(&edge.weight().seen);
            } else {
                pairs.add_edge(key.0, key.1, edge.weight().seen.clone());
            }
        }
        sum.count(pairs.edge_count());
        sum.count(pairs.all_edges().map(|(_, _, seen)| seen.len()).sum());
        drop(pairs);
        kept.push_back((graph, undirected));
        if kept.len() > KEPT {
            kept.pop_front();
        }
    }
    sum.count(kept.iter().map(|(graph, tree)| graph.edge_count() + tree.edge_count()).sum());
    sum.value()
}

#[cfg(test)]
#[test]
fn checksum() {
    assert_eq!(run(1), 0xcfda_a0c8_49d0_38f0);
}
