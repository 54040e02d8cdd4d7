//! Threads that stand back behind those that serve.

/// How far they stand back.
const NICE: i32 = 10;

/// The calling thread comes after all others that want to run, and gets a tenth of what one of them does where there is never
/// an end of that. A system that does not allow it has it among the others.
pub fn yield_to_others() {
    let own = Some(rustix::thread::gettid());
    if let Err(error) = rustix::process::setpriority_process(own, NICE) {
        tracing::debug!(%error, "a thread in the background is as important as the rest");
    }
}
