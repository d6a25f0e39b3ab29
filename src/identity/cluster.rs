//! Which cluster this is, by the keys that sign its service accounts' tokens. A restored backup has every uid of the
//! original, so uids cannot tell a clone; its keys are its own.
use curfew_core::digest::Digest;
use kube::Client;
use serde_json::{Value, json};

/// The thumbprints of the cluster's keys, sorted.
///
/// # Errors
/// If the API server does not tell them.
pub async fn keys(client: &Client) -> kube::Result<Vec<String>> {
    let ask = http::Request::get("/openid/v1/jwks").body(Vec::new()).map_err(kube::Error::HttpError)?;
    let text = client.request_text(ask).await?;
    let set: Value = serde_json::from_str(&text).map_err(kube::Error::SerdeError)?;
    let mut all: Vec<String> = set["keys"].as_array().into_iter().flatten().map(thumbprint).collect();
    all.sort();
    all.dedup();
    Ok(all)
}

/// Over what identifies a key and nothing else (the members that RFC 7638 names).
fn thumbprint(key: &Value) -> String {
    let part = |name: &str| key[name].clone();
    Digest::of(&json!({"crv": part("crv"), "e": part("e"), "kty": part("kty"), "n": part("n"), "x": part("x"), "y": part("y")})).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_what_it_is_and_not_by_what_it_is_called() {
        let key = |kid: &str, n: &str| json!({"kty": "RSA", "kid": kid, "alg": "RS256", "n": n, "e": "AQAB"});
        assert_eq!(thumbprint(&key("a", "1")), thumbprint(&key("b", "1")));
        assert_ne!(thumbprint(&key("a", "1")), thumbprint(&key("a", "2")));
        assert_eq!(thumbprint(&key("a", "1")).len(), 16);
    }
}
