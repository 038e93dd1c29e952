//! What the elements of known mail programs mean: Gmail, Outlook, Apple Mail, Yahoo, Thunderbird, GMX, Proton and others.

use super::tags::attribute;

/// What an element of a mail program says about its content.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Meaning {
    Nothing,
    Quote,
    /// What follows is an earlier mail, in part or whole.
    Divider,
    Signature,
}

impl Meaning {
    pub fn of(name: &str, attributes: &str) -> Self {
        if attributes.is_empty() && name != "blockquote" {
            return Self::Nothing;
        }
        let read = |key| attribute(attributes, key).unwrap_or_default().to_ascii_lowercase();
        let style: String = read("style").chars().filter(|c| !c.is_whitespace()).collect();
        let hidden = style.contains("display:none") || style.contains("mso-hide:all");
        if name == "blockquote" {
            // Mail programs indent text with a borderless block of a fixed left margin.
            let indent = style.contains("border:none") && !attributes.to_ascii_lowercase().contains("cite");
            return if indent { Self::Nothing } else { Self::Quote };
        }
        let (class, id) = (read("class"), read("id"));
        let named =
            |list: &[&str]| class.split_whitespace().chain([id.as_str()]).any(|n| list.iter().any(|l| n.ends_with(l)));
        if hidden
            || read("name") == "quote"
            || style.contains("border-left:") && style.contains("solid") && name == "div"
        {
            Self::Quote
        } else if named(&["signature", "signature_prefix", "signature_block", "applemailsignature"]) {
            Self::Signature
        } else if id.contains("yahoo_quoted")
            || named(&[
                "yahoo_quoted",
                "divrplyfwdmsg",
                "appendonsend",
                "gmail_attr",
                "moz-cite-prefix",
                "moz-forward-container",
                "reference-message-container",
                "reference-message",
                "olk_src_body_section",
                "tutanota_quote",
                "protonmail_quote",
                "zmail_extra",
            ])
            || name == "div" && style.contains("border-top:solid")
        {
            Self::Divider
        } else {
            Self::Nothing
        }
    }
}
