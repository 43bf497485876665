import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { VERSION } from './version.ts'

/**
 * The metrics of one process, for Prometheus. Every label has a bounded set of values and never holds an address, an
 * id or a token: metrics are kept for years in systems that are not meant for secrets.
 */
export interface Metrics {
  /** The media type of what `render` returns: Prometheus's text format. */
  readonly contentType: string
  render(): Promise<string>
  /** `route` is the pattern, never the URL. */
  countRequest(method: string, route: string, status: number, seconds: number): void
  countAuthEvent(event: { type: string; outcome: string; reason?: string | undefined }): void
  countMail(template: string, result: string): void
  countLogoutToken(result: string): void
  countMarkedAddress(reason: string): void
  countWebhook(result: string): void
  countBackgroundFailure(task: string): void
  /** Counts the verdict on an authentic refresh token, and the store that gave it. */
  countRefresh(store: string, verdict: string): void
  /** Counts a session that Redis did not have and that was read from Postgres. */
  countColdFamily(): void
  /** Reads at each scrape how long the oldest unsent message has waited, in seconds; undefined if it is not known. */
  observeOutboxAge(read: () => Promise<number | undefined>): void
  setStoreAvailable(store: string, isAvailable: boolean): void
  /** Counts an item that a full queue rejected. */
  countDropped(queue: string): void
  /** `scheme` is the algorithm, such as `argon2id` or `bcrypt`. */
  countPasswordHash(scheme: string): void
  /** Counts a metadata document of a client that was read, or why it was not. */
  countClientDocument(result: string): void
  /** Reads at each scrape how many password hashes wait for a slot. */
  observePasswordQueue(queued: () => number): void
}

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
/** More than the number of reasons that exist. */
const MAX_REASONS = 100

export function createMetrics(): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })

  new Gauge({
    name: 'ratchet_build_info',
    help: 'Always 1; the labels name the running versions',
    labelNames: ['version', 'node'],
    registers,
  }).set({ version: VERSION, node: process.version }, 1)
  const requests = new Counter({
    name: 'ratchet_http_requests_total',
    help: 'HTTP requests answered',
    labelNames: ['method', 'route', 'status'],
    registers,
  })
  const duration = new Histogram({
    name: 'ratchet_http_request_seconds',
    help: 'Time from the request to the last byte of the response',
    labelNames: ['route'],
    buckets: SECONDS,
    registers,
  })
  const authEvents = new Counter({
    name: 'ratchet_auth_events_total',
    help: 'Audit events, including those whose transaction was rolled back',
    labelNames: ['type', 'outcome', 'reason'],
    registers,
  })
  const mails = new Counter({
    name: 'ratchet_mails_total',
    help: 'Attempts to send an e-mail, by result',
    labelNames: ['template', 'result'],
    registers,
  })
  const logoutTokens = new Counter({
    name: 'ratchet_logout_tokens_total',
    help: 'Attempts to tell clients that a session has ended, by result',
    labelNames: ['result'],
    registers,
  })
  const marked = new Counter({
    name: 'ratchet_mail_addresses_marked_total',
    help: 'Addresses newly suppressed, by what the mail provider reported',
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
    help: 'Failed runs of background tasks; each is retried',
    labelNames: ['task'],
    registers,
  })
  const refreshes = new Counter({
    name: 'ratchet_refreshes_total',
    help: 'Verdicts on authentic refresh tokens, by the store that gave them',
    labelNames: ['store', 'verdict'],
    registers,
  })
  const coldFamilies = new Counter({
    name: 'ratchet_cold_families_total',
    help: 'Sessions that Redis did not have and that were read from Postgres',
    registers,
  })
  const stores = new Gauge({
    name: 'ratchet_store_available',
    help: '1 while the store can be used, 0 during an outage',
    labelNames: ['store'],
    registers,
  })
  const dropped = new Counter({
    name: 'ratchet_dropped_total',
    help: 'Items lost because a queue was full; of the log, lines that could not be written',
    labelNames: ['queue'],
    registers,
  })
  const hashes = new Counter({
    name: 'ratchet_password_hashes_total',
    help: 'Password hashes computed, by algorithm; others than argon2id are of imported accounts',
    labelNames: ['scheme'],
    registers,
  })
  const documents = new Counter({
    name: 'ratchet_client_documents_total',
    help: 'Client ID metadata documents that were fetched, by result',
    labelNames: ['result'],
    registers,
  })
  const reasons = new Set<string>()
  /** The types cannot guarantee that a reason is a known word, so its format and the number of reasons are limited. */
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
    countLogoutToken: (result) => logoutTokens.inc({ result }),
    countMarkedAddress: (reason) => marked.inc({ reason }),
    countWebhook: (result) => webhooks.inc({ result }),
    countBackgroundFailure: (task) => backgroundFailures.inc({ task }),
    countRefresh: (store, verdict) => refreshes.inc({ store, verdict }),
    countColdFamily: () => coldFamilies.inc(),
    observeOutboxAge(read) {
      new Gauge({
        name: 'ratchet_outbox_oldest_seconds',
        help: 'How long the oldest message that may leave has waited; 0 if none does, missing if Postgres does not say',
        registers,
        async collect() {
          const age = await read()
          if (age === undefined) this.remove()
          else this.set(age)
        },
      })
    },
    setStoreAvailable: (store, isAvailable) => stores.set({ store }, isAvailable ? 1 : 0),
    countDropped: (queue) => dropped.inc({ queue }),
    countClientDocument: (result) => documents.inc({ result }),
    countPasswordHash: (scheme) => hashes.inc({ scheme }),
    observePasswordQueue(queued) {
      new Gauge({
        name: 'ratchet_password_hash_queue',
        help: 'Password hashes waiting for a slot',
        registers,
        collect() {
          this.set(queued())
        },
      })
    },
  }
}
