import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import t from 'tap'
import { loadDatabase } from '../../src/config.ts'
import { openDatabase } from '../../src/platform/database.ts'
import { createTestDatabase } from '../support/database.ts'

t.test('DB_HOST can be an IPv6 address', async (t) => {
  const database = await createTestDatabase()
  t.teardown(() => database.drop())
  const { hostname, port, username, password, pathname } = new URL(database.url)
  const proxy = createServer((client) => {
    const onward = connect(Number(port), hostname)
    onward.on('error', () => client.destroy())
    client.on('error', () => onward.destroy())
    client.pipe(onward).pipe(client)
  })
  proxy.listen(0, '::1')
  await once(proxy, 'listening')
  t.teardown(() => proxy.close())
  const before = { ...process.env }
  t.teardown(() => {
    process.env = before
  })
  for (const DB_HOST of ['::1', '[::1]', '0:0:0:0:0:0:0:1']) {
    process.env = {
      ...before,
      DATABASE_URL: '',
      DB_HOST,
      DB_PORT: String((proxy.address() as AddressInfo).port),
      DB_NAME: pathname.slice(1),
      DB_USER: decodeURIComponent(username),
      DB_PASSWORD: decodeURIComponent(password) || 'unused',
    }
    const { db, close } = openDatabase(await loadDatabase())
    t.strictSame(await db.$queryRaw`SELECT 1 AS one`, [{ one: 1 }], DB_HOST)
    await close()
  }
})
