//! Kubernetes: the pod of a process, and the exact commands with which to look at it.

use std::path::{Path, PathBuf};

use crate::report::Fix;
use crate::request::Environment;
use crate::tail::head;

/// Limit: bytes of a file that is read.
const BYTES_MAX: u64 = 256 * 1024;

/// A pod, as far as it is known from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
}

/// The pod of a process, by its host name and its account's folder below `root`.
pub(crate) fn of_process(root: &Path, pid: u32) -> Option<Pod> {
    pod(&root.join(format!("proc/{pid}/root")))
}

/// The pod that this program runs in.
pub(crate) fn own(root: &Path, environment: &Environment) -> Option<Pod> {
    environment.variable("kubernetes_service_host")?;
    pod(root)
}

fn pod(root: &Path) -> Option<Pod> {
    let line = |path: &str| {
        let text = head(&root.join(path), BYTES_MAX)?;
        Some(text.trim().to_owned()).filter(|text| is_name(text))
    };
    let namespace = line("var/run/secrets/kubernetes.io/serviceaccount/namespace");
    Some(Pod { name: line("etc/hostname")?, namespace })
}

/// Names of contexts may hold more, such as `gke_a_b_c`, `arn:aws:eks:…/name` or `ann@home`.
fn is_context(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.@:/+".contains(&b))
}

/// Names of Kubernetes hold letters, digits, dashes and dots; nothing else goes into a command.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() < 254
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
}

/// The context that `kubectl` would use here, and its namespace.
pub(crate) fn current(environment: &Environment) -> Option<(String, Option<String>)> {
    let file = match environment.variable("kubeconfig") {
        Some((_, list)) => PathBuf::from(list.split(':').next()?),
        None => Path::new(environment.variable("home")?.1).join(".kube/config"),
    };
    read(&head(&file, BYTES_MAX)?)
}

/// `current-context: NAME`, and the `namespace:` in the item of the contexts that has this name.
fn read(text: &str) -> Option<(String, Option<String>)> {
    let value = |line: &str, key: &str| {
        let rest = line.trim().trim_start_matches("- ").strip_prefix(key)?.strip_prefix(':')?;
        let value = rest.trim().trim_matches(['"', '\'']);
        (!value.is_empty()).then(|| value.to_owned())
    };
    let current = text.lines().find_map(|line| value(line, "current-context"))?;
    let contexts = text.split_once("contexts:")?.1;
    let mut namespace = None;
    for line in contexts.lines() {
        if line.trim_start().starts_with("- ") {
            namespace = None;
        }
        if let Some(found) = value(line, "namespace") {
            namespace = Some(found);
        }
        if value(line, "name").is_some_and(|name| name == current) {
            return Some((current, namespace));
        }
        if line.starts_with(|c: char| c.is_ascii_alphabetic()) {
            break;
        }
    }
    Some((current, None))
}

/// The commands that show a pod, and bring its port to this machine.
pub(crate) fn commands(pod: &Pod, port: u16, context: Option<&str>) -> Vec<Fix> {
    let mut kubectl = "kubectl".to_owned();
    if let Some(context) = context.filter(|context| is_context(context)) {
        kubectl.push_str(&format!(" --context {context}"));
    }
    if let Some(namespace) = pod.namespace.as_ref().filter(|name| is_name(name)) {
        kubectl.push_str(&format!(" -n {namespace}"));
    }
    let name = &pod.name;
    vec![
        Fix::run(
            "bring its port to a machine outside",
            format!("{kubectl} port-forward pod/{name} {port}:{port}"),
        ),
        Fix::run("see how it stands", format!("{kubectl} describe pod {name}")),
        Fix::run("read what it wrote", format!("{kubectl} logs {name} --tail 50")),
    ]
}

#[cfg(test)]
mod tests {
    use super::{Pod, commands, is_name, of_process, read};

    const CONFIG: &str = "apiVersion: v1\nclusters:\n- cluster:\n    server: https://x\n  name: c\n\
                          contexts:\n- context:\n    cluster: c\n    namespace: other\n  name: a\n\
                          - context:\n    cluster: c\n    namespace: shop\n  name: b\n\
                          current-context: b\nusers: []\n";

    #[test]
    fn the_context_in_use_and_its_namespace_are_read() {
        assert_eq!(read(CONFIG), Some(("b".to_owned(), Some("shop".to_owned()))));
        let other = CONFIG.replace("current-context: b", "current-context: a");
        assert_eq!(read(&other).unwrap().1.as_deref(), Some("other"));
        let none = CONFIG.replace("    namespace: shop\n", "");
        assert_eq!(read(&none), Some(("b".to_owned(), None)));
        assert_eq!(read("contexts: []\n"), None);
    }

    #[test]
    fn the_pod_of_a_process_is_told_by_its_own_files_and_names_are_checked() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join("proc/7/root").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("etc/hostname", "web-5d9c\n");
        write("var/run/secrets/kubernetes.io/serviceaccount/namespace", "shop");
        let pod = of_process(root.path(), 7).unwrap();
        assert_eq!(pod, Pod { name: "web-5d9c".to_owned(), namespace: Some("shop".to_owned()) });
        let first = commands(&pod, 8080, Some("b"))[0].command.clone().unwrap();
        assert_eq!(first, "kubectl --context b -n shop port-forward pod/web-5d9c 8080:8080");
        // What a file of settings says goes into a command only where it is a name.
        let odd = Pod { namespace: Some("a;reboot".to_owned()), ..pod };
        let first = commands(&odd, 8080, Some("b;reboot"))[0].command.clone().unwrap();
        assert_eq!(first, "kubectl port-forward pod/web-5d9c 8080:8080");
        let first = commands(&odd, 1, Some("arn:aws:eks:x:1:cluster/a"))[0].command.clone();
        assert!(first.unwrap().starts_with("kubectl --context arn:aws:eks:x:1:cluster/a "));
        write("etc/hostname", "web; rm -rf /\n");
        assert_eq!(of_process(root.path(), 7), None);
        assert!(!is_name("") && !is_name("a b") && is_name("a-b.c"));
    }
}
