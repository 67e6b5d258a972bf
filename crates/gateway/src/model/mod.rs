//! Step 4: which model answers, where it is, and how it fares.

mod ask;
mod call;
mod check;
pub(crate) mod exact;
mod health;
mod hold;
mod keys;
mod live;
mod pass;
mod priced;
mod raw;
mod replay;
mod status;
#[cfg(test)]
mod tests;
mod token;
mod trail;
mod transcript;
mod upstream;
pub(crate) mod vectors;

use std::sync::Arc;

use serde_json::json;
pub use wire::fault::{Culprit, culprit};
pub use wire::nearest;
use wire::{Code, Fault};

use crate::client::Tls;
use crate::offline::{self, Offline};
use crate::route::RouteSettings;
use crate::settings::{ModelSettings, Settings};

pub(crate) use call::dice;
pub use check::CheckStatus;
pub(crate) use health::{Flight, State as HealthState};
pub use keys::KeyStatus;
pub use raw::{Raw, RawCall};
pub use status::{BreakerStatus, ModelStatus, Price, ProviderStatus};
pub use trail::{Attempt, Trail};
pub use transcript::Transcript;
pub use upstream::{Failed, Upstream};

use upstream::Site;

/// The window of a model we know nothing about.
pub const WINDOW_DEFAULT: u32 = 128_000;

/// Through which kind of door a call came; it decides the default model while no key is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Interact and raw TCP.
    Interact,
    /// Everything else.
    Context,
}

/// Who answers.
#[derive(Clone, Debug)]
pub enum Target {
    /// A built-in model.
    Offline(&'static dyn Offline),
    /// A model behind a connection.
    Upstream(Arc<Upstream>),
}

impl Target {
    /// The model's name.
    #[must_use]
    pub fn model(&self) -> &str {
        match self {
            Self::Offline(model) => model.name(),
            Self::Upstream(upstream) => upstream.model(),
        }
    }

    /// The provider's name; `offline` for the built-in ones.
    #[must_use]
    pub fn provider(&self) -> &str {
        match self {
            Self::Offline(_) => offline::PROVIDER,
            Self::Upstream(upstream) => upstream.provider(),
        }
    }
}

/// Every model that can answer.
#[derive(Debug)]
pub struct Models {
    choice: ModelSettings,
    sites: Vec<Arc<Site>>,
    routes: Vec<Arc<RouteSettings>>,
}

impl Models {
    /// Reads the settings; connects nothing.
    ///
    /// # Errors
    /// The first of [`Models::problems`].
    pub fn new(settings: &Settings) -> Result<Self, Fault> {
        Self::trusting(settings, &Tls::default())
    }

    /// As [`Models::new`], going on with what is known of providers that were there before.
    ///
    /// # Errors
    /// The first of [`Models::problems`].
    pub(crate) fn after(settings: &Settings, before: &Self) -> Result<Self, Fault> {
        let mut models = Self::new(settings)?;
        for site in models.sites.iter_mut().filter_map(Arc::get_mut) {
            if let Some(old) = before.sites.iter().find(|old| old.name() == site.name()) {
                site.goes_on(old);
            }
        }
        Ok(models)
    }

    /// As [`Models::new`], with other roots of trust than the machine's.
    ///
    /// # Errors
    /// The first of [`Models::problems`].
    pub fn trusting(settings: &Settings, tls: &Tls) -> Result<Self, Fault> {
        let mut problems = Vec::new();
        let models = Self::build(settings, tls, &mut problems);
        match problems.into_iter().next() {
            Some(problem) => Err(problem),
            None => Ok(models),
        }
    }

    /// Everything in the settings of models and providers that cannot work, each with its place.
    #[must_use]
    pub fn problems(settings: &Settings) -> Vec<Fault> {
        let mut problems = Vec::new();
        Self::build(settings, &Tls::default(), &mut problems);
        problems
    }

    fn build(settings: &Settings, tls: &Tls, problems: &mut Vec<Fault>) -> Self {
        let mut sites: Vec<Arc<Site>> = Vec::new();
        for row in &settings.providers {
            if sites.iter().any(|site| site.name() == row.name) {
                problems.push(config(format!("there are two providers named `{}`", row.name)));
                continue;
            }
            match Site::new(row, (tls.clone(), settings.local_only), &settings.prices) {
                Ok(site) => sites.push(Arc::new(site)),
                Err(fault) => problems.push(fault),
            }
        }
        let routes = settings.routes.iter().cloned().map(Arc::new).collect();
        let models = Self { choice: settings.models.clone(), sites, routes };
        if problems.is_empty() {
            problems.extend(models.broken_routes());
        }
        if problems.is_empty()
            && let Err(fault) = models.vectoriser()
        {
            let hint = fault.hint_text().unwrap_or("choose another model").to_owned();
            problems.push(config(format!("models.embed: {}", fault.text())).hint(hint));
        }
        let choice = &settings.models;
        let named = [
            ("models.default", choice.default.as_deref()),
            ("models.interact", Some(choice.interact.as_str())),
            ("models.context", Some(choice.context.as_str())),
        ];
        for (setting, name) in named {
            // A provider that is wrong itself was reported above.
            if let Some(name) = name
                && let Err(fault) = models.named(name)
                && problems.is_empty()
            {
                let hint = fault.hint_text().unwrap_or("choose another model").to_owned();
                problems.push(config(format!("{setting}: {}", fault.text())).hint(hint));
            }
        }
        models
    }

    /// What cannot work in the routes.
    fn broken_routes(&self) -> Vec<Fault> {
        let mut problems = Vec::new();
        for (n, route) in self.routes.iter().enumerate() {
            let name = &route.name;
            let mut wrong = |text: String, hint: &str| problems.push(config(text).hint(hint));
            if offline::named(name).is_some() || self.site(|site| site.name() == name).is_some() {
                let text = format!("the route `{name}` has the name of a model or provider");
                wrong(text, "choose another name for the route");
            }
            if self.routes.iter().take(n).any(|other| other.name == *name) {
                wrong(format!("there are two routes named `{name}`"), "give one another name");
            }
            if route.targets.is_empty() {
                let hint = "list at least one model under its `targets`";
                wrong(format!("the route `{name}` has no targets"), hint);
            }
            let all = route.targets.iter().chain(&route.canary).chain(&route.shadow);
            for target in all {
                if self.route(&target.model).is_some() {
                    let text = format!("`{}` in the route `{name}` is a route", target.model);
                    wrong(text, "name a model: a route leads to models only");
                } else if let Err(fault) = self.named(&target.model)
                    && fault.code() == Code::ModelNotFound
                {
                    let hint = fault.hint_text().unwrap_or("name a model").to_owned();
                    wrong(format!("the route `{name}`: {}", fault.text()), &hint);
                }
            }
        }
        problems
    }

    /// The route of this name.
    pub(crate) fn route(&self, name: &str) -> Option<Arc<RouteSettings>> {
        self.routes.iter().find(|route| route.name == name).cloned()
    }

    /// The model for a call: the wanted one, else the default of its door.
    ///
    /// # Errors
    /// `model_not_found` with the nearest known name, `configuration_error` when its provider lacks
    /// a key or may not be used.
    pub fn resolve(&self, wanted: Option<&str>, door: Door) -> Result<Target, Fault> {
        match wanted.map(str::trim).filter(|name| !name.is_empty()) {
            Some(name) => self.named(name),
            None => self.default(door),
        }
    }

    /// The name under which the default of a door is listed: `echo`, or `anthropic/claude-…`.
    #[must_use]
    pub fn default_name(&self, door: Door) -> String {
        match self.default(door) {
            Ok(Target::Upstream(upstream)) => {
                format!("{}/{}", upstream.provider(), upstream.model())
            }
            Ok(Target::Offline(model)) => model.name().to_owned(),
            Err(_) => "none".to_owned(),
        }
    }

    fn default(&self, door: Door) -> Result<Target, Fault> {
        if self.choice.mock {
            return self.named("mock");
        }
        if let Some(name) = &self.choice.default {
            return self.named(name);
        }
        let usable = self.sites.iter().find(|site| site.is_usable());
        if let Some((site, model)) = usable.and_then(|site| Some((site, site.first_model()?))) {
            return Ok(upstream(site, model));
        }
        self.named(match door {
            Door::Interact => &self.choice.interact,
            Door::Context => &self.choice.context,
        })
    }

    fn named(&self, name: &str) -> Result<Target, Fault> {
        if let Some(route) = self.route(name) {
            // For those who can ask one only: the first that can be asked.
            let mut targets = route.targets.iter().map(|target| self.named(&target.model));
            let first = targets.next();
            let usable = targets.find(Result::is_ok);
            return match (first, usable) {
                (Some(Ok(target)), _) | (_, Some(Ok(target))) => Ok(target),
                (Some(Err(fault)), _) => Err(fault),
                (None, _) => Err(self.unknown(name)),
            };
        }
        let bare = name.strip_prefix("offline/").unwrap_or(name);
        if let Some(model) = offline::named(bare) {
            return Ok(Target::Offline(model));
        }
        let (site, model) = self.place(name).ok_or_else(|| self.unknown(name))?;
        site.check()?;
        Ok(upstream(site, model))
    }

    /// The provider that serves a name, and what it calls the model.
    fn place<'a>(&'a self, name: &'a str) -> Option<(&'a Arc<Site>, &'a str)> {
        if let Some(site) = self.site(|site| site.lists(name)) {
            return Some((site, name));
        }
        if let Some((provider, model)) = name.split_once('/')
            && let Some(site) = self.site(|site| site.name() == provider)
        {
            return (!model.is_empty()).then_some((site, model));
        }
        if let Some(site) = self.site(|site| site.name() == name) {
            return Some((site, site.first_model()?));
        }
        Some((self.site(|site| site.owns(name))?, name))
    }

    /// The first provider of this kind, one that can be asked before one that cannot.
    fn site(&self, holds: impl Fn(&Site) -> bool) -> Option<&Arc<Site>> {
        let fits = || self.sites.iter().filter(|site| holds(site));
        fits().find(|site| site.is_usable()).or_else(|| fits().next())
    }

    fn unknown(&self, name: &str) -> Fault {
        let known = self.names();
        let nearest = nearest(name, known.iter().map(String::as_str));
        let table = crate::provider::Providers::embedded();
        let provider = name.split_once('/').map_or(name, |(provider, _)| provider);
        let missing = table
            .find(provider)
            .filter(|row| !self.sites.iter().any(|site| site.name() == row.name))
            .or_else(|| table.owner(name));
        let configure = match missing.and_then(|row| row.key.iter().chain(&row.base).next()) {
            Some(variable) => format!("set {variable}, or name its provider in `providers`"),
            None => "list it in `models` of a provider, or ask for `PROVIDER/MODEL`".to_owned(),
        };
        let hint = match nearest {
            Some(near) => format!("did you mean `{near}`? Otherwise {configure}"),
            None => format!("known models: {}; {configure}", known.join(", ")),
        };
        // Limit: a name comes from a stranger and may be long.
        let shown: String = name.chars().take(100).collect();
        Fault::new(Code::ModelNotFound, format!("there is no model `{shown}`"))
            .hint(hint)
            .details(json!({"model": shown, "nearest": nearest}))
    }

    /// The names of all listed models, each once.
    fn names(&self) -> Vec<String> {
        let offline = offline::OFFLINE.iter().map(|model| model.name().to_owned());
        let listed = self.sites.iter().flat_map(|site| site.models().iter().cloned());
        let routes = self.routes.iter().map(|route| route.name.clone());
        let mut names: Vec<String> = Vec::new();
        for name in offline.chain(routes).chain(listed) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Every listed model and how it fares, the offline ones first.
    #[must_use]
    pub fn list(&self) -> Vec<ModelStatus> {
        let offline = offline::OFFLINE.iter().map(|model| ModelStatus::offline(model.name()));
        let routes = self.routes.iter().map(|route| self.route_status(route, &|_| true));
        let listed = self.sites.iter().flat_map(|site| site.model_statuses());
        offline.chain(routes).chain(listed).collect()
    }

    /// A route as it is listed: what those of its targets can do that may be asked.
    pub(crate) fn route_status(
        &self,
        route: &RouteSettings,
        may: &dyn Fn(&Target) -> bool,
    ) -> ModelStatus {
        let named = route.targets.iter().filter_map(|target| self.named(&target.model).ok());
        let targets: Vec<Target> = named.filter(may).collect();
        let window = match targets.first() {
            Some(Target::Upstream(upstream)) => upstream.window_tokens(),
            Some(Target::Offline(_)) | None => WINDOW_DEFAULT,
        };
        // Where none of its targets can be asked, neither can the route.
        let configured = !targets.is_empty();
        ModelStatus {
            configured,
            capabilities: status::shared(&targets),
            ..ModelStatus::route(&route.name, window)
        }
    }

    /// Starts the health checks of those providers that want them. They end with the models.
    pub(crate) fn watch(&self) {
        for site in self.sites.iter().filter(|site| site.settings.health.is_some()) {
            drop(crate::tasks::detach("health", check::watch(Arc::downgrade(site))));
        }
    }

    /// Every provider and how it fares.
    #[must_use]
    pub fn providers(&self) -> Vec<ProviderStatus> {
        self.sites.iter().map(|site| site.status()).collect()
    }
}

fn upstream(site: &Arc<Site>, model: &str) -> Target {
    Target::Upstream(Arc::new(Upstream::new(Arc::clone(site), model.to_owned())))
}

fn config(text: String) -> Fault {
    Fault::new(Code::ConfigurationError, text)
}
