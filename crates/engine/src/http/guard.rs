//! Which addresses requests may go to, and which target URLs may be stored.
//!
//! It decides on addresses only, never on how a host is spelled: the `url` crate turns every spelling of an IPv4 address
//! (`127.1`, `0x7f000001`, `①②⑦.⓪.⓪.①`) into the address, and names are judged by what they resolve to.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::{Host, Url};

use super::resolver::Resolver;

/// How long storing a URL may wait for its name to resolve.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

/// IPv4 that is not the public internet: the whole of the IANA special-purpose registry, also what it calls globally
/// reachable, as no receiver is there; multicast, reserved, and one public address that is a metadata service all the same.
pub(super) const CLOSED_V4: [Ipv4Net; 20] = [
    v4(0, 0, 0, 0, 8),          // this network, 0.0.0.0 is this host
    v4(10, 0, 0, 0, 8),         // private
    v4(100, 64, 0, 0, 10),      // carrier NAT; Alibaba's metadata
    v4(127, 0, 0, 0, 8),        // loopback
    v4(168, 63, 129, 16, 32),   // Azure's host agent
    v4(169, 254, 0, 0, 16),     // link-local; metadata of most clouds
    v4(172, 16, 0, 0, 12),      // private
    v4(192, 0, 0, 0, 24),       // protocol assignments; Oracle's metadata
    v4(192, 0, 2, 0, 24),       // documentation
    v4(192, 31, 196, 0, 24),    // AS112: a sink for stray name lookups, often inside the network
    v4(192, 52, 193, 0, 24),    // multicast relays (AMT)
    v4(192, 88, 99, 0, 24),     // 6to4 relays
    v4(192, 168, 0, 0, 16),     // private
    v4(192, 175, 48, 0, 24),    // AS112
    v4(198, 18, 0, 0, 15),      // benchmarking
    v4(198, 51, 100, 0, 24),    // documentation
    v4(203, 0, 113, 0, 24),     // documentation
    v4(224, 0, 0, 0, 4),        // multicast
    v4(240, 0, 0, 0, 4),        // reserved
    v4(255, 255, 255, 255, 32), // broadcast
];

const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

/// The only IPv6 block from which public addresses are handed out. Loopback, unspecified, IPv4-compatible, ULA,
/// link-local, site-local (fec0::/10), multicast, discard and segment routing are outside.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 0, 3);

/// What is not public inside [`GLOBAL_V6`].
pub(super) const CLOSED_V6: [Ipv6Net; 5] = [
    v6(0x2001, 0, 0, 23),         // protocol assignments: Teredo, ORCHID, benchmarking
    v6(0x2001, 0xdb8, 0, 32),     // documentation
    v6(0x2002, 0, 0, 16),         // 6to4: a tunnel to any IPv4 address
    v6(0x2620, 0x4f, 0x8000, 48), // AS112
    v6(0x3fff, 0, 0, 20),         // documentation
];

/// NAT64: the last 32 bits are the IPv4 address that is reached. Hosts without IPv4 see the whole internet through it,
/// so the embedded address is what counts.
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 0, 96);

/// Why a URL or an address is refused. The texts are for people and do not tell what a name resolves to: whoever wrote
/// the URL may not be entitled to know the inside of the network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a URL that can be requested.
    #[error("Please enter a valid HTTPS URL")]
    Malformed,
    /// Plain HTTP to something outside the allowed networks.
    #[error("Webhook URLs must use HTTPS for security")]
    NotHttps,
    /// `https://user:password@host`: would put a secret into logs, and misleads whoever reads the URL.
    #[error("Webhook URLs must not contain a user name or password")]
    Userinfo,
    /// An address that is neither public nor inside an allowed network.
    #[error("This URL leads to a private or reserved network address, which is not allowed")]
    Address {
        /// The first such address. For logs.
        ip: IpAddr,
    },
}

/// The rule for outgoing requests. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Guard {
    allow: Arc<[IpNet]>,
    resolver: Resolver,
}

/// A URL's host after everything that can be said without resolving it.
pub(super) struct Target<'a> {
    pub host: Host<&'a str>,
    pub port: u16,
    pub secure: bool,
}

impl<'a> Target<'a> {
    /// Takes a URL apart. Says nothing about addresses.
    pub fn of(url: &'a Url) -> Result<Self, Refusal> {
        let secure = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(Refusal::Malformed),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Userinfo);
        }
        match (url.host(), url.port_or_known_default()) {
            (Some(host), Some(port @ 1..)) => Ok(Self { host, port, secure }),
            _ => Err(Refusal::Malformed),
        }
    }

    /// The address, when the host is one.
    pub fn literal(&self) -> Option<IpAddr> {
        match self.host {
            Host::Ipv4(ip) => Some(IpAddr::V4(ip)),
            Host::Ipv6(ip) => Some(IpAddr::V6(ip)),
            Host::Domain(_) => None,
        }
    }
}

impl Guard {
    /// `allow`: networks that are open although they are not public (`SIGNALBOX_ALLOW_NETWORKS`). Plain HTTP is allowed
    /// inside them and nowhere else.
    pub fn new(allow: Vec<IpNet>) -> Self {
        Self::with_resolver(allow, Resolver::system())
    }

    /// The same with names resolved otherwise.
    pub fn with_resolver(allow: Vec<IpNet>, resolver: Resolver) -> Self {
        Self { allow: allow.into(), resolver }
    }

    /// Whether requests may go to this address: public unicast, or inside an allowed network.
    pub fn permits(&self, ip: IpAddr) -> bool {
        self.allows(ip) || is_public(ip.to_canonical())
    }

    /// Whether a URL may be stored as a target. A name is resolved, within three seconds. When that fails, an https URL
    /// passes, since the name may come to exist, and is judged again whenever it is used.
    pub async fn check_url(&self, url: &Url) -> Result<(), Refusal> {
        let target = Target::of(url)?;
        if let Some(ip) = target.literal() {
            return self.check(target.secure, &[ip]);
        }
        if !target.secure && self.allow.is_empty() {
            return Err(Refusal::NotHttps);
        }
        let Host::Domain(name) = target.host else { return Err(Refusal::Malformed) };
        match tokio::time::timeout(CHECK_TIMEOUT, self.resolver.resolve(name)).await {
            Ok(Ok(addresses)) => self.check(target.secure, &addresses),
            _ if target.secure => Ok(()),
            _ => Err(Refusal::NotHttps),
        }
    }

    /// Whether a host with these addresses, all of them, may be requested.
    pub(super) fn check(&self, secure: bool, addresses: &[IpAddr]) -> Result<(), Refusal> {
        if let Some(&ip) = addresses.iter().find(|ip| !self.permits(**ip)) {
            return Err(if secure { Refusal::Address { ip } } else { self.plain(ip) });
        }
        if secure || addresses.iter().all(|ip| self.allows(*ip)) { Ok(()) } else { Err(Refusal::NotHttps) }
    }

    /// Plain HTTP to a forbidden address: with nothing allowed, https is the first thing to ask for.
    fn plain(&self, ip: IpAddr) -> Refusal {
        if self.allow.is_empty() { Refusal::NotHttps } else { Refusal::Address { ip } }
    }

    pub(super) fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    fn allows(&self, ip: IpAddr) -> bool {
        // As an IPv4-mapped address reaches the IPv4 address, both forms of it stand for the same network.
        let canonical = ip.to_canonical();
        self.allow.iter().any(|net| net.contains(&ip) || net.contains(&canonical))
    }
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !CLOSED_V4.iter().any(|net| net.contains(&ip)),
        IpAddr::V6(ip) if NAT64.contains(&ip) => {
            let [.., a, b, c, d] = ip.octets();
            is_public(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
        }
        IpAddr::V6(ip) => GLOBAL_V6.contains(&ip) && !CLOSED_V6.iter().any(|net| net.contains(&ip)),
    }
}
