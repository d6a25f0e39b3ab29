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
        let found = self.etcd("range", &json!({"key": STANDARD.encode(prefix), "range_end": STANDARD.encode(end)})).await?;
        let values = found["kvs"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
        values.map(|kv| Ok(serde_json::from_slice(&STANDARD.decode(kv["value"].as_str().unwrap_or_default())?)?)).collect()
    }

    /// What is stored under this key, as the API server has encoded it.
    ///
    /// # Errors
    /// If etcd does not answer, or nothing is stored there.
    pub async fn stored_at(&self, key: &str) -> Result<Vec<u8>> {
        let found = self.etcd("range", &json!({"key": STANDARD.encode(key)})).await?;
        Ok(STANDARD.decode(found["kvs"][0]["value"].as_str().with_context(|| format!("nothing is stored at {key}"))?)?)
    }

    /// Stores these past the API server, by key and encoded as it encodes them, as another API server would.
    ///
    /// # Errors
    /// If etcd does not answer.
    pub async fn store_all(&self, all: &[(String, Vec<u8>)]) -> Result<()> {
        // etcd takes 128 writes in a transaction.
        for some in all.chunks(100) {
            let put =
                |(key, value): &(String, Vec<u8>)| json!({"requestPut": {"key": STANDARD.encode(key), "value": STANDARD.encode(value)}});
            self.etcd("txn", &json!({"success": some.iter().map(put).collect::<Vec<_>>()})).await?;
        }
        Ok(())
    }

    /// One call of etcd's JSON interface.
    async fn etcd(&self, call: &str, body: &Value) -> Result<Value> {
        let body = body.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.etcd_port)).await?;
        // In HTTP/1.0 the answer ends with the connection.
        let length = body.len();
        let ask = format!("POST /v3/kv/{call} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(ask.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        ensure!(head.contains(" 200 "), "etcd answers {head}");
        serde_json::from_str(body).with_context(|| format!("not JSON: {body}"))
    }
}
