import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { VERSION } from './version.ts'

/**
 * What one process counts, for Prometheus. Every label has a bounded set of values, and none is ever an address,
 * an id or a token: a metric is kept for years by a system that holds no secrets.
 */
export interface Metrics {
  /** Of what `render` gives: Prometheus' text format. */
  readonly contentType: string
  render(): Promise<string>
  /** `route` is the pattern, never the URL. */
  countRequest(method: string, route: string, status: number, seconds: number): void
  countAuthEvent(event: { type: string; outcome: string; reason?: string | undefined }): void
  countMail(template: string, result: string): void
  countMarkedAddress(reason: string): void
  countWebhook(result: string): void
  countBackgroundFailure(task: string): void
  /** Something that a full queue did not take. */
  countDropped(queue: string): void
  /** Asks at each scrape how many password hashes wait for a slot. */
  observePasswordQueue(queued: () => number): void
}

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
/** More reasons than this process could give honestly. */
const MAX_REASONS = 100

export function createMetrics(): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })

  new Gauge({
    name: 'ratchet_build_info',
    help: 'Always 1; the labels say what runs',
    labelNames: ['version', 'node'],
    registers,
  }).set({ version: VERSION, node: process.version }, 1)
  const requests = new Counter({
    name: 'ratchet_http_requests_total',
    help: 'Requests answered',
    labelNames: ['method', 'route', 'status'],
    registers,
  })
  const duration = new Histogram({
    name: 'ratchet_http_request_seconds',
    help: 'Time from the request to the last byte of the answer',
    labelNames: ['route'],
    buckets: SECONDS,
    registers,
  })
  const authEvents = new Counter({
    name: 'ratchet_auth_events_total',
    help: 'Audit events, also those whose transaction was then lost',
    labelNames: ['type', 'outcome', 'reason'],
    registers,
  })
  const mails = new Counter({
    name: 'ratchet_mails_total',
    help: 'What came of each attempt to send a mail',
    labelNames: ['template', 'result'],
    registers,
  })
  const marked = new Counter({
    name: 'ratchet_mail_addresses_marked_total',
    help: 'Addresses that mail is held back from since, by what the provider reported',
    labelNames: ['reason'],
    registers,
  })
  const webhooks = new Counter({
    name: 'ratchet_webhooks_total',
    help: 'Webhook calls from the mail provider',
    labelNames: ['result'],
    registers,
  })

  const backgroundFailures = new Counter({
    name: 'ratchet_background_failures_total',
    help: 'Runs of background tasks that failed; each is tried again',
    labelNames: ['task'],
    registers,
  })
  const dropped = new Counter({
    name: 'ratchet_dropped_total',
    help: 'What a full queue did not take, and is lost',
    labelNames: ['queue'],
    registers,
  })
  const reasons = new Set<string>()
  /** The types cannot promise that a reason is a word of ours, so its shape and its number are held to. */
  function boundedReason(reason: string): string {
    if (reasons.has(reason)) return reason
    if (reasons.size >= MAX_REASONS || !/^[a-z][a-z_]{0,39}$/.test(reason)) return 'other'
    reasons.add(reason)
    return reason
  }

  return {
    contentType: registry.contentType,
    render: () => registry.metrics(),
    countRequest(method, route, status, seconds) {
      requests.inc({ method: METHODS.has(method) ? method : 'other', route, status })
      duration.observe({ route }, seconds)
    },
    countAuthEvent: ({ type, outcome, reason }) =>
      authEvents.inc({ type, outcome, reason: reason ? boundedReason(reason) : '' }),
    countMail: (template, result) => mails.inc({ template, result }),
    countMarkedAddress: (reason) => marked.inc({ reason }),
    countWebhook: (result) => webhooks.inc({ result }),
    countBackgroundFailure: (task) => backgroundFailures.inc({ task }),
    countDropped: (queue) => dropped.inc({ queue }),
    observePasswordQueue(queued) {
      new Gauge({
        name: 'ratchet_password_hash_queue',
        help: 'Password hashes that wait for their turn',
        registers,
        collect() {
          this.set(queued())
        },
      })
    },
  }
}
