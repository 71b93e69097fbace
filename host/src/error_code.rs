//! Stable error codes: what scripts and search engines can hold on to. Each has a page, `docs/errors/<code>.md`.
//!
//! A code never changes its meaning and is never used again. MS01 is about what is deployed, MS02 about requests, MS03
//! about Kafka and the host's state, MS04 about starting a host, MS05 about the command line, MS09 about bugs.

use std::fmt;

/// Declares the codes, so that a code cannot lack a title, a remedy or a status.
macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:literal, $title:literal, $remedy:literal;)+) => {
        /// A kind of error that users meet.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum ErrorCode {
            $($(#[$doc])* $variant,)+
        }

        impl ErrorCode {
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The code, such as `MS0101`.
            pub(crate) const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The status of an HTTP answer with this code.
            pub(crate) const fn http_status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }

            /// What happened, the same for all errors of the code.
            pub(crate) const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            /// What to do about it, in a line.
            pub(crate) const fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy,)+ }
            }

            pub(crate) const fn page(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/errors/", $code, ".md"),)+
                }
            }
        }
    };
}

error_codes! {
    /// The manifest is not valid.
    InvalidManifest = "MS0101", 400,
        "the manifest is not valid",
        "correct the keys that it names; docs/configuration.md lists all of them";
    /// The manifest names another function.
    NameMismatch = "MS0102", 400,
        "the manifest names another function",
        "deploy under the name that the manifest has, or change its `name`";
    /// The upload is incomplete or malformed.
    InvalidUpload = "MS0103", 400,
        "the upload is incomplete or malformed",
        "send multipart/form-data with one part \"manifest\" and one part \"module\"";
    /// The module is not one that the host can run.
    ModuleRefused = "MS0104", 400,
        "the module is not one that the host can run",
        "build it for one of the shapes in docs/languages.md";
    /// The module does not compile or link.
    CompileFailed = "MS0105", 400,
        "the module does not compile or link",
        "rebuild it with a current toolchain; the detail says what the compiler found";
    /// Compiling the module took more than it may.
    CompileTooCostly = "MS0106", 400,
        "compiling the module took more than it may",
        "make the module smaller, or raise limits.compile_memory or limits.compile_timeout of the host";
    /// The upload is too large.
    UploadTooLarge = "MS0107", 413,
        "the upload is too large",
        "make the module smaller, or raise limits.upload of the host";
    /// This version does not support what the manifest asks for.
    NotSupported = "MS0108", 400,
        "this version does not support what the manifest asks for",
        "remove the setting that the detail names";
    /// The content type is not one that is understood here.
    UnsupportedMediaType = "MS0109", 415,
        "the content type is not one that is understood here",
        "send the content type that the detail names";
    /// There is no such function.
    FunctionNotFound = "MS0201", 404,
        "there is no such function",
        "check the name: `millstream list` shows all functions";
    /// There is nothing at this path.
    PathNotFound = "MS0202", 404,
        "there is nothing at this path",
        "check the path: functions are under /v1/functions";
    /// The path does not take this method.
    MethodNotAllowed = "MS0203", 405,
        "the path does not take this method",
        "use a method of the answer's Allow header";
    InvalidRequest = "MS0204", 400,
        "the request is malformed",
        "correct what the detail names";
    /// The function has changed meanwhile.
    PreconditionFailed = "MS0205", 412,
        "the function has changed meanwhile",
        "read the function again and send its new ETag in If-Match";
    /// Another change of the function is under way.
    Conflict = "MS0206", 409,
        "another change of the function is under way",
        "try again when it is finished";
    /// The request is one of a foreign page.
    ForeignRequest = "MS0207", 403,
        "the request is one of a foreign page",
        "call the host by its own address, such as http://127.0.0.1:8080, and from no web page of another origin";
    /// The function has no such revision.
    RevisionNotFound = "MS0208", 404,
        "the function has no such revision",
        "see which are kept: `millstream revisions NAME`";
    /// The request has no valid token.
    Unauthorized = "MS0209", 401,
        "the request has no valid token",
        "send one of the host's tokens: `Authorization: Bearer TOKEN`, or MILLSTREAM_TOKEN for the command line";
    /// The token may not do this.
    Forbidden = "MS0210", 403,
        "the token may not do this",
        "use a token with the scope that the detail names";
    /// A request with this idempotency key is under way.
    RequestInProgress = "MS0211", 409,
        "a request with this idempotency key is under way",
        "wait for it, or try again later with the same key";
    /// The idempotency key was used for another request.
    IdempotencyKeyReused = "MS0212", 422,
        "the idempotency key was used for another request",
        "use a new key for a new request";
    /// The request is too large.
    RequestTooLarge = "MS0213", 413,
        "the request is too large",
        "send less at once, or raise limits.request of the host";
    /// The request did not arrive in time.
    RequestTimeout = "MS0214", 408,
        "the request did not arrive in time",
        "send the body without pauses";
    TooManyRequests = "MS0215", 429,
        "the host is busy",
        "try again after the seconds of the Retry-After header";
    /// There is no such topic.
    TopicNotFound = "MS0216", 404,
        "there is no such topic",
        "create the topic first; publishing creates none";
    /// The topic is not one to publish to.
    TopicForbidden = "MS0217", 403,
        "the topic is not one to publish to",
        "publish to a topic that functions read";
    /// The topic does not take the event.
    EventRefused = "MS0218", 422,
        "the topic does not take the event",
        "see Kafka's reason in the detail; an event may be larger than max.message.bytes of the topic";
    /// There is no such record.
    RecordNotFound = "MS0221", 404,
        "there is no such record",
        "check the place; records that are older than the topic's retention are gone";
    /// There is no such dead letter.
    DeadLetterNotFound = "MS0231", 404,
        "there is no such dead letter",
        "see which there are: `millstream dlq list NAME`; those that are too old are gone";
    /// The function has no shadow.
    ShadowNotFound = "MS0241", 404,
        "the function has no shadow",
        "deploy one with `millstream deploy --shadow`; one that was promoted is the live revision";
    /// The shadow is not seen to do the same.
    ShadowDiffers = "MS0242", 409,
        "the shadow is not seen to do the same as the live revision",
        "look at the differences with `millstream shadow NAME`; leave --if-same out if they are meant";
    KafkaUnavailable = "MS0301", 503,
        "Kafka does not answer",
        "check that the brokers of kafka.bootstrap_servers run and can be reached";
    /// The host is not ready yet.
    NotReady = "MS0302", 503,
        "the host is not ready yet",
        "try again after the seconds of the Retry-After header";
    /// A topic does not exist.
    TopicMissing = "MS0303", 409,
        "a topic does not exist",
        "create the topic, or let the host create it with topics.create = true";
    /// A topic could not be created.
    TopicNotCreated = "MS0304", 502,
        "a topic could not be created",
        "see Kafka's reason in the detail; the host's user may lack the right to create topics";
    /// The function's consumer group still has members.
    GroupInUse = "MS0305", 409,
        "the function's consumer group still has members",
        "stop what uses the group, then deploy again";
    KafkaRefused = "MS0306", 502,
        "Kafka refused a request",
        "see Kafka's reason in the detail; mostly a right that the host's user lacks";
    /// The host is shutting down.
    ShuttingDown = "MS0307", 503,
        "the host is shutting down",
        "use another host, or try again when it is back";
    /// Kafka did not acknowledge in time.
    NotAcknowledged = "MS0308", 504,
        "Kafka did not acknowledge in time",
        "try again when Kafka is well; what was sent may have been written all the same";
    /// The function cannot be called now.
    FunctionUnavailable = "MS0309", 503,
        "the function cannot be called now",
        "see `millstream status NAME`; try again once it runs";
    /// The host's configuration is not valid.
    InvalidHostConfig = "MS0401", 500,
        "the host's configuration is not valid",
        "correct the keys that it names; docs/configuration.md lists all of them";
    /// The host cannot listen on its address.
    CannotListen = "MS0402", 500,
        "the host cannot listen on its address",
        "free the port, or choose another one with MILLSTREAM_LISTEN";
    /// The data folder cannot be used.
    DataDirUnusable = "MS0403", 500,
        "the data folder cannot be used",
        "give each running host a folder of its own that it may write to: MILLSTREAM_DATA_DIR";
    /// The host cannot be reached.
    HostUnreachable = "MS0501", 500,
        "the host cannot be reached",
        "start one with `millstream serve`, or name another with --host or MILLSTREAM_HOST";
    /// The answer is not one of a Millstream host.
    UnexpectedAnswer = "MS0502", 500,
        "the answer is not one of a Millstream host",
        "check that --host names a Millstream host of this version";
    BuildFailed = "MS0503", 500,
        "the build failed",
        "correct what the build printed";
    /// The build left no Wasm module where the manifest says.
    ArtifactMissing = "MS0504", 500,
        "the build left no Wasm module where the manifest says",
        "make `module` of the manifest the file that `build` makes";
    /// There is no function here.
    NoProject = "MS0505", 500,
        "there is no function here",
        "name a folder that holds a millstream.toml";
    /// The event cannot be read.
    InvalidEvent = "MS0506", 400,
        "the event cannot be read",
        "give a CloudEvent in structured JSON, with specversion, id, source and type";
    InvocationFailed = "MS0507", 500,
        "the function failed",
        "see the class of the fault and its message";
    TestsFailed = "MS0511", 500,
        "tests failed",
        "correct the function, or what its fixtures expect; --update writes what came out into them";
    /// A fixture cannot be used.
    InvalidFixture = "MS0512", 500,
        "a fixture cannot be used",
        "correct tests/*.json of the function's folder; docs/writing-a-function.md describes fixtures";
    /// The folder of a new function cannot be made.
    FolderNotMade = "MS0521", 500,
        "the folder of a new function cannot be made",
        "name a folder that is not there yet, where you may write: --path DIR";
    ReplayDiffers = "MS0531", 500,
        "the replay differs",
        "look at the differences; leave --check out if they are meant";
    /// Something went wrong inside the host.
    Internal = "MS0901", 500,
        "something went wrong inside the host",
        "look at the host's log and report it";
}

impl ErrorCode {
    /// The code that reads `text`, if there is one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.code() == text)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;

    fn pages() -> PathBuf {
        [env!("CARGO_MANIFEST_DIR"), "..", "docs", "errors"].iter().collect()
    }

    #[test]
    fn every_code_has_a_page_with_its_title() {
        for code in ErrorCode::ALL {
            let path = pages().join(format!("{code}.md"));
            let page = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(page.starts_with(&format!("# {code}: {}\n", code.title())), "{}", path.display());
            assert!(page.contains("## What to do"), "{}", path.display());
        }
    }

    #[test]
    fn every_page_has_a_code() {
        let known: BTreeSet<String> = ErrorCode::ALL.iter().map(|code| format!("{code}.md")).collect();
        let found = std::fs::read_dir(pages()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(found.collect::<BTreeSet<_>>(), known);
    }

    #[test]
    fn codes_are_found_again() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::parse(code.code()), Some(*code));
        }
        assert_eq!(ErrorCode::parse("MS0000"), None);
    }
}
