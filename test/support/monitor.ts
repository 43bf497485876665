import type { Log } from '../../src/platform/log.ts'
import type { Metrics } from '../../src/platform/metrics.ts'

export const silentLog: Log = { info() {}, warn() {}, error() {} }

/** Metrics that count nothing. */
export const silentMetrics: Metrics = {
  contentType: 'text/plain',
  render: async () => '',
  countRequest() {},
  countAuthEvent() {},
  countMail() {},
  countLogoutToken() {},
  countMarkedAddress() {},
  countWebhook() {},
  countBackgroundFailure() {},
  countRefresh() {},
  countColdFamily() {},
  observeOutboxAge() {},
  setStoreAvailable() {},
  countDropped() {},
  countClientDocument() {},
  countPasswordHash() {},
  observePasswordQueue() {},
}
