//! An x86-64 ELF file: its code and its functions.

use std::fmt;
use std::path::{Path, PathBuf};

use object::{Architecture, Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};

/// The code of a program.
#[derive(Debug)]
pub struct Binary {
    sections: Vec<(u64, Vec<u8>)>,
    functions: Vec<Function>,
}

/// A function in the symbol table of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name, demangled, without the hash.
    pub name: String,
    /// Its address.
    pub address: u64,
    /// Its size in bytes.
    pub size: u64,
}

/// Why a file cannot be read.
#[derive(Debug)]
pub enum Error {
    /// It does not exist, or reading it failed.
    Absent(PathBuf, std::io::Error),
    /// It is not an x86-64 ELF file.
    Foreign(PathBuf),
    /// It has no symbols.
    Stripped(PathBuf),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(path, error) => write!(f, "cannot read the program {}: {error}", path.display()),
            Self::Foreign(path) => write!(f, "{} is not an x86-64 ELF program", path.display()),
            Self::Stripped(path) => {
                write!(f, "{} is stripped: functions cannot be found without symbols", path.display())
            }
        }
    }
}

impl std::error::Error for Error {}

impl Binary {
    /// Reads a program.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|error| Error::Absent(path.to_owned(), error))?;
        let foreign = || Error::Foreign(path.to_owned());
        let file = object::File::parse(&*bytes).map_err(|_| foreign())?;
        if file.architecture() != Architecture::X86_64 {
            return Err(foreign());
        }
        let code = file.sections().filter(|section| section.kind() == SectionKind::Text);
        let sections = code.map(|section| Ok((section.address(), section.data().map_err(|_| foreign())?.to_vec())));
        let sections = sections.collect::<Result<_, Error>>()?;
        let named = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0);
        let functions: Vec<Function> = named
            .filter_map(|symbol| {
                let name = format!("{:#}", rustc_demangle::demangle(symbol.name().ok()?));
                Some(Function { name, address: symbol.address(), size: symbol.size() })
            })
            .collect();
        if functions.is_empty() {
            return Err(Error::Stripped(path.to_owned()));
        }
        Ok(Self { sections, functions })
    }

    /// A program with one function of `size` bytes.
    #[cfg(test)]
    pub(crate) fn of_code(address: u64, code: &[u8], size: u64) -> Self {
        let functions = vec![Function { name: "f".into(), address, size }];
        Self { sections: vec![(address, code.to_vec())], functions }
    }

    /// Adds a function, whose code is there.
    #[cfg(test)]
    pub(crate) fn add(&mut self, function: Function) {
        self.functions.push(function);
    }

    /// All functions, in the order of the symbol table.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The function of that name.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name == name)
    }

    /// The function that contains an address.
    pub fn function_at(&self, address: u64) -> Option<&Function> {
        self.functions.iter().find(|function| (function.address..function.address + function.size).contains(&address))
    }

    /// The code from an address to the end of its section.
    pub(crate) fn code_at(&self, address: u64) -> Option<&[u8]> {
        self.sections.iter().find_map(|(start, bytes)| {
            let offset = usize::try_from(address.checked_sub(*start)?).ok()?;
            bytes.get(offset..).filter(|rest| !rest.is_empty())
        })
    }
}
