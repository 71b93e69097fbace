use crate::config::host::*;

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn read(text: &str, pairs: &[(&str, &str)]) -> HostConfig {
    HostConfig::from_parts(text, variables(pairs)).unwrap()
}

fn problem_of(text: &str, pairs: &[(&str, &str)]) -> String {
    let error = HostConfig::from_parts(text, variables(pairs)).unwrap_err();
    assert_eq!(error.problems.len(), 1, "{error}");
    error.problems[0].to_string()
}

#[test]
fn every_default_is_the_documented_one() {
    let config = read("", &[("HOME", "/home/ann")]);
    assert_eq!(config.listen, SocketAddr::from(([127, 0, 0, 1], 8080)));
    assert_eq!(config.data_dir, PathBuf::from("/home/ann/.local/share/millstream"));
    assert_eq!(config.kafka.bootstrap_servers, "localhost:9092");
    assert!(config.kafka.options.is_empty());
    assert!(config.topics.create && !config.insecure);
    assert_eq!((config.topics.partitions, config.topics.replication_factor), (4, -1));
    assert_eq!(config.topics.registry_prefix, "millstream.");
    assert_eq!((config.limits.upload, config.limits.compile_memory), (64 << 20, 2 << 30));
    assert_eq!((config.limits.request, config.api.tokens.is_empty(), &config.api.tls), (8 << 20, true, &None));
    assert_eq!(config.limits.compile_timeout, Duration::from_secs(120));
    assert_eq!((config.instances.total, config.cluster.name.as_str()), (1000, "default"));
    assert_eq!(config.watchdog.stalled_after, Duration::from_secs(30));
    assert_eq!((config.log.level.as_str(), config.log.format), ("info", LogFormat::Text));
    let otlp = &config.otlp;
    assert_eq!((&otlp.endpoint, otlp.headers.len(), otlp.trace_ratio), (&None, 0, 0.0));
    assert!(otlp.traces && otlp.metrics && otlp.logs);
    assert_eq!((otlp.metrics_interval, otlp.timeout), (Duration::from_secs(60), Duration::from_secs(10)));
}

#[test]
fn variables_win_over_the_file_and_the_file_over_defaults() {
    let text = "listen = \"127.0.0.1:1\"\n[topics]\npartitions = 8\ncreate = false";
    let config = read(text, &[("MILLSTREAM_LISTEN", "127.0.0.1:2"), ("MILLSTREAM_TOPICS__PARTITIONS", "16")]);
    assert_eq!(config.listen.port(), 2);
    assert_eq!((config.topics.partitions, config.topics.create), (16, false));
}

#[test]
fn the_data_folder_follows_the_users_environment() {
    let folder = |pairs: &[(&str, &str)]| read("", pairs).data_dir;
    assert_eq!(folder(&[("XDG_DATA_HOME", "/data"), ("HOME", "/h")]), PathBuf::from("/data/millstream"));
    assert_eq!(folder(&[("XDG_DATA_HOME", "data"), ("HOME", "/h")]), PathBuf::from("/h/.local/share/millstream"));
    assert_eq!(folder(&[]), PathBuf::from("/var/lib/millstream"));
    assert_eq!(folder(&[("MILLSTREAM_DATA_DIR", "here")]), PathBuf::from("here"));
}

#[test]
fn other_kafka_keys_pass_through() {
    let text = "[kafka]\nbootstrap_servers = \"a:1,b:2\"\nsecurity.protocol = \"sasl_ssl\"\nretry.backoff.ms = 3";
    let config =
        read(text, &[("MILLSTREAM_KAFKA__SASL_PASSWORD", "0123"), ("MILLSTREAM_KAFKA__RETRY_BACKOFF_MS", "4")]);
    assert_eq!(config.kafka.bootstrap_servers, "a:1,b:2");
    let options: Vec<(&str, &str)> =
        config.kafka.options.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(options, [("retry.backoff.ms", "4"), ("sasl.password", "0123"), ("security.protocol", "sasl_ssl")]);
    assert!(problem_of("[kafka]\nbootstrap.servers = \"a:1\"", &[]).contains("kafka.bootstrap_servers"));
    assert!(problem_of("", &[("MILLSTREAM_KAFKA__GROUP_ID", "x")]).starts_with("MILLSTREAM_KAFKA__GROUP_ID: "));
}

#[test]
fn only_loopback_is_listened_on_unless_one_insists() {
    assert!(problem_of("listen = \"0.0.0.0:8080\"", &[]).contains("insecure = true"));
    assert!(problem_of("", &[("MILLSTREAM_LISTEN", "10.0.0.1:80")]).starts_with("MILLSTREAM_LISTEN: "));
    assert!(read("listen = \"0.0.0.0:8080\"\ninsecure = true", &[]).listen.ip().is_unspecified());
    let guarded = read("listen = \"0.0.0.0:8080\"\n[api]\ntoken = \"env:T\"", &[("T", TOKEN)]);
    assert!(guarded.listen.ip().is_unspecified());
    assert_eq!(read("listen = \"[::1]:0\"", &[]).listen.port(), 0);
    assert!(problem_of("listen = \"localhost:8080\"", &[]).contains("127.0.0.1:8080"));
}

const TOKEN: &str = "0123456789abcdef";

#[test]
fn tokens_are_taken_from_where_their_reference_leads_and_never_shown() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{TOKEN}-of-ci\n")).unwrap();
    let text = format!(
        "[api]\ntoken = \"env:ALL\"\n[api.tokens.ci]\ntoken = \"file:{}\"\nscopes = [\"deploy\", \"read\"]",
        file.path().display()
    );
    let config = read(&text, &[("ALL", TOKEN), ("HOME", "/h")]);
    let all = config.api.tokens.find(TOKEN.as_bytes()).unwrap();
    assert_eq!((all.name.as_str(), all.scopes.len()), ("api.token", 3));
    let ci = config.api.tokens.find(format!("{TOKEN}-of-ci").as_bytes()).unwrap();
    assert_eq!((ci.name.as_str(), ci.scopes.contains(&TokenScope::Invoke), ci.scopes.len()), ("ci", false, 2));
    for wrong in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF"] {
        assert_eq!(config.api.tokens.find(wrong.as_bytes()), None, "{wrong}");
    }
    for shown in [config.to_toml(), config.to_json().to_string(), format!("{:?}", config.api)] {
        assert!(!shown.contains(TOKEN), "{shown}");
    }
    assert!(config.to_toml().contains("token = \"env:ALL\""), "{}", config.to_toml());
    let again = read(&config.to_toml(), &[("ALL", TOKEN)]);
    assert_eq!(again.api, config.api);
    let by_variable = read("", &[("MILLSTREAM_API__TOKEN", "env:ALL"), ("ALL", TOKEN)]);
    assert!(by_variable.api.tokens.find(TOKEN.as_bytes()).is_some());
}

#[test]
fn named_tokens_may_stand_in_variables_too() {
    let token = ("MILLSTREAM_API__TOKENS__CI__TOKEN", "env:CI");
    let scopes = ("MILLSTREAM_API__TOKENS__CI__SCOPES", "deploy, read");
    let config = read("", &[token, scopes, ("CI", TOKEN)]);
    let ci = config.api.tokens.find(TOKEN.as_bytes()).unwrap();
    assert_eq!((ci.name.as_str(), ci.scopes.contains(&TokenScope::Invoke), ci.scopes.len()), ("ci", false, 2));
    let shown = config.to_toml();
    assert!(shown.contains("# MILLSTREAM_API__TOKENS__CI__SCOPES") && !shown.contains(TOKEN), "{shown}");
    assert_eq!(read(&shown, &[("CI", TOKEN)]).api, config.api, "{shown}");
    // Key by key over the file.
    let file = "[api.tokens.ci]\ntoken = \"env:CI\"\nscopes = [\"read\"]";
    let config = read(file, &[("MILLSTREAM_API__TOKENS__CI__SCOPES", "invoke"), ("CI", TOKEN)]);
    let ci = config.api.tokens.find(TOKEN.as_bytes()).unwrap();
    assert!(ci.scopes.contains(&TokenScope::Invoke) && ci.scopes.len() == 1);

    let t = ("CI", TOKEN);
    let wrong = problem_of("", &[token, ("MILLSTREAM_API__TOKENS__CI__SCOPES", "raed"), t]);
    assert!(wrong.starts_with("MILLSTREAM_API__TOKENS__CI__SCOPES") && wrong.contains("\"read\""), "{wrong}");
    let unknown = problem_of("", &[token, scopes, t, ("MILLSTREAM_API__TOKENS__CI__SCOPE", "read")]);
    assert!(unknown.contains("did you mean \"scopes\"?"), "{unknown}");
    assert!(problem_of("", &[("MILLSTREAM_API__TOKENS__CI", "x")]).contains("TOKENS__CI"));
}

#[test]
fn what_is_no_token_is_refused_without_being_repeated() {
    let literal = problem_of(&format!("[api]\ntoken = \"{TOKEN}\""), &[]);
    assert!(literal.contains("env:NAME") && !literal.contains(TOKEN), "{literal}");
    assert!(problem_of("[api]\ntoken = \"env:NONE\"", &[]).contains("NONE is not set"));
    assert!(problem_of("[api]\ntoken = \"file:/no/such/file\"", &[]).contains("/no/such/file"));
    let short = problem_of("[api]\ntoken = \"env:SHORT\"", &[("SHORT", "hush")]);
    assert!(short.contains("openssl rand") && !short.contains("hush"), "{short}");
    assert!(problem_of("[api]\ntoken = \"env:T\"", &[("T", "0123456789 abcdef")]).contains("visible ASCII"));
    let ci = |rest: &str| format!("[api.tokens.ci]\ntoken = \"env:T\"\n{rest}");
    let t = [("T", TOKEN)];
    assert!(problem_of(&ci(""), &t).contains("api.tokens.ci.scopes: is missing"));
    assert!(problem_of(&ci("scopes = []"), &t).contains("is empty"));
    assert!(problem_of(&ci("scopes = [\"raed\"]"), &t).contains("did you mean \"read\"?"));
    assert!(problem_of(&ci("scopes = [\"read\"]\n[api]\ntoken = \"env:T\""), &t).contains("the same token"));
    let tls = problem_of("[api]\ntls_certificate = \"a.crt\"", &[]);
    assert!(tls.contains("api.tls_key"), "{tls}");
}

#[test]
fn unknown_settings_are_refused_but_foreign_variables_are_not() {
    assert!(problem_of("", &[("MILLSTREAM_TOPIC__CREATE", "true")]).contains("did you mean \"topics\"?"));
    assert!(problem_of("", &[("MILLSTREAM_TOPICS__CREAT", "true")]).contains("did you mean \"create\"?"));
    assert!(problem_of("[limits]\nuplaod = \"1MiB\"", &[]).contains("did you mean \"upload\"?"));
    let of_a_cluster = [("MILLSTREAM_PORT", "tcp://10.0.0.1:80"), ("MILLSTREAM_SERVICE_HOST", "10.0.0.1")];
    assert_eq!(read("", &of_a_cluster), read("", &[]));
    assert_eq!(read("", &[("MILLSTREAM_LISTEN", "")]), read("", &[]));
}

#[test]
fn telemetry_goes_where_it_is_told_with_headers_that_are_never_shown() {
    let text = "[otlp]\nendpoint = \"https://collector/otlp\"\nheaders = \"env:H\"\ntrace_ratio = 0.5";
    let headers = ("H", "authorization=Bearer hush, x-team = mill\n");
    let config = read(text, &[headers, ("MILLSTREAM_OTLP__TRACE_RATIO", "0.25"), ("MILLSTREAM_OTLP__LOGS", "false")]);
    assert_eq!(config.otlp.endpoint.as_ref().map(|url| url.as_str()), Some("https://collector/otlp"));
    assert_eq!(config.otlp.headers["authorization"], "Bearer hush");
    assert_eq!(config.otlp.headers["x-team"], "mill");
    assert_eq!((config.otlp.trace_ratio, config.otlp.logs), (0.25, false));
    for shown in [config.to_toml(), config.to_json().to_string(), format!("{config:?}")] {
        assert!(!shown.contains("hush"), "{shown}");
    }
    assert_eq!(read(&config.to_toml(), &[headers]).otlp, config.otlp);

    let endpoint = |url: &str| problem_of(&format!("[otlp]\nendpoint = \"{url}\""), &[]);
    for wrong in ["collector:4318", "grpc://collector", "https://me:hush@collector", "http://c/?key=hush", "/v1"] {
        let problem = endpoint(wrong);
        assert!(problem.starts_with("otlp.endpoint") && !problem.contains("hush"), "{problem}");
    }
    let literal = problem_of("[otlp]\nheaders = \"authorization=hush\"", &[]);
    assert!(literal.contains("env:NAME") && !literal.contains("hush"), "{literal}");
    for wrong in ["hush", "a b=hush", "a=hu\u{1}sh"] {
        let problem = problem_of("[otlp]\nheaders = \"env:H\"", &[("H", wrong)]);
        assert!(problem.contains("the variable H") && !problem.contains("hush"), "{problem}");
    }
    assert!(problem_of("[otlp]\ntrace_ratio = 2", &[]).contains("0 to 1"));
}

#[test]
fn levels_are_checked_and_directives_are_passed_on() {
    assert!(problem_of("[log]\nlevel = \"inf\"", &[]).contains("did you mean \"info\"?"));
    assert_eq!(read("[log]\nlevel = \"warn,millstream=debug\"", &[]).log.level, "warn,millstream=debug");
    assert!(problem_of("[log]\nlevel = \"millstream=loud\"", &[]).contains("cannot be read"));
}

#[test]
fn what_is_in_force_is_shown_with_its_origin_and_without_secrets() {
    let text = "[topics]\npartitions = 8\n[kafka]\nsasl.password = \"hush\"\n[cluster]\nname = \"eu\"";
    let pairs = [("HOME", "/h"), ("MILLSTREAM_TOPICS__CREATE", "false"), ("MILLSTREAM_CLUSTER__NAME", "7")];
    let shown = read(text, &pairs).to_toml();
    for line in [
        "listen = \"127.0.0.1:8080\"  # default",
        "data_dir = \"/h/.local/share/millstream\"  # default",
        "partitions = 8  # file",
        "create = false  # MILLSTREAM_TOPICS__CREATE",
        "name = \"7\"  # MILLSTREAM_CLUSTER__NAME",
        "\"sasl.password\" = \"(hidden)\"  # file",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} in\n{shown}");
    }
    assert!(!shown.contains("hush"));
    let json = read(text, &pairs).to_json();
    assert_eq!(json["topics.partitions"], serde_json::json!({ "value": 8, "origin": "file" }));
    assert_eq!(json["topics.create"]["value"], serde_json::json!(false));
}

#[test]
fn what_is_shown_can_be_read_again() {
    let config = read("[kafka]\n\"fetch.min.bytes\" = 7", &[("HOME", "/h"), ("MILLSTREAM_INSTANCES__TOTAL", "9")]);
    let again = read(&config.to_toml(), &[]);
    assert_eq!(again.kafka, config.kafka);
    assert_eq!(
        again.to_toml().replace("  # file", ""),
        config
            .to_toml()
            .replace("  # default", "")
            .replace("  # file", "")
            .replace("  # MILLSTREAM_INSTANCES__TOTAL", "")
    );
}

#[test]
fn a_missing_file_is_said_with_its_path() {
    let error = HostConfig::load(Some(Path::new("no/such/host.toml")), false).unwrap_err();
    assert!(error.to_string().contains("no/such/host.toml"));
}

#[test]
fn secrets_stay_out_of_debug_output() {
    assert!(!format!("{:?}", read("[kafka]\nsasl.password = \"hush\"", &[]).kafka).contains("hush"));
}
