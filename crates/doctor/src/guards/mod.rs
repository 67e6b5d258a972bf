//! Antivirus, EDR and other programs that filter connections, by the names of what runs.

use std::sync::OnceLock;

use serde::Deserialize;

const PRODUCTS: &str = include_str!("products.toml");

/// Limit: products that are named at once.
const NAMED_MAX: usize = 4;

#[derive(Debug, Default, Deserialize)]
struct Products {
    product: Vec<Product>,
}

/// One product; see the file.
#[derive(Debug, Deserialize)]
pub(crate) struct Product {
    pub(crate) name: String,
    #[serde(default)]
    linux: Vec<String>,
    #[serde(default)]
    modules: Vec<String>,
    #[serde(default)]
    macos: Vec<String>,
    #[serde(default)]
    windows: Vec<String>,
    #[serde(default)]
    drivers: Vec<String>,
}

/// What runs on a machine, as names without paths.
#[derive(Debug, Clone, Default)]
pub(crate) struct Running {
    pub(crate) programs: Vec<String>,
    /// Modules of Linux' kernel, or drivers of Windows'.
    pub(crate) modules: Vec<String>,
}

/// A product that was found, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guard {
    pub(crate) name: String,
    /// "the process `falcon-sensor` runs".
    pub(crate) proof: String,
}

fn products() -> &'static [Product] {
    static READ: OnceLock<Vec<Product>> = OnceLock::new();
    // The file is part of the program; a test reads it too, so a broken one is never released.
    READ.get_or_init(|| toml::from_str::<Products>(PRODUCTS).unwrap_or_default().product)
}

/// The names of kernel modules and drivers that any product has, for systems that are asked one by
/// one.
#[cfg_attr(not(windows), expect(dead_code, reason = "only Windows is asked one by one"))]
pub(crate) fn drivers() -> impl Iterator<Item = &'static str> {
    products().iter().flat_map(|product| product.drivers.iter().map(String::as_str))
}

/// The products among what runs on the system `os`.
pub(crate) fn among(running: &Running, os: &str) -> Vec<Guard> {
    let found = products().iter().filter_map(|product| {
        let (programs, modules) = match os {
            "macos" => (&product.macos, None),
            "windows" => (&product.windows, Some(&product.drivers)),
            _ => (&product.linux, Some(&product.modules)),
        };
        let has = |known: &[String], all: &[String]| {
            known.iter().find(|name| all.iter().any(|one| one.eq_ignore_ascii_case(name))).cloned()
        };
        let program = has(programs, &running.programs);
        let proof = match program {
            Some(program) => format!("the process `{program}` runs"),
            None => {
                let module = has(modules?, &running.modules)?;
                let kind = if os == "windows" { "driver" } else { "kernel module" };
                format!("the {kind} `{module}` is loaded")
            }
        };
        Some(Guard { name: product.name.clone(), proof })
    });
    found.take(NAMED_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::{PRODUCTS, Products, Running, among, products};

    #[test]
    fn the_file_can_be_read_and_every_product_can_be_found_somewhere() {
        let read: Products = toml::from_str(PRODUCTS).unwrap();
        assert!(read.product.len() > 25);
        for product in products() {
            let all = [&product.linux, &product.macos, &product.windows];
            assert!(all.iter().any(|names| !names.is_empty()), "{}", product.name);
            for name in &product.linux {
                assert!(name.len() <= 15 || name.contains('_'), "{name}: Linux cuts it");
            }
            assert!(product.windows.iter().all(|name| name.ends_with(".exe")), "{}", product.name);
        }
    }

    #[test]
    fn products_are_told_by_their_processes_and_modules_and_nothing_else_is() {
        let running = |programs: &[&str], modules: &[&str]| Running {
            programs: programs.iter().map(|name| (*name).to_owned()).collect(),
            modules: modules.iter().map(|name| (*name).to_owned()).collect(),
        };
        let names = |running: &Running, os: &str| -> Vec<String> {
            among(running, os).into_iter().map(|guard| guard.name).collect()
        };
        let plain = running(&["systemd", "python3", "explorer.exe", "launchd"], &["nf_tables"]);
        for os in ["linux", "macos", "windows"] {
            assert!(among(&plain, os).is_empty(), "{os}");
        }
        let falcon = running(&["falcon-sensor"], &[]);
        assert_eq!(names(&falcon, "linux"), ["CrowdStrike Falcon"]);
        assert_eq!(among(&falcon, "linux")[0].proof, "the process `falcon-sensor` runs");
        assert_eq!(names(&running(&[], &["eset_wap"]), "linux"), ["ESET"]);
        assert_eq!(names(&running(&["msmpeng.exe"], &[]), "windows"), ["Microsoft Defender"]);
        assert_eq!(names(&running(&[], &["CSAgent"]), "windows"), ["CrowdStrike Falcon"]);
        let snitch = running(&["at.obdev.littlesnitch.daemon"], &[]);
        assert_eq!(names(&snitch, "macos"), ["Little Snitch"]);
        // A name of another system proves nothing.
        assert!(among(&snitch, "linux").is_empty());
    }
}
