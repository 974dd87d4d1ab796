//! The tools of troubleshooting (UC §5): is the name known, is the port open, is the key good? Each looks at one thing and
//! stores nothing.

use std::time::Duration;

use domain::{
    IntegrationId, Permission,
    api::{ApiError, Diagnosis, DiagnosisKind, ErrorCode},
    catalogue::{Config, Probe, Provider, fill},
    delivery::ErrorClass,
};
use tokio::time::Instant;
use url::Url;

use super::{
    call::{Values, plain_values, values},
    probe::probe,
};
use crate::{Actor, Engine, Result};

/// Deadline of resolving and connecting.
const DEADLINE: Duration = Duration::from_secs(10);

impl Engine {
    /// Looks at one thing that may be wrong with an integration.
    pub async fn diagnose(&self, actor: &Actor, id: IntegrationId, kind: DiagnosisKind) -> Result<Diagnosis> {
        actor.require(Permission::OperateIntegrations)?;
        let row = self.find_integration(actor.organization, id).await?;
        let provider = self.provider(&row.integration.provider)?;
        let secrets = self.inner.open_secrets(&row)?;
        let began = Instant::now();
        let (ok, message) = if kind == DiagnosisKind::Credentials {
            let probed = probe(&self.inner, provider, &row.integration.config, &secrets).await;
            let said = probed.detail.lines().next().unwrap_or_default().to_owned();
            (
                probed.fault.is_none(),
                if said.is_empty() { probed.message } else { format!("{}: {said}", probed.message) },
            )
        } else {
            let values = values(&self.inner, &row.integration.config, &secrets).await;
            let values = values.map_err(|detail| ApiError::new(ErrorCode::Conflict, detail))?;
            let Some((host, port)) = place(provider, &values) else {
                let detail = format!("{} has no host that could be looked at.", provider.name);
                return Err(ApiError::new(ErrorCode::Conflict, detail));
            };
            self.reach(kind, &host, port).await
        };
        let duration_ms = u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX);
        Ok(Diagnosis { ok, message, duration_ms })
    }

    async fn reach(&self, kind: DiagnosisKind, host: &str, port: u16) -> (bool, String) {
        let dialled = self.inner.client.dial(host, port, Instant::now() + DEADLINE).await;
        match (kind, dialled) {
            (DiagnosisKind::Port, Ok((_, remote))) => (true, format!("Port {port} of {host} is open ({remote})")),
            (DiagnosisKind::Port, Err(failure)) => (false, format!("Port {port} of {host} is not open: {failure}")),
            (_, Ok((_, remote))) => (true, format!("{host} is reached at {}", remote.ip())),
            // Whoever refuses a port is there.
            (_, Err(failure)) if failure.class == ErrorClass::ConnectRefused => {
                (true, format!("{host} is reached; it refuses port {port}"))
            }
            (_, Err(failure)) => (false, format!("{host} is not reached: {failure}")),
        }
    }
}

/// Where an integration is, as far as its settings say: host and port.
pub(crate) fn target(provider: &Provider, config: &Config) -> Option<String> {
    let (host, port) = place(provider, &plain_values(config))?;
    Some(format!("{host}:{port}"))
}

/// Where a provider is.
fn place(provider: &Provider, values: &Values) -> Option<(String, u16)> {
    let of_url = |text: &str| {
        let url = Url::parse(text).ok()?;
        Some((url.host_str()?.to_owned(), url.port_or_known_default()?))
    };
    match &provider.probe {
        Probe::Smtp => Some((values.get("smtp_host")?.clone(), values.get("smtp_port")?.parse().ok()?)),
        Probe::Http { url, .. } | Probe::Challenge { url } => of_url(&fill(url, values)?),
        Probe::S3 => of_url(values.get("endpoint")?),
        Probe::Folder | Probe::Oauth => None,
    }
}
