import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { startRatchet } from '../support/ratchet.ts'
import { folderOf } from '../support/texts.ts'

t.test(
  'every mail and page is written in every language, in the words and the look of the operator',
  async (t) => {
    const texts = await folderOf(t, { 'en/pages.json': '{ "page.sign_in": "Log in here" }' })
    const folder = join(await folderOf(t, {}), 'previews')
    const env = { APP_NAME: 'Tea & Cake', APP_COLOR: '#102040', MAIL_TEMPLATES_DIR: texts }
    const { stdout } = await startRatchet(['preview', folder], env)
    const [, mails, pages] = /^(\d+) mails and (\d+) pages are in /.exec(stdout) ?? []
    const all = await readdir(folder, { recursive: true })
    const files = all.filter((file) => file.endsWith('.html'))
    t.equal(files.length, Number(mails) + Number(pages))
    for (const file of files) {
      const text = await readFile(join(folder, file), 'utf8')
      t.match(text, 'Tea &#38; Cake', file)
      t.match(text, `<html lang="${file.slice(0, 2)}" dir="ltr">`, file)
      t.notMatch(text, /undefined|NaN|\{\{|\[object/, file)
    }
    t.match(await readFile(join(folder, 'en', 'pages', 'page.html'), 'utf8'), 'Log in here')
    t.match(await readFile(join(folder, 'de', 'pages', 'page.html'), 'utf8'), 'Anmelden')
  },
)

t.test('a text that cannot be used is told in one line, and a folder has to be named', async (t) => {
  const texts = await folderOf(t, { 'en/pages.json': '{ "page.sign_in": "{{nickname}}" }' })
  await t.rejects(startRatchet(['preview', 'unused'], { MAIL_TEMPLATES_DIR: texts }), {
    code: 2,
    stderr: /pages\.json: page\.sign_in: there is no \{\{nickname\}\} here/,
  })
  await t.rejects(startRatchet(['preview'], {}), { code: 2 })
})
