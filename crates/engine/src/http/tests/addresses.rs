//! Which addresses are open, in every spelling, and which URLs may be stored.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use proptest::prelude::*;
use url::Url;

use super::{Guard, resolving};
use crate::http::{
    Refusal,
    guard::{CLOSED_V4, CLOSED_V6},
};

fn closed() -> Guard {
    Guard::new(Vec::new())
}

fn allowing(network: &str) -> Guard {
    Guard::with_resolver(vec![network.parse().expect("a network")], resolving(&["10.0.0.7"]))
}

async fn check(guard: &Guard, url: &str) -> Result<(), Refusal> {
    guard.check_url(&Url::parse(url).expect("a URL")).await
}

/// Hosts that stand for an address which is not public, in every spelling that the `url` crate or an operating system
/// understands: decimal, octal, hexadecimal, short, percent-encoded, enclosed and full-width characters, a final dot; and
/// IPv4 inside IPv6: mapped, compatible, translated, NAT64, 6to4, Teredo.
pub(super) const FORBIDDEN: &[&str] = &[
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "0x7f000001",
    "0x7f.1",
    "0x7f.0x0.0x0.0x1",
    "017700000001",
    "0177.0.0.01",
    "00000177.1",
    "127.000.000.001",
    "0x7F.0000000000.0.0x00000001",
    "2130706433",
    "127.0.0.1.",
    "127.1.",
    "0x7f000001.",
    "①②⑦.⓪.⓪.①",
    "１２７.０.０.１",
    "127。0。0。1",
    "%31%32%37.0.0.1",
    "%30x7f.1",
    "127.0.0.\t1",
    "0",
    "0.0.0.0",
    "10.0.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "0xa9fea9fe",
    "2852039166",
    "0251.0376.0251.0376",
    "0251.00376.000251.0000376",
    "169.16689662",
    "⑯⑨。②⑤④。⑯⑨｡②⑤④",
    "192.0.0.192",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.175.48.1",
    "198.19.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::127.0.0.1]",
    "[::8.8.8.8]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[0:0:0:0:0:FFFF:10.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::10.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:0:0:0:0:192.168.0.1]",
    "[64:ff9b:1::808:808]",
    "[64:ff9b:1::10.0.0.1]",
    "[100::1]",
    "[2001::1]",
    "[2001:0:808:808:0:ffff:f5ff:fffe]",
    "[2001:2::1]",
    "[2001:10::1]",
    "[2001:db8::1]",
    "[2002:7f00:1::]",
    "[2002:808:808::1]",
    "[2620:4f:8000::1]",
    "[3fff::1]",
    "[5f00::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[fec0::1]",
    "[ff02::1]",
];

/// Hosts that look like one of these and are none: no URL has them.
const NO_HOSTS: &[&str] = &[
    "[fe80::1%25eth0]",
    "[fe80::1%eth0]",
    "[::1%25lo]",
    "[127.0.0.1]",
    "[::ffff:0x7f.1]",
    "[::ffff:127.0.0.01]",
    "[::1",
    "::1",
    "256.0.0.1",
    "425.510.425.510",
    "127.0.0.1.1",
    "127.0.0.0x100",
    "4294967297",
    "0x17f000001",
    "0x41414141a9fea9fe",
    "040000000000",
    "08.0.0.1",
    "127.0.0.1%00",
    "127.0.0.1%2f.example",
    "127.0.0.1 .example",
    "",
];

#[tokio::test]
async fn every_spelling_of_a_forbidden_address_is_refused() {
    for host in FORBIDDEN {
        for url in [
            format!("https://{host}/"),
            format!("https://{host}:8443/hook?a=1#b"),
            format!("HTTPS:\\\\{host}\\hook"),
            format!("https:{host}/"),
            format!("https:///{host}/"),
        ] {
            let refusal = check(&closed(), &url).await;
            assert!(matches!(refusal, Err(Refusal::Address { .. })), "{url}: {refusal:?}");
        }
        assert_eq!(check(&closed(), &format!("http://{host}/")).await, Err(Refusal::NotHttps), "{host}");
        // Whatever looks like a public host in front of it.
        for url in [format!("https://8.8.8.8@{host}/"), format!("https://8.8.8.8:443%2f@{host}/")] {
            assert_eq!(check(&closed(), &url).await, Err(Refusal::Userinfo), "{url}");
        }
        // And behind it: a backslash ends the host as a slash does, for us and for whoever reads the URL like us.
        let refusal = check(&closed(), &format!("https://{host}\\@8.8.8.8/")).await;
        assert!(matches!(refusal, Err(Refusal::Address { .. })), "{host}: {refusal:?}");
    }
    for host in NO_HOSTS {
        assert!(Url::parse(&format!("https://{host}")).is_err(), "{host}");
    }
}

#[tokio::test]
async fn public_addresses_pass_over_https_only() {
    for host in ["8.8.8.8", "1.1.1.1", "172.32.0.1", "[2606:4700::1111]", "[64:ff9b::808:808]", "[::ffff:8.8.8.8]"] {
        assert_eq!(check(&closed(), &format!("https://{host}/")).await, Ok(()), "{host}");
        assert_eq!(check(&closed(), &format!("http://{host}/")).await, Err(Refusal::NotHttps), "{host}");
        assert_eq!(check(&allowing("10.0.0.0/8"), &format!("http://{host}/")).await, Err(Refusal::NotHttps), "{host}");
    }
}

#[tokio::test]
async fn an_allowed_network_is_a_hole_and_nothing_more() {
    let guard = allowing("10.0.0.0/24");
    assert_eq!(check(&guard, "https://10.0.0.9/").await, Ok(()));
    assert_eq!(check(&guard, "http://10.0.0.9:8080/").await, Ok(()));
    assert_eq!(check(&guard, "http://[::ffff:10.0.0.9]/").await, Ok(()));
    assert_eq!(check(&guard, "http://internal.example/").await, Ok(()));
    assert!(matches!(check(&guard, "https://10.0.1.9/").await, Err(Refusal::Address { .. })));
    assert!(matches!(check(&guard, "http://10.0.1.9/").await, Err(Refusal::Address { .. })));
    assert!(matches!(check(&guard, "https://[64:ff9b::10.0.0.9]/").await, Err(Refusal::Address { .. })));
}

#[tokio::test]
async fn names_are_judged_by_what_they_resolve_to() {
    let private = Guard::with_resolver(Vec::new(), resolving(&["93.184.216.34", "10.0.0.1"]));
    let address = "10.0.0.1".parse().expect("an address");
    assert_eq!(check(&private, "https://mixed.example/").await, Err(Refusal::Address { ip: address }));
    assert_eq!(check(&private, "http://mixed.example/").await, Err(Refusal::NotHttps));
    let half =
        Guard::with_resolver(vec!["10.0.0.0/8".parse().expect("a network")], resolving(&["10.0.0.1", "8.8.8.8"]));
    assert_eq!(check(&half, "https://half.example/").await, Ok(()));
    assert_eq!(check(&half, "http://half.example/").await, Err(Refusal::NotHttps));
    let unknown = Guard::with_resolver(
        vec!["10.0.0.0/8".parse().expect("a network")],
        crate::http::Resolver::new(std::time::Duration::ZERO, |_| Err(std::io::ErrorKind::NotFound.into())),
    );
    assert_eq!(check(&unknown, "https://later.example/").await, Ok(()));
    assert_eq!(check(&unknown, "http://later.example/").await, Err(Refusal::NotHttps));
}

#[tokio::test]
async fn localhost_is_loopback_with_and_without_its_dot() {
    for url in ["https://localhost/", "https://LOCALHOST:9/", "https://sub.localhost./", "https://localhost./"] {
        let guard = Guard::with_resolver(Vec::new(), resolving(&["::1", "127.0.0.1"]));
        assert!(matches!(check(&guard, url).await, Err(Refusal::Address { .. })), "{url}");
    }
    assert!(matches!(check(&closed(), "https://localhost/").await, Err(Refusal::Address { .. })));
}

#[tokio::test]
async fn urls_that_cannot_be_targets() {
    for url in
        ["https://user@8.8.8.8/", "https://user:word@8.8.8.8/", "https://:word@8.8.8.8/", "https://8.8.8.8@10.0.0.1/"]
    {
        assert_eq!(check(&closed(), url).await, Err(Refusal::Userinfo), "{url}");
    }
    for url in
        ["ftp://8.8.8.8/", "file:///etc/passwd", "gopher://8.8.8.8/", "data:,x", "https://8.8.8.8:0/", "unix:/run/x"]
    {
        assert_eq!(check(&closed(), url).await, Err(Refusal::Malformed), "{url}");
    }
    assert_eq!(Refusal::NotHttps.to_string(), "Webhook URLs must use HTTPS for security");
    assert_eq!(Refusal::Malformed.to_string(), "Please enter a valid HTTPS URL");
}

/// Public by the words of the standard library alone, which knows nothing of our table.
fn plainly_private(ip: Ipv4Addr) -> bool {
    ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_unspecified()
        || ip.is_broadcast()
        || ip.is_documentation()
        || ip.is_multicast()
}

fn nat64(ip: Ipv4Addr) -> IpAddr {
    let [a, b, c, d] = ip.octets().map(u16::from);
    Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a << 8 | b, c << 8 | d).into()
}

proptest! {
    #[test]
    fn no_address_of_a_closed_v4_block_passes_in_any_form(block in 0..CLOSED_V4.len(), host: u32) {
        let net = CLOSED_V4[block];
        let ip = Ipv4Addr::from(u32::from(net.network()) | (host & u32::from(net.hostmask())));
        prop_assert!(!closed().permits(ip.into()));
        prop_assert!(!closed().permits(ip.to_ipv6_mapped().into()));
        prop_assert!(!closed().permits(ip.to_ipv6_compatible().into()));
        prop_assert!(!closed().permits(nat64(ip)));
    }

    #[test]
    fn no_address_of_a_closed_v6_block_passes(block in 0..CLOSED_V6.len(), host: u128) {
        let net = CLOSED_V6[block];
        let ip = Ipv6Addr::from(u128::from(net.network()) | (host & u128::from(net.hostmask())));
        prop_assert!(!closed().permits(ip.into()));
    }

    #[test]
    fn v4_decisions_agree_with_the_standard_library(bits: u32) {
        let ip = Ipv4Addr::from(bits);
        let permitted = closed().permits(ip.into());
        prop_assert!(!(permitted && plainly_private(ip)));
        prop_assert_eq!(permitted, closed().permits(ip.to_ipv6_mapped().into()));
        prop_assert_eq!(permitted, closed().permits(nat64(ip)));
        prop_assert!(!closed().permits(ip.to_ipv6_compatible().into()));
    }

    #[test]
    fn v6_decisions_agree_with_the_standard_library(bits: u128) {
        let ip = Ipv6Addr::from(bits);
        if closed().permits(ip.into()) {
            prop_assert!(!ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast());
            prop_assert!(!ip.is_unique_local() && !ip.is_unicast_link_local());
        }
    }

    #[test]
    fn whatever_is_spelled_in_numbers_is_judged_as_its_address(bits: u32) {
        let [a, b, c, d] = Ipv4Addr::from(bits).octets();
        let public = closed().permits(Ipv4Addr::from(bits).into());
        for host in [
            format!("{bits}"),
            format!("{bits:#x}"),
            format!("0{bits:o}"),
            format!("{a}.{}", bits & 0xff_ffff),
            format!("{a}.{b}.{}", bits & 0xffff),
            format!("{a:#x}.{b}.0{c:o}.{d:#x}"),
        ] {
            let url = Url::parse(&format!("https://{host}/")).expect("a URL");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
            prop_assert_eq!(runtime.block_on(closed().check_url(&url)).is_ok(), public, "{}", host);
        }
    }

    #[test]
    fn a_hole_opens_its_own_addresses_only(network: u32, prefix in 1_u8..=32, bits: u32) {
        let net = IpNet::new(Ipv4Addr::from(network).into(), prefix).expect("a prefix of at most 32").trunc();
        let guard = Guard::new(vec![net]);
        let ip = IpAddr::from(Ipv4Addr::from(bits));
        prop_assert_eq!(guard.permits(ip), closed().permits(ip) || net.contains(&ip));
    }
}
