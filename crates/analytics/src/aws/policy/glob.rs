//! Patterns of actions and resources: `*` stands for any text, `?` for any character (IAM User Guide, "IAM JSON policy elements: Resource").

/// Whether every text that matches `specific` matches `general`, too. For a `specific` without wildcards: whether it matches.
///
/// A `*` of the specific pattern can only be inside of a `*` of the general one, as if it were a character of its own. Resources are compared
/// exactly; for actions, pass both in lower case.
pub fn covers(general: &str, specific: &str) -> bool {
    if general == "*" || general == specific {
        return true;
    }
    let (general, specific) = (general.as_bytes(), specific.as_bytes());
    let (mut g, mut s) = (0, 0);
    // Where to go on if the text after the last `*` does not fit: the place after it, and the next start in the specific text.
    let mut back: Option<(usize, usize)> = None;
    while s < specific.len() {
        let fits = match general.get(g) {
            Some(b'*') => {
                g += 1;
                back = Some((g, s));
                continue;
            }
            Some(b'?') => specific[s] != b'*',
            Some(byte) => *byte == specific[s],
            None => false,
        };
        if fits {
            s += if general[g] == b'?' { width(specific[s]) } else { 1 };
            g += 1;
        } else if let Some((after, start)) = back {
            let next = start + width(specific[start]);
            back = Some((after, next));
            (g, s) = (after, next);
        } else {
            return false;
        }
    }
    general[g..].iter().all(|byte| *byte == b'*')
}

/// The bytes of a character in UTF-8, from its first one.
fn width(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}

/// Whether some text fits both patterns.
pub fn overlaps(a: &str, b: &str) -> bool {
    let literal = |text: &str| text.find(['*', '?']).unwrap_or(text.len());
    let (first, second) = (&a[..literal(a)], &b[..literal(b)]);
    if !first.starts_with(second) && !second.starts_with(first) {
        return false;
    }
    // What begins as the other does, and then takes anything.
    if (a.len() == first.len() + 1 && a.ends_with('*') && second.starts_with(first)) || (!is_pattern(b) && !is_pattern(a)) {
        return is_pattern(a) || a == b;
    }
    curfew_core::target::aws::wildcard::overlaps(a, b)
}

/// Whether a text has a wildcard.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn equal_to_the_simple_definition_on_random_texts() {
        let mut seed = 7_u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let mut text = |alphabet: &[char]| -> String { (0..random(7)).map(|_| alphabet[random(alphabet.len() as u64) as usize]).collect() };
        let mut matched = 0;
        for _ in 0..200_000 {
            let (general, specific) = (text(&['a', 'b', '*', '?', 'ü']), text(&['a', 'b', '*', '?', 'ü']));
            let expected = curfew_core::target::aws::wildcard::covers(&general, &specific);
            assert_eq!(covers(&general, &specific), expected, "{general:?} {specific:?}");
            matched += u32::from(expected);
        }
        assert!(matched > 10_000);
    }
}
