//! Every table of the file, declared once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::kinds::{
    HostPattern, Secret, admin_address, cdn_id, certificate_name, choice, either, endpoint, fields, flag,
    host_pattern, kept_token, list, listen_address, log_target, named, network, node_name, origin_url, path,
    path_pattern, pool_name, proxies, readable_file, server_name, size, socket_mode, table_of, tables_of,
    time, time_or_none, token, unread_path, whole,
};
use super::policy::{Cache, Compression, SiteCache, SiteCompression};
use super::table::table;
use super::words::LogLevel;
use crate::base::units::ByteSize;
use crate::cache::Admission;
use crate::config::OriginUrl;
use crate::listener::address::{Address, Mode};
use crate::listener::proxied::Proxies;
use crate::listener::tls::MinimumVersion;
use crate::listener::tls::gate::{ClientCertificates, Told};
use crate::origin::{EndpointSettings, HttpVersion};
use crate::telemetry::access_log::{Field, Format, Sink};

/// With less room the heads of ordinary browsers would not fit.
const LEAST_HEAD: ByteSize = ByteSize::kib(8);

table! {
    /// A node's configuration. What is not said is as in `Configuration::default`.
    pub struct Configuration {
        /// Files that are read beside this one, and folders, of which every `*.toml` is read in order of name. Paths
        /// are relative to the file that names them. Once everything is read, this is empty.
        include: Vec<PathBuf>, list(unread_path()) => [];
        /// The process as a whole.
        node: Node, table_of() => {};
        /// Where clients connect; more than one table makes more listeners. The first one that is written replaces the
        /// default.
        listeners: Vec<Listener>, tables_of() => [{}];
        /// What is shown where clients speak TLS.
        certificates: BTreeMap<String, Certificate>, named() => {};
        /// TLS to clients.
        tls: ClientTls, table_of() => {};
        /// How much memory the process takes.
        memory: Memory, table_of() => {};
        /// The disk tier: what memory cannot hold, kept over restarts.
        disk: Disk, table_of() => {};
        /// Where bodies go that exceed the memory that one may take.
        spill: Spill, table_of() => {};
        /// Limits and timeouts of the side where clients are.
        client: Client, table_of() => {};
        /// Limits of fetching from origins.
        fetch: Fetch, table_of() => {};
        /// What is stored and for how long. A site may say otherwise in `[sites.NAME.cache]`.
        cache: Cache, table_of() => {};
        /// What is coded for clients that take it. A site may say otherwise in `[sites.NAME.compression]`.
        compression: Compression, table_of() => {};
        /// The log for people and the access log.
        log: Log, table_of() => {};
        /// The administrator's interface.
        admin: Admin, table_of() => {};
        /// Other nodes of the same operator's.
        fleet: Fleet, table_of() => {};
        /// Purging by the method PURGE, where clients connect. It takes both keys.
        purge: Purge, table_of() => {};
        /// Which hosts are served, and from where. Without any, the node serves its demo site. A request for a host that
        /// no site names is answered with 421.
        sites: BTreeMap<String, Site>, named() => {};
        /// Sets of endpoints that serve the same, for sites to share.
        pools: BTreeMap<String, Pool>, named() => {};
    }
}

table! {
    /// The process as a whole.
    pub struct Node {
        /// The node's name in `Via`, `Cache-Status` and `Proxy-Status`.
        name: String, node_name() => "forebay";
        /// What stands for it in `CDN-Loop` (RFC 8586), by which it knows a request that it has sent on before; `auto`
        /// is one that no other process has, made anew at each start. Nodes that shall count as one, such as those of
        /// one region, are given the same: a host name of theirs is best.
        cdn_id: Option<String>, either("auto", cdn_id()) => "auto";
        /// How often a request may have passed by `cdn_id` before; beyond, it is answered with 508. Where nodes of one
        /// id stand behind each other on purpose, one less than there are in a row.
        max_loops: usize, whole(0..=100_usize) => 0;
        /// Threads that serve; `auto` is one per core.
        workers: Option<u16>, either("auto", whole(1_u16..=1024)) => "auto";
        /// Time for running responses to finish after SIGTERM.
        drain: Duration, time_or_none() => "30s";
        /// How often the configuration is looked at, with all that it includes, to reload it where it has changed; `off` leaves
        /// that to SIGHUP (docs/RELOAD.md).
        watch: Option<Duration>, either("off", time()) => "off";
    }
}

table! {
    /// Where clients connect.
    pub struct Listener {
        /// The address: `IP:PORT`, where `0.0.0.0` is every address of this host and `[::]` every one of IPv6, which is none of
        /// IPv4; or `unix:/PATH`, a Unix socket for programs on this host.
        address: Address, listen_address() => "127.0.0.1:8080";
        /// The permissions of a Unix socket's file: who may write to it may connect.
        mode: Mode, socket_mode() => "0660";
        /// Whether clients speak TLS here, with the certificates of `[certificates.NAME]`.
        tls: bool, flag() => false;
        /// Whether clients may speak HTTP/2 here: where they speak TLS by choice (ALPN), else by beginning with it (`h2c` by
        /// prior knowledge). `auto` is where they speak TLS.
        http2: Option<bool>, either("auto", flag()) => "auto";
        /// Whether clients that come back may send their first requests along with their first message (0-RTT): a round trip
        /// less. Such requests are answered early only if they are safe, and origins are told of them. Sessions are then
        /// remembered by this process alone, in place of tickets: not with `tls.ticket_keys`.
        early_data: bool, flag() => false;
        /// Who says by the PROXY protocol, version 1 or 2, for whom it connects: proxies that pass connections on as they are,
        /// by their networks, or `unix` for those that come by a Unix socket. They have to; of others it is not taken.
        proxy_protocol: Vec<Proxies>, list(proxies()) => [];
    }
}

table! {
    /// A certificate for listeners with `tls = true`. It is shown to clients that ask for one of the hosts that it is for, by
    /// its own DNS names; `*.example.com` is for hosts of one label more. Its files are read anew when they change.
    pub struct Certificate {
        /// The certificate in PEM form, then those that lead to an authority. It has to be given.
        chain: Option<PathBuf>, either("", readable_file()) => "";
        /// Its private key in PEM form. It has to be given.
        key: Option<PathBuf>, either("", readable_file()) => "";
    }
}

table! {
    /// TLS to clients.
    pub struct ClientTls {
        /// The oldest version that is spoken.
        minimum_version: MinimumVersion, choice() => "1.2";
        /// The name of the certificate that is shown where none is for the host that a client asks for, or where it asks
        /// for none; with `none`, such a client is refused.
        default_certificate: Option<String>, either("none", certificate_name()) => "none";
        /// For a handshake, from the connection on.
        handshake_timeout: Duration, time() => "10s";
        /// Files with keys of session tickets, of 80 random bytes each (`openssl rand -out FILE 80`). The first makes tickets,
        /// all take them; nodes with the same files resume each other's sessions. Without any, each node makes keys of its
        /// own, which end with it.
        ticket_keys: Vec<PathBuf>, list(readable_file()) => [];
        /// Sessions that are remembered where `early_data` is taken: those that were made last, each for one use. A client
        /// is given two at a time. Each takes 640 bytes, for all of which memory is set aside; `auto` are as many as go into
        /// a 64th of what there is for the cache and all else that is counted, and four times that is the most.
        early_data_sessions: Option<usize>, either("auto", whole(16..=10_000_000_usize)) => "auto";
        /// How often the files of certificates, authorities and keys of tickets are looked at.
        reload_every: Duration, time() => "10s";
    }
}

table! {
    /// How much memory the process takes.
    pub struct Memory {
        /// Limit of the whole process, with all that it caches; at least 64MiB.
        limit: ByteSize, size(..) => "1GiB";
    }
}

table! {
    /// The disk tier: what memory cannot hold, kept over restarts.
    pub struct Disk {
        /// An empty or a new directory on a real disk, for this process alone; `off` is no disk tier.
        directory: Option<PathBuf>, either("off", path()) => "off";
        /// Disk for the cache, its index, and bodies that are spilled into its directory; at least 64MiB.
        limit: ByteSize, size(..) => "10GiB";
        /// What a full disk lets in: `frequency`, what is asked for at least as often as what would have to go;
        /// `always`, everything; `second-request`, as `frequency` and nothing at its first request.
        admission: Admission, choice() => "frequency";
    }
}

table! {
    /// Where bodies go that exceed the memory that one may take.
    pub struct Spill {
        /// On a real disk; `auto` is in the cache directory, or `/var/tmp` without one.
        directory: Option<PathBuf>, either("auto", path()) => "auto";
        /// Disk for all such bodies together, at most a quarter of `disk.limit`; 0 turns spilling off.
        limit: ByteSize, size(..) => "4GiB";
    }
}

table! {
    /// Limits and timeouts of the side where clients are.
    pub struct Client {
        /// Connections at a time; further ones get a 503.
        max_connections: usize, whole(1..=10_000_000_usize) => 10000;
        /// For a whole request head, from its first byte.
        header_timeout: Duration, time() => "60s";
        /// For the next request on a connection that is kept.
        idle_timeout: Duration, time() => "60s";
        /// Between two reads of a request's body.
        body_timeout: Duration, time() => "60s";
        /// A client that takes nothing of its response for so long is ended.
        write_timeout: Duration, time() => "60s";
        /// What a client has to take of its response, or send of its request's body, in bytes a second of the time for which it
        /// alone is waited for; one that is below that for `min_rate_window` is ended. 0 turns it off.
        min_rate: ByteSize, size(..) => "240B";
        /// How long it may be below. What it takes or sends counts for the time that it would have had for that, up to as long.
        min_rate_window: Duration, time() => "60s";
        /// A request head, from its first to its last byte; beyond it, 431.
        max_head: ByteSize, size(LEAST_HEAD..=ByteSize::mib(1)) => "32KiB";
        /// Fields of a request; beyond them, 431.
        max_fields: usize, whole(1..=4096_usize) => 128;
        /// Requests at a time on one connection of HTTP/2; beyond them, they are refused for the client to ask again.
        max_streams: u32, whole(1_u32..=10_000) => 128;
        /// The target in a request line; beyond it, 414. Not more than `max_head`.
        max_target: ByteSize, size(ByteSize(64)..=ByteSize::mib(1)) => "8KiB";
        /// A request's body; beyond it, 413. A site may say otherwise.
        max_body: ByteSize, size(..) => "1GiB";
        /// The longest body of a request that is taken in before its origin is asked: a slow upload then holds no connection
        /// to it. What is longer, or finds no room in memory and in `[spill]`, is passed on as it comes; with 0 everything
        /// is. A site may say otherwise.
        max_buffered_body: ByteSize, size(..) => "1GiB";
    }
}

table! {
    /// Limits of fetching from origins.
    pub struct Fetch {
        /// Fetches at a time; beyond them, 503.
        max_fetches: usize, whole(1..=1_000_000_usize) => 4096;
        /// Refreshes behind answers at a time; beyond them, what is stale is refreshed later.
        max_refreshes: usize, whole(0..=1_000_000_usize) => 256;
        /// How long an object rests after its origin failed to refresh it; this doubles with each further failure.
        refresh_backoff: Duration, time() => "1s";
        /// How long it rests at most.
        max_refresh_backoff: Duration, time() => "1m";
        /// The largest body that is stored; `auto` is a quarter of the memory tier, which is also the most.
        max_object: Option<ByteSize>, either("auto", size(..)) => "auto";
        /// Bytes that are kept of one body that is not stored and whose clients are slow.
        max_spool: ByteSize, size(..) => "1GiB";
    }
}

table! {
    /// The log for people and the access log.
    pub struct Log {
        /// What is told on standard error.
        level: LogLevel, choice() => "info";
        /// Where the access log goes.
        access: Sink, log_target() => "-";
        /// How its lines are written: `json`, `combined` (as Apache and nginx do), or `fields`, those named below.
        format: Format, choice() => "json";
        /// For `fields`: which, in this order.
        fields: Vec<Field>, list(choice()) =>
            ["time", "client", "method", "host", "target", "status", "cache", "bytes", "total_ms"];
    }
}

table! {
    /// The administrator's interface.
    pub struct Admin {
        /// Where it listens. A bare port is on 127.0.0.1. Off loopback it takes a token or certificates of clients.
        address: Option<SocketAddr>, either("off", admin_address()) => "off";
        /// What has to be shown as `Authorization: Bearer TOKEN`, on loopback too: 16 characters at least. It is kept in a file
        /// or in the environment: `{ file = "PATH" }` or `{ env = "NAME" }`.
        token: Option<Secret>, either("none", kept_token()) => "none";
        /// The hosts by whose names it is asked, beside addresses of this machine and `localhost`. A request that names another
        /// one is refused.
        names: Vec<String>, list(server_name()) => [];
        /// What it shows to speak TLS: a file with a certificate, then those that vouch for it, in PEM. Without, everything goes
        /// in the clear, the token as well.
        certificate: Option<PathBuf>, either("none", readable_file()) => "none";
        /// The key of that certificate, in PEM.
        key: Option<PathBuf>, either("none", readable_file()) => "none";
        /// The authorities whose certificates let in who shows one, in place of the token: a file in PEM.
        client_ca: Option<PathBuf>, either("none", readable_file()) => "none";
    }
}

table! {
    /// Other nodes of the same operator's.
    pub struct Fleet {
        /// Networks and addresses from which nodes connect that have this one for a shield: what they say of purges
        /// (`Forebay-Applied`) is believed, and of nobody else. They are told tags, so that they can be purged by them.
        peers: Vec<IpNet>, list(network()) => [];
    }
}

table! {
    /// Purging by the method PURGE, where clients connect: it takes back what is stored under the URL that is asked for, by
    /// either scheme and hard. Who may not is answered with 405, whatever is stored.
    pub struct Purge {
        /// Networks and addresses from which it is taken. A proxy counts itself, unless it says by the PROXY protocol for whom
        /// it connects.
        from: Vec<IpNet>, list(network()) => [];
        /// What is shown in `Authorization: Bearer TOKEN`.
        token: Option<Secret>, either("off", token()) => "off";
    }
}

table! {
    /// Which hosts are served, and from where. It takes `hosts`, and one of `origins` and `pool`.
    pub struct Site {
        /// A host (`example.com`), every host below a domain at any depth (`*.example.com`), or every host that no other
        /// site names (`*`).
        hosts: Vec<HostPattern>, list(host_pattern()) => [];
        /// The endpoints of a pool of this site's own, with the defaults of pools: `http://HOST:PORT`, `https://HOST`, or
        /// `unix:/PATH` for HTTP by a Unix socket.
        origins: Vec<OriginUrl>, list(origin_url()) => [];
        /// The name of a pool, in place of `origins`.
        pool: Option<String>, either("", pool_name()) => "";
        /// A request's body; beyond it, 413. `inherit` is as in `[client]`.
        max_body: Option<ByteSize>, either("inherit", size(..)) => "inherit";
        /// The longest body of a request that is taken in before the origin is asked; 0 has everything passed on as it comes.
        /// `inherit` is as in `[client]`.
        max_buffered_body: Option<ByteSize>, either("inherit", size(..)) => "inherit";
        /// Paths, however they are spelled, where bodies of requests are passed on as they come, because the answer does not
        /// wait for their end.
        streamed_paths: Vec<String>, list(path_pattern()) => [];
        /// TLS for this site.
        tls: SiteTls, table_of() => {};
        /// What this site says otherwise than `[cache]`.
        cache: SiteCache, table_of() => {};
        /// What this site says otherwise than `[compression]`.
        compression: SiteCompression, table_of() => {};
    }
}

table! {
    /// TLS for a site.
    pub struct SiteTls {
        /// The port to which clients are sent that come without TLS (308), such as 443; `off` serves them.
        redirect: Option<u16>, either("off", whole(1_u16..=65_535)) => "off";
        /// For how long clients shall use nothing but TLS: `Strict-Transport-Security` (RFC 6797), told to those who do, in
        /// place of what the origin says of it. `0s` has them forget it; with `off`, the origin's word stands.
        strict: Option<Duration>, either("off", time_or_none()) => "off";
        /// Whether that is for all hosts below as well.
        strict_below: bool, flag() => false;
        /// Whether clients have to show a certificate: `optional` asks for one, `required` refuses who has none. Requests for
        /// this site are answered only on connections that were made for it, or for one that asks for the same; with
        /// `required` only by TLS.
        client_certificates: ClientCertificates, choice() => "off";
        /// The authorities whose certificates count: a file in PEM form. It has to be given where clients are asked.
        client_ca: Option<PathBuf>, either("", readable_file()) => "";
        /// Their lists of revoked certificates, in PEM form. If there is one, each authority on the way from a client's
        /// certificate to one of `client_ca` has to have a list in it that has not run out.
        client_revocations: Option<PathBuf>, either("off", readable_file()) => "off";
        /// What the origin is told of a client's certificate (RFC 9440): `certificate` itself in `Client-Cert`, or the `chain`
        /// in `Client-Cert-Chain` too. Requests with one then pass by the cache; with `off` it decides only who is let in.
        tell_client_certificate: Told, choice() => "off";
    }
}

table! {
    /// Endpoints that serve the same, and how they are asked.
    pub struct Pool {
        /// Where they are: `http://HOST:PORT`, `https://HOST`, `unix:/PATH` for HTTP by a Unix socket; or with a weight.
        endpoints: Vec<EndpointSettings>, list(endpoint()) => [];
        /// Requests to each endpoint at a time; by HTTP/1 each has a connection.
        max_connections: usize, whole(1..=1_000_000_usize) => 256;
        /// Requests that may wait for a connection, for the whole pool; beyond them, 503.
        queue: usize, whole(0..=1_000_000_usize) => 1024;
        /// How long a request may wait for a connection.
        queue_timeout: Duration, time_or_none() => "5s";
        /// Unused connections that are kept, to each endpoint.
        idle_connections: usize, whole(0..=1_000_000_usize) => 256;
        /// How long an unused connection is kept.
        idle_timeout: Duration, time() => "50s";
        /// To connect, TLS included.
        connect_timeout: Duration, time() => "5s";
        /// From the request to the first byte of its answer.
        first_byte_timeout: Duration, time() => "60s";
        /// Between two reads of an answer.
        between_bytes_timeout: Duration, time() => "60s";
        /// For a whole exchange, from its start to its end.
        total_timeout: Option<Duration>, either("off", time()) => "off";
        /// For the answer to `Expect: 100-continue`; after it, the body is sent anyway.
        continue_timeout: Duration, time() => "1s";
        /// The head of an answer; a larger one is a fault of the endpoint's.
        max_head: ByteSize, size(LEAST_HEAD..=ByteSize::mib(16)) => "64KiB";
        /// Attempts after the first, each on another endpoint if there is one.
        retries: u32, whole(0..=100_u32) => 2;
        /// Failures in a row after which an endpoint is left out.
        down_after: u32, whole(1..=1000_u32) => 1;
        /// For how long it is left out at first; this doubles at each further failure.
        backoff: Duration, time() => "1s";
        /// For how long it is left out at most.
        max_backoff: Duration, time() => "30s";
        /// Whether the endpoints are Forebays that shield the origins: they are told which purges of the fleet this node has
        /// applied (`Forebay-Applied`), and answer from nothing that is older. They name this node in `fleet.peers`.
        shield: bool, flag() => false;
        /// How often host names are resolved again.
        resolve_every: Duration, time() => "30s";
        /// The version of HTTP that is spoken to the endpoints. `2` without TLS is spoken by prior knowledge; `auto` is what
        /// an `https://` endpoint chooses of HTTP/2 and HTTP/1.1, and HTTP/1.1 to others.
        http: HttpVersion, choice() => "1.1";
        /// Whether a connection may serve more than one request.
        keep_alive: bool, flag() => true;
        /// Whether requests' bodies may be sent in chunks; if not, one of unknown length is spooled first and sent with
        /// its `Content-Length`.
        chunked: bool, flag() => true;
        /// TLS to `https://` endpoints.
        tls: Tls, table_of() => {};
        /// Fields that every request to these endpoints gets; they replace those of the same name. A value is a text,
        /// `{ file = "PATH" }` or `{ env = "NAME" }`; what is kept in a file or in the environment is never shown.
        send_fields: BTreeMap<String, Secret>, fields() => {};
    }
}

table! {
    /// TLS to `https://` endpoints.
    pub struct Tls {
        /// Whether their certificates are verified.
        verify: bool, flag() => true;
        /// Who may have issued them: a file of certificates in PEM, or those that the system trusts.
        ca: Option<PathBuf>, either("system", readable_file()) => "system";
        /// The name that is asked for (SNI) and verified; `auto` is the endpoint's host.
        server_name: Option<String>, either("auto", server_name()) => "auto";
        /// What is shown to endpoints that ask who asks: a file with a certificate, then those that vouch for it, in PEM.
        certificate: Option<PathBuf>, either("none", readable_file()) => "none";
        /// The key of that certificate, in PEM.
        key: Option<PathBuf>, either("none", readable_file()) => "none";
    }
}
