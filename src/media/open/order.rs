//! Natural order of paths: runs of digits compare as numbers, so `clip2` comes before `clip10`.

use std::cmp::Ordering;
use std::path::Path;

/// Compares two paths naturally; a total order (equal only for equal paths), the same on every machine.
pub fn natural_order(a: &Path, b: &Path) -> Ordering {
    let (bytes_a, bytes_b) = (a.as_os_str().as_encoded_bytes(), b.as_os_str().as_encoded_bytes());
    natural_bytes(bytes_a, bytes_b).then_with(|| bytes_a.cmp(bytes_b))
}

fn natural_bytes(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        let (head_a, head_b) = match (a.first(), b.first()) {
            (Some(&x), Some(&y)) => (x, y),
            (x, y) => return x.is_some().cmp(&y.is_some()),
        };
        if head_a.is_ascii_digit() && head_b.is_ascii_digit() {
            let (number_a, rest_a) = split_number(a);
            let (number_b, rest_b) = split_number(b);
            let order = number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b));
            if order.is_ne() {
                return order;
            }
            (a, b) = (rest_a, rest_b);
        } else if head_a == head_b {
            (a, b) = (&a[1..], &b[1..]);
        } else {
            return head_a.cmp(&head_b);
        }
    }
}

/// The digits at the start, without leading zeros, and what follows.
fn split_number(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|b| !b.is_ascii_digit()).unwrap_or(bytes.len());
    let start = bytes[..end].iter().position(|&b| b != b'0').unwrap_or(end);
    (&bytes[start..end], &bytes[end..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_compare_as_numbers() {
        let mut names = ["f10", "f9", "f1.5", "f01", "f1", "e99", "f100", "f"];
        names.sort_by(|a, b| natural_order(Path::new(a), Path::new(b)));
        assert_eq!(names, ["e99", "f", "f01", "f1", "f1.5", "f9", "f10", "f100"]);
    }

    proptest! {
        /// A total order: antisymmetric and transitive on any names.
        #[test]
        fn the_order_is_total(a in "[a0-9.]{0,8}", b in "[a0-9.]{0,8}", c in "[a0-9.]{0,8}") {
            let order = |x: &str, y: &str| natural_order(Path::new(x), Path::new(y));
            prop_assert_eq!(order(&a, &b), order(&b, &a).reverse());
            prop_assert_eq!(order(&a, &b).is_eq(), a == b);
            if order(&a, &b).is_le() && order(&b, &c).is_le() {
                prop_assert!(order(&a, &c).is_le());
            }
        }
    }
}
