import { readFileSync } from 'node:fs'
import t from 'tap'
import { createLinks } from '../../../src/core/mail/links.ts'
import { startServer } from '../../support/server.ts'

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')
const PUBLIC = 'https://auth.example.com'
const APP = 'https://app.example.com/accounts'

const linksOf = (appUrl: string | undefined) =>
  Object.values(createLinks(PUBLIC, appUrl)).map((link: (token: string) => string) => link('TOKEN'))
/** The rows of the table of an app's pages: the path, and the call it is for. */
const rows = [...read('docs/pages.md').matchAll(/^\| `(\/[^`]+)` \|.*\| `POST (\S+)` with/gm)].map(
  ([, path = '', call = '']) => ({ path, call }),
)

t.test(
  'docs/pages.md has a row for every page that links lead to with APP_URL, and for no other',
  async (t) => {
    const expected = linksOf(APP).map((link) => link.replace(APP, '').replace('TOKEN', ''))
    t.strictSame(rows.map(({ path }) => path).sort(), expected.sort())
  },
)

t.test('.env.example names them at APP_URL', async (t) => {
  const line = read('.env.example')
    .split('\n')
    .find((text) => text.includes('where links in mail lead')) as string
  for (const { path } of rows) t.ok(line.includes(path.replace('?token=', '')), path)
})

t.test('the server has each call in the table, and each built-in page', async (t) => {
  const server = await startServer(t)
  const { body } = await server.call('GET', '/openapi.json')
  for (const { call } of rows) t.ok(body.paths[call]?.post, call)
  for (const link of linksOf(undefined)) {
    const { origin, pathname } = new URL(link)
    t.equal(origin, PUBLIC)
    t.ok(body.paths[pathname]?.get.responses[200].content['text/html'], link)
  }
})
