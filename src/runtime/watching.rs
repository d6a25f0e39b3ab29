//! The connection of the watches of one client, on which nothing else is sent.
//!
//! A connection that goes silent without being closed looks like a cluster in which nothing happens. Over HTTP/2 all watches share one
//! connection, and where it brings nothing, a PING asks whether the other side is there: without an answer it is closed, and every watch
//! on it begins again. So a watch may last long. HTTP/1.1 has no PING. There the API server ends each watch after a few seconds, and the
//! next one must be answered. Which of the two the API server speaks is known by its last answer.
use super::{
    client::READ_TIMEOUT,
    watch_age::{Heard, OpenWatch, WatchAges, watched},
};
use crate::timing::timing;
use http::{Request, Response, Uri, Version, uri::PathAndQuery};
use http_body_util::BodyExt;
use hyper::{
    body::Frame,
    rt::{Read, ReadBufCursor, Write},
};
use hyper_util::{
    client::legacy::{
        Builder, Client,
        connect::{Connect, Connected, Connection},
    },
    rt::{TokioExecutor, TokioTimer},
};
use kube::client::{Body, DynBody};
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};
use tower::BoxError;

/// A connection that records when it brings something. Each response over it carries its [`Heard`].
#[derive(Debug)]
pub struct Listening<S> {
    stream: S,
    heard: Heard,
}

impl<S> Listening<S> {
    /// Around a connection that was opened just now.
    pub fn to(stream: S) -> Self {
        Listening { stream, heard: Heard::at(Instant::now()) }
    }
}

impl<S: Connection> Connection for Listening<S> {
    fn connected(&self) -> Connected {
        self.stream.connected().extra(self.heard.clone())
    }
}

impl<S: Read + Unpin> Read for Listening<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = &read {
            self.heard.hear(Instant::now());
        }
        read
    }
}

impl<S: Write + Unpin> Write for Listening<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}

/// Sends watches. Clones share the connection.
#[derive(Clone)]
pub struct WatchPool<C> {
    connections: Client<C, Body>,
    ages: Arc<WatchAges>,
    /// Whether the API server answered the last watch over HTTP/2.
    pings: Arc<AtomicBool>,
}

/// Connections that are asked by a PING where they bring nothing.
fn asking_by_pings() -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .http2_keep_alive_interval(timing().ping_after)
        .http2_keep_alive_timeout(timing().ping_limit)
        .http2_keep_alive_while_idle(true);
    builder
}

impl<C: Connect + Clone + Send + Sync + 'static> WatchPool<C> {
    /// Over connections of this connector, which offers HTTP/2 and HTTP/1.1. No connection is opened yet.
    pub fn new(connector: C, ages: Arc<WatchAges>) -> Self {
        WatchPool { connections: asking_by_pings().build(connector), ages, pings: Arc::default() }
    }

    /// Sends one watch, and observes its answer until that ends.
    ///
    /// # Errors
    /// If no connection can be opened, or no answer begins within [`READ_TIMEOUT`]. Over HTTP/2 the connection does not run out of time while
    /// another watch on it is answered, so the limit is set here, too.
    pub async fn watch(&self, mut request: Request<Body>) -> Result<Response<Box<DynBody>>, BoxError> {
        let streams = streams_list(request.uri());
        if streams {
            *request.uri_mut() = as_it_is_now(request.uri())?;
        } else if !self.pings.load(Ordering::Acquire) {
            *request.uri_mut() = lasting_at_most(request.uri(), timing().watch_secs_without_ping)?;
        }
        let asked = request.uri().clone();
        let response = tokio::time::timeout(READ_TIMEOUT, self.connections.request(request)).await;
        let response = response.map_err(|_| format!("the API server has not begun to answer a watch for {READ_TIMEOUT:?}"))??;
        if !response.status().is_success() {
            return Ok(response.map(boxed));
        }
        let pings = response.version() == Version::HTTP_2;
        if self.pings.swap(pings, Ordering::AcqRel) != pings {
            tracing::info!(protocol = ?response.version(), "the API server answers watches by another protocol than before");
        }
        if streams && !pings {
            return Err("a list is streamed over HTTP/2 alone: without PINGs nothing shows that the API server is still there".into());
        }
        let silent = Duration::from_secs(timing().watch_secs.into());
        let lasts = if streams { silent } else { seconds(&asked).map_or(silent, |secs| Duration::from_secs(secs.into())) };
        let open = self.ages.begun(asked.path(), lasts, response.extensions().get::<Heard>().cloned());
        let lasts_on = streams.then(|| (silent, Instant::now() + Duration::from_secs(LIST_SECS.into())));
        Ok(response.map(|body| boxed(Observed { body, open, lasts_on })))
    }
}

/// The answer to a watch. The watch ends when this is dropped.
struct Observed<B> {
    body: B,
    open: OpenWatch,
    /// After what it brings it lasts for so long, until this time at most, and not a fixed time from its beginning: it brings a list.
    lasts_on: Option<(Duration, Instant)>,
}

impl<B: hyper::body::Body + Unpin> hyper::body::Body for Observed<B> {
    type Data = B::Data;
    type Error = B::Error;
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match (&frame, self.lasts_on) {
            (Some(Ok(_)), Some((silent, end))) => self.open.lasts_until((Instant::now() + silent).min(end)),
            (Some(Err(_)), _) => self.open.failed(),
            (Some(Ok(_)) | None, _) => {}
        }
        Poll::Ready(frame)
    }
}

fn boxed<B>(body: B) -> Box<DynBody>
where
    B: BodyExt<Data = bytes::Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    Box::new(body.map_err(Into::into))
}

/// The name of the parameter by which the API server ends a watch.
const TIMEOUT: &str = "timeoutSeconds=";

/// Seconds after which the API server ends a watch that brings a list, complete or not. The watch goes on after the list, and kube ends it when it
/// has been silent for five seconds longer than [`Timing::watch_secs`](crate::timing::Timing::watch_secs).
const LIST_SECS: u32 = 600;

/// Whether this asks for a list before the events of a watch.
fn streams_list(asked: &Uri) -> bool {
    asked.query().is_some_and(|query| query.split('&').any(|pair| pair == "sendInitialEvents=true"))
}

/// The same list, in full and of what is stored when it is asked for: kube asks for one as old as any that the API server remembers.
fn as_it_is_now(asked: &Uri) -> Result<Uri, http::Error> {
    with(asked, &["resourceVersion=", TIMEOUT], &format!("{TIMEOUT}{LIST_SECS}"))
}

/// After how many seconds the API server is to end this watch; `None` if it is not asked to.
fn seconds(asked: &Uri) -> Option<u32> {
    asked.query()?.split('&').find_map(|pair| pair.strip_prefix(TIMEOUT)?.parse().ok())
}

/// The same watch, which the API server ends after so many seconds at the latest.
fn lasting_at_most(asked: &Uri, secs: u32) -> Result<Uri, http::Error> {
    let secs = seconds(asked).map_or(secs, |asked| asked.min(secs));
    with(asked, &[TIMEOUT], &format!("{TIMEOUT}{secs}"))
}

/// The same question without the parameters that begin like these, and with this one.
fn with(asked: &Uri, without: &[&str], parameter: &str) -> Result<Uri, http::Error> {
    let keep = |pair: &&str| !pair.is_empty() && !without.iter().any(|name| pair.starts_with(name));
    let others = asked.query().unwrap_or_default().split('&').filter(keep);
    let query = others.chain([parameter]).collect::<Vec<_>>().join("&");
    let mut parts = asked.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(format!("{}?{query}", asked.path()))?);
    Ok(Uri::from_parts(parts)?)
}

/// Whether this asks for a watch.
pub fn is_watch(asked: &Uri) -> bool {
    watched(asked).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use hyper_util::client::legacy::connect::HttpConnector;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    const BEGUN: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

    /// The next request that this server gets, and its connection.
    async fn asked(server: &TcpListener) -> (String, TcpStream) {
        let (mut connection, _) = server.accept().await.unwrap();
        let (mut text, mut bytes) = (String::new(), [0; 1024]);
        while !text.ends_with("\r\n\r\n") {
            let n = connection.read(&mut bytes).await.unwrap();
            text.push_str(std::str::from_utf8(&bytes[..n]).unwrap());
        }
        (text, connection)
    }

    /// The next request, after the beginning of an answer to it.
    async fn begins_to_answer(server: &TcpListener) -> (String, TcpStream) {
        let (text, mut connection) = asked(server).await;
        connection.write_all(BEGUN.as_bytes()).await.unwrap();
        (text, connection)
    }

    /// A server of HTTP/1.1, and what watches there.
    async fn http1() -> (TcpListener, Arc<WatchAges>, WatchPool<impl Connect + Clone + Send + Sync + 'static>, Request<Body>) {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ages = Arc::new(WatchAges::default());
        let connector = tower::ServiceExt::map_response(HttpConnector::new(), Listening::to as fn(_) -> _);
        let address = server.local_addr().unwrap();
        let watch = Request::get(format!("http://{address}/api/v1/namespaces?watch=true&timeoutSeconds={}", timing().watch_secs));
        (server, ages.clone(), WatchPool::new(connector, ages), watch.body(Body::empty()).unwrap())
    }

    #[tokio::test]
    async fn without_http2_a_watch_lasts_for_seconds_also_where_the_last_one_had_it() {
        let (server, ages, pool, watch) = http1().await;
        pool.pings.store(true, Ordering::Release);
        let again = Request::get(watch.uri().clone()).body(Body::empty()).unwrap();
        for (watch, lasts) in [(watch, timing().watch_secs), (again, timing().watch_secs_without_ping)] {
            let (answer, (text, _connection)) = tokio::join!(pool.watch(watch), begins_to_answer(&server));
            assert!(text.contains(&format!("timeoutSeconds={lasts} ")), "{text}");
            assert!(answer.unwrap().status().is_success() && !pool.pings.load(Ordering::Acquire));
        }
        assert_eq!(ages.oldest(Instant::now()).unwrap().0, "namespaces");
    }

    #[tokio::test]
    async fn a_watch_is_as_young_as_what_it_brings_and_its_failure_is_counted() {
        let (server, ages, pool, watch) = http1().await;
        let (answer, (_, mut connection)) = tokio::join!(pool.watch(watch), begins_to_answer(&server));
        let begun = Instant::now();
        let mut body = http_body_util::BodyDataStream::new(answer.unwrap().into_body());
        tokio::time::sleep(Duration::from_millis(20)).await;
        connection.write_all(b"3\r\n{}\n\r\n").await.unwrap();
        assert_eq!(body.next().await.unwrap().unwrap(), "{}\n");
        assert!(ages.is_fresh("namespaces", Duration::from_millis(20), begun + Duration::from_millis(35)), "since the event");
        assert_eq!(ages.interruptions(), 0);
        drop(connection);
        assert!(body.next().await.unwrap().is_err());
        assert_eq!(ages.interruptions(), 1, "a connection that ends within a watch is a failure");
    }

    /// A server of HTTP/2 that begins to answer a watch, and then answers PINGs, or nothing any more while the connection stays open.
    async fn http2(answers_pings: bool) -> (Arc<WatchAges>, Response<Box<DynBody>>) {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        tokio::spawn(async move {
            let mut connection = h2::server::handshake(server.accept().await.unwrap().0).await.unwrap();
            let (_, mut answer) = connection.accept().await.unwrap().unwrap();
            let mut body = answer.send_response(Response::new(()), false).unwrap();
            body.send_data("{}\n".into(), false).unwrap();
            // The connection does nothing but while it is polled.
            let lasts = if answers_pings { Duration::from_secs(600) } else { Duration::from_millis(500) };
            drop(tokio::time::timeout(lasts, connection.accept()).await);
            std::future::pending::<()>().await;
            drop((connection, body));
        });
        let ages = Arc::new(WatchAges::default());
        let connector = tower::ServiceExt::map_response(HttpConnector::new(), Listening::to as fn(_) -> _);
        let connections = asking_by_pings().http2_only(true).build(connector);
        let pool = WatchPool { connections, ages: ages.clone(), pings: Arc::new(true.into()) };
        let watch = Request::get(format!("http://{address}/api/v1/namespaces?watch=true&timeoutSeconds=600"));
        let answer = pool.watch(watch.body(Body::empty()).unwrap()).await.unwrap();
        (ages, answer)
    }

    #[tokio::test]
    async fn a_connection_that_answers_no_ping_is_closed_and_one_that_does_lives_on() {
        let ((dead, silent), (alive, quiet)) = tokio::join!(http2(false), http2(true));
        let mut silent = http_body_util::BodyDataStream::new(silent.into_body());
        let mut quiet = http_body_util::BodyDataStream::new(quiet.into_body());
        assert_eq!(silent.next().await.unwrap().unwrap(), "{}\n");
        assert_eq!(quiet.next().await.unwrap().unwrap(), "{}\n");
        let closed = tokio::time::timeout(READ_TIMEOUT * 3, silent.next()).await;
        assert!(closed.expect("nothing has noticed the silence").unwrap().is_err());
        assert_eq!(dead.interruptions(), 1);
        // Longer than it may be silent.
        let longer = tokio::time::timeout(timing().ping_after + timing().ping_limit, quiet.next()).await;
        assert!(longer.is_err(), "a connection at rest was closed: {longer:?}");
        assert_eq!(alive.interruptions(), 0);
        let answered = timing().ping_after + Duration::from_secs(2);
        assert!(alive.is_fresh("namespaces", answered, Instant::now()), "a PING that is answered keeps the watch young");
    }

    #[tokio::test]
    async fn a_list_is_not_streamed_where_no_ping_shows_that_the_api_server_is_there() {
        let (server, ages, pool, watch) = http1().await;
        pool.pings.store(true, Ordering::Release);
        let stream = Request::get(format!("{}&sendInitialEvents=true", watch.uri())).body(Body::empty()).unwrap();
        let (answer, (text, _connection)) = tokio::join!(pool.watch(stream), begins_to_answer(&server));
        assert!(text.contains(&format!("timeoutSeconds={LIST_SECS} ")), "{text}");
        assert!(answer.is_err() && !pool.pings.load(Ordering::Acquire) && ages.oldest(Instant::now()).is_none());
    }

    #[test]
    fn a_streamed_list_is_of_what_is_stored_now_and_not_shortened() {
        let asked = "/api/v1/pods?&watch=true&timeoutSeconds=60&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=0";
        let asked = asked.parse().unwrap();
        assert!(streams_list(&asked));
        let expected = "/api/v1/pods?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=600";
        assert_eq!(as_it_is_now(&asked).unwrap().to_string(), expected);
    }

    #[test]
    fn a_watch_is_shortened_and_never_lengthened() {
        let at_most = |uri: &str| lasting_at_most(&uri.parse().unwrap(), 8).unwrap().to_string();
        assert_eq!(
            at_most("https://a/api/v1/pods?&watch=true&timeoutSeconds=60&x=y"),
            "https://a/api/v1/pods?watch=true&x=y&timeoutSeconds=8"
        );
        assert_eq!(at_most("/api/v1/pods?watch=true&timeoutSeconds=5"), "/api/v1/pods?watch=true&timeoutSeconds=5");
        assert_eq!(at_most("/api/v1/pods?watch=true"), "/api/v1/pods?watch=true&timeoutSeconds=8");
    }
}
