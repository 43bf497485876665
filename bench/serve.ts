import type { AddressInfo } from 'node:net'
import type { Question } from './child.ts'

/** What a Fastify application has, and any other server can easily have. */
export interface Served {
  server: { address(): AddressInfo | string | null }
  listen(options: { host: string; port: number }): Promise<unknown>
  close(): Promise<unknown>
}

/** The child's side of `startChild`: serves, answers the parent's questions and ends with the parent. */
export async function serveParent(app: Served, answer: (question: Question) => unknown): Promise<void> {
  // Ctrl-C reaches this process too, but its parent ends it in order.
  process.on('SIGINT', () => {})
  process.on('disconnect', () => void app.close().finally(() => process.exit()))
  process.on('message', async (question: Question) => {
    process.send?.(question.about === 'cpu' ? cpuMicroseconds() : await answer(question))
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  process.send?.({ url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}` })
}

/** The CPU time that all threads of this process have used so far. */
function cpuMicroseconds(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}
