//! Settings: flag > environment > configuration file > default, and where each value came from.

use crate::args::{Cli, Command, Lang};
use kairos_app::{AppError, Result};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    Flag(&'static str),
    Environment(&'static str),
    File(PathBuf),
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One setting as it stands.
#[derive(Clone, Debug)]
pub struct Setting {
    pub key: &'static str,
    pub value: Option<String>,
    pub source: Source,
    pub secret: bool,
}

/// Every setting of the program: key in the file, flag, environment variable, default, secret?
const SETTINGS: &[(&str, &str, &str, Option<&str>, bool)] = &[
    ("data", "--data", "KAIROS_DATA", Some("kairos-data"), false),
    ("definitions", "--definitions", "KAIROS_DEFINITIONS", None, false),
    ("key_file", "--key-file", "KAIROS_KEY_FILE", None, false),
    ("outbox", "--outbox", "KAIROS_OUTBOX", None, false),
    ("lang", "--lang", "KAIROS_LANG", Some("en"), false),
    ("token", "--token", "KAIROS_TOKEN", None, true),
    ("listen", "--listen", "KAIROS_LISTEN", Some("127.0.0.1:8650"), false),
    ("smpp", "--smpp", "KAIROS_SMPP", None, false),
    ("smpp_user", "--smpp-user", "KAIROS_SMPP_USER", Some("kairos"), false),
    ("smpp_password", "--smpp-password", "KAIROS_SMPP_PASSWORD", None, true),
    ("smpp_window", "--smpp-window", "KAIROS_SMPP_WINDOW", Some("32"), false),
    ("log", "--log", "KAIROS_LOG", Some("info"), false),
];

/// All settings, resolved.
#[derive(Clone, Debug)]
pub struct Config(Vec<Setting>);

impl Config {
    /// `env` reads an environment variable; an argument, so that tests have their own.
    pub fn resolve(cli: &Cli, env: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let file = cli.global.config.clone().or_else(|| env("KAIROS_CONFIG").map(PathBuf::from));
        let table = match &file {
            Some(path) => read(path)?,
            None => toml::Table::new(),
        };
        if let (Some(path), Some(key)) = (&file, table.keys().find(|k| !SETTINGS.iter().any(|s| s.0 == *k))) {
            let known = SETTINGS.iter().map(|s| s.0).collect::<Vec<_>>().join(", ");
            return Err(AppError::invalid(
                "configuration",
                format!("`{}` sets the unknown key `{key}`; known: {known}", path.display()),
            ));
        }
        let mut settings = Vec::with_capacity(SETTINGS.len());
        for &(key, flag, variable, default, secret) in SETTINGS {
            let (value, source) = if let Some(v) = flag_of(cli, key) {
                (Some(v), Source::Flag(flag))
            } else if let Some(v) = env(variable).filter(|v| !v.is_empty()) {
                (Some(v), Source::Environment(variable))
            } else if let (Some(v), Some(path)) = (table.get(key), &file) {
                let text = match v {
                    toml::Value::String(s) => s.clone(),
                    other => other.to_string(),
                };
                (Some(text), Source::File(path.clone()))
            } else {
                (default.map(str::to_owned), Source::Default)
            };
            settings.push(Setting { key, value, source, secret });
        }
        let config = Self(settings);
        config.lang()?;
        config.window()?;
        Ok(config)
    }

    pub fn settings(&self) -> &[Setting] {
        &self.0
    }
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|s| s.key == key).and_then(|s| s.value.as_deref())
    }
    pub fn path(&self, key: &str) -> Option<PathBuf> {
        self.get(key).map(PathBuf::from)
    }
    /// Whether the value was given rather than a default.
    pub fn given(&self, key: &str) -> bool {
        self.0.iter().any(|s| s.key == key && s.source != Source::Default)
    }
    pub fn lang(&self) -> Result<Lang> {
        match self.get("lang") {
            Some("zh") => Ok(Lang::Zh),
            Some("en") | None => Ok(Lang::En),
            Some(other) => Err(self.wrong("lang", other, "`zh` or `en`")),
        }
    }
    pub fn window(&self) -> Result<u16> {
        let text = self.get("smpp_window").unwrap_or("32");
        match text.parse() {
            Ok(n) if (1..=1000).contains(&n) => Ok(n),
            _ => Err(self.wrong("smpp_window", text, "a number from 1 to 1000")),
        }
    }
    /// An error about a value, with the place it came from.
    pub fn wrong(&self, key: &str, value: &str, expected: &str) -> AppError {
        let source = self.source(key);
        AppError::invalid("configuration", format!("`{key}` is `{value}` ({source}); expected {expected}"))
    }
    pub fn source(&self, key: &str) -> Source {
        self.0.iter().find(|s| s.key == key).map_or(Source::Default, |s| s.source.clone())
    }
}

fn read(path: &Path) -> Result<toml::Table> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        AppError::invalid("configuration", format!("cannot read the configuration file `{}`", path.display()))
            .because(e)
    })?;
    text.parse().map_err(|e: toml::de::Error| {
        AppError::invalid("configuration", format!("`{}` is no TOML: {}", path.display(), e.message()))
    })
}

fn flag_of(cli: &Cli, key: &str) -> Option<String> {
    let path = |p: &Option<PathBuf>| p.as_ref().map(|p| p.display().to_string());
    let g = &cli.global;
    let serve = match &cli.command {
        Command::Serve(s) => Some(s),
        _ => None,
    };
    match key {
        "data" => path(&g.data),
        "definitions" => path(&g.definitions),
        "key_file" => path(&g.key_file),
        "outbox" => path(&g.outbox),
        "token" => g.token.clone(),
        "log" => g.log.clone(),
        "lang" => g.lang.map(|l| if l == Lang::Zh { "zh" } else { "en" }.to_owned()),
        "listen" => serve.and_then(|s| s.listen.clone()),
        "smpp" => serve.and_then(|s| s.smpp.clone()),
        "smpp_user" => serve.and_then(|s| s.smpp_user.clone()),
        "smpp_password" => serve.and_then(|s| s.smpp_password.clone()),
        "smpp_window" => serve.and_then(|s| s.smpp_window.map(|n| n.to_string())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("kairos.toml");
        std::fs::write(&file, "listen = \"127.0.0.1:1\"\nsmpp_window = 5\nlang = \"zh\"\n").unwrap();
        let cli = Cli::parse_from(["kairos", "--config", file.to_str().unwrap(), "serve", "--listen", "127.0.0.1:3"]);
        let env = |name: &str| (name == "KAIROS_SMPP_WINDOW").then(|| "7".to_owned());
        let config = Config::resolve(&cli, &env).unwrap();
        let shown: Vec<String> = config
            .settings()
            .iter()
            .filter(|s| ["listen", "smpp_window", "lang", "data"].contains(&s.key))
            .map(|s| {
                format!("{} {} {}", s.key, s.value.as_deref().unwrap(), s.source.to_string().split(' ').next().unwrap())
            })
            .collect();
        assert_eq!(
            shown,
            ["data kairos-data default", "lang zh file", "listen 127.0.0.1:3 flag", "smpp_window 7 environment"]
        );
    }

    #[test]
    fn a_wrong_value_says_where_it_came_from() {
        let cli = Cli::parse_from(["kairos", "serve"]);
        let env = |name: &str| (name == "KAIROS_SMPP_WINDOW").then(|| "many".to_owned());
        let e = Config::resolve(&cli, &env).unwrap_err();
        assert_eq!(
            e.message,
            "`smpp_window` is `many` (environment KAIROS_SMPP_WINDOW); expected a number from 1 to 1000"
        );
    }
}
