//! Compares the code of two programs: the one that hit paths are read from, and the one that ships.

use std::collections::HashMap;

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction};

use crate::binary::{Binary, Function};
use crate::path::Text;

/// How much of a program's code another program also has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The number of its functions.
    pub functions: usize,
    /// The names of those that are missing in the other program, or have other instructions there.
    pub different: Vec<String>,
}

impl Binary {
    /// Looks for each function in another program, by name and instructions. Addresses are ignored, since the layout
    /// may differ; the names of called functions and offsets in thread-local memory are compared.
    pub fn compare(&self, other: &Binary) -> Comparison {
        let mut theirs: HashMap<&str, Vec<Vec<String>>> = HashMap::new();
        for function in other.functions() {
            theirs.entry(&function.name).or_default().push(other.code(function));
        }
        let is_there = |function: &&Function| {
            let code = self.code(function);
            theirs.get(&*function.name).is_some_and(|all| all.contains(&code))
        };
        let missing = self.functions().iter().filter(|function| !is_there(function));
        Comparison { functions: self.functions().len(), different: missing.map(|one| one.name.clone()).collect() }
    }

    /// The instructions of a function as text, without addresses.
    fn code(&self, function: &Function) -> Vec<String> {
        let code = self.code_at(function.address).unwrap_or_default();
        let code = &code[..code.len().min(usize::try_from(function.size).unwrap_or(usize::MAX))];
        let mut text = Text::new();
        let decoder = Decoder::with_ip(64, code, function.address, DecoderOptions::NONE);
        decoder.into_iter().map(|instruction| self.without_addresses(function, &instruction, &mut text)).collect()
    }

    fn without_addresses(&self, function: &Function, instruction: &Instruction, text: &mut Text) -> String {
        let direct = matches!(
            instruction.flow_control(),
            FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch | FlowControl::Call
        );
        let mnemonic = instruction.mnemonic();
        if direct {
            let target = instruction.near_branch_target();
            return match self.function_at(target) {
                Some(there) if there.address == function.address => format!("{mnemonic:?} {}", target - there.address),
                there => format!("{mnemonic:?} {}", there.map_or("unknown", |there| &there.name)),
            };
        }
        if instruction.is_ip_rel_memory_operand() {
            return format!("{mnemonic:?} {:?} {:?}", instruction.op0_register(), instruction.op1_register());
        }
        text.of(instruction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_the_same_at_another_address() {
        // inc rax; je over a return; ret
        let code = [0x48, 0xFF, 0xC0, 0x74, 0x01, 0xC3, 0xC3];
        let one = Binary::of_code(0x1000, &code, 7);
        let moved = Binary::of_code(0x2340, &code, 7);
        assert_eq!(one.compare(&moved), Comparison { functions: 1, different: vec![] });
        // inc rcx
        let other = Binary::of_code(0x1000, &[0x48, 0xFF, 0xC1, 0x74, 0x01, 0xC3, 0xC3], 7);
        assert_eq!(one.compare(&other).different, ["f"]);
        // mov rax, fs:[-8]; ret: another offset in thread-local memory is another instruction.
        let tls = |offset: u8| Binary::of_code(0x1000, &[0x64, 0x48, 0x8B, 4, 0x25, offset, 255, 255, 255, 0xC3], 10);
        assert_eq!(tls(0xF8).compare(&tls(0xF8)).different.len(), 0);
        assert_eq!(tls(0xF8).compare(&tls(0xF0)).different, ["f"]);
    }
}
