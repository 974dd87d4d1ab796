//! Messages that say that a message did not arrive (RFC 3464), as mail servers without an API send them.
//!
//! Only what names an e-mail of ours by its `Message-ID` is believed, and only of the recipient that the e-mail had: anybody
//! can write a mail that looks like this.

use storage::EmailNewsKind as Kind;

use super::Said;

/// What a report says of each recipient. Empty: it is no such report, or not about an e-mail of ours.
pub(super) fn read(message: &[u8]) -> Vec<Said> {
    let lines = unfolded(&String::from_utf8_lossy(message));
    let of_ours = |line: &String| field(line, "message-id").filter(|id| id.starts_with("<eml_")).map(str::to_owned);
    let Some(message_id) = lines.iter().find_map(of_ours) else { return Vec::new() };
    let said = lines.split(String::is_empty).filter_map(|group| {
        let value = |name: &str| group.iter().find_map(|line| field(line, name));
        let address = |text: &str| text.rsplit(';').next().unwrap_or_default().trim_matches(['<', '>', ' ']).to_owned();
        let to = address(value("final-recipient")?);
        let status = value("status").unwrap_or_default();
        let kind = match value("action")?.to_ascii_lowercase().as_str() {
            "failed" if status.starts_with("5.1.") => Kind::Bounced,
            "failed" => Kind::Refused,
            "delayed" => Kind::Deferred,
            "delivered" | "relayed" | "expanded" => Kind::Delivered,
            _ => return None,
        };
        let reason =
            value("diagnostic-code").map_or(status, |text| text.split_once(';').map_or(text, |(_, text)| text));
        Some(Said { message_id: Some(message_id.clone()), to, kind, detail: reason.trim().to_owned() })
    });
    said.collect()
}

/// Lines, each with those that continue it.
fn unfolded(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines().map(|line| line.trim_end_matches('\r')) {
        match lines.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) && !last.is_empty() => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ => lines.push(line.trim_end().to_owned()),
        }
    }
    lines
}

fn field<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let (before, value) = line.split_once(':')?;
    before.trim().eq_ignore_ascii_case(name).then(|| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Postfix writes it, shortened.
    const REPORT: &str = "From: MAILER-DAEMON@mx.example\r\nSubject: Undelivered Mail Returned to Sender\r\n\
        Message-Id: <20261122@mx.example>\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n\
        \tboundary=\"B\"\r\n\r\n--B\r\nContent-Description: Delivery report\r\nContent-Type: message/delivery-status\r\n\r\n\
        Reporting-MTA: dns; mx.example\r\nArrival-Date: Sun, 22 Nov 2026\r\n\r\n\
        Final-Recipient: rfc822; Gone@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\n\
        Diagnostic-Code: smtp; 550 5.1.1 <gone@example.com>:\r\n    User unknown\r\n\r\n\
        Final-Recipient: rfc822;full@example.com\r\nAction: failed\r\nStatus: 5.2.2\r\n\r\n\
        --B\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <eml_01h455vb4pex5vsknk084sn02q@example.com>\r\n\
        To: gone@example.com\r\n\r\n--B--\r\n";

    #[test]
    fn a_report_is_read() {
        let said = read(REPORT.as_bytes());
        assert_eq!(said.len(), 2, "{said:?}");
        assert_eq!((said[0].kind, said[0].to.as_str()), (Kind::Bounced, "Gone@example.com"));
        assert_eq!(said[0].detail, "550 5.1.1 <gone@example.com>: User unknown");
        assert_eq!(said[0].message_id.as_deref(), Some("<eml_01h455vb4pex5vsknk084sn02q@example.com>"));
        assert_eq!((said[1].kind, said[1].detail.as_str()), (Kind::Refused, "5.2.2"));
        let delayed = REPORT.replace("Action: failed", "Action: delayed");
        assert_eq!(read(delayed.as_bytes())[0].kind, Kind::Deferred);
    }

    #[test]
    fn what_is_none_says_nothing() {
        for text in ["", "Hello", "\u{0}\u{1}", "Final-Recipient: x\r\nAction: failed\r\n"] {
            assert!(read(text.as_bytes()).is_empty(), "{text:?}");
        }
        assert!(read(REPORT.replace("eml_", "other_").as_bytes()).is_empty(), "it is not about an e-mail of ours");
    }
}
