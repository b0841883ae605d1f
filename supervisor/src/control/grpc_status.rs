//! The one place where an error of the supervisor becomes a gRPC status. supervisor.proto has the table for callers.

use tonic::{Code, Status};

use super::parse::BadField;
use crate::environment::RequestError;

/// The status for a request that the environments refused.
pub fn of_request(error: &RequestError) -> Status {
    let code = match error {
        RequestError::NoSuchEnvironment { .. } | RequestError::NoSuchRevision { .. } => Code::NotFound,
        RequestError::RequestIdReused { .. } => Code::AlreadyExists,
        RequestError::WrongRevision { .. } | RequestError::Overtaken => Code::Aborted,
        RequestError::NothingToRollBackTo
        | RequestError::NothingToRestart
        | RequestError::BeingRemoved { .. }
        | RequestError::NothingServes { .. } => Code::FailedPrecondition,
        RequestError::TooManyEnvironments => Code::ResourceExhausted,
        RequestError::ShuttingDown => Code::Unavailable,
        RequestError::Journal { .. } | RequestError::StopNotDurable { .. } => Code::Internal,
    };
    Status::new(code, error.to_string())
}

/// The status for a request that can never succeed.
pub fn of_field(bad: &BadField) -> Status {
    Status::invalid_argument(format!("failed to {bad}"))
}

/// The end of every open stream when the supervisor stops.
pub fn shutting_down() -> Status {
    of_request(&RequestError::ShuttingDown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_the_code_that_the_proto_promises() {
        let name = || "etl".parse().expect("a good name");
        let cases = [
            (RequestError::NoSuchEnvironment { name: name() }, Code::NotFound),
            (RequestError::NoSuchRevision { revision: 7 }, Code::NotFound),
            (RequestError::RequestIdReused { id: "x".to_owned(), revision: 1 }, Code::AlreadyExists),
            (RequestError::WrongRevision { expected: 1, newest: 2 }, Code::Aborted),
            (RequestError::Overtaken, Code::Aborted),
            (RequestError::NothingToRollBackTo, Code::FailedPrecondition),
            (RequestError::NothingToRestart, Code::FailedPrecondition),
            (RequestError::BeingRemoved { name: name() }, Code::FailedPrecondition),
            (RequestError::NothingServes { name: name() }, Code::FailedPrecondition),
            (RequestError::TooManyEnvironments, Code::ResourceExhausted),
            (RequestError::ShuttingDown, Code::Unavailable),
        ];
        for (error, code) in cases {
            let status = of_request(&error);
            assert_eq!(status.code(), code, "{error}");
            assert_eq!(status.message(), error.to_string());
        }
    }

    #[test]
    fn a_bad_field_is_an_invalid_argument_that_names_it() {
        let bad = super::super::parse::name("a/b").expect_err("it is bad");
        let status = of_field(&bad);
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with("failed to read field environment: use a name"), "{status:?}");
    }
}
