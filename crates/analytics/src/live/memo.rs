//! Scores that are kept from one analysis to the next: an identity is scored again only if its holdings changed, or the catalogue did.
use crate::{
    assemble::MAX_BECAUSE,
    catalogue::Catalogue,
    kubernetes::inventory::Key,
    score::{Holdings, Score, score},
};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// The SHA-256 of some holdings.
type Print = [u8; 32];

/// The scores of one system.
#[derive(Default)]
pub struct Memo {
    catalogue: Option<Catalogue>,
    /// By identity: what it held, its score, and the round in which it was asked for last.
    scores: HashMap<Key, (Print, Score, u64)>,
    round: u64,
    scored: u64,
}

impl Memo {
    /// Begins an analysis. Scores of another catalogue are forgotten.
    pub fn begin(&mut self, catalogue: &Catalogue) {
        if self.catalogue.as_ref() != Some(catalogue) {
            self.scores.clear();
            self.catalogue = Some(catalogue.clone());
        }
        self.round += 1;
        self.scored = 0;
    }

    /// The score of these holdings. Of its parts the largest are kept, which is what a report shows.
    pub fn score(&mut self, catalogue: &Catalogue, key: &Key, holdings: &Holdings) -> Score {
        let print = print(holdings);
        if let Some((known, score, round)) = self.scores.get_mut(key)
            && *known == print
        {
            *round = self.round;
            return score.clone();
        }
        self.scored += 1;
        let mut score = score(catalogue, holdings);
        score.parts.sort_by(|a, b| a.by_size(b));
        score.parts.truncate(MAX_BECAUSE);
        score.parts.shrink_to_fit();
        self.scores.insert(key.clone(), (print, score.clone(), self.round));
        score
    }

    /// Ends an analysis: identities that it did not have are forgotten. Returns how many were scored.
    pub fn end(&mut self) -> u64 {
        let round = self.round;
        self.scores.retain(|_, (.., last)| *last == round);
        self.scored
    }
}

fn print(holdings: &Holdings) -> Print {
    let mut hash = Sha256::new();
    let mut number = |n: u64| hash.update(n.to_le_bytes());
    for (permission, holding) in holdings {
        number(*permission as u64);
        for places in [&holding.granted, &holding.used] {
            // Places have 32 bits, so this ends a list.
            places.iter().for_each(|place| number(u64::from(place)));
            number(u64::MAX);
        }
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalogue::{Level, Permission},
        places::Places,
        score::Holding,
    };

    fn catalogue(weights: &[f64]) -> Catalogue {
        let permission = |(i, weight): (usize, &f64)| Permission {
            name: format!("p{i:02}"),
            weight: *weight,
            resource_type: 0,
            resources: 3,
            level: Level::Write,
            assumed: false,
        };
        Catalogue::new("test".into(), weights.iter().enumerate().map(permission).collect(), Vec::new())
    }

    fn held(granted: &[u32], used: &[u32]) -> Holdings {
        let places = |all: &[u32]| all.iter().copied().collect::<Places>();
        (0..12).map(|permission| (permission, Holding { granted: places(granted), used: places(used) })).collect()
    }

    #[test]
    fn only_what_changed_is_scored_again_and_the_scores_are_the_same() {
        let (mut memo, first) = (Memo::default(), catalogue(&[2.0; 12]));
        let keys: Vec<Key> = (0..5).map(|i| Key::user(format!("u{i}"))).collect();
        let mut analysis = |catalogue: &Catalogue, held: &dyn Fn(usize) -> Holdings| {
            memo.begin(catalogue);
            for (i, key) in keys.iter().enumerate() {
                let (ours, reference) = (memo.score(catalogue, key, &held(i)), score(catalogue, &held(i)));
                assert_eq!(
                    (ours.x, ours.mass, ours.granted, ours.escalation),
                    (reference.x, reference.mass, reference.granted, reference.escalation)
                );
                let mut parts = reference.parts;
                parts.sort_by(|a, b| a.by_size(b));
                assert_eq!(ours.parts, parts[..parts.len().min(MAX_BECAUSE)]);
            }
            memo.end()
        };
        assert_eq!(analysis(&first, &|_| held(&[0, 1], &[0])), 5);
        assert_eq!(analysis(&first, &|_| held(&[0, 1], &[0])), 0);
        assert_eq!(analysis(&first, &|i| if i == 2 { held(&[0, 1], &[1]) } else { held(&[0, 1], &[0]) }), 1);
        // What was granted there is used here: the lists are told apart.
        assert_eq!(analysis(&first, &|i| if i == 2 { held(&[0], &[1]) } else { held(&[0, 1], &[0]) }), 1);
        assert_eq!(analysis(&catalogue(&[3.0; 12]), &|_| held(&[0, 1], &[0])), 5, "another catalogue");
    }

    #[test]
    fn an_identity_that_is_gone_is_forgotten() {
        let (mut memo, catalogue) = (Memo::default(), catalogue(&[2.0; 12]));
        for names in [&["a", "b"][..], &["a"]] {
            memo.begin(&catalogue);
            names.iter().for_each(|name| drop(memo.score(&catalogue, &Key::user(*name), &held(&[0], &[]))));
            memo.end();
        }
        assert_eq!(memo.scores.len(), 1);
    }
}
