//! What each path answers.

use std::sync::atomic::Ordering;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};

use super::Probes;
use crate::words::Health;

/// The content type of prometheus-client's text (OpenMetrics 1.0).
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// A whole answer.
pub type Answer = Response<Full<Bytes>>;

impl Probes {
    /// Answers one request. Its body, if it has one, is not read.
    pub fn answer(&self, request: &Request<Incoming>) -> Answer {
        self.answer_to(request.method(), request.uri().path())
    }

    fn answer_to(&self, method: &Method, path: &str) -> Answer {
        if method != Method::GET && method != Method::HEAD {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "use GET\n");
        }
        match path {
            "/livez" => self.livez(),
            "/readyz" => readyz(*self.health.borrow()),
            "/metrics" => self.metrics(),
            _ => plain(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n"),
        }
    }

    /// Looks at the environments on purpose: were their table or this runtime stuck, no answer would come in time.
    fn livez(&self) -> Answer {
        let environments = self.registry.count();
        plain(StatusCode::OK, format!("alive; {environments} environments\n"))
    }

    fn metrics(&self) -> Answer {
        let cached = self.artifacts.describe();
        let (usage, freed) = (cached.usage, cached.bytes_freed);
        self.metrics.artifacts.observe(usage.bytes, usage.bytes_max, freed);
        self.metrics.orphans_reaped.inner().fetch_max(self.reaper.orphans(), Ordering::Relaxed);
        answer(StatusCode::OK, OPEN_METRICS, self.metrics.text(&self.registry.list()))
    }
}

fn readyz(health: Health) -> Answer {
    match health {
        Health::Serving => plain(StatusCode::OK, "ready\n"),
        Health::NotServing => plain(StatusCode::SERVICE_UNAVAILABLE, "starting or stopping: send no new work\n"),
    }
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    answer(status, PLAIN, text)
}

fn answer(status: StatusCode, content_type: &'static str, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_open_doors_are_ready() {
        assert_eq!(readyz(Health::Serving).status(), StatusCode::OK);
        assert_eq!(readyz(Health::NotServing).status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
