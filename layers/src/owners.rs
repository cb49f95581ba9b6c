//! Owners as they are inside a machine, told from those on the host: in modes, and in the attributes that name owners too.

/// How many ids a machine has.
const RANGE: u32 = 65_536;
/// Whoever is not known inside.
const NOBODY: u32 = 65_534;

/// The id inside a machine whose root is `base` on the host; 0: both are the same.
pub fn inside(id: u32, base: u32) -> u32 {
    if base == 0 {
        return id;
    }
    match id.checked_sub(base) {
        Some(id) if id < RANGE => id,
        _ => NOBODY,
    }
}

/// The value that an attribute has inside; none when it means nothing there.
pub fn attribute(name: &[u8], value: Vec<u8>, base: u32) -> Option<Vec<u8>> {
    if base == 0 {
        return Some(value);
    }
    match name {
        b"security.capability" => capability(value, base),
        b"system.posix_acl_access" | b"system.posix_acl_default" => Some(access_list(value, base)),
        _ => Some(value),
    }
}

/// The third form of file capabilities holds for one machine, whose root it names; the second is the same without.
fn capability(value: Vec<u8>, base: u32) -> Option<Vec<u8>> {
    let magic = u32::from_le_bytes(value.get(..4)?.try_into().ok()?);
    if magic >> 24 != 3 {
        // Of the host itself: no program inside has got them.
        return None;
    }
    let root = u32::from_le_bytes(value.get(20..24)?.try_into().ok()?);
    if root != base {
        return None;
    }
    let mut inside = (magic & 0xff_ffff | 2 << 24).to_le_bytes().to_vec();
    inside.extend_from_slice(value.get(4..20)?);
    Some(inside)
}

/// A version, then entries of kind, permissions and id.
fn access_list(mut value: Vec<u8>, base: u32) -> Vec<u8> {
    const USER: u16 = 2;
    const GROUP: u16 = 8;
    for entry in value.get_mut(4..).unwrap_or(&mut []).chunks_exact_mut(8) {
        let kind = u16::from_le_bytes([entry[0], entry[1]]);
        if kind == USER || kind == GROUP {
            let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
            entry[4..8].copy_from_slice(&inside(id, base).to_le_bytes());
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_inside() {
        assert_eq!(inside(1000, 0), 1000);
        assert_eq!(inside(100_000, 100_000), 0);
        assert_eq!(inside(165_535, 100_000), 65_535);
        assert_eq!(inside(165_536, 100_000), NOBODY);
        assert_eq!(inside(0, 100_000), NOBODY);
    }

    #[test]
    fn capabilities_lose_the_machine_that_they_were_for() {
        let mut third = vec![1, 0, 0, 3];
        third.extend_from_slice(&[9; 16]);
        third.extend_from_slice(&100_000u32.to_le_bytes());
        let mut second = vec![1, 0, 0, 2];
        second.extend_from_slice(&[9; 16]);
        assert_eq!(attribute(b"security.capability", third.clone(), 100_000), Some(second.clone()));
        assert_eq!(attribute(b"security.capability", third, 200_000), None);
        assert_eq!(attribute(b"security.capability", second.clone(), 100_000), None);
        assert_eq!(attribute(b"security.capability", second.clone(), 0), Some(second));
        assert_eq!(attribute(b"security.capability", vec![1], 100_000), None);
    }

    #[test]
    fn access_lists_name_owners_inside() {
        let mut list = vec![2, 0, 0, 0];
        for (kind, id) in [(1u16, u32::MAX), (2, 100_033), (8, 5)] {
            list.extend_from_slice(&kind.to_le_bytes());
            list.extend_from_slice(&[7, 0]);
            list.extend_from_slice(&id.to_le_bytes());
        }
        let inside = attribute(b"system.posix_acl_access", list, 100_000).unwrap();
        assert_eq!(inside[16..20], 33u32.to_le_bytes());
        assert_eq!(inside[24..28], NOBODY.to_le_bytes());
        assert_eq!(inside[8..12], u32::MAX.to_le_bytes());
    }
}
