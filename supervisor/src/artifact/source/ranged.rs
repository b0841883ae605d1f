//! Reads one object of a network store by ranges, several at a time, each with its own retries.
//!
//! Knows neither S3 nor http; [`Object`] is what both are to it.

use std::{future::Future, ops::Range};

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};

use super::{
    SourceError,
    retry::{Attempts, Body, Paced, Patience},
};
use crate::artifact::staging::Staging;

/// Bytes of one ranged request: large against its round trip (some 30 ms at 80 MB/s is 2.4 MB), small enough that a
/// 64 MB artifact keeps all connections busy. S3's own advice is 8 to 16 MB.
const PART_BYTES: u64 = 8 * 1024 * 1024;
/// Requests at once per artifact: S3 gives some 80 MB/s on one connection, so eight fill a 5 Gbit/s link.
const PARTS_AT_ONCE: usize = 8;
/// Bytes gathered before a write: one hop to a disk thread per megabyte, and no more than 8 MB held per artifact.
const WRITE_BYTES: usize = 1024 * 1024;

/// One object of a store that answers ranged requests, or pretends not to know them.
pub trait Object: Sync {
    /// Where it is, for messages.
    fn at(&self) -> &str;

    /// How long to wait for it.
    fn patience(&self) -> Patience;

    /// Asks for these bytes, of the version with this ETag if one is given.
    fn get(&self, range: Range<u64>, etag: Option<&str>) -> impl Future<Output = Result<Answer, SourceError>> + Send;
}

/// A store's answer to a request for a range.
pub struct Answer {
    /// What the body is.
    pub extent: Extent,
    /// A strong ETag, to ask for the same version again.
    pub etag: Option<String>,
    /// The bytes.
    pub body: Body,
}

/// What a body is.
#[derive(Clone, Copy, Debug)]
pub enum Extent {
    /// The range asked for, of an object of so many bytes.
    Part { total: u64 },
    /// The whole object: the store ignored the range.
    Whole { total: Option<u64> },
}

/// Brings the whole object into the file.
pub async fn fill(object: &impl Object, staging: &Staging) -> Result<(), SourceError> {
    let mut attempts = Attempts::new(object.patience());
    loop {
        let answer = first(object, &mut attempts).await?;
        let outcome = match answer.extent {
            Extent::Part { total } => return fill_by_parts(object, staging, total, answer).await,
            Extent::Whole { total } => fill_whole(object, staging, total, answer.body).await,
        };
        let Err(error) = outcome else { return Ok(()) };
        attempts.pause(error).await?;
        staging.start_over().await?;
    }
}

async fn first(object: &impl Object, attempts: &mut Attempts) -> Result<Answer, SourceError> {
    loop {
        match object.get(0..PART_BYTES, None).await {
            Ok(answer) => return Ok(answer),
            Err(error) => attempts.pause(error).await?,
        }
    }
}

async fn fill_whole(
    object: &impl Object,
    staging: &Staging,
    total: Option<u64>,
    body: Body,
) -> Result<(), SourceError> {
    if let Some(total) = total {
        staging.expect_bytes(total).await?;
    }
    let mut left = 0..total.unwrap_or(u64::MAX);
    let pumped = pump(Paced::new(body, object.at(), object.patience()), &mut left, staging).await;
    pumped.map_err(|error| error.after(left.start, total.unwrap_or(0)))?;
    match total {
        Some(total) if left.start < total => Err(truncated(object, left.start, total)),
        _ => Ok(()),
    }
}

async fn fill_by_parts(object: &impl Object, staging: &Staging, total: u64, first: Answer) -> Result<(), SourceError> {
    staging.expect_bytes(total).await?;
    let etag = first.etag.as_deref();
    let part = |start: u64| start..(start + PART_BYTES).min(total);
    let rest = (PART_BYTES..total).step_by(usize::try_from(PART_BYTES).unwrap_or(usize::MAX));
    let rest = rest.map(|start| read_part(object, staging, part(start), etag, None).boxed());
    let first = read_part(object, staging, part(0), etag, Some(first.body));
    let parts = stream::iter(rest).buffer_unordered(PARTS_AT_ONCE - 1);
    tokio::try_join!(first, parts.try_collect::<()>())?;
    Ok(())
}

/// Reads one part, asking again for what is still missing of it.
async fn read_part(
    object: &impl Object,
    staging: &Staging,
    part: Range<u64>,
    etag: Option<&str>,
    mut body: Option<Body>,
) -> Result<(), SourceError> {
    let mut left = part.clone();
    let mut attempts = Attempts::new(object.patience());
    while !left.is_empty() {
        let outcome = read_once(object, staging, &mut left, etag, body.take()).await;
        let (got, total) = (left.start - part.start, part.end - part.start);
        let ended_early = || truncated(object, got, total);
        if let Some(error) = outcome.err().or_else(|| (!left.is_empty()).then(ended_early)) {
            attempts.pause(error.after(got, total)).await?;
        }
    }
    Ok(())
}

async fn read_once(
    object: &impl Object,
    staging: &Staging,
    left: &mut Range<u64>,
    etag: Option<&str>,
    body: Option<Body>,
) -> Result<(), SourceError> {
    let body = match body {
        Some(body) => body,
        None => again(object, left.clone(), etag).await?,
    };
    pump(Paced::new(body, object.at(), object.patience()), left, staging).await
}

async fn again(object: &impl Object, range: Range<u64>, etag: Option<&str>) -> Result<Body, SourceError> {
    let answer = object.get(range, etag).await?;
    let same = etag.is_none() || answer.etag.is_none() || answer.etag.as_deref() == etag;
    match answer.extent {
        Extent::Part { .. } if same => Ok(answer.body),
        // `If-Range` of a version that is gone gives the whole of the new one.
        Extent::Part { .. } | Extent::Whole { .. } => Err(SourceError::Changed { at: object.at().to_owned() }),
    }
}

/// Writes the body to the front of `left`, which shrinks by what has been written, also on an error.
async fn pump(mut body: Paced, left: &mut Range<u64>, staging: &Staging) -> Result<(), SourceError> {
    let mut gathered = Vec::new();
    loop {
        let next = body.next().await;
        if let Ok(Some(bytes)) = &next {
            // More than was asked for is not ours to write: another part's writer owns that place.
            let room = left.end - left.start - gathered.len() as u64;
            let taken = usize::try_from(room).map_or(bytes.len(), |room| room.min(bytes.len()));
            gathered.extend_from_slice(&bytes[..taken]);
        }
        let ended = !matches!(next, Ok(Some(_))) || left.end - left.start == gathered.len() as u64;
        if !gathered.is_empty() && (ended || gathered.len() >= WRITE_BYTES) {
            let written = gathered.len() as u64;
            staging.write(left.start, std::mem::take(&mut gathered)).await?;
            left.start += written;
        }
        if ended {
            return next.map(|_| ());
        }
    }
}

fn truncated(object: &impl Object, got: u64, total: u64) -> SourceError {
    SourceError::Truncated { at: object.at().to_owned(), got, total }
}
