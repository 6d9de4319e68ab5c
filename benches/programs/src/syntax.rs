//! A syntax tree's life: parsed whole, walked, printed as tokens, kept for a while, dropped at once.

use crate::checksum::Checksum;
use crate::input;
use quote::ToTokens;
use std::collections::VecDeque;
use syn::visit::{self, Visit};

/// Rounds whose trees are alive at a time.
const KEPT: usize = 6;

#[derive(Default)]
struct Counter {
    idents: usize,
    letters: usize,
    exprs: usize,
}

impl<'ast> Visit<'ast> for Counter {
    fn visit_ident(&mut self, ident: &'ast syn::Ident) {
        self.idents += 1;
        self.letters += ident.to_string().len();
    }

    fn visit_expr(&mut self, expr: &'ast syn::Expr) {
        self.exprs += 1;
        visit::visit_expr(self, expr);
    }
}

pub(crate) fn run(scale: u32) -> u64 {
    let sources = input::sources();
    let mut sum = Checksum::default();
    let mut kept: VecDeque<Vec<syn::File>> = VecDeque::new();
    for _ in 0..scale {
        let files: Vec<syn::File> =
            sources.iter().map(|source| syn::parse_file(source).expect("the committed sources parse")).collect();
        let mut counter = Counter::default();
        for file in &files {
            counter.visit_file(file);
            sum.text(&file.to_token_stream().to_string());
        }
        sum.count(counter.idents);
        sum.count(counter.letters);
        sum.count(counter.exprs);
        kept.push_back(files);
        if kept.len() > KEPT {
            kept.pop_front();
        }
    }
    sum.count(kept.iter().flatten().map(|file| file.items.len()).sum());
    sum.value()
}

#[cfg(test)]
#[test]
fn checksum() {
    assert_eq!(run(1), 0x4b5f_04e3_36fc_ca58);
}
