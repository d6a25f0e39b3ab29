//! A certificate authority for one test: a server certificate, users, and the key that signs service account tokens.
use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use std::{net::Ipv4Addr, path::Path};

pub struct Pki {
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, PEM.
pub struct Pair {
    pub cert: String,
    pub key: String,
}

/// The files of an authority and of the servers under it.
pub const FILES: &[&str] = &["ca.crt", "ca.key", "apiserver.crt", "apiserver.key", "sa.key", "sa.pub"];

/// Everything about the authority but its key.
fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "curfew-test-ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params
}

impl Pki {
    /// Writes a new authority, a server certificate and token keys into `dir`.
    pub fn create(dir: &Path) -> Result<()> {
        let key = KeyPair::generate()?;
        let cert = authority().self_signed(&key)?;
        std::fs::write(dir.join("ca.crt"), cert.pem())?;
        std::fs::write(dir.join("ca.key"), key.serialize_pem())?;
        let server = Pki::open(dir)?.server()?;
        std::fs::write(dir.join("apiserver.crt"), server.cert)?;
        std::fs::write(dir.join("apiserver.key"), server.key)?;
        Pki::write_token_keys(dir)
    }

    /// The authority whose key is in `dir`.
    pub fn open(dir: &Path) -> Result<Self> {
        let key = KeyPair::from_pem(&std::fs::read_to_string(dir.join("ca.key"))?)?;
        Ok(Pki { issuer: Issuer::new(authority(), key) })
    }

    /// The keys that sign service account tokens.
    pub fn write_token_keys(dir: &Path) -> Result<()> {
        let tokens = KeyPair::generate()?;
        std::fs::write(dir.join("sa.key"), tokens.serialize_pem())?;
        std::fs::write(dir.join("sa.pub"), tokens.public_key_pem())?;
        Ok(())
    }

    fn server(&self) -> Result<Pair> {
        let mut params = CertificateParams::new(vec!["localhost".into(), "kubernetes.default.svc".into()])?;
        params.subject_alt_names.push(SanType::IpAddress(Ipv4Addr::LOCALHOST.into()));
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// A client certificate: the common name is the user, each organisation a group.
    pub fn user(&self, name: &str, groups: &[&str]) -> Result<Pair> {
        let mut params = CertificateParams::default();
        let mut dn = DistinguishedName::new();
        dn.push(DnType::CommonName, name);
        // rcgen keeps one value for each type, and no test needs a certificate with two groups.
        anyhow::ensure!(groups.len() <= 1, "at most one group for each certificate user");
        for g in groups {
            dn.push(DnType::OrganizationName, *g);
        }
        params.distinguished_name = dn;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Result<Pair> {
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &self.issuer)?;
        Ok(Pair { cert: cert.pem(), key: key.serialize_pem() })
    }
}
