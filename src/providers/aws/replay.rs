//! Recorded answers of AWS, served on loopback, so that the SDK reads them as it reads those of AWS. For unit tests.
use super::{Aws, client::Clients};
use crate::{api::system::AwsConnection, authority::Clock};
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use parking_lot::Mutex;
use std::{collections::VecDeque, sync::Arc};

/// One answer, to the next call of this action.
pub struct Recorded {
    pub action: &'static str,
    pub status: u16,
    pub headers: Vec<(&'static str, &'static str)>,
    pub body: String,
}

/// An answer with status 200.
pub fn ok(action: &'static str, body: impl Into<String>) -> Recorded {
    Recorded { action, status: 200, headers: Vec::new(), body: body.into() }
}

/// An error of IAM and STS.
pub fn xml_error(action: &'static str, status: u16, code: &str, message: &str) -> Recorded {
    let body = format!(
        "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error><RequestId>4f4a7c8e-example</RequestId></ErrorResponse>"
    );
    Recorded { action, status, headers: Vec::new(), body }
}

/// An error of Identity Center.
pub fn json_error(action: &'static str, status: u16, code: &str, message: &str) -> Recorded {
    let body = serde_json::json!({"__type": code, "Message": message}).to_string();
    Recorded { action, status, headers: Vec::new(), body }
}

/// A successful answer of IAM, with this content in its result.
pub fn iam(action: &'static str, result: &str) -> Recorded {
    ok(
        action,
        format!(
            "<{action}Response xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><{action}Result>{result}</{action}Result>\
             <ResponseMetadata><RequestId>7a62c49f-example</RequestId></ResponseMetadata></{action}Response>"
        ),
    )
}

#[derive(Clone, Default)]
struct Shared {
    answers: Arc<Mutex<VecDeque<Recorded>>>,
    sent: Arc<Mutex<Vec<(String, String)>>>,
}

/// A server that gives the recorded answers, each once. What is not a call of AWS is told by its path.
pub struct Replay {
    pub endpoint: String,
    shared: Shared,
}

async fn answer(State(shared): State<Shared>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let body = String::from_utf8_lossy(&body).into_owned();
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    let action = match target {
        Some(target) => target.rsplit('.').next().unwrap_or_default().to_owned(),
        None => body.split('&').find_map(|pair| pair.strip_prefix("Action=")).unwrap_or(uri.path()).to_owned(),
    };
    shared.sent.lock().push((action.clone(), body));
    let found = {
        let mut answers = shared.answers.lock();
        answers.iter().position(|recorded| recorded.action == action).and_then(|i| answers.remove(i))
    };
    let Some(found) = found else {
        return (StatusCode::NOT_IMPLEMENTED, format!("no answer is recorded for {action}")).into_response();
    };
    let mut response = (StatusCode::from_u16(found.status).unwrap(), found.body).into_response();
    for (name, value) in found.headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

impl Replay {
    pub async fn of(answers: impl IntoIterator<Item = Recorded>) -> Self {
        let shared = Shared { answers: Arc::new(Mutex::new(answers.into_iter().collect())), sent: Arc::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Replay { endpoint, shared }
    }

    /// More answers, after the others.
    pub fn then(&self, answers: impl IntoIterator<Item = Recorded>) {
        self.shared.answers.lock().extend(answers);
    }

    /// The actions that were called, in order.
    pub fn calls(&self) -> Vec<String> {
        self.shared.sent.lock().iter().map(|(action, _)| action.clone()).collect()
    }

    /// The bodies of the calls of this action, in order.
    pub fn all_sent(&self, action: &str) -> Vec<String> {
        let sent = self.shared.sent.lock();
        let of_action = sent.iter().filter(|(called, _)| called == action);
        of_action
            .map(|(_, body)| percent_encoding::percent_decode_str(&body.replace('+', " ")).decode_utf8().unwrap().into_owned())
            .collect()
    }

    /// The body of the only call of this action.
    pub fn sent(&self, action: &str) -> String {
        let [body] = <[String; 1]>::try_from(self.all_sent(action)).unwrap();
        body
    }

    /// The provider of this account, answered from here.
    pub fn aws(&self, connection: AwsConnection) -> Aws {
        Self::at(&self.endpoint, connection)
    }

    /// The provider of this account, answered from this address.
    pub fn at(endpoint: &str, connection: AwsConnection) -> Aws {
        let keys = Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .retry_config(RetryConfig::disabled())
            .http_client(super::client::Connections::default().http())
            .build();
        Aws::with(connection, Clients::of(&config, &config), Arc::new(Clock::default()))
    }
}
