//! Identifies a cluster by the keys that sign its service account tokens. A cluster restored from a backup has the same uids as
//! the original, so uids cannot identify a clone; its signing keys differ.
use curfew_core::digest::Digest;
use kube::Client;
use serde_json::{Value, json};

/// Returns the thumbprints of the cluster's signing keys, sorted.
///
/// # Errors
/// If the API server does not return its JSON Web Key Set.
pub async fn keys(client: &Client) -> kube::Result<Vec<String>> {
    let request = http::Request::get("/openid/v1/jwks").body(Vec::new()).map_err(kube::Error::HttpError)?;
    let text = client.request_text(request).await?;
    let set: Value = serde_json::from_str(&text).map_err(kube::Error::SerdeError)?;
    let mut all: Vec<String> = set["keys"].as_array().into_iter().flatten().map(thumbprint).collect();
    all.sort();
    all.dedup();
    Ok(all)
}

/// Returns the digest of the members that identify a key (those that RFC 7638 names).
fn thumbprint(key: &Value) -> String {
    let part = |name: &str| key[name].clone();
    Digest::of(&json!({"crv": part("crv"), "e": part("e"), "kty": part("kty"), "n": part("n"), "x": part("x"), "y": part("y")})).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_depends_on_the_key_material_and_not_on_the_key_id() {
        let key = |kid: &str, n: &str| json!({"kty": "RSA", "kid": kid, "alg": "RS256", "n": n, "e": "AQAB"});
        assert_eq!(thumbprint(&key("a", "1")), thumbprint(&key("b", "1")));
        assert_ne!(thumbprint(&key("a", "1")), thumbprint(&key("a", "2")));
        assert_eq!(thumbprint(&key("a", "1")).len(), 64);
    }
}
