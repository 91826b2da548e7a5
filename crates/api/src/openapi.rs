//! The OpenAPI 3.1 description, generated from the types; `openapi.json` at the root of the repository is checked
//! against it by a test.

use crate::{
    problem::{MEDIA_TYPE, Problem},
    routes::{audiences, campaigns, events, records, subscribers, system},
};
use utoipa::{
    Modify, OpenApi as _,
    openapi::{
        ContentBuilder, HttpMethod, OpenApi, PathItem, Ref, RefOr, Required, Response, ResponseBuilder,
        path::{Operation, ParameterBuilder, ParameterIn},
        schema::{ObjectBuilder, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

const TOKEN: &str = "token";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Kairos",
        version = "1.0.0",
        description = "The HTTP API of Kairos: campaigns, audiences, tags, explanations, audit.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        campaigns::list_campaigns,
        campaigns::submit_campaign,
        campaigns::read_campaign,
        campaigns::revise_campaign,
        campaigns::approve_campaign,
        campaigns::reject_campaign,
        campaigns::withdraw_campaign,
        campaigns::start_campaign,
        campaigns::pause_campaign,
        campaigns::resume_campaign,
        campaigns::stop_campaign,
        campaigns::simulate_campaign,
        campaigns::report_campaign,
        campaigns::check_campaign,
        records::list_tags,
        records::read_tag,
        audiences::count_audience,
        audiences::freeze_audience,
        subscribers::explain_subscriber,
        subscribers::opt_out,
        events::take_events,
        system::read_kill_switch,
        system::set_kill_switch,
        records::list_audit,
        records::verify_audit,
        records::list_imports,
        system::livez,
        system::readyz,
        system::openapi_document,
    ),
    components(schemas(Problem)),
    modifiers(&Common),
    tags(
        (name = "campaigns", description = "From draft to evaluation"),
        (name = "audiences", description = "Who satisfies a condition"),
        (name = "tags", description = "What is known of subscribers"),
        (name = "subscribers", description = "One subscriber, by ordinal"),
        (name = "events", description = "What happens on the network"),
        (name = "imports", description = "What was taken in"),
        (name = "audit", description = "Who did what"),
        (name = "system", description = "For machines")
    )
)]
struct Description;

/// The description as a value.
pub fn openapi() -> OpenApi {
    Description::openapi()
}

/// The description as it is checked in: pretty JSON and a newline.
pub fn openapi_json() -> String {
    // string keys and plain values only: this cannot fail
    let mut text = serde_json::to_string_pretty(&openapi()).unwrap_or_else(|e| unreachable!("plain JSON: {e}"));
    text.push('\n');
    text
}

/// Changes that may come twice; the others of its kind only read.
const EFFECTS_NOT: [&str; 3] = ["simulate_campaign", "check_campaign", "count_audience"];

/// What all operations have in common: the token, the failures, the idempotency key.
struct Common;

impl Modify for Common {
    fn modify(&self, api: &mut OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An operator's token; who acts is its user"))
            .build();
        if let Some(components) = &mut api.components {
            components.add_security_scheme(TOKEN, SecurityScheme::Http(scheme));
        }
        for (path, item) in &mut api.paths.paths {
            let named = path.contains('{');
            let guarded = path.starts_with("/v1/");
            for (method, operation) in operations(item) {
                common(operation, &method, named, guarded);
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    let all = [(HttpMethod::Get, &mut item.get), (HttpMethod::Post, &mut item.post), (HttpMethod::Put, &mut item.put)];
    all.into_iter().filter_map(|(m, o)| o.as_mut().map(|o| (m, o)))
}

fn common(operation: &mut Operation, method: &HttpMethod, named: bool, guarded: bool) {
    let reads = matches!(method, HttpMethod::Get);
    let id = operation.operation_id.clone().unwrap_or_default();
    let effect = !reads && !EFFECTS_NOT.contains(&id.as_str());
    let mut add = |status: &str, text: &str| {
        operation.responses.responses.insert(status.to_owned(), RefOr::T(problem(text)));
    };
    if guarded {
        operation.security = Some(vec![SecurityRequirement::new(TOKEN, Vec::<String>::new())]);
        add("400", "The request does not read");
        add("401", "No token, or one that is not known");
    }
    if named {
        add("404", "There is no such thing");
    }
    if !reads {
        add("409", "It clashes with what is there");
        add("413", "The body is too large");
        add("415", "The body is not application/json");
        add("422", "The request reads, and is wrong; `errors` says where");
    }
    if effect {
        add("403", "This user may not");
    }
    if matches!(method, HttpMethod::Put) {
        add("412", "It has changed since it was read");
        add("428", "`If-Match` is missing");
    }
    add("default", "Anything else");
    if effect {
        let key = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "1–255 characters, new for each intent. The same key with the same request gives the first answer again \
                 for a day, with `Idempotency-Replayed: true`; with another request it is refused.",
            ))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .build();
        operation.parameters.get_or_insert_default().push(RefOr::T(key));
    }
}

fn problem(text: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(text).content(MEDIA_TYPE, content).build()
}
