//! The macro call in a program's sources, and whatever global allocator they name.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A call of `hakmem::allocator!`.
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
    /// `struct Heap { … }`: what is inside the braces, in bytes of the file, and where that is to an editor.
    Inline { range: Range<usize>, line: usize, column: usize },
}

/// What the sources say of allocators.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The calls of the macro, in the order of the files.
    pub(crate) invocations: Vec<Invocation>,
    /// The types of statics under `#[global_allocator]`, each with its file.
    pub(crate) global: Vec<(PathBuf, String)>,
}

impl Findings {
    /// Reads the Rust files of a folder but some, or one file. What is no Rust is passed over: the compiler will say so.
    pub(crate) fn of(path: &Path, but: &[PathBuf]) -> Self {
        let mut findings = Self::default();
        for file in rust_files(path, but) {
            if let Ok(text) = std::fs::read_to_string(&file)
                && let Ok(tokens) = TokenStream::from_str(&text)
            {
                findings.read(&file, tokens);
            }
        }
        findings
    }

    /// The call that makes the program's global allocator; where none does, the first.
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

/// What follows `struct` inside the macro's brackets.
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
fn rust_files(path: &Path, but: &[PathBuf]) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let wanted = |path: &PathBuf| path.is_dir() || path.extension().is_some_and(|extension| extension == "rs");
    paths.iter().filter(|path| wanted(path) && !but.contains(path)).flat_map(|path| rust_files(path, but)).collect()
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
