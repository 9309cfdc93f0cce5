use super::admission::AdmissionError;
use ok2cry_protocol::rpc::Refusal;

/// Why a request to the enclave has no answer.
///
/// Only the HTTP layer translates it into a problem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// The enclave refused the request.
    #[error("the enclave refused the request: {0}")]
    Refused(#[source] Refusal),
    /// A limit of this parent was reached. The request was not sent.
    #[error("the request was not admitted: {0}")]
    NotAdmitted(#[from] AdmissionError),
    /// The queue of every stream is full. The request was not sent.
    #[error("the queue of every stream to the enclave is full")]
    QueuesFull,
    /// The encoded request is longer than a frame may be. It was not sent.
    #[error("the encoded request is longer than a request frame may be")]
    RequestTooLong,
    /// There is no connection to the enclave. The request was not sent.
    #[error("there is no connection to the enclave; the request was not sent")]
    NotSent,
    /// The connection broke after the request was written. The enclave may have carried it out.
    #[error("the connection to the enclave broke before the answer arrived")]
    ConnectionLost,
    /// The request was written, and no answer arrived by the deadline. The enclave may have carried it out.
    #[error("no answer from the enclave by the deadline")]
    TimedOut,
    /// The enclave answered with an answer to another kind of request.
    #[error("the enclave's answer does not fit the request")]
    WrongAnswer,
}
