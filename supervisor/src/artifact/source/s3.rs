//! A store that is an S3 bucket, of AWS or of any server that speaks S3.
//!
//! Credentials, region and endpoint come from where every AWS program takes them (environment, web identity for IRSA,
//! container and instance roles). Retries and stalls are not the SDK's business here: see `retry.rs`.

use std::{error::Error, ops::Range};

use aws_config::{BehaviorVersion, ConfigLoader, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::{
    Client,
    config::{ResponseChecksumValidation, StalledStreamProtectionConfig},
    error::SdkError,
    operation::get_object::{GetObjectError, GetObjectOutput},
    primitives::ByteStream,
};
use aws_smithy_http_client::tls;
use futures_util::stream;
use tokio::sync::OnceCell;

use super::{
    Location, SourceError,
    http::{CONNECT_TIMEOUT, deepest, total_of},
    ranged::{Answer, Extent, Object},
    retry::{Body, Patience},
};

/// The region when nothing names one: servers that are not AWS want any, and this one is what they expect.
const REGION_DEFAULT: &str = "us-east-1";

/// The S3 client, made at the first use: loading credentials and certificates takes longer than the whole start.
pub struct S3 {
    patience: Patience,
    client: OnceCell<Client>,
}

/// One object.
pub struct S3Object {
    patience: Patience,
    client: Client,
    bucket: String,
    key: String,
    at: String,
}

impl S3 {
    /// A client with the settings of the environment.
    pub fn from_environment(patience: Patience) -> Self {
        Self { patience, client: OnceCell::new() }
    }

    /// The object with this key.
    pub async fn object(&self, bucket: &str, key: &str) -> S3Object {
        let patience = self.patience;
        let make = || async { client(aws_config::defaults(BehaviorVersion::latest()), patience).await };
        let client = Box::pin(self.client.get_or_init(make)).await.clone();
        let at = Location::S3 { bucket: bucket.to_owned(), key: key.to_owned() }.to_string();
        S3Object { patience, client, bucket: bucket.to_owned(), key: key.to_owned(), at }
    }
}

async fn client(loader: ConfigLoader, patience: Patience) -> Client {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    let config = loader.http_client(http).load().await;
    let endpoint = config.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some();
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(patience.stall_window).build();
    let settings = aws_sdk_s3::config::Builder::from(&config)
        .region(config.region().cloned().unwrap_or(Region::from_static(REGION_DEFAULT)))
        // A server of one's own seldom has a DNS name per bucket.
        .force_path_style(endpoint)
        // Some servers send the checksum of the whole object with a range of it; the digest is checked in any case.
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(timeouts);
    Client::from_conf(settings.build())
}

impl Object for S3Object {
    fn at(&self) -> &str {
        &self.at
    }

    fn patience(&self) -> Patience {
        self.patience
    }

    async fn get(&self, range: Range<u64>, etag: Option<&str>) -> Result<Answer, SourceError> {
        let bytes = format!("bytes={}-{}", range.start, range.end - 1);
        let request = self.client.get_object().bucket(&self.bucket).key(&self.key).range(bytes);
        let sent = Box::pin(request.set_if_match(etag.map(str::to_owned)).send()).await;
        let output = sent.map_err(|error| self.refused(&error))?;
        let extent = extent(&output, range.start).ok_or_else(|| SourceError::Unexpected {
            at: self.at.clone(),
            status: ::http::StatusCode::PARTIAL_CONTENT.as_u16(),
        })?;
        Ok(Answer { extent, etag: output.e_tag, body: body(output.body, self.at.clone()) })
    }
}

fn extent(output: &GetObjectOutput, start: u64) -> Option<Extent> {
    match &output.content_range {
        Some(range) => total_of(range, start).map(|total| Extent::Part { total }),
        None => Some(Extent::Whole { total: output.content_length.and_then(|length| u64::try_from(length).ok()) }),
    }
}

fn body(bytes: ByteStream, at: String) -> Body {
    Box::pin(stream::unfold((bytes, at), |(mut bytes, at)| async move {
        let next = bytes.next().await?;
        let next = next.map_err(|error| SourceError::Unreachable { at: at.clone(), cause: deepest(&error) });
        Some((next, (bytes, at)))
    }))
}

impl S3Object {
    fn refused(&self, error: &SdkError<GetObjectError>) -> SourceError {
        let at = self.at.clone();
        if let Some(error) = error.raw_response().and_then(|raw| SourceError::from_status(raw.status().as_u16(), &at)) {
            return error;
        }
        match error {
            SdkError::TimeoutError(_) => SourceError::Stalled { at, pause: self.patience.stall_window },
            error if causes(error).any(<dyn Error>::is::<CredentialsError>) => SourceError::NoCredentials { at },
            error => SourceError::Unreachable { at, cause: deepest(error) },
        }
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
impl S3 {
    /// A client of the S3 server at this endpoint.
    pub async fn at_endpoint(endpoint: &str, patience: Patience) -> Self {
        let credentials = aws_credential_types::Credentials::new("AK", "SK", None, None, "test");
        let loader = aws_config::defaults(BehaviorVersion::latest());
        let loader = loader.endpoint_url(endpoint).credentials_provider(credentials).region("us-east-1");
        Self { patience, client: OnceCell::new_with(Some(client(loader, patience).await)) }
    }
}
