//! Values that are words.

use super::kinds::words;

words! {
    /// What is told on standard error.
    pub enum LogLevel {
        /// What went wrong.
        Error = "error",
        /// And what may go wrong.
        Warn = "warn",
        /// And what people should know.
        Info = "info",
        /// And what helps to find a fault.
        Debug = "debug",
        /// And every step.
        Trace = "trace",
    }
}
