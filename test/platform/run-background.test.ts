import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { type Background, runBackground } from '../../src/platform/background.ts'
import { deferred } from '../support/deferred.ts'
import { recordingMonitor } from '../support/recording-monitor.ts'

t.test(
  'tasks start one after the other and stop together; one that cannot stop does not keep the others',
  async (t) => {
    const { log, lines } = recordingMonitor()
    const order: string[] = []
    const started = deferred()
    const stopped = deferred()
    const task = (name: string, start: Promise<void>, stop: () => Promise<void>): Background => ({
      async start() {
        await start
        order.push(`${name} started`)
      },
      async stop() {
        await stop()
        order.push(`${name} stopped`)
      },
    })
    const error = new Error('it does not stop')
    const all = runBackground(
      [
        task('first', started.promise, () => stopped.promise),
        task('second', Promise.resolve(), () => Promise.reject(error)),
        task('third', Promise.resolve(), async () => stopped.resolve()),
      ],
      log,
    )
    const starting = all.start()
    await nextTurn()
    t.strictSame(order, [], 'the second waits for the first')
    started.resolve()
    await starting
    t.strictSame(order, ['first started', 'second started', 'third started'])
    await all.stop()
    t.strictSame(order.slice(3).sort(), ['first stopped', 'third stopped'])
    t.strictSame(lines, [
      { level: 'error', fields: { err: error }, message: 'a background task failed to stop' },
    ])
  },
)
