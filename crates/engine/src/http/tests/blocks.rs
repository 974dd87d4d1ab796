//! The guard against the registries of special-purpose addresses, written down here a second time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;

use super::Guard;

/// <https://www.iana.org/assignments/iana-ipv4-special-registry>, with multicast, and Azure's host agent.
const V4: [&str; 28] = [
    "0.0.0.0/8",
    "0.0.0.0/32",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.0.0/29",
    "192.0.0.8/32",
    "192.0.0.9/32",
    "192.0.0.10/32",
    "192.0.0.170/32",
    "192.0.0.171/32",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.88.99.2/32",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
    "168.63.129.16/32",
];

/// <https://www.iana.org/assignments/iana-ipv6-special-registry>, with multicast, site-local, IPv4-compatible and
/// IPv4-translated addresses; without IPv4-mapped and NAT64 addresses, which are what they embed.
const V6: [&str; 27] = [
    "::/128",
    "::1/128",
    "::/96",
    "::ffff:0:0:0/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001::/32",
    "2001:1::1/128",
    "2001:1::2/128",
    "2001:1::3/128",
    "2001:2::/48",
    "2001:3::/32",
    "2001:4:112::/48",
    "2001:10::/28",
    "2001:20::/28",
    "2001:30::/28",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

fn v4(block: &str) -> Ipv4Net {
    block.parse().expect("a network")
}

fn v6(block: &str) -> Ipv6Net {
    block.parse().expect("a network")
}

/// Public by the registries: in no block, and for IPv6 in the part that is handed out at all.
fn public(ip: IpAddr) -> bool {
    let assigned: IpNet = "2000::/3".parse().expect("a network");
    match ip {
        IpAddr::V4(ip) => !V4.iter().any(|block| v4(block).contains(&ip)),
        IpAddr::V6(v6_ip) => assigned.contains(&ip) && !V6.iter().any(|block| v6(block).contains(&v6_ip)),
    }
}

fn permits(ip: impl Into<IpAddr>) -> bool {
    Guard::new(Vec::new()).permits(ip.into())
}

/// IPv4 in the forms of IPv6 that reach it.
fn embedded(ip: Ipv4Addr) -> [Ipv6Addr; 2] {
    let nat64 = u128::from("64:ff9b::".parse::<Ipv6Addr>().expect("an address"));
    [ip.to_ipv6_mapped(), Ipv6Addr::from(nat64 | u128::from(u32::from(ip)))]
}

#[test]
fn the_edges_of_every_block_are_exact() {
    let mut open = 0;
    for net in V4.map(v4) {
        let (first, last) = (u32::from(net.network()), u32::from(net.broadcast()));
        assert!(!permits(net.network()) && !permits(net.broadcast()), "{net}");
        for ip in [first.checked_sub(1), last.checked_add(1)].into_iter().flatten().map(Ipv4Addr::from) {
            assert_eq!(permits(ip), public(ip.into()), "{ip} beside {net}");
            open += usize::from(public(ip.into()));
        }
    }
    // Both sides of every block, less those that touch another block.
    assert_eq!(open, 35);
    for net in V6.map(v6) {
        let (first, last) = (u128::from(net.network()), u128::from(net.broadcast()));
        assert!(!permits(net.network()) && !permits(net.broadcast()), "{net}");
        for ip in [first.checked_sub(1), last.checked_add(1)].into_iter().flatten().map(Ipv6Addr::from) {
            assert_eq!(permits(ip), public(ip.into()), "{ip} beside {net}");
        }
    }
    for ip in ["2000::", "2001:200::", "2001:db7:ffff::1", "2001:db9::", "2003::", "2620:4f:7fff::1", "2620:4f:8001::"]
    {
        assert!(permits(ip.parse::<IpAddr>().expect("an address")), "{ip}");
    }
}

proptest! {
    #[test]
    fn nothing_inside_a_block_passes(block in 0..V4.len(), block6 in 0..V6.len(), host: u128) {
        let net = v4(V4[block]);
        let low = u32::try_from(host & u128::from(u32::MAX)).expect("32 bits");
        let ip = Ipv4Addr::from(u32::from(net.network()) | (low & u32::from(net.hostmask())));
        prop_assert!(!permits(ip), "{} of {}", ip, net);
        for form in embedded(ip) {
            prop_assert!(!permits(form), "{} of {}", form, net);
        }
        let net = v6(V6[block6]);
        let ip = Ipv6Addr::from(u128::from(net.network()) | (host & u128::from(net.hostmask())));
        prop_assert!(!permits(ip), "{} of {}", ip, net);
    }

    #[test]
    fn what_is_in_no_block_passes_and_nothing_else(bits: u32, bits6: u128, near in 0..V6.len(), distance: u64) {
        let ip = Ipv4Addr::from(bits);
        prop_assert_eq!(permits(ip), public(ip.into()), "{}", ip);
        for form in embedded(ip) {
            prop_assert_eq!(permits(form), public(ip.into()), "{}", form);
        }
        // Anywhere, in the part that is handed out, and not far from a block.
        let beyond = u128::from(v6(V6[near]).broadcast()).wrapping_add(1 + u128::from(distance));
        for bits in [bits6, bits6 >> 3 | 1 << 125, beyond] {
            let ip = Ipv6Addr::from(bits);
            if embedded(Ipv4Addr::UNSPECIFIED).iter().all(|form| bits >> 32 != u128::from(*form) >> 32) {
                prop_assert_eq!(permits(ip), public(ip.into()), "{}", ip);
            }
        }
    }
}
