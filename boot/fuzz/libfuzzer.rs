//! The same checks for libFuzzer, which is led by what the input reaches.

use super::{check_config, check_control, machine, order, text, Chance};

/// One input in so many is made anew.
const ANEW: u32 = 32;

extern "C" {
    fn LLVMFuzzerMutate(data: *mut u8, size: usize, max_size: usize) -> usize;
}

/// The first byte says what the others are read as.
#[no_mangle]
pub extern "C" fn LLVMFuzzerTestOneInput(data: *const u8, size: usize) -> i32 {
    if size > 0 {
        let bytes = unsafe { std::slice::from_raw_parts(data, size) };
        match bytes[0] % 2 {
            0 => check_config(&bytes[1..]),
            _ => check_control(&bytes[1..], &mut Chance(size as u64)),
        }
    }
    0
}

#[no_mangle]
pub extern "C" fn LLVMFuzzerCustomMutator(data: *mut u8, size: usize, max_size: usize, seed: u32) -> usize {
    if seed % ANEW != 0 {
        return unsafe { LLVMFuzzerMutate(data, size, max_size) };
    }
    let mut chance = Chance(u64::from(seed) | 1);
    let mut bytes = vec![chance.below(2) as u8];
    match bytes[0] {
        0 => {
            let machine = machine(&mut chance);
            bytes.extend(text(&machine, &mut chance).into_bytes());
        }
        _ => bytes.extend((0..4).flat_map(|_| order(&mut chance))),
    }
    bytes.truncate(max_size);
    unsafe { std::slice::from_raw_parts_mut(data, bytes.len()) }.copy_from_slice(&bytes);
    bytes.len()
}
