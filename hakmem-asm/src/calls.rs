//! Which functions a function calls.

use iced_x86::{Decoder, DecoderOptions, FlowControl};

use crate::binary::{Binary, Function};

impl Binary {
    /// The functions that a function calls or jumps to, where the instruction has the address.
    pub fn called_by(&self, function: &Function) -> Vec<&Function> {
        let code = self.code_at(function.address).unwrap_or_default();
        let code = code.get(..usize::try_from(function.size).unwrap_or(usize::MAX)).unwrap_or(code);
        let instructions = Decoder::with_ip(64, code, function.address, DecoderOptions::NONE).into_iter();
        let targets = instructions.filter_map(|instruction| match instruction.flow_control() {
            FlowControl::Call | FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => {
                Some(instruction.near_branch_target())
            }
            _ => None,
        });
        targets.filter_map(|target| self.function_at(target)).filter(|called| *called != function).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_within_the_function_is_no_call() {
        // jmp $+2; call f; ret
        let binary = Binary::of_code(0x1000, &[0xEB, 0x00, 0xE8, 0xF9, 0xFF, 0xFF, 0xFF, 0xC3], 8);
        assert_eq!(binary.called_by(&binary.functions()[0]), Vec::<&Function>::new());
    }

    #[test]
    fn a_call_is_found() {
        // f: call g; ret. g: ret
        let code = [0xE8, 0x01, 0x00, 0x00, 0x00, 0xC3, 0xC3];
        let mut binary = Binary::of_code(0x1000, &code, 6);
        let g = Function { name: "g".into(), address: 0x1006, size: 1 };
        binary.add(g.clone());
        assert_eq!(binary.called_by(&binary.functions()[0]), [&g]);
    }
}
