//! Values that are words.

use super::kinds::words;

words! {
    /// A directive of answers that is not heeded.
    pub enum IgnoredDirective {
        /// It may not be kept.
        NoStore = "no-store",
        /// It may not be used without asking.
        NoCache = "no-cache",
        /// It may not be used stale.
        MustRevalidate = "must-revalidate",
        /// It may not be used stale by shared caches.
        ProxyRevalidate = "proxy-revalidate",
        /// The same as it is said by `s-maxage`, whose number still counts.
        SMaxageRevalidates = "s-maxage-revalidates",
    }
}

words! {
    /// A coding that is made.
    pub enum CodingName {
        /// Brotli.
        Brotli = "br",
        /// Zstandard.
        Zstd = "zstd",
        /// gzip.
        Gzip = "gzip",
    }
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
    /// A method beside GET and HEAD whose answers may be stored.
    pub enum CacheableMethod {
        /// Its answer may be that to a later GET.
        Post = "POST",
        /// A GET with content.
        Query = "QUERY",
    }
}
