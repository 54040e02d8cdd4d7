//! The certificate of a client, on its way from the handshake to an origin that is told of it.

use bytes::Bytes;

/// A certificate whose key a client has proved to have, and that an authority of its site's vouches for. All in DER form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The client's own.
    pub own: Bytes,
    /// Those that it showed beside, in its order, if they are to be told; nobody says that all of them lead anywhere.
    pub beside: Vec<Bytes>,
}
