//! What only shows when everything is read: names that lead nowhere, overlaps, limits that contradict each other.

mod certificates;
mod limits;
mod pools;
mod purge;
mod sites;

use std::collections::BTreeMap;
use std::fmt::Display;

use super::reader::Reader;
use super::tables::Configuration;

/// Complains about what does not fit together. Of what is wrong already, nothing more is said.
pub(super) fn check(configuration: &Configuration, reader: &mut Reader) {
    limits::check(configuration, reader);
    purge::check(configuration, reader);
    // What is missing may stand where nothing could be read.
    if reader.is_complete() {
        sites::check(configuration, reader);
        pools::check(configuration, reader);
        certificates::check(configuration, reader);
    }
}

/// Complains about each thing that is named again, at the later place.
fn complain_of_repeats<T: Ord + Display>(
    named: impl IntoIterator<Item = (T, String)>,
    what: impl Fn(&T, &str, &str) -> String,
    reader: &mut Reader,
) {
    let mut places: BTreeMap<T, Vec<String>> = BTreeMap::new();
    for (thing, path) in named {
        places.entry(thing).or_default().push(path);
    }
    for (thing, mut paths) in places {
        paths.sort_by_key(|path| reader.order(path));
        let mut paths = paths.into_iter();
        let Some(first) = paths.next() else { continue };
        for again in paths {
            let hint = reader.has_room().then(|| format!("it is also at {}", reader.where_is(&first)));
            reader.object(&again, what(&thing, &first, &again), hint);
        }
    }
}
