//! The same check for libFuzzer, which is led by what the input reaches.

use super::{check_reader, compose, Chance};

/// One input in so many is made anew, from whole entries.
const ANEW: u32 = 32;

extern "C" {
    fn LLVMFuzzerMutate(data: *mut u8, size: usize, max_size: usize) -> usize;
}

/// Most inputs fail at the first checksum; these do not, unless they ask for it by their first byte.
fn with_sums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.is_empty() || bytes.remove(0) == 0 {
        return bytes;
    }
    for block in bytes.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
            block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        }
    }
    bytes
}

#[no_mangle]
pub extern "C" fn LLVMFuzzerTestOneInput(data: *const u8, size: usize) -> i32 {
    if size > 0 {
        check_reader(&with_sums(unsafe { std::slice::from_raw_parts(data, size) }));
    }
    0
}

#[no_mangle]
pub extern "C" fn LLVMFuzzerCustomMutator(data: *mut u8, size: usize, max_size: usize, seed: u32) -> usize {
    if seed % ANEW != 0 {
        return unsafe { LLVMFuzzerMutate(data, size, max_size) };
    }
    let mut bytes = vec![seed as u8 | 1];
    bytes.extend(compose(&mut Chance(u64::from(seed) | 1)));
    bytes.truncate(max_size);
    unsafe { std::slice::from_raw_parts_mut(data, bytes.len()) }.copy_from_slice(&bytes);
    bytes.len()
}
