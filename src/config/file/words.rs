//! Values that are words.

use std::path::PathBuf;

use super::kinds::words;

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessTarget {
    /// Nowhere.
    Off,
    /// To standard output.
    StandardOutput,
    /// To the end of a file.
    File(PathBuf),
}

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

words! {
    /// How lines of the access log are written.
    pub enum LogFormat {
        /// As objects of JSON.
        Json = "json",
        /// As Apache and nginx do.
        Combined = "combined",
        /// As chosen fields.
        Fields = "fields",
    }
}

words! {
    /// A field of a line of the access log.
    pub enum LogField {
        /// When the request was complete.
        Time = "time",
        /// The client's address.
        Client = "client",
        /// The method.
        Method = "method",
        /// The host that was asked for.
        Host = "host",
        /// Path and query.
        Target = "target",
        /// The client's version of HTTP.
        Version = "version",
        /// The status that was sent.
        Status = "status",
        /// How the cache answered.
        Cache = "cache",
        /// More about that.
        Detail = "detail",
        /// Bytes of the body that were sent.
        Bytes = "bytes",
        /// Whether the body was sent whole.
        Complete = "complete",
        /// Why it broke off.
        Broken = "broken",
        /// Milliseconds to the head of the answer.
        HeadMs = "head_ms",
        /// Milliseconds to its end.
        TotalMs = "total_ms",
    }
}

words! {
    /// The version of HTTP that is spoken to endpoints.
    pub enum OriginHttp {
        /// HTTP/1.1.
        Http11 = "1.1",
        /// HTTP/1.0.
        Http10 = "1.0",
    }
}
