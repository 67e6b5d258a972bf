//! The native API below `/api/v1`: contexts, messages, turns, models and the state of the server.

pub(crate) mod audit;
pub(crate) mod branches;
pub(crate) mod contexts;
pub(crate) mod debugging;
pub(crate) mod events;
pub(crate) mod guarded;
pub(crate) mod hooks;
pub(crate) mod import;
pub(crate) mod knowledge;
pub(crate) mod messages;
pub(crate) mod models;
pub(crate) mod mounts;
pub(crate) mod prompts;
pub(crate) mod read;
pub(crate) mod redact;
pub(crate) mod requests;
pub(crate) mod resume;
pub(crate) mod search;
pub(crate) mod shape;
pub(crate) mod share;
pub(crate) mod state;
pub(crate) mod transfer;
pub(crate) mod turns;
pub(crate) mod validate;
pub(crate) mod windows;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::gate::Gateway;

/// The paths of the native API.
pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(contexts::create, contexts::list))
        .routes(routes!(contexts::get, contexts::edit, contexts::delete))
        .routes(routes!(contexts::close))
        .routes(routes!(state::get, state::patch, state::put))
        .routes(routes!(state::history))
        .routes(routes!(state::restore))
        .routes(routes!(knowledge::notes, knowledge::note))
        .routes(routes!(knowledge::forget))
        .routes(routes!(knowledge::profile, knowledge::edit_profile, knowledge::delete_profile))
        .routes(routes!(messages::list, messages::append))
        .routes(routes!(requests::list))
        .routes(routes!(requests::explain))
        .routes(routes!(turns::send))
        .routes(routes!(turns::retry))
        .routes(routes!(turns::cancel))
        .routes(routes!(resume::turn))
        .routes(routes!(resume::stream))
        .routes(routes!(turns::window))
        .routes(routes!(branches::fork))
        .routes(routes!(branches::checkpoints, branches::checkpoint))
        .routes(routes!(branches::forget_checkpoint))
        .routes(routes!(branches::rollback))
        .routes(routes!(branches::branches))
        .routes(routes!(branches::compare))
        .routes(routes!(branches::merge))
        .routes(routes!(share::shares, share::share))
        .routes(routes!(share::end))
        .routes(routes!(share::context))
        .routes(routes!(share::messages))
        .routes(routes!(share::ranges))
        .routes(routes!(mounts::mount, mounts::list))
        .routes(routes!(mounts::get, mounts::unmount))
        .routes(routes!(mounts::refresh))
        .routes(routes!(mounts::check))
        .routes(routes!(windows::epochs))
        .routes(routes!(windows::summaries))
        .routes(routes!(windows::pins))
        .routes(routes!(windows::pin, windows::release))
        .routes(routes!(search::search))
        .routes(routes!(search::recall))
        .routes(routes!(transfer::export))
        .routes(routes!(import::import))
        .routes(routes!(events::events))
        .routes(routes!(redact::redact))
        .routes(routes!(hooks::create, hooks::list))
        .routes(routes!(hooks::get, hooks::edit, hooks::delete))
        .routes(routes!(hooks::test))
        .routes(routes!(hooks::deliveries))
        .routes(routes!(hooks::retry))
        .routes(routes!(audit::list))
        .routes(routes!(audit::verify))
        .routes(routes!(audit::erase))
        .routes(routes!(prompts::list))
        .routes(routes!(prompts::fill))
        .routes(routes!(models::models))
        .routes(routes!(models::providers, models::add_provider))
        .routes(routes!(
            models::provider,
            models::put_provider,
            models::change_provider,
            models::remove_provider
        ))
        .routes(routes!(models::status))
        .routes(routes!(debugging::dump))
        .routes(routes!(debugging::steps, debugging::set_steps))
        .routes(routes!(debugging::step))
        .routes(routes!(debugging::go))
        .routes(routes!(debugging::drop))
        .routes(routes!(validate::validate))
}
