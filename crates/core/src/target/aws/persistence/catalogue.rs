//! Actions by which access outlives a grant.

/// Actions that let their holder create something that outlives the grant.
#[derive(Clone, Copy, Debug)]
pub struct Lasting {
    /// Any of these.
    pub actions: &'static [&'static str],
    /// What they allow, in words that follow "can".
    pub allows: &'static str,
}

const fn lasting(allows: &'static str, actions: &'static [&'static str]) -> Lasting {
    Lasting { actions, allows }
}

/// The list.
pub const LASTING: &[Lasting] =
    &[lasting("create access keys and passwords", &["iam:CreateAccessKey", "iam:CreateLoginProfile", "iam:UpdateLoginProfile"])];
