//! The document that describes the interface (`OpenAPI` 3.1), made of the routes themselves; and what several of them answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;

use super::problem::{Kind, Problem};
use super::{View, server, v1};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Forebay",
        version = "1",
        description = "What an operator asks a running node, and tells it. docs/ADMIN_API.md says more.",
        license(name = "MIT OR Apache-2.0")
    ),
    components(schemas(Problem)),
    modifiers(&Token),
    tags(
        (name = "node", description = "The process as a whole"),
        (name = "sites", description = "Who is answered for"),
        (name = "origins", description = "Where sites come from"),
        (name = "cache", description = "What is stored"),
        (name = "configuration", description = "What the node runs with"),
    )
)]
struct Document;

/// A token, where there is one.
struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("what is in the file or variable of admin.token, if there is one"))
            .build();
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("token", SecurityScheme::Http(token));
        // Either: on loopback without a token, and with a certificate, none is shown.
        let none = utoipa::openapi::SecurityRequirement::default();
        let shown = utoipa::openapi::SecurityRequirement::new("token", Vec::<String>::new());
        document.security = Some(vec![shown, none]);
    }
}

/// All routes with their document.
pub(super) fn routes() -> OpenApiRouter<Arc<View>> {
    OpenApiRouter::with_openapi(Document::openapi()).merge(server::documented()).merge(v1::routes())
}

/// Declares what a kind of route may answer beside what it is for.
macro_rules! refusals {
    ($( $(#[doc = $doc:literal])+ $name:ident = [$($kind:ident),+]; )+) => { $(
        $(#[doc = $doc])+
        pub(super) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                problems(&[$(Kind::$kind),+])
            }
        }
    )+ };
}

refusals! {
    /// Every route behind the guard, by every method.
    Guarded = [Unproven, WrongHost, TooManyGuesses, NoSuchMethod, ForeignOrigin];
    /// What needs no proof.
    Open = [WrongHost, NoSuchMethod];
    /// What changes something, or takes content.
    Changing = [ForeignOrigin, NotJson];
    /// What reads content.
    WithContent = [Malformed, TooLong, Unusable];
    /// What has a question in its query.
    Queried = [Malformed, NoSuchSite, Unusable];
    /// What names an endpoint in its path.
    NamesEndpoint = [Malformed, NoSuchEndpoint];
    /// What is recorded in the ledger.
    Purging = [TooManyGlobs, NotDurable, Busy];
    /// What reads the files of the configuration.
    Reloading = [NotReloaded, NotHere, Busy];
    /// What not every node can do.
    NotHere = [NotHere];
}

fn problems(kinds: &[Kind]) -> BTreeMap<String, RefOr<Response>> {
    // Several may have the same status.
    let mut says: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for kind in kinds {
        let description = format!("`{}`: {}", kind.word(), kind.title());
        says.entry(kind.status().as_u16().to_string()).or_default().push(description);
    }
    let response = |(status, says): (String, Vec<String>)| {
        let content = Content::new(Some(Ref::from_schema_name("Problem")));
        let response = ResponseBuilder::new().description(says.join("; "));
        (status, response.content("application/problem+json", content).build().into())
    };
    says.into_iter().map(response).collect()
}
