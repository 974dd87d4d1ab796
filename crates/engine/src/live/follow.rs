//! One page that follows what happens.

use std::{collections::VecDeque, sync::Arc};

use domain::OrganizationId;
use tokio::sync::broadcast::{self, error::RecvError};

use super::{Hub, LiveEvent, LiveMessage, Position};
use crate::{Engine, Inner};

/// What one page is told.
pub struct Following {
    inner: Arc<Inner>,
    organization: OrganizationId,
    /// Where it is.
    position: Position,
    /// What happened before it listened.
    before: VecDeque<LiveMessage>,
    messages: broadcast::Receiver<LiveMessage>,
}

impl Following {
    /// Where it begins.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The next message; `None` once the engine is gone. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<LiveMessage> {
        loop {
            let message = match self.before.pop_front() {
                Some(message) => message,
                None => match self.messages.recv().await {
                    Ok(message) => message,
                    Err(RecvError::Lagged(_)) => self.missed(),
                    Err(RecvError::Closed) => return None,
                },
            };
            self.position = message.position;
            if message.organization.is_none_or(|whose| whose == self.organization) {
                return Some(message);
            }
        }
    }

    const fn missed(&self) -> LiveMessage {
        LiveMessage { organization: None, position: self.position, event: LiveEvent::Missed }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.inner.live.expect_page();
    }
}

impl Engine {
    /// Where a page that is made now is. To be asked before its data is read.
    pub fn live_position(&self) -> Position {
        self.inner.live.position()
    }

    /// What happens in an organization, on this node and in short on others: after `since` where that is still known, else from
    /// now on, which is said.
    pub fn live(&self, organization: OrganizationId, since: Option<Position>) -> Following {
        self.inner.live.follow(Arc::clone(&self.inner), organization, since)
    }
}

impl Hub {
    fn follow(&self, inner: Arc<Inner>, organization: OrganizationId, since: Option<Position>) -> Following {
        // Messages are sent under the same lock: each is in one of both.
        let recent = self.recent();
        let messages = self.sender.subscribe();
        let position = Position { process: self.origin, sequence: recent.sequence };
        let mut following = Following { inner, organization, position, before: VecDeque::new(), messages };
        let Some(since) = since.filter(|since| *since != position) else { return following };
        let oldest = recent.messages.front().map_or(recent.sequence, |oldest| oldest.position.sequence - 1);
        if since.process == self.origin && (oldest..position.sequence).contains(&since.sequence) {
            let is_new = |message: &&LiveMessage| message.position.sequence > since.sequence;
            following.before.extend(recent.messages.iter().filter(is_new).cloned());
            following.position = since;
        } else {
            following.before.push_back(following.missed());
        }
        following
    }
}
