//! The invocation of the macro in a program's sources, and the global allocators that they declare.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// An invocation of `hakmem::allocator!`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invocation {
    /// The file it is in.
    pub(crate) file: PathBuf,
    /// The allocator's type.
    pub(crate) name: String,
    /// Where its spec is.
    pub(crate) spec: SpecAt,
}

/// Where a spec is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SpecAt {
    /// `struct Heap;`
    Default,
    /// `struct Heap = "classes.toml";`, relative to the package.
    File(String),
    /// `struct Heap { … }`: the text inside the braces as a range of bytes of the file, and its line and column, from
    /// 1.
    Inline { range: Range<usize>, line: usize, column: usize },
}

/// The allocators in a target's sources.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The invocations, in the order of the files' names.
    pub(crate) invocations: Vec<Invocation>,
    /// The types of statics under `#[global_allocator]`, each with its file.
    pub(crate) global: Vec<(PathBuf, String)>,
}

impl Findings {
    /// Reads one file, or the Rust files of a folder without those in `except`. A file that is not valid Rust is
    /// skipped: the compiler reports it.
    pub(crate) fn of(path: &Path, except: &[PathBuf]) -> Self {
        let mut findings = Self::default();
        for file in rust_files(path, except) {
            if let Ok(text) = std::fs::read_to_string(&file)
                && let Ok(tokens) = TokenStream::from_str(&text)
            {
                findings.read(&file, tokens);
            }
        }
        findings
    }

    /// The invocation whose type is the global allocator; the first if none is.
    pub(crate) fn invocation(&self) -> Option<&Invocation> {
        let is_global = |call: &&Invocation| self.global.iter().any(|(_, name)| *name == call.name);
        self.invocations.iter().find(is_global).or(self.invocations.first())
    }

    fn read(&mut self, file: &Path, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            let TokenTree::Group(group) = token else { continue };
            let before = |back: usize| at.checked_sub(back).map(|at| &tokens[at]);
            if before(1).is_some_and(|token| is_punct(token, '!'))
                && before(2).is_some_and(|token| is_ident(token, "allocator"))
            {
                self.invocations.extend(invocation(file, group.stream()));
            } else if before(1).is_some_and(|token| is_punct(token, '#'))
                && group.stream().into_iter().any(|token| is_ident(&token, "global_allocator"))
            {
                self.global.extend(type_of_static(&tokens[at + 1..]).map(|name| (file.to_owned(), name)));
            } else {
                self.read(file, group.stream());
            }
        }
    }
}

fn is_punct(token: &TokenTree, punct: char) -> bool {
    matches!(token, TokenTree::Punct(found) if found.as_char() == punct)
}

fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(found) if *found == name)
}

/// Reads an invocation's tokens from its `struct` on.
fn invocation(file: &Path, tokens: TokenStream) -> Option<Invocation> {
    let mut tokens = tokens.into_iter().skip_while(|token| !is_ident(token, "struct")).skip(1);
    let name = tokens.next()?.to_string();
    let spec = match tokens.next()? {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
            let (whole, start) = (group.span().byte_range(), group.span().start());
            SpecAt::Inline { range: whole.start + 1..whole.end - 1, line: start.line, column: start.column + 2 }
        }
        TokenTree::Punct(punct) if punct.as_char() == '=' => {
            let literal = tokens.next()?.to_string();
            SpecAt::File(literal.strip_prefix('"')?.strip_suffix('"')?.to_owned())
        }
        _ => SpecAt::Default,
    };
    Some(Invocation { file: file.to_owned(), name, spec })
}

/// The last name of the type in `static NAME: TYPE = …`.
fn type_of_static(tokens: &[TokenTree]) -> Option<String> {
    let colon = tokens.iter().position(|token| is_punct(token, ':'))?;
    let of_type = tokens[colon + 1..].iter().take_while(|token| !is_punct(token, '='));
    of_type.filter(|token| matches!(token, TokenTree::Ident(_))).last().map(ToString::to_string)
}

/// The Rust files under a path, in the order of their names.
fn rust_files(path: &Path, except: &[PathBuf]) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let wanted = |path: &PathBuf| path.is_dir() || path.extension().is_some_and(|extension| extension == "rs");
    paths
        .iter()
        .filter(|path| wanted(path) && !except.contains(path))
        .flat_map(|path| rust_files(path, except))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Findings {
        let mut findings = Findings::default();
        findings.read(Path::new("main.rs"), TokenStream::from_str(text).unwrap());
        findings
    }

    #[test]
    fn finds_each_form_and_no_comment() {
        let text = "// hakmem::allocator! { struct Not; }\n\
             hakmem::allocator! { /// Doc.\n pub struct A; }\n\
             mod inner { hakmem::allocator! { pub(crate) struct B = \"b.toml\"; } }\n\
             hakmem::allocator! { struct C { [[class]]\nsize = 64 } }";
        let found = findings(text);
        let names: Vec<&str> = found.invocations.iter().map(|call| &*call.name).collect();
        assert_eq!(names, ["A", "B", "C"]);
        assert_eq!(found.invocations[1].spec, SpecAt::File("b.toml".to_owned()));
        let SpecAt::Inline { range, line, column } = &found.invocations[2].spec else { panic!("{found:?}") };
        assert_eq!((&text[range.clone()], *line, *column), (" [[class]]\nsize = 64 ", 5, 32));
    }

    #[test]
    fn the_global_allocator_decides_between_several() {
        let found = findings(
            "hakmem::allocator! { struct A; } hakmem::allocator! { struct B; }\n\
             #[global_allocator] static GLOBAL: crate::B = B;",
        );
        assert_eq!(found.invocation().unwrap().name, "B");
        let other = findings("#[global_allocator]\nstatic A: mimalloc::MiMalloc = mimalloc::MiMalloc;");
        assert_eq!(other.global[0].1, "MiMalloc");
    }
}
