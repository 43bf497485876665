const SILENT_MS = 60_000

/** Says in the server's log that spans are lost, once a minute at most: OpenTelemetry itself is silent. */
export function createFailureReport() {
  let log
  let lost = 0
  let reportedAt = Number.NEGATIVE_INFINITY

  function report(spans, error) {
    lost += spans
    if (!log || performance.now() - reportedAt < SILENT_MS) return
    reportedAt = performance.now()
    // Never the text: an answer of the collector may be in it.
    const reason = String(error?.code ?? 'failed')
    log.warn({ event: 'spans_lost', lost, reason }, 'spans could not be sent to the collector')
    lost = 0
  }

  return {
    logTo(first) {
      log ??= first
    },
    /** Reports what the exporter fails to send. */
    watch(exporter) {
      const send = exporter.export.bind(exporter)
      exporter.export = (spans, done) =>
        send(spans, (result) => {
          if (result.code !== 0) report(spans.length, result.error)
          done(result)
        })
      return exporter
    },
  }
}
