//! Reach: how much of a resource type a number of resources is.

/// `log2(1 + n) / log2(1 + total)`, between 0 and 1. Concave: one of a thousand is not nothing, and half is nearly all.
pub fn reach(n: u32, total: u32) -> f64 {
    if n == 0 {
        return 0.0;
    }
    if n >= total {
        return 1.0;
    }
    f64::from(n).ln_1p() / f64::from(total).ln_1p()
}

#[cfg(test)]
mod tests {
    use super::reach;

    #[test]
    fn reach_is_exact_at_both_ends_and_concave() {
        for total in [1, 2, 20, 1000] {
            assert_eq!((reach(0, total), reach(total, total)), (0.0, 1.0));
            let steps: Vec<f64> = (1..=total).map(|n| reach(n, total) - reach(n - 1, total)).collect();
            assert!(steps.windows(2).all(|pair| pair[1] <= pair[0] + 1e-12), "{total}: {steps:?}");
        }
        // (log2 2) / (log2 1001)
        assert!((reach(1, 1000) - 1.0 / 1001f64.log2()).abs() < 1e-12);
    }
}
