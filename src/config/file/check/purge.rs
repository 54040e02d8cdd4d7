//! Purging by the method PURGE.

use super::super::reader::Reader;
use super::super::tables::Configuration;

/// Half of it would be taken for all.
pub(super) fn check(configuration: &Configuration, reader: &mut Reader) {
    if !reader.is_sound("purge.from") || !reader.is_sound("purge.token") {
        return;
    }
    match (configuration.purge.from.as_slice(), &configuration.purge.token) {
        ([_, ..], None) => {
            let hint = "such as token = { file = \"/run/secrets/purge\" }".to_owned();
            reader.object("purge.from", "who may purge has to show a token, and none is said", Some(hint));
        }
        ([], Some(_)) => {
            let hint = "such as from = [\"127.0.0.1\", \"10.0.0.0/8\"]".to_owned();
            reader.object("purge.token", "it is not said from where PURGE is taken", Some(hint));
        }
        _ => {}
    }
}
