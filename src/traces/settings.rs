//! The settings of traces, from the environment variables of the OpenTelemetry specification. Pure.
//!
//! | Variable | Meaning here |
//! |---|---|
//! | `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, `OTEL_EXPORTER_OTLP_ENDPOINT` | the collector; the second gets `/v1/traces` appended. Neither: traces are off |
//! | `OTEL_EXPORTER_OTLP_TRACES_HEADERS`, `OTEL_EXPORTER_OTLP_HEADERS` | headers of each export, `key=value,key=value`, values percent-encoded |
//! | `OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE`, `OTEL_EXPORTER_OTLP_CERTIFICATE` | a PEM file of authorities, instead of those of the platform |
//! | `OTEL_EXPORTER_OTLP_TRACES_TIMEOUT`, `OTEL_EXPORTER_OTLP_TIMEOUT` | milliseconds for one export, at most 10000, which is the default |
//! | `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`, `OTEL_EXPORTER_OTLP_PROTOCOL` | `http/json`; `http/protobuf` is taken for it, `grpc` refused |
//! | `OTEL_BSP_SCHEDULE_DELAY` | milliseconds that a span waits for others, at most 60000; default 1000 |
//! | `OTEL_BSP_MAX_QUEUE_SIZE`, `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` | spans that wait, at most 65536, default 2048; of one export, at most 2048, default 512 |
//! | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | the name of the service, default `curfew`; more attributes of the process |
//! | `OTEL_SDK_DISABLED`, `OTEL_TRACES_EXPORTER` | `true`, or `none`: off |
//! | `CURFEW_TRACES_TRANSPORT` | `Plaintext` allows an endpoint that begins with `http://`, which is refused otherwise, except on loopback |
use crate::{api::endpoint::Transport, runtime::endpoint};
use http::{HeaderName, HeaderValue, Uri};
use std::{path::PathBuf, time::Duration};

/// The longest time for one export, and its default.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest wait for more spans, and its default.
const DELAY: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(1));
/// The most spans that wait, and the default.
const QUEUE: (usize, usize) = (65_536, 2048);
/// The most spans of one export, and the default.
const BATCH: (usize, usize) = (2048, 512);

/// Where spans are sent, and how. Has no `Debug`: headers are credentials.
pub struct Settings {
    /// Where.
    pub endpoint: Uri,
    /// With which headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The file of the authorities, if not those of the platform.
    pub certificate: Option<PathBuf>,
    /// How long one export may take.
    pub timeout: Duration,
    /// How long a span waits for others.
    pub delay: Duration,
    /// How many spans wait, at most.
    pub queue: usize,
    /// How many spans are sent at once, at most.
    pub batch: usize,
    /// `service.name`, and the attributes that were given.
    pub resource: Vec<(String, String)>,
}

/// The settings of these environment variables; `None` if traces are off. An empty variable counts as absent, as the specification says.
///
/// # Errors
/// If a variable has a value that cannot be obeyed. The text names it, and no text repeats a value that may be a credential.
pub fn parse(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Settings>, String> {
    let get = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    // The variable of traces goes before the one of all signals.
    let otlp = |name: &str| {
        let of = |name: String| get(&name).map(|value| (name, value));
        of(format!("OTEL_EXPORTER_OTLP_TRACES_{name}")).or_else(|| of(format!("OTEL_EXPORTER_OTLP_{name}")))
    };
    let exporters = get("OTEL_TRACES_EXPORTER").unwrap_or_else(|| "otlp".into());
    let disabled = get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) || exporters == "none";
    let Some((from, url)) = otlp("ENDPOINT").filter(|_| !disabled) else { return Ok(None) };
    if !exporters.split(',').any(|exporter| exporter.trim() == "otlp") {
        return Err(format!("OTEL_TRACES_EXPORTER is {exporters}; set it to otlp or none"));
    }
    if let Some((name, protocol)) = otlp("PROTOCOL").filter(|(_, protocol)| !["http/json", "http/protobuf"].contains(&protocol.as_str())) {
        return Err(format!("{name} is {protocol}; set it to http/json, and the endpoint to the collector's OTLP/HTTP port, such as 4318"));
    }
    if let Some((name, _)) = otlp("CLIENT_KEY").or_else(|| otlp("CLIENT_CERTIFICATE")) {
        return Err(format!("{name} is set, and client certificates are not supported; authenticate with OTEL_EXPORTER_OTLP_HEADERS"));
    }
    let transport = match get("CURFEW_TRACES_TRANSPORT").as_deref() {
        None | Some("Tls") => Transport::Tls,
        Some("Plaintext") => Transport::Plaintext,
        Some(other) => return Err(format!("CURFEW_TRACES_TRANSPORT is {other}; set it to Tls or Plaintext")),
    };
    let url = if from == "OTEL_EXPORTER_OTLP_ENDPOINT" { format!("{}/v1/traces", url.trim_end_matches('/')) } else { url };
    let endpoint = endpoint::allowed(&url, transport).map_err(|why| match why {
        endpoint::NotAllowed::Plaintext => {
            format!("the URL of {from} begins with http://; use https://, or set CURFEW_TRACES_TRANSPORT=Plaintext")
        }
        why => format!("the URL of {from} {why}"),
    })?;
    let headers = otlp("HEADERS").map(|(name, value)| headers(&name, &value)).transpose()?.unwrap_or_default();
    let millis =
        |name: &str, value: &str| number(name, value).map(|millis| Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)));
    let timeout = otlp("TIMEOUT").map(|(name, value)| millis(&name, &value)).transpose()?.unwrap_or(LONGEST_TIMEOUT);
    let delay = get("OTEL_BSP_SCHEDULE_DELAY").map(|value| millis("OTEL_BSP_SCHEDULE_DELAY", &value)).transpose()?.unwrap_or(DELAY.1);
    let count = |name: &str, (most, default): (usize, usize)| {
        get(name).map_or(Ok(default), |value| number(name, &value)).map(|count| count.clamp(1, most))
    };
    let mut resource = vec![("service.name".to_owned(), get("OTEL_SERVICE_NAME").unwrap_or_else(|| "curfew".into()))];
    let named = get("OTEL_SERVICE_NAME").is_some();
    for (key, value) in
        get("OTEL_RESOURCE_ATTRIBUTES").map(|value| pairs("OTEL_RESOURCE_ATTRIBUTES", &value)).transpose()?.unwrap_or_default()
    {
        match (key == "service.name", named) {
            (true, true) => {}
            (true, false) => resource[0].1 = value,
            (false, _) => resource.push((key, value)),
        }
    }
    Ok(Some(Settings {
        endpoint,
        headers,
        certificate: otlp("CERTIFICATE").map(|(_, path)| path.into()),
        timeout: timeout.clamp(Duration::from_millis(1), LONGEST_TIMEOUT),
        delay: delay.min(DELAY.0),
        queue: count("OTEL_BSP_MAX_QUEUE_SIZE", QUEUE)?,
        batch: count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH)?,
        resource,
    }))
}

fn number(name: &str, value: &str) -> Result<usize, String> {
    value.parse().map_err(|_| format!("{name} is {value}; set it to a whole number"))
}

fn headers(name: &str, value: &str) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let wrong = || format!("{name} is not a list of headers, as in authorization=Bearer%20TOKEN,x-tenant=payments");
    let header = |(key, value): (String, String)| {
        let mut value = HeaderValue::from_str(&value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        Ok((HeaderName::from_bytes(key.as_bytes()).map_err(|_| wrong())?, value))
    };
    pairs(name, value)?.into_iter().map(header).collect()
}

/// The pairs of a list such as `a=1,b=2`, with values that are percent-encoded.
fn pairs(name: &str, list: &str) -> Result<Vec<(String, String)>, String> {
    let wrong = || format!("{name} is not a list such as key=value,key=value with percent-encoded values");
    let pair = |text: &str| {
        let (key, value) = text.split_once('=').ok_or_else(wrong)?;
        let key = key.trim();
        if key.is_empty() { Err(wrong()) } else { Ok((key.to_owned(), decoded(value.trim()).ok_or_else(wrong)?)) }
    };
    list.split(',').filter(|text| !text.trim().is_empty()).map(pair).collect()
}

/// Text without its percent-encoding; `None` if that is cut off or not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|c| c.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(part.bytes().skip(2));
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        parse(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }
    fn on(variables: &[(&str, &str)]) -> Settings {
        of(variables).unwrap_or_else(|why| panic!("{why}")).expect("on")
    }

    #[test]
    fn traces_are_off_until_an_endpoint_is_named() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318");
        for off in [
            &[][..],
            &[("OTEL_SERVICE_NAME", "x")],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
            &[endpoint, ("OTEL_SDK_DISABLED", "true")],
            &[endpoint, ("OTEL_TRACES_EXPORTER", "none")],
        ] {
            assert!(of(off).unwrap_or_else(|why| panic!("{why}")).is_none(), "{off:?}");
        }
        assert_eq!(on(&[endpoint]).endpoint, "https://collector:4318/v1/traces");
        assert_eq!(on(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c/base/")]).endpoint, "https://c/base/v1/traces");
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://other/traces");
        assert_eq!(on(&[endpoint, own]).endpoint, "https://other/traces", "as it is, and before that of all signals");
    }

    #[test]
    fn plain_text_needs_a_choice_of_its_own() {
        let plain = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.observability:4318");
        let refused = of(&[plain]).err().unwrap_or_default();
        assert!(refused.contains("CURFEW_TRACES_TRANSPORT=Plaintext"), "{refused}");
        assert_eq!(on(&[plain, ("CURFEW_TRACES_TRANSPORT", "Plaintext")]).endpoint.scheme_str(), Some("http"));
        assert_eq!(on(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")]).endpoint.scheme_str(), Some("http"));
    }

    #[test]
    fn headers_and_attributes_are_decoded_and_numbers_have_bounds() {
        let settings = on(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20a%2Cb, x-tenant = payments"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod,service.name=mine"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "99999"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "700"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "999999999"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0"),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ]);
        let headers: Vec<_> = settings.headers.iter().map(|(key, value)| (key.as_str(), value.to_str().unwrap_or_default())).collect();
        assert_eq!(headers, [("authorization", "Bearer a,b"), ("x-tenant", "payments")]);
        assert!(settings.headers.iter().all(|(_, value)| value.is_sensitive()));
        let resource: Vec<_> = settings.resource.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(resource, [("service.name", "mine"), ("deployment.environment.name", "prod")]);
        assert_eq!((settings.timeout, settings.delay), (Duration::from_millis(700), Duration::from_millis(50)));
        assert_eq!((settings.queue, settings.batch), (65_536, 1));
    }

    #[test]
    fn what_cannot_be_obeyed_is_refused_by_name_and_without_its_value() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c");
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/key.pem"),
            ("OTEL_TRACES_EXPORTER", "console"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret-value"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=secret-value%2"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=secret-value"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("CURFEW_TRACES_TRANSPORT", "plain"),
        ] {
            let why = of(&[endpoint, (name, value)]).err().unwrap_or_default();
            assert!(why.contains(name) && !why.contains("secret-value"), "{name}={value}: {why:?}");
        }
        let with_login = of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://user:secret-value@c")]).err().unwrap_or_default();
        assert!(with_login.contains("OTEL_EXPORTER_OTLP_ENDPOINT") && !with_login.contains("secret-value"), "{with_login:?}");
    }
}
