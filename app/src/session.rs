//! Who is signed in, known to every component without asking: the server writes it into the page's head, the browser reads it
//! there. It decides what is offered, never what is allowed: that is the engine's.

use domain::{Permission, Role};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// The member that this page was made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Their name.
    pub name: String,
    /// What they sign in with.
    pub email: String,
    /// What they may.
    pub role: Role,
}

/// Name of the `<meta>` element that carries the session to the browser.
pub const META: &str = "signalbox-session";

/// Whether the person at the screen may do this; what they may not is not offered.
pub fn may(permission: Permission) -> bool {
    use_context::<Session>().is_some_and(|session| session.role.may(permission))
}

/// The session of this request.
#[cfg(feature = "ssr")]
pub fn current() -> Option<Session> {
    match crate::ssr::visitor().ok()?.actor?.who {
        engine::Who::Member { name, email, role, .. } => Some(Session { name, email, role }),
        engine::Who::Key { .. } | engine::Who::System => None,
    }
}

/// The session that this page was rendered with.
#[cfg(not(feature = "ssr"))]
pub fn current() -> Option<Session> {
    let meta = document().query_selector(&format!("meta[name={META}]")).ok()??;
    crate::objects::from_str(&meta.get_attribute("content")?).ok()
}
