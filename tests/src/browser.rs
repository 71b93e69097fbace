//! A headless Chromium, steered over W3C WebDriver: the protocol is JSON over HTTP, and a test needs a dozen of its
//! commands.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{Process, free_port};
use crate::wait_until;

/// How an element is referred to (W3C WebDriver, §11).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
const LONG: Duration = Duration::from_secs(30);

/// A browser with one window.
#[derive(Debug)]
pub struct Browser {
    session: String,
    http: reqwest::blocking::Client,
    // Ends the browser with it.
    _driver: Process,
}

/// Something on a page.
#[derive(Debug)]
pub struct Element<'a> {
    browser: &'a Browser,
    id: String,
}

impl Browser {
    /// Whether there is one on this machine.
    pub fn is_there() -> bool {
        let found = |name: &str| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
        };
        found("chromedriver") && found("chromium")
    }

    /// Starts one with a window of this size.
    #[track_caller]
    pub fn start(width: u32, height: u32, is_dark: bool) -> Self {
        let port = free_port();
        let driver = Process::start("chromedriver", |command| {
            command
                .arg(format!("--port={port}"))
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null());
        });
        let http = reqwest::blocking::Client::builder().timeout(Duration::from_secs(60)).no_proxy().build();
        let http = http.expect("a client");
        let base = format!("http://127.0.0.1:{port}");
        wait_until("the driver is ready", LONG, || {
            let status = http.get(format!("{base}/status")).send().and_then(|answer| answer.json::<Value>());
            status.is_ok_and(|status| status["value"]["ready"] == true)
        });
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-gpu".to_owned(),
            "--hide-scrollbars".to_owned(),
            "--force-device-scale-factor=1".to_owned(),
            format!("--window-size={width},{height}"),
        ];
        if is_dark {
            arguments.push("--force-dark-mode".to_owned());
            arguments.push("--blink-settings=preferredColorScheme=0".to_owned());
        }
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let answer = http.post(format!("{base}/session")).json(&wanted).send().expect("an answer");
        let answer: Value = answer.json().expect("JSON");
        let id = answer["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("no browser: {answer}"));
        Self { session: format!("{base}/session/{id}"), http, _driver: driver }
    }

    #[track_caller]
    fn command(&self, path: &str, body: &Value) -> Value {
        self.try_command(path, body).unwrap_or_else(|error| panic!("{path} {body}: {error}"))
    }

    fn try_command(&self, path: &str, body: &Value) -> Result<Value, Value> {
        let answer = self.http.post(format!("{}/{path}", self.session)).json(body).send();
        let answer = answer.map_err(|error| Value::String(error.to_string()))?;
        let is_success = answer.status().is_success();
        let answer: Value = answer.json().map_err(|error| Value::String(error.to_string()))?;
        if is_success { Ok(answer["value"].clone()) } else { Err(answer["value"].clone()) }
    }

    #[track_caller]
    fn ask(&self, path: &str) -> Value {
        let answer = self.http.get(format!("{}/{path}", self.session)).send().expect("an answer");
        let answer: Value = answer.json().expect("JSON");
        answer["value"].clone()
    }

    /// Goes to a page, and waits until it is loaded.
    #[track_caller]
    pub fn go(&self, url: &str) {
        self.command("url", &json!({ "url": url }));
    }

    /// Waits for the first element that the CSS selector finds.
    #[track_caller]
    pub fn find(&self, selector: &str) -> Element<'_> {
        self.find_by("css selector", selector)
    }

    /// Waits for a link, a button or another element with this text.
    #[track_caller]
    pub fn find_text(&self, tag: &str, text: &str) -> Element<'_> {
        self.find_by("xpath", &format!("//{tag}[contains(normalize-space(.), '{text}')]"))
    }

    #[track_caller]
    fn find_by(&self, using: &str, what: &str) -> Element<'_> {
        let mut found = None;
        wait_until(&format!("{what} is on the page"), LONG, || {
            let answer = self.try_command("element", &json!({ "using": using, "value": what }));
            found = answer.ok().and_then(|answer| answer[ELEMENT].as_str().map(str::to_owned));
            found.is_some()
        });
        Element { browser: self, id: found.unwrap_or_default() }
    }

    /// Waits until the page has this text somewhere.
    #[track_caller]
    pub fn wait_for_text(&self, text: &str) {
        wait_until(&format!("the page says {text:?}"), LONG, || self.text().contains(text));
    }

    /// What the page says.
    #[track_caller]
    pub fn text(&self) -> String {
        self.run("return document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// Runs a script in the page and gives what it returns.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.command("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// What the page complained of: scripts that failed, and what its policy kept it from.
    #[track_caller]
    pub fn complaints(&self) -> Vec<String> {
        let log = self.command("se/log", &json!({ "type": "browser" }));
        let severe = log.as_array().cloned().unwrap_or_default().into_iter().filter(|line| line["level"] == "SEVERE");
        severe.map(|line| line["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Keeps a picture of the window.
    #[track_caller]
    pub fn picture(&self, file: &Path) {
        use base64::Engine as _;
        let picture = self.ask("screenshot");
        let bytes = base64::engine::general_purpose::STANDARD.decode(picture.as_str().unwrap_or_default());
        std::fs::write(file, bytes.expect("a picture")).expect("written");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.http.delete(&self.session).send();
    }
}

impl Element<'_> {
    #[track_caller]
    fn command(&self, command: &str, body: &Value) {
        self.browser.command(&format!("element/{}/{command}", self.id), body);
    }

    /// Clicks on it.
    #[track_caller]
    pub fn click(&self) {
        self.command("click", &json!({}));
    }

    /// Types into it; into a file input: chooses the file at that path.
    #[track_caller]
    pub fn type_text(&self, text: &str) {
        self.command("value", &json!({ "text": text }));
    }

    /// Empties it and types into it.
    #[track_caller]
    pub fn replace_text(&self, text: &str) {
        self.command("clear", &json!({}));
        self.type_text(text);
    }

    /// What it says.
    #[track_caller]
    pub fn text(&self) -> String {
        self.browser.ask(&format!("element/{}/text", self.id)).as_str().unwrap_or_default().to_owned()
    }
}
