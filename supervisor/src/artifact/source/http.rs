//! Artifacts at an http or https URL, presigned ones above all.
//!
//! No proxy, no cookies, no credentials but what the URL carries. Redirects are followed a few times, never from https
//! to http.

use std::{error::Error, ops::Range, sync::OnceLock, time::Duration};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http_body_util::{BodyStream, Empty};
use hyper::{
    Request, Response, Uri,
    body::Incoming,
    header::{
        ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HOST, HeaderMap, HeaderName, IF_MATCH, LOCATION, RANGE,
    },
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::timeout;

use super::{
    Location, SourceError,
    ranged::{Answer, Extent, Object},
    retry::{Body, Patience},
};

/// For a TCP connection: three SYNs (at 0, 1 and 3 s) have been sent by then.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// Redirects followed; curl stops at 50, browsers at 20, and a store needs one or two.
const REDIRECTS_MAX: usize = 5;

/// The clients, made at the first use: reading the CA certificates takes a while.
pub struct Http {
    patience: Patience,
    plain: OnceLock<Client<HttpConnector, Empty<Bytes>>>,
    tls: OnceLock<Result<TlsClient, String>>,
}

type TlsClient = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// One URL.
pub struct HttpObject<'a> {
    http: &'a Http,
    url: Uri,
    at: String,
}

impl Http {
    /// No client yet.
    pub fn new(patience: Patience) -> Self {
        Self { patience, plain: OnceLock::new(), tls: OnceLock::new() }
    }

    /// What is at this URL.
    pub fn object(&self, url: &Uri) -> HttpObject<'_> {
        HttpObject { http: self, url: url.clone(), at: Location::Http(url.clone()).to_string() }
    }

    async fn send(&self, request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, String> {
        if request.uri().scheme_str() == Some("https") {
            let tls = self.tls.get_or_init(|| match HttpsConnectorBuilder::new().with_native_roots() {
                Ok(builder) => Ok(Client::builder(TokioExecutor::new())
                    .build(builder.https_only().enable_http1().wrap_connector(connector()))),
                Err(error) => Err(format!("no CA certificates in this container: {error}")),
            });
            return tls.as_ref().map_err(Clone::clone)?.request(request).await.map_err(|error| deepest(&error));
        }
        let plain = self.plain.get_or_init(|| Client::builder(TokioExecutor::new()).build(connector()));
        plain.request(request).await.map_err(|error| deepest(&error))
    }
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector
}

impl Object for HttpObject<'_> {
    fn at(&self) -> &str {
        &self.at
    }

    fn patience(&self) -> Patience {
        self.http.patience
    }

    async fn get(&self, range: Range<u64>, etag: Option<&str>) -> Result<Answer, SourceError> {
        let mut url = self.url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let response = self.ask(&url, &range, etag).await?;
            if !response.status().is_redirection() {
                return self.answer(response, range.start);
            }
            url = redirected(&url, response.headers()).map_err(|why| self.redirect(why))?;
        }
        Err(self.redirect("too many redirects"))
    }
}

impl HttpObject<'_> {
    async fn ask(&self, url: &Uri, range: &Range<u64>, etag: Option<&str>) -> Result<Response<Incoming>, SourceError> {
        let bytes = format!("bytes={}-{}", range.start, range.end - 1);
        let mut request = Request::get(url).header(RANGE, bytes).header(ACCEPT_ENCODING, "identity");
        if let Some(host) = url.authority() {
            // Without a user and password that the URL may carry.
            request = request.header(HOST, host.as_str().rsplit('@').next().unwrap_or_default());
        }
        if let Some(etag) = etag {
            request = request.header(IF_MATCH, etag);
        }
        let unreachable = |cause| SourceError::Unreachable { at: self.at.clone(), cause };
        let request = request.body(Empty::new()).map_err(|error| unreachable(error.to_string()))?;
        let window = self.http.patience.stall_window;
        match timeout(window, self.http.send(request)).await {
            Ok(sent) => sent.map_err(unreachable),
            Err(_) => Err(SourceError::Stalled { at: self.at.clone(), pause: window }),
        }
    }

    fn answer(&self, response: Response<Incoming>, start: u64) -> Result<Answer, SourceError> {
        let status = response.status();
        if let Some(error) = SourceError::from_status(status.as_u16(), &self.at) {
            return Err(error);
        }
        let headers = response.headers();
        let extent = if status == hyper::StatusCode::PARTIAL_CONTENT {
            let total = text(headers, &CONTENT_RANGE).and_then(|range| total_of(range, start));
            let unexpected = || SourceError::Unexpected { at: self.at.clone(), status: status.as_u16() };
            Extent::Part { total: total.ok_or_else(unexpected)? }
        } else {
            Extent::Whole { total: text(headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok()) }
        };
        // A weak ETag never matches in `If-Match` (RFC 9110, 13.1.1).
        let etag = text(headers, &ETAG).filter(|etag| !etag.starts_with("W/")).map(str::to_owned);
        Ok(Answer { extent, etag, body: body(response.into_body(), self.at.clone()) })
    }

    fn redirect(&self, why: &'static str) -> SourceError {
        SourceError::Redirect { at: self.at.clone(), why }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The length of the whole object, out of a `Content-Range` that begins where it was asked to.
pub fn total_of(content_range: &str, start: u64) -> Option<u64> {
    let (range, total) = content_range.strip_prefix("bytes ")?.split_once('/')?;
    let (from, _) = range.split_once('-')?;
    (from.parse() == Ok(start)).then(|| total.parse().ok())?
}

fn redirected(from: &Uri, headers: &HeaderMap) -> Result<Uri, &'static str> {
    let target = text(headers, &LOCATION).ok_or("a redirect without a target")?;
    let target: Uri = target.parse().map_err(|_| "a redirect to what is no URL")?;
    let mut parts = target.into_parts();
    if parts.authority.is_none() {
        parts.scheme = from.scheme().cloned();
        parts.authority = from.authority().cloned();
    }
    let target = Uri::from_parts(parts).map_err(|_| "a redirect to what is no URL")?;
    match (from.scheme_str(), target.scheme_str()) {
        (_, Some("https")) | (Some("http"), Some("http")) => Ok(target),
        (_, Some("http")) => Err("a redirect from https to http"),
        _ => Err("a redirect to another scheme"),
    }
}

fn body(incoming: Incoming, at: String) -> Body {
    let broke = move |error: hyper::Error| SourceError::Unreachable { at: at.clone(), cause: deepest(&error) };
    // Trailers carry nothing for us.
    let data = BodyStream::new(incoming).try_filter_map(|frame| async move { Ok(frame.into_data().ok()) });
    Box::pin(data.map_err(broke))
}

/// The innermost cause: "client error (Connect)" tells an operator nothing.
pub fn deepest(error: &(dyn Error + 'static)) -> String {
    std::iter::successors(Some(error), |&error| error.source()).last().map_or_else(String::new, ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_must_begin_where_it_was_asked_to() {
        assert_eq!(total_of("bytes 0-9/100", 0), Some(100));
        assert_eq!(total_of("bytes 10-19/100", 0), None);
        for bad in ["", "bytes */100", "bytes 0-9/*", "items 0-9/100"] {
            assert_eq!(total_of(bad, 0), None, "{bad}");
        }
    }

    #[test]
    fn a_redirect_never_leaves_https() {
        let to = |from: &str, to: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, to.parse().expect("a header"));
            redirected(&from.parse().expect("a URL"), &headers).map(|url| url.to_string())
        };
        assert_eq!(to("http://a/x", "https://b/y?q").as_deref(), Ok("https://b/y?q"));
        assert_eq!(to("https://a/x", "/y").as_deref(), Ok("https://a/y"));
        assert!(to("https://a/x", "http://a/x").is_err());
        assert!(to("http://a/x", "ftp://a/x").is_err());
        assert!(to("http://a/x", "").is_err());
    }
}
