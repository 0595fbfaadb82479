/** Every role in this process. They still talk over sockets: what works here works apart. */
import { settings as authSettings } from '@maildoot/auth/config';
import { start as startAuth } from '@maildoot/auth/service';
import { settings as deliverySettings } from '@maildoot/delivery/config';
import { start as startDelivery } from '@maildoot/delivery/service';
import { settings as domainSettings } from '@maildoot/domain-provisioning/config';
import { start as startDomainProvisioning } from '@maildoot/domain-provisioning/service';
import { settings as gatewaySettings } from '@maildoot/gateway/config';
import { start as startGateway } from '@maildoot/gateway/service';
import { settings as mailboxSettings } from '@maildoot/mailbox/config';
import { start as startMailbox } from '@maildoot/mailbox/service';
import { settings as messagingSettings } from '@maildoot/messaging/config';
import { start as startMessaging } from '@maildoot/messaging/service';
import type { Clock } from '@maildoot/runtime/clock';
import { startTelemetry } from '@maildoot/runtime/telemetry';
import { settings as templateSettings } from '@maildoot/template/config';
import { start as startTemplate } from '@maildoot/template/service';
import { configOf, type Surroundings } from './roles.ts';

/** Where messages are submitted: with STARTTLS, and with TLS from the start. */
export interface SmtpDoors {
  starttls: string;
  tls: string;
}

export interface StartedRoles extends AsyncDisposable {
  httpUrl: string;
  /** Where messages are submitted, `host:port`. */
  smtp: SmtpDoors;
  /** Processes beside this one. */
  pids: number[];
  broken: Promise<Error>;
}

export async function startRolesHere(surroundings: Surroundings, parts: { clock?: Clock }): Promise<StartedRoles> {
  const { otelExporterOtlpEndpoint, metricsPort } = surroundings.config;
  await using stack = new AsyncDisposableStack();
  stack.use(
    await startTelemetry({
      serviceName: 'maildoot',
      ...(otelExporterOtlpEndpoint === undefined ? {} : { otlpEndpoint: otelExporterOtlpEndpoint }),
      ...(metricsPort === undefined ? {} : { metricsPort }),
    }),
  );
  stack.use(await startAuth(configOf('auth', authSettings, surroundings), parts));
  stack.use(await startDomainProvisioning(configOf('domain-provisioning', domainSettings, surroundings), parts));
  stack.use(await startTemplate(configOf('template', templateSettings, surroundings), parts));
  stack.use(await startMessaging({ ...configOf('messaging', messagingSettings, surroundings), role: 'all' }, parts));
  stack.use(await startMailbox(configOf('mailbox', mailboxSettings, surroundings), parts));
  stack.use(await startDelivery(configOf('delivery', deliverySettings, surroundings), parts));
  const gateway = stack.use(await startGateway({ ...configOf('gateway', gatewaySettings, surroundings), role: 'all' }));
  const owned = stack.move();
  const smtp = { starttls: gateway.smtp.starttls ?? '', tls: gateway.smtp.tls ?? '' };
  return { httpUrl: gateway.httpUrl, smtp, pids: [], broken: new Promise(() => {}), [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
