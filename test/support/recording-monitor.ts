/** A log and metrics that record their calls. */
export function recordingMonitor() {
  const lines: { level: string; fields: object; message: string }[] = []
  const failures: string[] = []
  const dropped: string[] = []
  const write = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, fields, message })
  return {
    lines,
    /** The tasks whose runs failed. */
    failures,
    /** The queues that dropped an entry. */
    dropped,
    log: { info: write('info'), warn: write('warn'), error: write('error') },
    metrics: {
      countBackgroundFailure: (task: string) => void failures.push(task),
      countDropped: (queue: string) => void dropped.push(queue),
    },
  }
}
