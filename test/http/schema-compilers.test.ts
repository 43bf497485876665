import fastify from 'fastify'
import t from 'tap'
import { createSchemaCompilers } from '../../src/http/schema-compilers.ts'
import { startServer } from '../support/server.ts'

t.test('every schema of every route compiles', async (t) => {
  const { app } = await startServer(t)
  t.ok(app.compileSchemas() > 100)
})

t.test('a schema that does not compile fails its route, and is found by compiling all', async (t) => {
  const { compilersFactory, compileAll } = createSchemaCompilers()
  const app = fastify({ schemaController: { compilersFactory } })
  t.teardown(() => app.close())
  const valid = { type: 'object', required: ['word'], properties: { word: { type: 'string' } } }
  app.post('/valid', { schema: { body: valid } }, async () => ({}))
  app.post('/invalid', { schema: { body: { type: 'no type' } } }, async () => ({}))
  const post = async (url: string, payload: object) =>
    (await app.inject({ method: 'POST', url, payload })).json()
  t.strictSame(await post('/valid', { word: 'a' }), {})
  t.match(await post('/valid', {}), { statusCode: 400, message: /must have required property 'word'/ })
  t.strictSame(await post('/valid', { word: 'a' }), {})
  t.match(await post('/invalid', {}), { statusCode: 500 })
  t.throws(compileAll)
})
