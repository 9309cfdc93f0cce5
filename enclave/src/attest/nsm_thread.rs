//! The thread that calls the NSM. It does nothing else, because a call blocks for as long as the host likes.

use crate::platform::nsm::{AttestationRequest, Nsm, NsmError};
use std::{
    io,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

pub(super) struct NsmThread {
    calls: Sender<Vec<u8>>,
    documents: Receiver<Result<Vec<u8>, NsmError>>,
}

impl NsmThread {
    /// Starts the thread. Every document carries `log_key` as its public key.
    pub(super) fn start(mut nsm: Box<dyn Nsm>, log_key: Vec<u8>) -> io::Result<Self> {
        let (calls, user_data) = channel::<Vec<u8>>();
        let (answers, documents) = channel();
        thread::Builder::new().name("nsm".into()).spawn(move || {
            for user_data in user_data {
                let (user_data, public_key) = (Some(&*user_data), Some(&*log_key));
                let request = AttestationRequest { user_data, public_key, nonce: None };
                if answers.send(nsm.attest(&request)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { calls, documents })
    }

    /// Starts one call. If the thread has ended, [`NsmThread::answer`] says so.
    pub(super) fn call(&self, user_data: Vec<u8>) {
        drop(self.calls.send(user_data));
    }

    /// Waits for the answer to the oldest call. `None` if the thread has ended.
    pub(super) fn answer(&self) -> Option<Result<Vec<u8>, NsmError>> {
        self.documents.recv().ok()
    }
}
