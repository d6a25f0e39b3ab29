//! Texts and names: characters that show nothing, and lengths.
//!
//! Texts that people write for others, and names, are free of control characters, zero-width characters and the like, and what is older
//! than that rule is escaped when it is printed. Everything that is composed is shortened here before it is stored.

/// The longest message in a status and the longest note of an Event, in bytes.
pub const MAX_MESSAGE: usize = 1024;
/// The longest name or list of names in a message, in bytes: what to do next comes after it.
pub const MAX_NAME_IN_MESSAGE: usize = 256;

/// The text, shortened to so many bytes; what is shortened ends with `...`.
pub fn clip(text: impl Into<String>, max: usize) -> String {
    const MARK: &str = "...";
    let mut text = text.into();
    if text.len() > max {
        let room = max.saturating_sub(MARK.len());
        let cut = (0..=room).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
        text.truncate(cut);
        text.push_str(MARK);
    }
    text
}

/// A name as it stands in a message.
pub fn brief(name: &str) -> String {
    clip(name, MAX_NAME_IN_MESSAGE)
}

/// Whether a text shows nothing: empty, or blanks and invisible characters alone.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(is_blank_char)
}

/// Whether a character is a blank or shows nothing.
pub fn is_blank_char(c: char) -> bool {
    // The Braille blank is a letter to Unicode and shows as a blank.
    c.is_whitespace() || c == '\u{2800}' || is_invisible(c)
}

/// Whether a character shows nothing by itself: controls, format characters, and all others that Unicode calls default-ignorable.
pub fn is_invisible(c: char) -> bool {
    let at = INVISIBLE.partition_point(|(_, last)| *last < c);
    INVISIBLE.get(at).is_some_and(|(first, _)| *first <= c)
}

/// The text with its invisible characters escaped, such as `\u{1b}`, for a terminal: what people write cannot imitate other output.
pub fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if is_invisible(c) {
            out.extend(c.escape_default())
        } else {
            out.push(c)
        }
        out
    })
}

/// Ranges of invisible characters, in order: the general categories Cc, Zl and Zp, and the property Default_Ignorable_Code_Point
/// (DerivedCoreProperties.txt of Unicode 17), with the interlinear annotations.
pub const INVISIBLE: &[(char, char)] = &[
    ('\u{0}', '\u{1f}'),
    ('\u{7f}', '\u{9f}'),
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_shortened_to_bytes_and_at_a_character() {
        assert_eq!((clip("abcde", 5).as_str(), clip("abcdef", 5).as_str()), ("abcde", "ab..."));
        for length in 0..40 {
            let text: String = "aüß東🦀".chars().cycle().take(length).collect();
            let cut = clip(text.as_str(), 20);
            assert!(cut.len() <= 20 && (cut == text || cut.ends_with("...") && text.starts_with(cut.trim_end_matches('.'))), "{cut}");
        }
    }

    #[test]
    fn blank_is_what_shows_nothing() {
        assert!(
            ["", " ", "\t\n", "\u{a0}\u{3000}", "\u{200b}", "\u{feff} \u{2060}", "\u{2800}", "\0", "\u{3164}"].iter().all(|t| is_blank(t))
        );
        assert!(!["a", " a ", "0", "-", "\u{200b}x"].iter().any(|t| is_blank(t)));
        assert!(INVISIBLE.windows(2).all(|w| w[0].0 <= w[0].1 && w[0].1 < w[1].0), "the ranges are in order");
    }

    #[test]
    fn invisible_characters_are_escaped_and_all_others_printed() {
        assert_eq!(printable("a\u{1b}[2J\n\0\u{200b}\u{202e}b"), "a\\u{1b}[2J\\n\\u{0}\\u{200b}\\u{202e}b");
        let plain = "Zürich 東京 'quoted' \"text\" a\\b – 50 %";
        assert_eq!(printable(plain), plain);
    }
}
