//! Tag files as written: the TOML shapes.

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TagFile {
    #[serde(default)]
    pub source: Vec<SourceForm>,
    #[serde(default)]
    pub tag: Vec<TagForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceForm {
    pub id: String,
    pub sql: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TagForm {
    pub id: String,
    #[serde(default)]
    pub zh: String,
    #[serde(default)]
    pub en: String,
    #[serde(default)]
    pub aspect: String,
    #[serde(default)]
    pub category: String,
    #[serde(default, rename = "type")]
    pub ty: String,
    pub from: Option<String>,
    pub value: Option<String>,
    pub sql: Option<String>,
    pub condition: Option<String>,
    pub default: Option<toml::Value>,
    #[serde(default)]
    pub owner: String,
    #[serde(default)]
    pub refresh: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub values: Vec<ValueForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ValueForm {
    pub value: String,
    #[serde(default)]
    pub zh: String,
    #[serde(default)]
    pub en: String,
}
