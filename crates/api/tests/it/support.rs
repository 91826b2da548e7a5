//! A data directory of its own, four operators with tokens, a clock that stands, and short ways to ask.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode},
};
use kairos_app::{App, Definitions, Options, progress::Silent, write_province};
use kairos_catalog::CampaignDef;
use kairos_model::{Awake, Clock, Span, Timestamp};
use kairos_synth::{Province, SynthConfig};
use serde_json::{Value, json};
use std::{future::Future, pin::Pin, sync::Arc};
use tower::ServiceExt;

/// Stands at Monday, 2026-03-02 09:30 in Shanghai.
struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        "2026-03-02T01:30:00Z".parse().unwrap()
    }
    fn sleep_until(&self, _: Timestamp) -> Pin<Box<dyn Future<Output = Awake> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}

pub struct World {
    pub app: Arc<App>,
    pub router: Router,
    pub planner: String,
    pub approver: String,
    pub operator: String,
    _folder: tempfile::TempDir,
}

pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
    /// Status and code of a problem; also holds it to RFC 9457's form.
    pub fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        let body = self.json();
        let code = body["code"].as_str().unwrap().to_owned();
        assert_eq!(body["status"], self.status.as_u16());
        assert_eq!(body["type"], format!("urn:kairos:problem:{code}"));
        assert_eq!(body["instance"], format!("urn:kairos:request:{}", self.header("x-request-id")));
        assert!(!body["title"].as_str().unwrap().is_empty() && !body["detail"].as_str().unwrap().is_empty());
        assert!(body["errors"].is_array());
        (self.status.as_u16(), code)
    }
    /// The answer of a success.
    pub fn ok(&self) -> Value {
        assert!(self.status.is_success(), "{} {}", self.status, self.text);
        self.json()
    }
}

impl World {
    /// An empty data directory.
    pub async fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::new(folder.path().join("data"), Definitions::load(None).unwrap(), Arc::new(Standing));
        let app = Arc::new(App::open(options).await.unwrap());
        let mut n = 0u8;
        let mut random = move |bytes: &mut [u8]| {
            n += 1;
            bytes.fill(n);
        };
        let users = app.catalog.seed_users(&mut random, app.now()).await.unwrap();
        let token = |name: &str| users.iter().find(|(u, _)| u.name == name).unwrap().1.reveal().to_owned();
        Self {
            router: kairos_api::router(app.clone()),
            planner: token("planner"),
            approver: token("approver"),
            operator: token("operator"),
            app,
            _folder: folder,
        }
    }

    /// A small synthetic province, imported, with its tags.
    pub async fn province() -> Self {
        let world = Self::empty().await;
        let province = Province::new(SynthConfig::china(1, 400)).unwrap();
        let files = write_province(&province, &world._folder.path().join("operator"), &Silent).unwrap();
        for file in &files {
            let layout = world.app.layout(file.layout).unwrap();
            world.app.import(&layout, &file.path, Some(province.end()), &Silent).unwrap();
        }
        world.app.compute_tags(province.end()).await.unwrap();
        assert!(world.app.now() < province.end().plus(Span::days(3)));
        world
    }

    pub async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 16 << 20).await.unwrap();
        Reply { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    pub async fn get(&self, token: &str, path: &str) -> Reply {
        self.send(request(Method::GET, path, token, &[], None)).await
    }
    pub async fn post(&self, token: &str, path: &str, body: Value) -> Reply {
        self.send(request(Method::POST, path, token, &[], Some(body))).await
    }
    /// A POST under an idempotency key.
    pub async fn keyed(&self, token: &str, path: &str, key: &str, body: Value) -> Reply {
        self.send(request(Method::POST, path, token, &[("idempotency-key", key)], Some(body))).await
    }
    pub async fn put(&self, token: &str, path: &str, if_match: Option<&str>, body: Value) -> Reply {
        let headers: Vec<_> = if_match.map(|tag| ("if-match", tag)).into_iter().collect();
        self.send(request(Method::PUT, path, token, &headers, Some(body))).await
    }
}

pub fn request(
    method: Method,
    path: &str,
    token: &str,
    headers: &[(&str, &str)],
    body: Option<Value>,
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    match body {
        None => request.body(Body::empty()).unwrap(),
        Some(body) => request.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap(),
    }
}

/// A definition that the whole of a small province can be the audience of.
pub fn definition() -> Value {
    let definitions = Definitions::load(None).unwrap();
    let text = definitions.text("campaigns/ring-back-tone.toml").unwrap();
    let mut def = CampaignDef::from_toml("ring-back-tone.toml", text).unwrap().to_json();
    def["audience"] = json!({ "condition": "arpu_3m >= 1 yuan and not has_ring_back_tone" });
    def
}
