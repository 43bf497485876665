// The baselines: Fastify with one trivial route, and argon2 alone.
import { verify } from '@node-rs/argon2'
import fastify from 'fastify'
import type { Question } from './child.ts'
import type { Load } from './load.ts'
import { serveParent } from './serve.ts'

const app = fastify()
app.get('/', async () => ({ ok: true }))
await serveParent(app, (question) => (question.about === 'argon2' ? verifyFor(question) : null))

async function verifyFor(question: Question & { about: 'argon2' }): Promise<Load> {
  const { hash, password, concurrency, seconds } = question
  const start = performance.now()
  let verified = 0
  const loop = async () => {
    while (performance.now() < start + seconds * 1000) {
      if (!(await verify(hash, password))) throw new Error('the password is wrong')
      verified += 1
    }
  }
  await Promise.all(Array.from({ length: concurrency }, loop))
  return { answers: verified, perSecond: verified / ((performance.now() - start) / 1000) }
}
