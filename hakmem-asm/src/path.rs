//! The hit path: of all paths from a function's entry to a return, the shortest of those with the fewest calls.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Formatter, Instruction, InstructionInfoFactory, IntelFormatter,
    Mnemonic, OpAccess, Register,
};

use crate::binary::{Binary, Function};

/// Counts of a path from a function's entry to its return. The return is not counted, since inlined code has none.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Instructions, branches included; no-ops are not.
    pub instructions: usize,
    /// Conditional branches.
    pub branches: usize,
    /// Reads of memory by instructions.
    pub loads: usize,
    /// Writes of memory by instructions. An instruction that does both, such as `dec [x]`, is a load and a store.
    pub stores: usize,
    /// Calls.
    pub calls: usize,
    /// Locked instructions.
    pub atomics: usize,
    /// Accesses to the stack, which also count as loads and stores.
    pub stack: usize,
}

/// How a path reaches thread-local memory.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Tls {
    /// It does not.
    #[default]
    None,
    /// At a constant offset from the thread pointer: the fastest model, for executables only.
    LocalExec,
    /// At an offset from the thread pointer that is loaded first.
    InitialExec,
    /// By a call of `__tls_get_addr`, in a library that may be loaded at run time.
    GeneralDynamic,
}

impl Tls {
    /// Its usual name.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::LocalExec => "local-exec",
            Self::InitialExec => "initial-exec",
            Self::GeneralDynamic => "general-dynamic",
        }
    }
}

/// How to treat jumps out of the function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Jumps {
    /// Do not follow them.
    Stay,
    /// Follow them.
    Follow,
}

/// An instruction of a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// Its address.
    pub address: u64,
    /// Its text in Intel syntax.
    pub text: String,
    /// Whether it is a branch that the path takes.
    pub taken: bool,
}

/// A hit path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HitPath {
    /// What it contains.
    pub counts: Counts,
    /// The size of its instructions in bytes, without the return.
    pub bytes: usize,
    /// How it reaches thread-local memory.
    pub tls: Tls,
    /// Its instructions in order, with the return.
    pub steps: Vec<Step>,
}

/// The search gives up after this many instructions. Hit paths are found within some tens.
const MAX_VISITED: usize = 20_000;

impl Binary {
    /// The hit path of a function. `None`: every path to a return goes through a jump table, or a jump that `jumps`
    /// forbids.
    pub fn hit_path(&self, function: &Function, jumps: Jumps) -> Option<HitPath> {
        let inside = |address: u64| {
            jumps == Jumps::Follow || (function.address..function.address + function.size).contains(&address)
        };
        // Dijkstra's algorithm: the cheapest path first, by calls and then instructions.
        let mut before: HashMap<u64, Option<u64>> = HashMap::new();
        let mut open = BinaryHeap::from([Reverse((0, 0, 0_usize, function.address, None))]);
        let mut order = 0;
        while let Some(Reverse((calls, instructions, _, address, from))) = open.pop() {
            if before.contains_key(&address) || before.len() > MAX_VISITED {
                continue;
            }
            let Some(instruction) = self.instruction(address) else { continue };
            before.insert(address, from);
            let instructions = instructions + usize::from(counts(&instruction));
            let called = matches!(instruction.flow_control(), FlowControl::Call | FlowControl::IndirectCall);
            let calls = calls + usize::from(called);
            let (next, target) = (Some(instruction.next_ip()), Some(instruction.near_branch_target()));
            // Of two paths of the same cost, the one without a taken branch comes first.
            let successors = match instruction.flow_control() {
                FlowControl::Return => return Some(self.path(&before, address)),
                FlowControl::IndirectBranch | FlowControl::Interrupt | FlowControl::Exception => [None, None],
                FlowControl::UnconditionalBranch => [None, target],
                FlowControl::ConditionalBranch => [next, target],
                _ => [next, None],
            };
            for successor in successors.into_iter().flatten().filter(|&successor| inside(successor)) {
                order += 1;
                open.push(Reverse((calls, instructions, order, successor, Some(address))));
            }
        }
        None
    }

    fn instruction(&self, address: u64) -> Option<Instruction> {
        let instruction = Decoder::with_ip(64, self.code_at(address)?, address, DecoderOptions::NONE).decode();
        (!instruction.is_invalid()).then_some(instruction)
    }

    /// The path that ends at `last`; `before` has the predecessor of each visited instruction.
    fn path(&self, before: &HashMap<u64, Option<u64>>, last: u64) -> HitPath {
        let back = std::iter::successors(Some(last), |address| before.get(address).copied().flatten());
        let mut instructions: Vec<Instruction> = back.filter_map(|address| self.instruction(address)).collect();
        instructions.reverse();
        let mut path = HitPath { counts: Counts::default(), bytes: 0, tls: Tls::None, steps: Vec::new() };
        let mut factory = InstructionInfoFactory::new();
        let mut formatter = Text::new();
        for (number, instruction) in instructions.iter().enumerate() {
            let text = formatter.of(instruction);
            let follower = instructions.get(number + 1).map(Instruction::ip);
            let taken = follower.is_some_and(|follower| follower != instruction.next_ip());
            path.steps.push(Step { address: instruction.ip(), text, taken });
            if instruction.flow_control() != FlowControl::Return {
                path.counts.add(instruction, &mut factory);
                path.bytes += instruction.len();
            }
        }
        path.tls = tls(&instructions);
        path
    }
}

/// Formats instructions in Intel syntax.
#[allow(missing_debug_implementations, reason = "the formatter has none")]
pub(crate) struct Text(IntelFormatter);

impl Text {
    pub(crate) fn new() -> Self {
        let mut formatter = IntelFormatter::new();
        let options = formatter.options_mut();
        options.set_hex_prefix("0x");
        options.set_hex_suffix("");
        options.set_uppercase_hex(false);
        options.set_branch_leading_zeros(false);
        options.set_show_branch_size(false);
        options.set_space_after_operand_separator(true);
        options.set_rip_relative_addresses(true);
        Self(formatter)
    }

    pub(crate) fn of(&mut self, instruction: &Instruction) -> String {
        let mut text = String::new();
        self.0.format(instruction, &mut text);
        // Write an offset below the thread pointer as a negative number.
        let alone = [instruction.memory_base(), instruction.memory_index()] == [Register::None; 2];
        let offset = instruction.memory_displacement64().cast_signed();
        if alone && offset < 0 && instruction.segment_prefix() == Register::FS {
            text = text.replace(&format!("{offset:#x}"), &format!("-{:#x}", offset.unsigned_abs()));
        }
        text
    }
}

/// Whether an instruction is counted: all but no-ops and returns.
fn counts(instruction: &Instruction) -> bool {
    instruction.mnemonic() != Mnemonic::Nop && instruction.flow_control() != FlowControl::Return
}

impl Counts {
    fn add(&mut self, instruction: &Instruction, factory: &mut InstructionInfoFactory) {
        if !counts(instruction) {
            return;
        }
        self.instructions += 1;
        match instruction.flow_control() {
            FlowControl::ConditionalBranch => self.branches += 1,
            FlowControl::Call | FlowControl::IndirectCall => self.calls += 1,
            _ => {}
        }
        for memory in factory.info(instruction).used_memory() {
            self.stack += usize::from(memory.base() == Register::RSP);
            match memory.access() {
                OpAccess::Read | OpAccess::CondRead => self.loads += 1,
                OpAccess::Write | OpAccess::CondWrite => self.stores += 1,
                OpAccess::ReadWrite | OpAccess::ReadCondWrite => {
                    self.loads += 1;
                    self.stores += 1;
                    let exchange = instruction.mnemonic() == Mnemonic::Xchg;
                    self.atomics += usize::from(exchange || instruction.has_lock_prefix());
                }
                _ => {}
            }
        }
    }
}

/// How a path reaches thread-local memory. If its accesses differ, the most expensive one counts.
fn tls(path: &[Instruction]) -> Tls {
    let mut model = Tls::None;
    let mut worst = |found: Tls| {
        if found as u8 > model as u8 {
            model = found;
        }
    };
    // Registers loaded from a constant address: offsets from the linker's table.
    let mut offsets: Vec<Register> = Vec::new();
    for (number, instruction) in path.iter().enumerate() {
        let before = number.checked_sub(1).map(|number| &path[number]);
        let argument = |before: &Instruction| {
            before.code() == Code::Lea_r64_m
                && before.op0_register() == Register::RDI
                && before.is_ip_rel_memory_operand()
        };
        // The sequence that linkers recognise: `data16 lea rdi, [rip + …]`, then a padded call.
        let padded = instruction.len() > 5;
        if instruction.flow_control() == FlowControl::Call && padded && before.is_some_and(argument) {
            worst(Tls::GeneralDynamic);
        }
        if instruction.segment_prefix() == Register::FS {
            let from_table = [instruction.memory_base(), instruction.memory_index()];
            let loaded = from_table.iter().any(|register| offsets.contains(register));
            worst(if loaded { Tls::InitialExec } else { Tls::LocalExec });
        }
        if instruction.mnemonic() == Mnemonic::Mov && instruction.op0_register() != Register::None {
            offsets.retain(|register| *register != instruction.op0_register());
            if instruction.is_ip_rel_memory_operand() {
                offsets.push(instruction.op0_register());
            }
        }
    }
    model
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The path of a function that is all of `code`.
    fn path(code: &[u8]) -> HitPath {
        let binary = Binary::of_code(0x1000, code, code.len() as u64);
        binary.hit_path(&binary.functions()[0], Jumps::Stay).expect("there is a return")
    }

    #[test]
    fn models_of_thread_local_memory_are_recognised() {
        // mov rax, fs:[-8]; ret
        let local = path(&[0x64, 0x48, 0x8B, 0x04, 0x25, 0xF8, 0xFF, 0xFF, 0xFF, 0xC3]);
        assert_eq!((local.tls, local.counts.loads, local.bytes), (Tls::LocalExec, 1, 9));
        // mov rax, [rip + 256]; mov rcx, fs:[rax]; ret
        let initial = path(&[0x48, 0x8B, 0x05, 0, 1, 0, 0, 0x64, 0x48, 0x8B, 0x08, 0xC3]);
        assert_eq!((initial.tls, initial.counts.loads), (Tls::InitialExec, 2));
        // data16 lea rdi, [rip]; data16 data16 rex.W call 0x1010; ret
        let code = [0x66, 0x48, 0x8D, 0x3D, 0, 0, 0, 0, 0x66, 0x66, 0x48, 0xE8, 0, 0, 0, 0, 0xC3];
        let general = path(&code);
        assert_eq!((general.tls, general.counts.calls), (Tls::GeneralDynamic, 1));
        // xor eax, eax; ret
        assert_eq!(path(&[0x31, 0xC0, 0xC3]).tls, Tls::None);
    }

    #[test]
    fn the_path_without_a_call_is_the_hit() {
        // test rdi, rdi; je over the first return; inc, inc, ret; call, ret
        let code = [0x48, 0x85, 0xFF, 0x74, 0x07, 0x48, 0xFF, 0xC0, 0x48, 0xFF, 0xC0, 0xC3, 0xE8, 0, 0, 0, 0, 0xC3];
        let hit = path(&code);
        assert_eq!((hit.counts.instructions, hit.counts.branches, hit.counts.calls), (4, 1, 0));
        let taken: Vec<bool> = hit.steps.iter().map(|step| step.taken).collect();
        assert_eq!(taken, [false; 5]);
    }

    #[test]
    fn locked_instructions_are_atomic() {
        // lock inc qword ptr [rax]; xchg [rax], rcx; ret
        let counts = path(&[0xF0, 0x48, 0xFF, 0x00, 0x48, 0x87, 0x08, 0xC3]).counts;
        assert_eq!((counts.atomics, counts.loads, counts.stores), (2, 2, 2));
    }

    #[test]
    fn a_jump_elsewhere_is_followed_if_asked() {
        // jmp 0x1003; int3; inc rax; ret: a function of two bytes, and another.
        let binary = Binary::of_code(0x1000, &[0xEB, 0x01, 0xCC, 0x48, 0xFF, 0xC0, 0xC3], 2);
        let function = &binary.functions()[0];
        assert_eq!(binary.hit_path(function, Jumps::Stay), None);
        let followed = binary.hit_path(function, Jumps::Follow).unwrap();
        assert_eq!(followed.counts.instructions, 2);
        assert!(followed.steps[0].taken);
    }
}
