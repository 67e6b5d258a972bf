//! What was typed after `ci` and `test`.

use anyhow::{Context as _, bail};

/// The options of a chore that runs steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// The steps that were asked for; empty means all.
    pub(crate) only: Vec<String>,
    /// Print the steps instead of running them.
    pub(crate) list: bool,
    /// Go on after a failed step.
    pub(crate) keep_going: bool,
    /// A program that is missing and cannot be installed is no failure.
    pub(crate) allow_missing: bool,
}

impl Options {
    /// Reads the words after the chore.
    pub(crate) fn parse(words: &[String]) -> anyhow::Result<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--only" => {
                    let steps = words.next().context("`--only` needs the name of a step")?;
                    options.only.extend(steps.split(',').map(str::to_owned));
                }
                "--list" => options.list = true,
                "--keep-going" => options.keep_going = true,
                "--allow-missing" => options.allow_missing = true,
                other => bail!("`{other}` is no option; `cargo xtask help` lists them"),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> anyhow::Result<Options> {
        Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn several_steps_may_be_named_in_both_ways() {
        let options = parse("--only tests,console --only python --allow-missing").unwrap();
        assert_eq!(options.only, ["tests", "console", "python"]);
        assert!(options.allow_missing && !options.keep_going && !options.list);
    }

    #[test]
    fn an_unknown_option_is_named() {
        assert!(parse("--onyl tests").unwrap_err().to_string().contains("`--onyl`"));
        assert!(parse("--only").unwrap_err().to_string().contains("`--only`"));
    }
}
