//! PCI-1 of many identities: a system, a folder, a namespace.
use crate::score::{index, rounded};

/// How much one identity counts: five idle administrators are medium, six are high.
pub const WEIGHT: f64 = 0.02;

/// `1 - Π (1 - 0.02 x)` over the unrounded shares of the identities. More identities without unused power change nothing. Equal sets give
/// equal results in every order.
pub fn share(shares: impl IntoIterator<Item = f64>) -> f64 {
    let mut shares: Vec<f64> = shares.into_iter().filter(|x| *x > 0.0).collect();
    shares.sort_by(f64::total_cmp);
    1.0 - shares.into_iter().map(|x| 1.0 - WEIGHT * x.clamp(0.0, 1.0)).product::<f64>()
}

/// The score of a set of identities, rounded.
pub fn pci(shares: impl IntoIterator<Item = f64>) -> u8 {
    rounded(index(share(shares)))
}
