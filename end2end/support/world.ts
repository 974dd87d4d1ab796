// Something of everything that screens show, and the list of all screens.
import { type Api, ONE_RETRY } from "./api.ts";

/** Ids of what is there. */
export interface World {
  /** A webhook to the Inspector. */
  webhook: string;
  /** A webhook to a port where nobody listens. */
  broken: string;
  /** A test that was delivered. */
  delivered: string;
  /** A delivery that was given up after two tries. */
  deadLetter: string;
  /** An event that went to both. */
  event: string;
  /** An integration that works. */
  integration: string;
  /** An integration that is down. */
  outage: string;
  /** An e-mail that waits, because nothing sends e-mail. */
  email: string;
  /** Words for an e-mail. */
  template: string;
}

/** A page: what it is called, where it is, and its one heading. */
export interface Screen {
  name: string;
  path: string;
  heading: string;
}

const EVENTS = ["approval.delegated", "approval.escalated"];

/** Makes a world. */
export async function furnish(api: Api): Promise<World> {
  const url = await api.inspectorUrl();
  const { id: webhook } = await api.createWebhook({
    name: "Approvals - Zapier",
    url,
    events: EVENTS,
    description: "Feeds the approval board. Ask the platform team.",
    headers: [{ name: "X-Environment", value: "production" }],
  });
  const { id: broken } = await api.createWebhook({
    name: "Approvals - CRM",
    url: "http://127.0.0.1:9/a/rather/long/path/that/does/not/break/by/itself/0123456789abcdef0123456789abcdef",
    events: EVENTS,
    retry_policy: ONE_RETRY,
  });
  await api.call("POST", "/api/v1/api-keys", { name: "Recruiting service", scopes: ["events:write"] });
  const { id: delivered } = await api.test(webhook, EVENTS[0]);
  const { id: integration } = await api.integration("Applicant API", new URL(url).origin, "/livez");
  const { id: outage } = await api.integration("Background checks", "http://127.0.0.1:9", "/");
  for (let bad = 0; bad < 3; bad += 1) await api.call("POST", `/api/v1/integrations/${outage}/health-check`);
  const { id: template } = await api.call<{ id: string }>("POST", "/api/v1/email-templates", {
    name: "interview",
    subject: "Your interview on {{ at }}",
    html: "<h1>Dear {{ candidate.name }}</h1><p>We look forward to seeing you on {{ at }}.</p>",
    category: "interviews",
  });
  const { id: email } = await api.call<{ id: string }>("POST", "/api/v1/emails", {
    to: "ada.lovelace@example.com",
    template: "interview",
    data: { at: "Monday", candidate: { name: "Ada" } },
  });
  await api.call("POST", "/api/v1/suppressions", { email: "gone@example.com", detail: "Left the company" });
  const { id: event } = await api.publish("approval.delegated", { id: "APR-7", note: "x".repeat(300) });
  for (;;) {
    const [newest] = await api.deliveriesOf(broken);
    if (newest?.status === "dead_letter") return { webhook, broken, delivered, deadLetter: newest.id, event, integration, outage, email, template };
    await new Promise((done) => setTimeout(done, 100));
  }
}

/** Every page of somebody who is signed in. */
export function screens({ webhook, broken, delivered, deadLetter, event, integration, outage, email, template }: World): Screen[] {
  const tab = (name: string) => ({ name: `webhook, ${name}`, path: `/webhooks/${webhook}?tab=${name}`, heading: "Approvals - Zapier" });
  return [
    { name: "overview", path: "/", heading: "Overview" },
    { name: "integrations", path: "/integrations", heading: "Integrations" },
    { name: "integrations, none found", path: "/integrations?q=none", heading: "Integrations" },
    { name: "add integration", path: "/integrations/new", heading: "Add Integration" },
    { name: "add an e-mail integration", path: "/integrations/new?provider=sendgrid", heading: "Add Integration" },
    { name: "integration", path: `/integrations/${integration}`, heading: "Applicant API" },
    { name: "integration, down", path: `/integrations/${outage}`, heading: "Background checks" },
    { name: "integration, settings", path: `/integrations/${outage}?tab=settings`, heading: "Background checks" },
    { name: "integration, logs", path: `/integrations/${outage}?tab=logs&level=error`, heading: "Background checks" },
    { name: "integration, runbook", path: `/integrations/${outage}?tab=runbook`, heading: "Background checks" },
    { name: "e-mails", path: "/emails", heading: "E-mails" },
    { name: "e-mails, none found", path: "/emails?state=complained", heading: "E-mails" },
    { name: "e-mail", path: `/emails/${email}`, heading: "Your interview on Monday" },
    { name: "e-mail templates", path: "/emails/templates", heading: "E-mail templates" },
    { name: "e-mail template", path: `/emails/templates/${template}`, heading: "Edit template" },
    { name: "new e-mail template", path: "/emails/templates/new", heading: "New template" },
    { name: "suppressions", path: "/emails/suppressions", heading: "Suppressions" },
    { name: "logs", path: "/logs", heading: "Logs" },
    { name: "alerts", path: "/alerts", heading: "Alerts" },
    { name: "alerts, history", path: "/alerts?view=history", heading: "Alerts" },
    { name: "alert settings", path: "/alerts?view=settings", heading: "Alerts" },
    { name: "webhooks", path: "/webhooks", heading: "Webhooks" },
    { name: "webhooks, none found", path: "/webhooks?q=none", heading: "Webhooks" },
    { name: "new webhook", path: "/webhooks/new", heading: "Configure Webhook" },
    tab("test"),
    tab("deliveries"),
    tab("settings"),
    tab("secret"),
    tab("signature"),
    { name: "test result", path: `/webhooks/${webhook}?tab=test&delivery=${delivered}`, heading: "Approvals - Zapier" },
    { name: "failed result", path: `/webhooks/${broken}?tab=test&delivery=${deadLetter}`, heading: "Approvals - CRM" },
    { name: "events", path: "/events", heading: "Events" },
    { name: "events, filtered", path: "/events?event=approval.delegated&range=1h", heading: "Events" },
    { name: "event", path: `/events/${event}`, heading: "approval.delegated" },
    { name: "deliveries", path: "/deliveries", heading: "Deliveries" },
    { name: "deliveries, filtered", path: `/deliveries?status=dead_letter&webhook_id=${broken}&range=24h`, heading: "Deliveries" },
    { name: "deliveries, failures", path: "/deliveries?view=failures", heading: "Deliveries" },
    { name: "deliveries, nonsense", path: "/deliveries?status=great&range=9y&cursor=x", heading: "Deliveries" },
    { name: "deliveries, none found", path: `/deliveries?status=held`, heading: "Deliveries" },
    { name: "delivery", path: `/deliveries/${delivered}`, heading: "approval.delegated" },
    { name: "dead letter", path: `/deliveries/${deadLetter}`, heading: "approval.delegated" },
    { name: "dead letters", path: "/dead-letters", heading: "Dead Letter Queue" },
    { name: "dead letters, none found", path: "/dead-letters?error=dns", heading: "Dead Letter Queue" },
    { name: "jobs", path: "/jobs", heading: "Jobs" },
    { name: "retry policy", path: "/retry-policy", heading: "Retry Configuration" },
    { name: "retry policy, a list", path: "/retry-policy?preset=Standard%20Webhooks", heading: "Retry Configuration" },
    { name: "inspector", path: "/inspector", heading: "Inspector" },
    { name: "API keys", path: "/api", heading: "API" },
    { name: "settings", path: "/settings", heading: "Settings" },
  ];
}
