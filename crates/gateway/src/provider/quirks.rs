//! Applies a provider's quirks to a body that we wrote: fields renamed or left out.

use serde_json::value::RawValue;

use super::row::Quirks;

/// The body as this provider takes it. Values keep their bytes; what is no object stays as it is.
#[must_use]
pub fn apply(quirks: &Quirks, body: Vec<u8>) -> Vec<u8> {
    if quirks.is_empty() {
        return body;
    }
    let Ok(fields) = serde_json::from_slice::<Fields>(&body) else { return body };
    let has = |name: &str| fields.0.iter().any(|(field, _)| field == name);
    let mut out = Vec::with_capacity(body.len());
    out.push(b'{');
    for (name, value) in &fields.0 {
        // A field that is there under both names stays under the one that is understood.
        let name = match quirks.rename.get(name) {
            Some(other) if has(other) => continue,
            Some(other) => other,
            None => name,
        };
        if quirks.drop.contains(name) {
            continue;
        }
        if out.len() > 1 {
            out.push(b',');
        }
        // A string always has a JSON form.
        out.extend(serde_json::to_vec(name).unwrap_or_default());
        out.push(b':');
        out.extend_from_slice(value.get().as_bytes());
    }
    for (name, text) in quirks.set.iter().filter(|(name, _)| !has(name)) {
        if out.len() > 1 {
            out.push(b',');
        }
        for (text, after) in [(name, b':'), (text, b' ')] {
            out.extend(serde_json::to_vec(text).unwrap_or_default());
            out.push(after);
        }
        out.pop();
    }
    out.push(b'}');
    out
}

/// The fields of an object in their order, values unread.
struct Fields(Vec<(String, Box<RawValue>)>);

impl<'de> serde::Deserialize<'de> for Fields {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        from.deserialize_map(Visitor)
    }
}
