//! What an error of an API server means for us, in words that say what to do about it.
use crate::{providers::port::ProviderError, runtime::http::causes};
use rustls::CertificateError;
use std::{error::Error, io, time::Duration};

/// How long an overloaded API server asks to be left alone.
fn retry_after(e: &kube::Error) -> Option<Duration> {
    let kube::Error::Api(s) = e else { return None };
    let seconds = s.details.as_ref()?.retry_after_seconds;
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

/// What an error of the API server means for us.
pub(crate) fn provider_error(e: kube::Error) -> ProviderError {
    match e {
        kube::Error::Api(s) if s.code == 404 => ProviderError::Gone,
        kube::Error::Api(s) if matches!(s.code, 401 | 403) => ProviderError::Denied(s.message.clone()),
        kube::Error::Api(s) if matches!(s.code, 400 | 422) => ProviderError::Invalid(s.message.clone()),
        other => ProviderError::Transient { retry_after: retry_after(&other), message: explained(&other) },
    }
}

/// The error with what caused it, and what it says about the connection. It contains no credential.
fn explained(e: &kube::Error) -> String {
    let advice = match certificate_error(e) {
        Some(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "; certificate-authority-data must hold the certificate of the CA that has signed the server's certificate, and not the \
             server's own"
        }
        Some(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
            "; the server's certificate is not valid for the host in clusters.cluster.server"
        }
        Some(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => "; the server's certificate has expired",
        Some(_) | None => "",
    };
    format!("{}{advice}", causes(e))
}

/// What rustls says of the server's certificate. Each layer wraps the error of the layer below.
fn certificate_error<'a>(e: &'a (dyn Error + 'static)) -> Option<&'a CertificateError> {
    let mut next: Option<&'a (dyn Error + 'static)> = Some(e);
    while let Some(e) = next {
        if let Some(rustls::Error::InvalidCertificate(why)) = e.downcast_ref::<rustls::Error>() {
            return Some(why);
        }
        // An I/O error names as its source not what it wraps, but the source of that.
        let wrapped = e.downcast_ref::<io::Error>().and_then(io::Error::get_ref).map(|inner| -> &(dyn Error + 'static) { inner });
        next = wrapped.or_else(|| e.source());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::kubeconfig;
    use super::*;
    use base64::{Engine, engine::general_purpose::STANDARD};
    use kube::Client;
    use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    };
    use std::sync::Arc;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    struct Authority(Certificate, Issuer<'static, KeyPair>);

    fn authority() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(params.self_signed(&key).unwrap(), Issuer::new(params, key))
    }

    /// A server that completes the handshake and then closes. Returns its port and its certificate.
    async fn serve(authority: &Authority, host: &str) -> (u16, String) {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![host.into()]).unwrap().signed_by(&key, &authority.1).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())))
            .unwrap();
        let (listener, acceptor) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), TlsAcceptor::from(Arc::new(config)));
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(acceptor.accept(stream).await);
            }
        });
        (port, leaf.pem())
    }

    async fn error(port: u16, ca: &str) -> String {
        drop(rustls::crypto::ring::default_provider().install_default());
        let text = format!(
            "current-context: c\nclusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:{port}', certificate-authority-data: {}}}}}]\n\
             users: [{{name: u, user: {{token: secret-token}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n",
            STANDARD.encode(ca)
        );
        let client = Client::try_from(kubeconfig::read(&text).unwrap().config).unwrap();
        let request = http::Request::get("/version").body(Vec::new()).unwrap();
        let said = provider_error(client.request_text(request).await.err().unwrap()).to_string();
        assert!(!said.contains("secret-token"), "{said}");
        said
    }

    #[tokio::test]
    async fn a_connection_that_fails_says_why() {
        let (signs, other) = (authority(), authority());
        let (port, leaf) = serve(&signs, "127.0.0.1").await;
        for ca in [other.0.pem(), leaf] {
            let said = error(port, &ca).await;
            assert!(
                said.contains("invalid peer certificate") && said.contains("must hold the certificate of the CA that has signed"),
                "{said}"
            );
        }
        let (elsewhere, _) = serve(&signs, "example.com").await;
        let said = error(elsewhere, &signs.0.pem()).await;
        assert!(said.contains("is not valid for the host in clusters.cluster.server"), "{said}");
        let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let said = error(dead, &signs.0.pem()).await;
        assert!(said.contains("refused"), "{said}");
        // The right CA: the connection is made, and what fails is what comes after it.
        let said = error(port, &signs.0.pem()).await;
        assert!(!said.contains("certificate"), "{said}");
    }
}
