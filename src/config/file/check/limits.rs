//! Limits and addresses.

use super::super::reader::Reader;
use super::super::tables::{Configuration, Disk, Listener, Log, Spill};
use super::complain_of_repeats;
use crate::admin::AccessError;
use crate::base::units::ByteSize;
use crate::config::MemoryPlan;
use crate::config::compile;
use crate::config::disk::LEAST as LEAST_DISK;
use crate::listener::address::Mode;
use crate::listener::proxied::Proxies;
use crate::telemetry::access_log::Format;

/// The part of the memory tier that one object may take.
const OBJECT_SHARE: u64 = 4;

/// As many addresses as one node listens on at most.
const MOST_LISTENERS: usize = 1000;

/// The part of the disk that bodies on their way may take.
const SPILL_SHARE: u64 = 4;

pub(super) fn check(configuration: &Configuration, reader: &mut Reader) {
    memory(configuration, reader);
    disk(configuration, reader);
    client(configuration, reader);
    log(configuration, reader);
    admin(configuration, reader);
    listeners(configuration, reader);
}

fn memory(configuration: &Configuration, reader: &mut Reader) {
    if !reader.is_sound("memory.limit") {
        return;
    }
    let plan = match MemoryPlan::new(configuration.memory.limit) {
        Ok(plan) if configuration.disk.directory.is_some() => plan.with_disk(),
        Ok(plan) => plan,
        Err(error) => return reader.object("memory.limit", error.to_string(), None),
    };
    let most = plan.tier / OBJECT_SHARE;
    if let Some(ByteSize(max_object)) = configuration.fetch.max_object
        && max_object > most
    {
        let most = most / ByteSize::mib(1).0;
        let message = format!("max_object is more than a quarter of the memory tier, which is {most}MiB");
        let hint = "lower it, raise memory.limit, or leave it at \"auto\"";
        reader.object("fetch.max_object", message, Some(hint.into()));
    }
}

fn disk(configuration: &Configuration, reader: &mut Reader) {
    let disk = &configuration.disk;
    if disk.limit < LEAST_DISK {
        let message = format!("{} of disk is too little: give at least {LEAST_DISK}", disk.limit);
        reader.object("disk.limit", message, None);
    }
    if disk.directory.is_none() {
        let default = Disk::default();
        let changed = [
            ("disk.limit", disk.limit != default.limit),
            ("disk.admission", disk.admission != default.admission),
        ];
        for (key, _) in changed.into_iter().filter(|(_, changed)| *changed) {
            if !reader.is_sound("disk") {
                return;
            }
            let hint = "set disk.directory, or leave this out".to_owned();
            reader.doubt(key, format!("{key} has no effect without disk.directory"), Some(hint));
        }
        return;
    }
    let most = ByteSize(disk.limit.0 / SPILL_SHARE);
    if reader.is_said("spill.limit")
        && configuration.spill.limit != Spill::default().limit
        && configuration.spill.limit > most
    {
        let message = format!("only {most} of spill.limit counts: a quarter of disk.limit");
        reader.doubt("spill.limit", message, None);
    }
}

fn client(configuration: &Configuration, reader: &mut Reader) {
    let client = &configuration.client;
    let sound = reader.is_sound("client.max_head") && reader.is_sound("client.max_target");
    if sound && client.max_target > client.max_head {
        let path = if reader.is_said("client.max_target") { "client.max_target" } else { "client.max_head" };
        let message = format!(
            "max_target ({}) is more than max_head ({}), of which the target is a part",
            client.max_target, client.max_head
        );
        reader.object(path, message, None);
    }
}

fn log(configuration: &Configuration, reader: &mut Reader) {
    let log = &configuration.log;
    if reader.is_sound("log.fields") {
        let named = log.fields.iter().enumerate();
        let named = named.map(|(nth, field)| (field.name(), format!("log.fields[{nth}]")));
        complain_of_repeats(named, |field, _, _| format!("the field {field} is named twice"), reader);
    }
    if !reader.is_sound("log") {
        return;
    }
    if log.fields.is_empty() && log.format == Format::Fields {
        let hint = "such as fields = [\"time\", \"status\"]".to_owned();
        reader.object("log.fields", "no fields are named, and format is \"fields\"", Some(hint));
    } else if log.fields != Log::default().fields && log.format != Format::Fields {
        let message = format!("log.fields has no effect with format = {:?}", log.format.name());
        reader.doubt("log.fields", message, Some("write format = \"fields\"".into()));
    }
}

/// Who gets in to the administrator's interface.
fn access(configuration: &Configuration, reader: &mut Reader) {
    let Err(error) = compile::admin(&configuration.admin).map_or(Ok(()), |admin| admin.check()) else {
        return;
    };
    let (path, message, hint) = match &error {
        AccessError::NotLoopback(address) => (
            "admin.address",
            format!("{} is not on loopback, and anybody would be let in", address.ip()),
            format!("set admin.token, or write \"127.0.0.1:{}\"", address.port()),
        ),
        AccessError::HalfCertificate => {
            ("admin", error.to_string(), "admin.certificate and admin.key belong together".to_owned())
        }
        AccessError::ClientsWithoutTls => {
            ("admin.client_ca", error.to_string(), "set admin.certificate and admin.key".to_owned())
        }
    };
    reader.object(path, message, Some(hint));
}

fn listeners(configuration: &Configuration, reader: &mut Reader) {
    let listeners = &configuration.listeners;
    if listeners.is_empty() && reader.is_sound("listeners") {
        let hint = "leave it out for the default, or write [[listeners]]".to_owned();
        reader.object("listeners", "there is no listener", Some(hint));
    }
    if listeners.len() > MOST_LISTENERS {
        let message = format!("{} listeners are too many: {MOST_LISTENERS} at most", listeners.len());
        return reader.object("listeners", message, None);
    }
    let sound: Vec<usize> =
        (0..listeners.len()).filter(|nth| reader.is_sound(&format!("listeners[{nth}]"))).collect();
    for (nth, listener) in listeners.iter().enumerate().filter(|(nth, _)| sound.contains(nth)) {
        let mut earlier = sound.iter().take_while(|earlier| **earlier < nth);
        let other = earlier.find(|other| {
            listeners.get(**other).is_some_and(|other| listener.address.overlaps(&other.address))
        });
        if let Some(&other) = other {
            let there = format!("listeners[{other}].address");
            let message = match listeners.get(other).map(|other| &other.address) {
                Some(address) if *address != listener.address => {
                    format!("{} overlaps {address}: both cannot be listened on", listener.address)
                }
                _ => format!("{} is listened on already", listener.address),
            };
            let hint = if reader.is_said(&there) {
                format!("it is also at {}", reader.where_is(&there))
            } else {
                format!("listener {} says the same", other + 1)
            };
            reader.object(&format!("listeners[{nth}].address"), message, Some(hint));
        }
        of_either_kind(nth, listener, reader);
    }
}

/// What is said of a Unix socket where there is none, or of networks where there is one.
fn of_either_kind(nth: usize, listener: &Listener, reader: &mut Reader) {
    let by_network = listener.address.inet().is_some();
    let mode = format!("listeners[{nth}].mode");
    if by_network && listener.mode != Mode::default() && reader.is_said(&mode) {
        let message = "mode has no effect: the address is no Unix socket's".to_owned();
        reader.doubt(&mode, message, Some("such as address = \"unix:/run/forebay.sock\"".to_owned()));
    }
    for (proxy, proxies) in listener.proxy_protocol.iter().enumerate() {
        let message = match proxies {
            Proxies::Local if by_network => "nobody comes by a Unix socket here",
            Proxies::Of(_) if !by_network => "who comes by a Unix socket has no address: write \"unix\"",
            _ => continue,
        };
        reader.doubt(&format!("listeners[{nth}].proxy_protocol[{proxy}]"), message.to_owned(), None);
    }
}

fn admin(configuration: &Configuration, reader: &mut Reader) {
    let Some(admin) = configuration.admin.address else { return };
    if reader.is_sound("admin") {
        access(configuration, reader);
    }
    for (nth, listener) in configuration.listeners.iter().enumerate() {
        if listener.address.overlaps(&admin.into()) && reader.is_sound(&format!("listeners[{nth}]")) {
            let message = format!("{admin} is where clients are listened for");
            let there = format!("listeners[{nth}].address");
            let hint = if reader.is_said(&there) {
                format!("it is also at {}", reader.where_is(&there))
            } else {
                "it is the default of [[listeners]]".to_owned()
            };
            return reader.object("admin.address", message, Some(hint));
        }
    }
}
