//! An e-mail as it travels (RFC 5322): text and HTML side by side, and how to unsubscribe with one click (RFC 8058).

use domain::api::RenderedEmail;
use lettre::{
    Message,
    message::{
        Mailbox, MultiPart, SinglePart,
        header::{HeaderName, HeaderValue},
    },
};

/// All that a message says of itself.
pub(super) struct Envelope<'e> {
    pub from_name: &'e str,
    pub from: &'e str,
    pub to: &'e str,
    pub message_id: String,
    pub unsubscribe_url: Option<String>,
}

/// Writes the message. Errors are in words for people.
pub(super) fn write(envelope: Envelope<'_>, content: &RenderedEmail) -> Result<Vec<u8>, String> {
    let address = |text: &str| text.parse().map_err(|error| format!("{text} is not an address: {error}"));
    let name = Some(envelope.from_name.to_owned()).filter(|name| !name.is_empty());
    let mut builder = Message::builder()
        .from(Mailbox::new(name, address(envelope.from)?))
        .to(Mailbox::new(None, address(envelope.to)?))
        .subject(content.subject.clone())
        .message_id(Some(envelope.message_id))
        // Postmark gives a message another id unless it is told not to.
        .raw_header(header("X-PM-KeepID", "true"));
    if let Some(url) = envelope.unsubscribe_url {
        builder = builder
            .raw_header(header("List-Unsubscribe", &format!("<{url}>")))
            .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"));
    }
    let message = if content.html.is_empty() {
        builder.singlepart(SinglePart::plain(content.text.clone()))
    } else {
        builder.multipart(MultiPart::alternative_plain_html(content.text.clone(), content.html.clone()))
    };
    message.map(|message| message.formatted()).map_err(|error| format!("The message cannot be written: {error}"))
}

/// A header that must not be folded: URLs are read by programs that take the first line.
fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::dangerous_new_pre_encoded(HeaderName::new_from_ascii_str(name), value.to_owned(), value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_how_to_unsubscribe_and_keeps_its_headers_apart() {
        let envelope = |url: Option<&str>| Envelope {
            from_name: "Grün & Söhne",
            from: "noreply@example.com",
            to: "a@example.com",
            message_id: "<eml_1@example.com>".to_owned(),
            unsubscribe_url: url.map(str::to_owned),
        };
        let content =
            RenderedEmail { subject: "Größe".into(), text: "Text ü".into(), html: "<p>HTML ü</p>".into() };
        let url = format!("https://signalbox.example/unsubscribe/{}", "t".repeat(200));
        let message = String::from_utf8(write(envelope(Some(&url)), &content).unwrap()).unwrap();
        assert!(message.contains(&format!("List-Unsubscribe: <{url}>\r\n")), "{message}");
        assert!(message.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"));
        assert!(message.contains("multipart/alternative") && message.contains("Message-ID: <eml_1@example.com>"));
        assert!(message.is_ascii(), "{message}");
        let plain = RenderedEmail { html: String::new(), ..content };
        let message = String::from_utf8(write(envelope(None), &plain).unwrap()).unwrap();
        assert!(!message.contains("List-Unsubscribe") && !message.contains("multipart"));
    }
}
