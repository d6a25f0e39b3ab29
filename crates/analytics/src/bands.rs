//! The three bands of a score.
use serde::Serialize;
use std::fmt;

/// Low 0 to 33, medium 34 to 67, high 68 to 100 (Microsoft Entra Permissions Management, "View key statistics and data about your
/// authorization system": the dashboard's bands; the Graph API's page has 67 in both).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Band {
    /// Unused power below 1 % of an idle administrator's.
    Low,
    /// From 1 to 10 %.
    Medium,
    /// Above 10 %.
    High,
}

/// The lowest score of the band Medium.
pub const MEDIUM: u8 = 34;
/// The lowest score of the band High.
pub const HIGH: u8 = 68;

impl Band {
    /// The band of a score.
    pub fn of(score: u8) -> Self {
        match score {
            ..MEDIUM => Self::Low,
            MEDIUM..HIGH => Self::Medium,
            HIGH.. => Self::High,
        }
    }
    /// All of them, ascending.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];
}

impl fmt::Display for Band {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Band;

    #[test]
    fn the_edges_are_those_of_the_published_dashboard() {
        let bands: Vec<Band> = [0, 33, 34, 67, 68, 100].map(Band::of).to_vec();
        assert_eq!(bands, [Band::Low, Band::Low, Band::Medium, Band::Medium, Band::High, Band::High]);
    }
}
