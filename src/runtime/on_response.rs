//! A client layer that shows each response to an observer before the caller gets it.
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use std::{
    pin::Pin,
    task::{Context, Poll},
};
use tower::{Layer, Service};

/// The layer. It calls the observer with what was asked, and with status and headers of the response.
#[derive(Clone, Debug)]
pub struct OnResponse<F>(pub F);

impl<S, F: Clone> Layer<S> for OnResponse<F> {
    type Service = Observed<S, F>;
    fn layer(&self, inner: S) -> Self::Service {
        Observed { inner, observer: self.0.clone() }
    }
}

/// The service that [`OnResponse`] adds.
#[derive(Clone, Debug)]
pub struct Observed<S, F> {
    inner: S,
    observer: F,
}

impl<S, F, A, B> Service<Request<A>> for Observed<S, F>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    F: Fn(&Uri, StatusCode, &HeaderMap) + Clone + Send + 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }
    fn call(&mut self, request: Request<A>) -> Self::Future {
        let (uri, observer, response) = (request.uri().clone(), self.observer.clone(), self.inner.call(request));
        Box::pin(async move {
            let response = response.await?;
            observer(&uri, response.status(), response.headers());
            Ok(response)
        })
    }
}
