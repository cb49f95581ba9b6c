//! The same checks for libFuzzer, which is led by what the input reaches.

use super::{compose, one, Chance};
use crate::launcher::record::{exit_line, state_line, State, MAGIC};

/// Bytes in front of an input that choose how it is cut and answered.
const SEED: usize = 8;
/// One input in so many is made anew, from whole frames or as a record.
const ANEW: u32 = 32;

extern "C" {
    fn LLVMFuzzerMutate(data: *mut u8, size: usize, max_size: usize) -> usize;
}

fn chance(seed: &[u8]) -> Chance {
    Chance(seed.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)) | 1)
}

fn record() -> String {
    let rest = "id a\ninstallation b\nboot c\nowner 4 5\nlauncher 1 2\nleader 2 3\nmember 6 7\nnote \\n\nheld yes\n\
                cgroup /d\nlisten /e\nfolder /f\nremove /g\nend\n";
    [MAGIC, &exit_line(None), &state_line(State::Started), rest].concat()
}

#[no_mangle]
pub extern "C" fn LLVMFuzzerTestOneInput(data: *const u8, size: usize) -> i32 {
    if size >= SEED {
        let bytes = unsafe { std::slice::from_raw_parts(data, size) };
        let (seed, bytes) = bytes.split_at(SEED);
        one(&mut chance(seed), bytes);
    }
    0
}

#[no_mangle]
pub extern "C" fn LLVMFuzzerCustomMutator(data: *mut u8, size: usize, max_size: usize, seed: u32) -> usize {
    if seed % ANEW != 0 {
        return unsafe { LLVMFuzzerMutate(data, size, max_size) };
    }
    let mut bytes = u64::from(seed).to_be_bytes().to_vec();
    match seed / ANEW % 4 {
        0 => bytes.extend_from_slice(record().as_bytes()),
        _ => bytes.extend_from_slice(&compose(&mut chance(&seed.to_be_bytes()))),
    }
    bytes.truncate(max_size);
    unsafe { std::slice::from_raw_parts_mut(data, bytes.len()) }.copy_from_slice(&bytes);
    bytes.len()
}
