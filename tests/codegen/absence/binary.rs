//! What there is to know about a linked program.

use gimli::{AttributeValue, Dwarf, EndianSlice, LittleEndian};
use object::elf;
use object::read::elf::{ElfFile64, ProgramHeader as _};
use object::{Endianness, Object, ObjectSection, ObjectSymbol, RelocationFlags, SectionKind, SymbolKind};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What a symbol stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Function,
    Static,
    ThreadLocal,
}

/// A symbol, its name demangled.
#[derive(Debug)]
pub(crate) struct Symbol {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    address: u64,
    pub(crate) size: u64,
}

/// A line of the runtime, and an instruction that it became.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) number: u64,
    pub(crate) address: u64,
}

/// A binary, as far as the checks look at it.
#[derive(Debug)]
pub(crate) struct Binary {
    pub(crate) name: String,
    pub(crate) symbols: Vec<Symbol>,
    /// The modules of the runtime that instructions come from, inlined or not, each with the first one.
    pub(crate) code: BTreeMap<String, Line>,
    /// Which of the names asked for are values of type `&'static str` in the program's data.
    pub(crate) names: BTreeSet<&'static str>,
    /// Constant data that is not relocated: texts, among others.
    pub(crate) constants: Vec<u8>,
    /// Bytes of thread-local memory that each thread gets for the program itself.
    pub(crate) thread_local: u64,
    /// How many of these are copied from the program, because they are not all zero at first.
    pub(crate) initialised: u64,
}

impl Binary {
    /// Reads the program at `path`, and looks for `names` in its data.
    pub(crate) fn read(path: &Path, names: &[&'static str]) -> Binary {
        let bytes = std::fs::read(path).expect("the program was just built");
        let file = ElfFile64::<Endianness>::parse(&*bytes).expect("an ELF file");
        let mut symbols = symbols(&file);
        symbols.sort_by_key(|symbol| symbol.address);
        let constants = file.section_by_name(".rodata").and_then(|section| section.data().ok());
        let endian = file.endian();
        let thread_local = file.elf_program_headers().iter().find(|header| header.p_type(endian) == elf::PT_TLS);
        Binary {
            name: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            symbols,
            code: code(&file),
            names: names_in_data(&file, names),
            constants: constants.unwrap_or_default().to_vec(),
            thread_local: thread_local.map_or(0, |header| header.p_memsz(endian)),
            initialised: thread_local.map_or(0, |header| header.p_filesz(endian)),
        }
    }

    /// The function that the instruction at `address` is part of.
    pub(crate) fn function_at(&self, address: u64) -> &str {
        let covers = |symbol: &&Symbol| (symbol.address..symbol.address + symbol.size).contains(&address);
        let functions = self.symbols.iter().filter(|symbol| symbol.kind == Kind::Function);
        functions.filter(covers).map(|symbol| symbol.name.as_str()).next().unwrap_or("no function")
    }

    /// The size of the thread-local struct that the macro generated.
    pub(crate) fn state(&self) -> u64 {
        let ours =
            |symbol: &&Symbol| symbol.kind == Kind::ThreadLocal && symbol.name.contains("::__hakmem_heap::CACHE");
        self.symbols.iter().filter(ours).map(|symbol| symbol.size).sum()
    }

    /// Bytes of the allocator's functions: the runtime's, the generated ones, what is instantiated with a type of
    /// theirs, and the four that the allocator's methods are inlined into. Two names of one function count once.
    pub(crate) fn text(&self) -> u64 {
        let ours =
            |name: &str| name.contains("hakmem") || name.contains("__rustc::__rust_") || name.contains("::Heap as");
        let functions = self.symbols.iter().filter(|symbol| symbol.kind == Kind::Function && ours(&symbol.name));
        functions.map(|symbol| (symbol.address, symbol.size)).collect::<BTreeMap<_, _>>().values().sum()
    }
}

fn symbols(file: &ElfFile64<'_, Endianness>) -> Vec<Symbol> {
    let symbol = |symbol: object::read::elf::ElfSymbol64<'_, '_, Endianness>| {
        let kind = match symbol.kind() {
            SymbolKind::Text => Kind::Function,
            SymbolKind::Data => Kind::Static,
            SymbolKind::Tls => Kind::ThreadLocal,
            _ => return None,
        };
        let defined = symbol.is_definition() || symbol.section_index().is_some();
        // The alternate form leaves out the numbers of crates.
        let name = || Some(format!("{:#}", rustc_demangle::demangle(symbol.name().ok()?)));
        let (address, size) = (symbol.address(), symbol.size());
        defined.then(name).flatten().map(|name| Symbol { name, kind, address, size })
    };
    file.symbols().filter_map(symbol).collect()
}

/// The modules of the runtime that the binary's instructions come from. The line tables know this of inlined functions
/// too, of which no symbol tells; and of those that the linker threw away, whose addresses are not in the program.
fn code(file: &ElfFile64<'_, Endianness>) -> BTreeMap<String, Line> {
    let section = |name: &str| file.section_by_name(name).and_then(|section| section.data().ok()).unwrap_or_default();
    let text = |section: object::read::elf::ElfSection64<'_, '_, Endianness>| {
        (section.kind() == SectionKind::Text).then(|| section.address()..section.address() + section.size())
    };
    let text: Vec<_> = file.sections().filter_map(text).collect();
    let dwarf = Dwarf::load(|id| Ok::<_, gimli::Error>(EndianSlice::new(section(id.name()), LittleEndian)));
    let dwarf = dwarf.expect("nothing to fail");
    let mut found = BTreeMap::new();
    let mut units = dwarf.units();
    while let Some(unit) = units.next().expect("a unit") {
        let unit = dwarf.unit(unit).expect("a unit");
        let Some(program) = unit.line_program.clone() else { continue };
        let header = program.header();
        let string = |value: Option<AttributeValue<EndianSlice<LittleEndian>>>| {
            let string = value.and_then(|value| dwarf.attr_string(&unit, value).ok());
            string.map(|string| string.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let home = PathBuf::from(unit.comp_dir.map(|home| home.to_string_lossy().into_owned()).unwrap_or_default());
        let mut modules = BTreeMap::new();
        let first = if header.version() >= 5 { 0 } else { 1 };
        for (number, file) in (first..).zip(header.file_names()) {
            let path = home.join(string(file.directory(header))).join(string(Some(file.path_name())));
            modules.extend(module_of(&path.to_string_lossy()).map(|module| (number, module)));
        }
        if modules.is_empty() {
            continue;
        }
        let mut rows = program.rows();
        while let Some((_, row)) = rows.next_row().expect("a row") {
            let address = row.address();
            if let Some(module) = modules.get(&row.file_index())
                && !row.end_sequence()
                && text.iter().any(|section| section.contains(&address))
            {
                let number = row.line().map_or(0, |line| line.get());
                found.entry(module.clone()).or_insert(Line { number, address });
            }
        }
    }
    found
}

/// The module of the runtime in the file at `path`.
fn module_of(path: &str) -> Option<String> {
    let (_, rest) = path.rsplit_once("hakmem-runtime/src/")?;
    Some(rest.strip_suffix(".rs")?.replace('/', "::"))
}

/// Those of `names` that some `&'static str` in the program's data is equal to. A program finds them by a relocated
/// pointer and a length beside it; that the same letters occur elsewhere, as `ring` does in `string`, is no matter.
fn names_in_data(file: &ElfFile64<'_, Endianness>, names: &[&'static str]) -> BTreeSet<&'static str> {
    let memory = |address: u64, size: u64| {
        file.sections()
            .filter(|section| section.address() != 0)
            .find_map(|section| section.data_range(address, size).ok().flatten())
    };
    let mut found = BTreeSet::new();
    for (place, relocation) in file.dynamic_relocations().into_iter().flatten() {
        if !matches!(relocation.flags(), RelocationFlags::Elf { r_type: elf::R_X86_64_RELATIVE }) {
            continue;
        }
        let length = memory(place + 8, 8).and_then(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)));
        let text = length.filter(|&length| length < 32).and_then(|length| memory(relocation.addend() as u64, length));
        found.extend(names.iter().filter(|name| text == Some(name.as_bytes())));
    }
    found
}
