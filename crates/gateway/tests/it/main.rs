//! The request path from outside: providers against a model server, doors against the whole path.

#[cfg(test)]
mod auth;
#[cfg(test)]
mod background;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod bad_native;
#[cfg(test)]
mod beside;
#[cfg(test)]
mod cache;
#[cfg(test)]
mod checks;
#[cfg(test)]
mod confidence;
#[cfg(test)]
mod conversations;
#[cfg(test)]
mod debugging;
#[cfg(test)]
mod documents;
mod doors;
#[cfg(test)]
mod hang_ups;
#[cfg(test)]
mod history;
#[cfg(test)]
mod hooks;
#[cfg(test)]
mod house;
#[cfg(test)]
mod joined;
#[cfg(test)]
mod lane;
mod lane_requests;
#[cfg(test)]
mod large;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod mcp;
#[cfg(test)]
mod model_limits;
#[cfg(test)]
mod mounts;
#[cfg(test)]
mod native;
#[cfg(test)]
mod native_branches;
#[cfg(test)]
mod native_life;
#[cfg(test)]
mod native_windows;
#[cfg(test)]
mod prompts;
#[cfg(test)]
mod proofs;
#[cfg(test)]
mod provider;
#[cfg(test)]
mod provider_auth;
#[cfg(test)]
mod provider_faults;
#[cfg(test)]
mod provider_streams;
#[cfg(test)]
mod record;
#[cfg(test)]
mod reloads;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod responses;
#[cfg(test)]
mod resume;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod routes_side;
#[cfg(test)]
mod routes_turns;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod stub;
#[cfg(test)]
mod surfaces;
#[cfg(test)]
mod thousand;
#[cfg(test)]
mod threads;
#[cfg(test)]
mod untouched;
#[cfg(test)]
mod upstream;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod vendor;
#[cfg(test)]
mod versions;
#[cfg(test)]
mod window_facts;
