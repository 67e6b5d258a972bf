//! Collects all sources, resolves them, and reports everything that is wrong together.

use std::path::{Path, PathBuf};

use super::env::Environment;
use super::file;
use super::layer::{self, Given, Layer, Value};
use super::problem::{Findings, Place, Refused};
use super::resolve;
use super::resolved::Config;
use super::stack::Stack;
use super::values::Values;
use super::{added, dotenv};

/// A setting from the command line.
#[derive(Clone, Debug)]
pub(crate) struct Flag {
    /// The key it sets.
    pub(crate) key: &'static str,
    /// Its name, `--port`.
    pub(crate) name: &'static str,
    /// What was written.
    pub(crate) value: String,
}

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inputs {
    /// The environment.
    pub(crate) env: Environment,
    /// The working directory.
    pub(crate) folder: PathBuf,
    /// Flags that set keys.
    pub(crate) flags: Vec<Flag>,
    /// `--config`.
    pub(crate) file: Option<PathBuf>,
    /// `--profile`.
    pub(crate) profile: Option<String>,
}

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// What it means.
    pub(crate) config: Config,
    /// Where every value came from.
    pub(crate) stack: Stack,
    /// What the user should know, one line each.
    pub(crate) warnings: Vec<String>,
    /// The configuration file, if there is one.
    pub(crate) file: Option<PathBuf>,
    /// The profile, if one is selected.
    pub(crate) profile: Option<String>,
    /// Files whose change means a new configuration, whether they exist or not.
    pub(crate) watched: Vec<PathBuf>,
}

impl Loaded {
    /// Where what counts for the key `path` was written.
    pub(crate) fn place(&self, path: &str) -> Place {
        self.stack.given(path).map_or(Place::Default, |given| given.place.clone())
    }
}

/// Reads and resolves everything.
///
/// # Errors
/// [`Refused`] with every problem of every source.
pub(crate) fn load(inputs: &Inputs) -> Result<Loaded, Refused> {
    let mut findings = Findings::default();
    let mut sources = Sources::collect(inputs, &mut findings);
    let mut stack = sources.stack(&[]);
    let default_data = inputs.env.data_folder();
    // The data folder is needed to find its `.env`, which is then a source like the others.
    let mut unsaid = Findings::default();
    let data =
        sources.values(inputs, &stack, &mut unsaid, |v| resolve::data_folder(v, &default_data));
    let beside = data.join(".env");
    if beside != inputs.folder.join(".env") {
        let (layers, lookup) = read_dotenv(&beside, &mut findings);
        sources.variables.extend(lookup);
        stack = sources.stack(&layers);
    }
    let added_file = added::path(&data);
    let servers_file = added::servers(&data);
    for file in [&added_file, &servers_file] {
        stack.push_below(added::layer(file, &mut findings));
    }
    stack.note_added(&added_file, added::order(&added_file));
    let config =
        sources.values(inputs, &stack, &mut findings, |v| resolve::config(v, &default_data));
    let mut watched = sources.watched;
    watched.extend([beside, added_file, servers_file]);
    watched.extend(findings.secrets);
    watched.extend(config.tls.files.iter().flat_map(|(cert, key)| [cert.clone(), key.clone()]));
    let (warnings, file, profile) = (findings.warnings, sources.file, sources.profile);
    let loaded = Loaded { config, stack, warnings, file, profile, watched };
    if findings.problems.is_empty() {
        return Ok(loaded);
    }
    findings.problems.sort_by(|a, b| a.place.cmp(&b.place));
    findings.problems.dedup();
    let warnings = loaded.warnings.clone();
    Err(Refused { problems: findings.problems, warnings, rest: Box::new(loaded) })
}

/// Everything read, before it is put in order.
struct Sources {
    file: Option<PathBuf>,
    profile: Option<String>,
    base: Layer,
    overlay: Layer,
    dotenv: Vec<Layer>,
    environment: Vec<Layer>,
    flags: Layer,
    /// Variables of `.env` files, the ones that count first.
    variables: Vec<(String, String)>,
    watched: Vec<PathBuf>,
}

impl Sources {
    fn collect(inputs: &Inputs, findings: &mut Findings) -> Self {
        let dotenv_path = inputs.folder.join(".env");
        let (dotenv, variables) = read_dotenv(&dotenv_path, findings);
        let environment = layer::of_environment(&inputs.env, findings);
        let variable = |name: &str| {
            let written = variables.iter().find(|(known, _)| known == name);
            inputs.env.get(name).or(written.map(|(_, value)| value.as_str())).map(ToOwned::to_owned)
        };
        let (file, mut watched) = find_file(inputs, &variable, findings);
        watched.push(dotenv_path);
        let tree = file.as_deref().and_then(|path| file::read(path, findings));
        let read = match (&file, &tree) {
            (Some(path), Some(tree)) => layer::read_tree(path, tree, findings),
            _ => layer::Read::default(),
        };
        let profile = inputs.profile.clone().or_else(|| variable("RAPPORT_PROFILE"));
        let overlay = match &profile {
            Some(name) => overlay(name, &read, file.as_deref(), findings),
            None => Layer::new(),
        };
        let base = read.base;
        let flags = flags(&inputs.flags);
        Self { file, profile, base, overlay, dotenv, environment, flags, variables, watched }
    }

    /// All layers in order; `beside` are those of the data folder's `.env`.
    fn stack(&self, beside: &[Layer]) -> Stack {
        let mut stack = Stack::default();
        stack.push(self.base.clone());
        stack.push(self.overlay.clone());
        stack.extend(beside.to_vec());
        stack.extend(self.dotenv.clone());
        stack.extend(self.environment.clone());
        stack.push(self.flags.clone());
        stack
    }

    fn values<T>(
        &self,
        inputs: &Inputs,
        stack: &Stack,
        findings: &mut Findings,
        read: impl FnOnce(&mut Values<'_>) -> T,
    ) -> T {
        let lookup = |name: &str| {
            let written = self.variables.iter().find(|(known, _)| known == name);
            inputs.env.get(name).or(written.map(|(_, value)| value.as_str())).map(ToOwned::to_owned)
        };
        let home = inputs.env.home();
        let folder = &inputs.folder;
        read(&mut Values { stack, lookup: &lookup, findings, folder, home })
    }
}

/// The configuration file that counts, and the paths where one would count.
fn find_file(
    inputs: &Inputs,
    variable: &dyn Fn(&str) -> Option<String>,
    findings: &mut Findings,
) -> (Option<PathBuf>, Vec<PathBuf>) {
    let named = inputs.file.clone().or_else(|| variable("RAPPORT_CONFIG").map(PathBuf::from));
    if let Some(path) = named {
        // Shown as the user wrote it, read from where the user is.
        let path = if path.is_absolute() || inputs.folder == Path::new(".") {
            path
        } else {
            inputs.folder.join(path)
        };
        return (Some(path.clone()), vec![path]);
    }
    let mut watched = Vec::new();
    for folder in [inputs.folder.clone(), inputs.env.config_folder()] {
        watched.push(folder.join("rapport.yaml"));
        let mut found = file::find(&folder).into_iter();
        if let Some(first) = found.next() {
            for other in found {
                findings.warn(format!(
                    "{} is not read, because {} is beside it: keep one",
                    other.display(),
                    first.display()
                ));
            }
            watched.push(first.clone());
            return (Some(first), watched);
        }
    }
    (None, watched)
}

fn overlay(name: &str, read: &layer::Read, file: Option<&Path>, findings: &mut Findings) -> Layer {
    if let Some(layer) = read.profiles.get(name) {
        return layer.clone();
    }
    let known: Vec<String> = read.profiles.keys().map(|name| format!("`{name}`")).collect();
    let place = file.map_or(Place::Flag("--profile"), |path| Place::File(path.to_owned(), None));
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    findings.problem(&place, format!("there is no profile `{name}`: `profiles` has {known}"));
    Layer::new()
}

fn flags(flags: &[Flag]) -> Layer {
    let given = |flag: &Flag| Given {
        value: Value::Text(flag.value.clone()),
        place: Place::Flag(flag.name),
        alias: None,
    };
    flags.iter().map(|flag| (flag.key.to_owned(), given(flag))).collect()
}

/// Layers of a `.env` file, and all its variables; a missing file has none.
fn read_dotenv(path: &Path, findings: &mut Findings) -> (Vec<Layer>, Vec<(String, String)>) {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Default::default(),
        // A folder named `.env` is somebody's virtual environment.
        Err(_) if path.is_dir() => return Default::default(),
        Err(error) => {
            let place = Place::File(path.to_owned(), None);
            findings.problem(&place, format!("cannot be read: {error}"));
            return Default::default();
        }
    };
    let (assignments, broken) = dotenv::read(&text);
    for (line, problem) in broken {
        // Other programs share this file, and may read more than we do.
        findings.warn(format!("{}:{line}: {problem}", path.display()));
    }
    let layers = layer::of_assignments(path, &assignments, findings);
    (layers, assignments.into_iter().map(|a| (a.name, a.value)).collect())
}
