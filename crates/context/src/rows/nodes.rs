//! A tree of summaries: a leaf for some turns, a node above eight of its kind.
//!
//! Every node has the hash of what it stands for, so that it can be checked and written anew. The
//! log keeps everything.

use storage::Stored;
use storage::rusqlite::{Connection, OptionalExtension, params};
use wire::Fault;

use super::ctx::Row;
use crate::{Summary, clock};

/// Turns of a leaf.
pub(crate) const LEAF_TURNS: u32 = 16;
/// Nodes below one node.
pub(crate) const CHILDREN: usize = 8;
/// Limit: nodes of one context that are looked at.
const NODES_MAX: u32 = 100_000;

/// A node without its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) number: u32,
    pub(crate) level: u32,
    pub(crate) first: u32,
    pub(crate) upto: u32,
    pub(crate) hash: [u8; 32],
}

/// The nodes on the branch of a row that stand for nothing from `before` on, those of `shown` only:
/// ordered by where they begin, the highest first.
pub(crate) fn list(
    connection: &Connection,
    row: &Row,
    (before, shown): (u32, u32),
) -> Result<Vec<Node>, Fault> {
    let sql = "SELECT no, level, first_seq, upto, hash, log FROM summary
               WHERE n = ?1 AND level IS NOT NULL AND upto < ?2 AND no <= ?3
               ORDER BY first_seq, level DESC, no LIMIT ?4";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let mut found = statement.query(params![row.n, before, shown, NODES_MAX]).stored()?;
    let mut out = Vec::new();
    while let Some(found) = found.next().stored()? {
        let node = Node {
            number: found.get(0).stored()?,
            level: found.get(1).stored()?,
            first: found.get(2).stored()?,
            upto: found.get(3).stored()?,
            hash: found.get(4).stored()?,
        };
        let log: i64 = found.get(5).stored()?;
        if node.upto <= row.head && row.chain.segment_of(node.upto) == log {
            out.push(node);
        }
    }
    Ok(out)
}

/// The nodes that together stand for the longest beginning, as few of them as there can be.
pub(crate) fn cover(nodes: &[Node]) -> Vec<Node> {
    let mut out: Vec<Node> = Vec::new();
    let mut next = 1;
    for node in nodes {
        // Sorted by beginning, highest first: the first that fits is the one that says most.
        if node.first == next {
            out.push(*node);
            next = node.upto.saturating_add(1);
        }
    }
    out
}

/// The first run of eight nodes of one level that nothing stands above.
pub(crate) fn orphans(nodes: &[Node]) -> Option<Vec<Node>> {
    let highest = nodes.iter().map(|node| node.level).max()?;
    (0..=highest).find_map(|level| {
        let above = |node: &Node| {
            nodes.iter().any(|other| {
                other.level == level + 1 && (other.first..=other.upto).contains(&node.first)
            })
        };
        let mut run: Vec<Node> = Vec::new();
        for node in nodes.iter().filter(|node| node.level == level) {
            if above(node) {
                run.clear();
                continue;
            }
            if run.last().is_none_or(|last| last.upto.saturating_add(1) == node.first) {
                run.push(*node);
            }
            if run.len() == CHILDREN {
                return Some(run);
            }
        }
        None
    })
}

/// The hash of what a node above others stands for.
pub(crate) fn source(children: &[Node]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for child in children {
        hasher.update(&child.first.to_le_bytes()).update(&child.upto.to_le_bytes());
        hasher.update(&child.hash);
    }
    *hasher.finalize().as_bytes()
}

/// One node with its text.
pub(crate) fn one(connection: &Connection, n: i64, number: u32) -> Result<Option<Summary>, Fault> {
    let sql = "SELECT first_seq, upto, text, model, at, level FROM summary
               WHERE n = ?1 AND no = ?2";
    let mut statement = connection.prepare_cached(sql).stored()?;
    statement
        .query_row(params![n, number], |row| {
            Ok(Summary {
                number,
                first_seq: row.get(0)?,
                upto: row.get(1)?,
                text: row.get::<_, super::seal::Opened>(2)?.0,
                model: row.get(3)?,
                at: clock::moment(row.get(4)?),
                level: row.get(5)?,
            })
        })
        .optional()
        .stored()
}

/// The nodes of the longest beginning as one summary.
pub(crate) fn told(
    connection: &Connection,
    row: &Row,
    (before, shown): (u32, u32),
) -> Result<Option<Summary>, Fault> {
    let mut out: Option<Summary> = None;
    for node in cover(&list(connection, row, (before, shown))?) {
        let Some(found) = one(connection, row.n, node.number)? else { continue };
        let piece = format!("[{}-{}] {}", found.first_seq, found.upto, found.text);
        out = Some(match out {
            None => Summary { number: shown, text: piece, ..found },
            Some(before) => Summary {
                upto: found.upto,
                text: format!("{}\n{piece}", before.text),
                model: if before.model == found.model { before.model } else { "mixed".to_owned() },
                at: found.at,
                ..before
            },
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(level: u32, first: u32, upto: u32) -> Node {
        Node { number: first, level, first, upto, hash: [0; 32] }
    }

    #[test]
    fn the_highest_nodes_cover_the_beginning() {
        let mut nodes: Vec<Node> = (0..10).map(|n| node(0, n * 10 + 1, n * 10 + 10)).collect();
        assert_eq!(cover(&nodes).len(), 10);
        assert_eq!(orphans(&nodes).unwrap().len(), 8);
        nodes.insert(0, node(1, 1, 80));
        let found: Vec<_> = cover(&nodes).iter().map(|n| (n.level, n.upto)).collect();
        assert_eq!(found, [(1, 80), (0, 90), (0, 100)]);
        assert!(orphans(&nodes).is_none());
        // What has a hole is not told beyond it.
        assert!(cover(&[node(0, 11, 20)]).is_empty());
    }
}
