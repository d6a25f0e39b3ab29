//! What etcd holds: the stored form of objects, which no answer of an API server shows.
use super::ControlPlane;
use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

impl ControlPlane {
    /// Every custom resource that is stored under a key with this prefix, such as `/registry/curfew.dev/grants/`.
    ///
    /// # Errors
    /// If etcd does not answer, or a value is not JSON.
    pub async fn stored(&self, prefix: &str) -> Result<Vec<Value>> {
        // The end of the range: the prefix with its last byte raised by one.
        let mut end = prefix.as_bytes().to_vec();
        *end.last_mut().context("an empty prefix")? += 1;
        let body = json!({"key": STANDARD.encode(prefix), "range_end": STANDARD.encode(end)}).to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.etcd_port)).await?;
        // In HTTP/1.0 the answer ends with the connection.
        let ask = format!("POST /v3/kv/range HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(ask.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        ensure!(head.contains(" 200 "), "etcd answers {head}");
        let found: Value = serde_json::from_str(body).with_context(|| format!("not JSON: {body}"))?;
        let values = found["kvs"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
        values.map(|kv| Ok(serde_json::from_slice(&STANDARD.decode(kv["value"].as_str().unwrap_or_default())?)?)).collect()
    }
}
