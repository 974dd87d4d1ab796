//! What integrations are for (UC §2).

use serde::{Deserialize, Serialize};

/// The groups of UC §2, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Category {
    /// Core business.
    Core,
    /// HR and payroll.
    Hr,
    /// Communication.
    Communication,
    /// Developers.
    Developer,
}

impl Category {
    /// All of them, in their order.
    pub const ALL: [Self; 4] = [Self::Core, Self::Hr, Self::Communication, Self::Developer];

    /// For people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Core => "Core business",
            Self::Hr => "HR & payroll",
            Self::Communication => "Communication",
            Self::Developer => "Developer",
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $text:literal, $label:literal, $icon:literal, $category:ident;)*) => {
        /// What an integration is for; `type` in the API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum IntegrationType {
            $($(#[$doc])* #[serde(rename = $text)] $kind,)*
        }

        impl IntegrationType {
            /// All of them, in the order of UC §2.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// As stored and as sent.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$kind => $text,)* }
            }

            /// For people.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$kind => $label,)* }
            }

            /// The name of its icon in the sprite.
            pub const fn icon(self) -> &'static str {
                match self { $(Self::$kind => $icon,)* }
            }

            /// Where it belongs.
            pub const fn category(self) -> Category {
                match self { $(Self::$kind => Category::$category,)* }
            }
        }
    };
}

kinds! {
    /// Transactional e-mail.
    Email = "email", "Email", "mail", Core;
    /// Meetings.
    Calendar = "calendar", "Calendar", "calendar", Core;
    /// Files.
    Storage = "storage", "Storage", "cloud", Core;
    /// Employment verification.
    BackgroundChecks = "background_checks", "BG Check", "clipboard-check", Core;
    /// Job posting.
    JobBoards = "job_boards", "Job Boards", "briefcase", Core;
    /// Customers.
    Crm = "crm", "CRM", "handshake", Core;
    /// Employee data.
    Hris = "hris", "HRIS", "users", Hr;
    /// Salaries.
    Payroll = "payroll", "Payroll", "wallet", Hr;
    /// Insurance carriers.
    Benefits = "benefits", "Benefits", "heart-pulse", Hr;
    /// Retirement plans.
    Retirement = "retirement", "401k", "landmark", Hr;
    /// Work authorization.
    EVerify = "e_verify", "E-Verify", "badge-check", Hr;
    /// Text messages.
    Sms = "sms", "SMS", "smartphone", Communication;
    /// Interviews by video.
    Video = "video", "Video", "video", Communication;
    /// Team communication.
    Chat = "chat", "Chat", "message-square", Communication;
    /// Calls.
    Phone = "phone", "Phone", "phone", Communication;
    /// No-code automation.
    Automation = "automation", "Automation", "workflow", Developer;
    /// Single sign-on.
    Sso = "sso", "SSO", "key-round", Developer;
    /// Anything else.
    Custom = "custom", "Custom", "puzzle", Developer;
}

impl std::fmt::Display for IntegrationType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for IntegrationType {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text).ok_or(())
    }
}
