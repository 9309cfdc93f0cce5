use super::{environment::ENV_NAME, service_links::ServiceLinks, *};
use clap::CommandFactory;

fn load(args: &[&str], env: &[(&str, &str)], file: Option<&str>) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("parent.toml");
    let mut args: Vec<_> = ["ok2cry-parent"].iter().chain(args).map(|a| (*a).to_owned()).collect();
    if let Some(text) = file {
        std::fs::write(&path, text).unwrap();
        args.push(format!("--config={}", path.display()));
    }
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(args, env)
}

fn refused(args: &[&str], env: &[(&str, &str)], file: Option<&str>) -> String {
    load(args, env, file).unwrap_err().to_string()
}

const E: &str = "--enclave=unix:///e.sock";

/// The TOML block of docs/operations.md, which says that it has every key with its default.
fn documented() -> String {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md")).unwrap();
    let block = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(block.starts_with("# parent.toml"), "{block}");
    block.to_owned()
}

#[test]
fn the_documented_file_holds_the_defaults() {
    let config = load(&[], &[], Some(&documented())).unwrap();
    let defaults = Config::new(EnclaveUrl::Vsock { cid: 16, port: 5000 });
    assert_eq!(format!("{config:#?}"), format!("{defaults:#?}"));
}

#[test]
fn help_names_the_defaults_of_the_documented_file() {
    let documented = documented();
    for argument in Settings::command().get_arguments().filter(|a| a.get_id() != "config") {
        let key = argument.get_id().as_str();
        let help = argument.get_help().unwrap().to_string();
        // Keys without a default are an example or commented out.
        let default = help.rsplit_once("[default: ").map_or("no default", |(_, d)| d.trim_end_matches(']'));
        let line = documented.lines().find(|line| {
            line.trim_start_matches("# ").strip_prefix(key).is_some_and(|rest| rest.starts_with(" = "))
        });
        let line = line.unwrap_or_else(|| panic!("docs/operations.md lacks {key}"));
        let value = line.split(" = ").nth(1).unwrap().split(" #").next().unwrap().trim();
        match default {
            "no default" => assert!(help.contains("(no default)"), "--help of {key} lacks the default"),
            "none" => assert!(value == "[]" || line.starts_with("# "), "{key}: {line}"),
            default => assert_eq!(value.trim_matches('"'), default, "{key}"),
        }
    }
}

#[test]
fn flags_precede_variables_and_variables_precede_the_file() {
    let env = [("OK2CRY_PARENT_MAX_QUEUE", "3"), ("HOME", "/"), ("OK2CRY_PARENT_BODY_TIMEOUT_MS", "30")];
    let file = "max_queue = 2\nbody_timeout_ms = 20\nenclave_timeout_ms = 200\n\
                enclave = \"vsock://16:5000\"\n\
                cors_allowed_origins = [\"https://pay.example\"]\nlog_format = \"json\"";
    let config = load(&["--max-queue=4"], &env, Some(file)).unwrap();
    assert_eq!(config.max_queue, 4);
    assert_eq!(config.body_timeout, Duration::from_millis(30));
    assert_eq!(config.enclave_timeout, Duration::from_millis(200));
    assert_eq!(config.enclave, EnclaveUrl::Vsock { cid: 16, port: 5000 });
    assert_eq!(config.max_connections, 1024);
    assert_eq!(config.log_format, LogFormat::Json);
    assert_eq!(config.cors, Cors::Origins(vec![HeaderValue::from_static("https://pay.example")]));
}

#[test]
fn the_file_may_be_named_by_the_environment() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "enclave = \"unix:///e.sock\"").unwrap();
    let path = file.path().to_str().unwrap();
    assert!(load(&[], &[("OK2CRY_PARENT_CONFIG", path)], None).is_ok());
}

#[test]
fn unknown_names_are_errors_everywhere() {
    assert!(refused(&[E, "--max-queu=1"], &[], None).contains("--max-queu"));
    let env = refused(&[E], &[("OK2CRY_PARENT_MAX_QUEU", "1")], None);
    assert_eq!(env, "environment: OK2CRY_PARENT_MAX_QUEU is not a setting; see --help");
    for odd in ["OK2CRY_PARENT_", "OK2CRY_PARENT_HELP", "OK2CRY_PARENT_max_queue"] {
        assert!(refused(&[E], &[(odd, "1")], None).contains(odd), "{odd}");
    }
    assert!(refused(&[E], &[], Some("max_queu = 1")).contains("unknown field `max_queu`"));
    assert!(refused(&[E], &[], Some("config = \"x\"")).contains("unknown field `config`"));
    assert!(refused(&[E], &[], Some("max_queue = 1\nmax_queue = 2")).contains("duplicate key"));
}

#[test]
fn invalid_values_are_errors_that_name_the_setting() {
    assert_eq!(
        refused(&[], &[], None),
        "enclave is required: set it as a flag, an environment variable or in the file"
    );
    assert!(refused(&["--enclave=http://x"], &[], None).contains("must be unix:///PATH"));
    let env = refused(&[E], &[("OK2CRY_PARENT_LISTEN", "here")], None);
    assert!(env.starts_with("environment: OK2CRY_PARENT_LISTEN: invalid value 'here'"), "{env}");
    assert_eq!(refused(&[E, "--enclave-streams=17"], &[], None), "enclave_streams must be from 1 to 16");
    assert_eq!(
        refused(&[E], &[], Some("body_timeout_ms = 0")),
        "body_timeout_ms must be from 1 to 3600000 milliseconds"
    );
    assert!(refused(&[E], &[], Some("max_body_bytes = -1")).contains("line 1"));
    assert!(refused(&["--config=/does/not/exist"], &[], None).starts_with("/does/not/exist: "));
}

#[test]
fn all_origins_are_allowed_only_by_a_lone_asterisk() {
    let cors = |list: &str| load(&[E, "--cors-allowed-origins", list], &[], None).map(|c| c.cors);
    assert_eq!(cors("*").unwrap(), Cors::Any);
    let two = cors("https://a.example,http://localhost:3000").unwrap();
    assert!(matches!(two, Cors::Origins(list) if list.len() == 2));
    for bad in ["*,https://a.example", "a.example", "https://a.example/", "https://", "https://A.example", ""]
    {
        assert!(cors(bad).unwrap_err().to_string().starts_with("cors_allowed_origins "), "{bad}");
    }
    assert_eq!(load(&[E], &[], None).unwrap().cors, Cors::SameOrigin);
}

#[test]
fn cors_headers_and_credentials_can_be_set_everywhere() {
    let origins = "--cors-allowed-origins=https://a.example";
    let set = |args: &[&str], env: &[(&str, &str)], file| {
        let args: Vec<_> = [E, origins].iter().chain(args).copied().collect();
        load(&args, env, file).map(|c| (c.cors_headers.len(), c.cors_credentials)).map_err(|e| e.to_string())
    };
    assert_eq!(set(&[], &[], None), Ok((0, false)));
    assert_eq!(
        set(&["--cors-allowed-headers=traceparent,Authorization", "--cors-allow-credentials"], &[], None),
        Ok((2, true))
    );
    let env = [
        ("OK2CRY_PARENT_CORS_ALLOWED_HEADERS", "traceparent"),
        ("OK2CRY_PARENT_CORS_ALLOW_CREDENTIALS", "true"),
    ];
    assert_eq!(set(&[], &env, None), Ok((1, true)));
    assert_eq!(set(&["--cors-allow-credentials=false"], &env, None), Ok((1, false)));
    let file = "cors_allowed_headers = [\"traceparent\"]\ncors_allow_credentials = true";
    assert_eq!(set(&[], &[], Some(file)), Ok((1, true)));
    for bad in ["*", "content-type", "a b", "", "traceparent, authorization"] {
        let refused = set(&["--cors-allowed-headers", bad], &[], None).unwrap_err();
        assert!(refused.starts_with("cors_allowed_headers contains "), "{bad}: {refused}");
    }
    let any = "--cors-allowed-origins=*";
    assert!(refused(&[E, any, "--cors-allow-credentials"], &[], None).contains("cannot be true while"));
    assert!(load(&[E, any, "--cors-allowed-headers=traceparent"], &[], None).is_ok());
    assert!(refused(&[E, "--cors-allow-credentials"], &[], None).contains("has no effect without"));
    assert!(refused(&[E, "--cors-allowed-headers=x"], &[], None).contains("has no effect without"));
}

#[test]
fn service_variables_are_not_settings() {
    let env = [
        ("OK2CRY_PARENT_SERVICE_HOST", "10.0.0.11"),
        ("OK2CRY_PARENT_SERVICE_PORT", "8080"),
        ("OK2CRY_PARENT_SERVICE_PORT_HTTP", "8080"),
        ("OK2CRY_PARENT_PORT", "tcp://10.0.0.11:8080"),
        ("OK2CRY_PARENT_PORT_8080_TCP", "tcp://10.0.0.11:8080"),
        ("OK2CRY_PARENT_PORT_8080_TCP_PROTO", "tcp"),
        ("OK2CRY_PARENT_PORT_8080_TCP_PORT", "8080"),
        ("OK2CRY_PARENT_PORT_8080_TCP_ADDR", "10.0.0.11"),
        ("OK2CRY_PARENT_MAX_QUEUE", "3"),
    ];
    assert_eq!(load(&[E], &env, None).unwrap().max_queue, 3);
    let refused = refused(&[E], &[("OK2CRY_PARENT_PORT", "8080")], None);
    assert_eq!(refused, "environment: OK2CRY_PARENT_PORT is not a setting; see --help");
    // The name of a setting must not look like a Service's variable.
    let links = ServiceLinks::among(&[]);
    for argument in Settings::command().get_arguments() {
        let name = argument.get_long().unwrap().to_ascii_uppercase().replace('-', "_");
        for value in ["1", "10.0.0.11", "tcp://10.0.0.11:1", "tcp"] {
            let variable = format!("{ENV_NAME}_{name}");
            assert!(!links.contains(ENV_NAME, (&variable, value)), "{name}");
        }
    }
}

#[test]
fn the_listen_address_is_an_ip_address_or_localhost() {
    for (text, address) in [
        ("localhost:8080", "127.0.0.1:8080"),
        ("LOCALHOST:0", "127.0.0.1:0"),
        ("0.0.0.0:80", "0.0.0.0:80"),
        ("[::1]:8080", "[::1]:8080"),
    ] {
        let address = address.parse().unwrap();
        assert_eq!(load(&[E, "--listen", text], &[], None).unwrap().listen, address, "{text}");
        let file = format!("listen = {text:?}");
        assert_eq!(load(&[E], &[], Some(&file)).unwrap().listen, address, "{text}");
    }
    for bad in
        ["", "8080", ":8080", "*:8080", "localhost", "localhost:", "localhost:x", "parent:80", "::1:80"]
    {
        let args = refused(&[E, "--listen", bad], &[], None);
        let file = refused(&[E], &[], Some(&format!("listen = {bad:?}")));
        for refused in [args, file] {
            assert!(refused.contains("must be an IP address and a port, as in 127.0.0.1:8080"), "{refused}");
        }
    }
}

#[test]
fn max_queue_may_be_zero() {
    assert_eq!(load(&[E, "--max-queue=0"], &[], None).unwrap().max_queue, 0);
}

#[test]
fn help_names_every_setting_and_its_default() {
    let help = refused(&["--help"], &[], None);
    for argument in Settings::command().get_arguments() {
        let Some(name) = argument.get_long().filter(|name| !["config", "help", "version"].contains(name))
        else {
            continue;
        };
        assert!(help.contains(&format!("--{name}")), "{name}");
        let text = argument.get_long_help().or(argument.get_help()).unwrap().to_string();
        assert!(text.contains("default"), "{name}: {text}");
    }
}
